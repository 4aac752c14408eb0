"""The `dialogues` stage's recipe: self-instruct dialogues with a teacher (section 3.1 of the paper)."""

from typing import Literal

from pydantic import Field

from zephyr.recipe.sections import Base, FileName, Positive, Source, section
from zephyr.recipe.teacher import Budget, LanguageModel, Sampling


@section
class Dialogues:
    """What is talked about, by whom, for how long."""

    seeds: list[Source] = Field(min_length=1)
    """Rows with a `prompt` (a first instruction) or a `topic` (from which the teacher writes instructions)."""
    count: int = Positive
    """Dialogues to write."""
    turns: dict[int, float]
    """Number of user turns -> weight with which a dialogue gets it."""
    personas: dict[str, float] = Field(default_factory=dict)
    """Persona of the simulated user, by its name in `prompts` -> weight. Default: all of them alike."""
    prompts: FileName = "zephyr"
    """`zephyr` (the wording that comes with this toolkit), or the path of a YAML file with other wording."""
    max_similarity: float = Field(default=0.7, gt=0, le=1)
    """First instructions whose ROUGE-L F1 with one kept before is above this are dropped and counted."""


@section
class DialoguesRecipe(Base):
    """dSFT's data: the teacher answers an instruction, then writes the next one from its answer."""

    stage: Literal["dialogues"]
    seed: int
    """Seed of all draws; the same seed asks the same calls."""
    teacher: LanguageModel
    sampling: Sampling
    dialogues: Dialogues
    budget: Budget = Field(default_factory=Budget)
