"""The `filter` stage's recipe: from raw dialogues to those worth training on (section 4.1 of the paper)."""

from typing import Literal

from pydantic import Field

from zephyr.recipe.sections import Base, Source, section


@section
class FilterData:
    """What is filtered."""

    train: list[Source] = Field(min_length=1)
    """Dialogues that end up in `train`."""
    eval: list[Source] = Field(default_factory=list)
    """Dialogues that end up in `eval`."""
    eval_share: float = Field(default=0.0, ge=0, lt=1)
    """Share of `train` moved to `eval`, by the hash of the prompt: no prompt is in both."""


@section
class Filters:
    """The filters, each on when it is named; they run in this order."""


@section
class FilterRecipe(Base):
    """UltraChat to UltraChat-200k: truecasing, removal of refusals, duplicates and benchmark questions."""

    stage: Literal["filter"]
    seed: int
    """Seed of the samples shown of what was dropped, and of draws from the sources."""
    data: FilterData
    filters: Filters
