"""The `dialogues` stage's recipe: self-instruct dialogues with a teacher (section 3.1 of the paper)."""

from typing import Annotated, Literal

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
    turns: list[Annotated[int, Positive]] = Field(min_length=1)
    """User turns of a dialogue; one of these numbers is drawn for each, a number said twice twice as often."""
    subtopics_per_topic: int = Field(default=0, ge=0)
    """Narrower topics that the teacher first writes about each topic, to take its place. 0: topics stay as they are."""
    instructions_per_topic: int = Field(default=10, gt=0)
    """First instructions that the teacher writes about each topic (or subtopic)."""
    instructions_like_seeds: int = Field(default=0, ge=0)
    """First instructions that the teacher writes after the manner of seed prompts shown to it (Self-Instruct)."""
    examples: int = Field(default=8, gt=0)
    """Seed prompts shown to the teacher for these."""
    instructions_per_call: int = Field(default=10, gt=0)
    """First instructions asked for at once."""
    personas: dict[str, float] = Field(default_factory=dict)
    """Persona of the simulated user, by its name in `prompts` -> weight. Default: all of them alike."""
    prompts: FileName = "zephyr"
    """`zephyr` (the wording that comes with this toolkit), or the path of a YAML file with other wording."""
    max_similarity: float = Field(default=0.7, gt=0, le=1)
    """First instructions whose ROUGE-L F1 with one kept before is above this are dropped and counted."""
    attempts: int = Field(default=2, gt=0)
    """Tries for a text that can't be used (cut, empty, a repetition), each with another seed; none at temperature 0."""
    max_set_aside_share: float = Field(default=0.05, ge=0, le=1)
    """Share of dialogues that may fail (listed in `set_aside.jsonl`) before the run is refused at its end."""
    max_unusable_share: float = Field(default=0.0, ge=0, le=1)
    """Share of seeds that may hold neither prompt nor topic (counted and listed) before the run is refused."""


@section
class DialoguesExpect:
    """Lengths by which the plan reckons tokens, cost and hours."""

    topics: int | None = Field(default=None, ge=0)
    """Topics among the seeds, where those are not on this machine. Default: they are counted."""
    instruction_tokens: int = Positive
    """Tokens of a user turn."""
    answer_tokens: int = Positive
    """Tokens of an answer."""
    tokens_per_second: float | None = Field(default=None, gt=0)
    """Tokens a second that one request gets from the teacher. Default: hours are not reckoned."""
    source: str | None = None
    """Where these figures are from."""


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
    expect: DialoguesExpect | None = None
    """Lengths by which the plan reckons tokens, cost and hours. Default: calls alone are planned."""
