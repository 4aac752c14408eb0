"""The `binarize` stage's recipe: from scored answers to pairs of a chosen and a rejected one."""

from typing import Literal

from pydantic import Field

from zephyr.recipe.sections import Base, Source, section


@section
class BinarizeData:
    """The scored answers."""

    train: list[Source] = Field(min_length=1)
    """Rows in UltraFeedback's schema (`feedback` makes them) whose pairs end up in `train`."""
    eval: list[Source] = Field(default_factory=list)
    """Rows whose pairs end up in `eval`."""
    eval_share: float = Field(default=0.0, ge=0, lt=1)
    """Share of `train` moved to `eval`, by the hash of the prompt: no prompt is in both."""


@section
class Binarize:
    """Which answer is chosen, which rejected."""

    strategy: Literal["zephyr_paper", "h4_release", "h4_v1", "argilla_mean", "best_worst", "all_pairs"]


@section
class BinarizeRecipe(Base):
    """Preference pairs for dDPO (section 3.2 of the paper)."""

    stage: Literal["binarize"]
    seed: int
    """Seed of the random draws; each depends on its row's own id, so that order and parallelism change nothing."""
    data: BinarizeData
    binarize: Binarize
