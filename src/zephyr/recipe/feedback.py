"""The `feedback` stage's recipe: several models answer, a judge scores (section 3.2 of the paper, UltraFeedback)."""

from typing import Literal

from pydantic import Field

from zephyr.recipe.sections import Base, FileName, Positive, Source, section
from zephyr.recipe.teacher import Budget, LanguageModel, Sampling

ANSWERS_PER_PROMPT = 4
"""Where the recipe does not say."""


@section
class Judging:
    """How answers are scored."""

    rubric: FileName = "zephyr"
    """`zephyr` (the aspects and wording that come with this toolkit), or the path of a YAML file with others."""
    mode: Literal["listwise", "pointwise"] = "listwise"
    """`listwise`: one call sees all answers to a prompt; `pointwise`: one call per answer."""
    aspects: Literal["together", "apart"] = "together"
    """`together`: one call scores all aspects; `apart`: one call per aspect and one for the overall score."""
    repeats: int = Field(default=1, gt=0)
    """Judgments of each answer, each with another order; the mean counts and their agreement is reported."""
    temperature: float = Field(default=0.0, ge=0)
    """Temperature of the judge."""
    attempts: int = Field(default=3, gt=0)
    """Tries for a judgment that can't be used; each further one says what was wrong, with another seed."""
    retry_temperature: float = Field(default=0.3, ge=0)
    """Temperature of further tries, where that of the judge is lower: the same question gets the same answer."""
    max_tokens: int = Positive
    """Longest judgment; one that is cut there is a failure."""


@section
class FeedbackExpect:
    """Lengths by which the plan reckons tokens, cost and hours."""

    prompts: int | None = Field(default=None, gt=0)
    """Prompts, where they are not on this machine. Default: they are counted."""
    prompt_tokens: int = Positive
    """Tokens of a prompt."""
    answer_tokens: int = Positive
    """Tokens of an answer."""
    tokens_per_score: int = Positive
    """Tokens that the judge writes for each score that it gives, with its rationale or critique."""
    answer_tokens_per_second: float | None = Field(default=None, gt=0)
    """Tokens a second that one request gets from a model of the pool. Default: hours are not reckoned."""
    judge_tokens_per_second: float | None = Field(default=None, gt=0)
    """Tokens a second that one request gets from the judge. Default: hours are not reckoned."""
    source: str | None = None
    """Where these figures are from."""


@section
class FeedbackRecipe(Base):
    """AI feedback: each prompt is answered by some models of a pool and the answers are scored by a judge."""

    stage: Literal["feedback"]
    seed: int
    """Seed of which models answer which prompt, their principles and the order in which the judge sees them."""
    prompts: list[Source] = Field(min_length=1)
    """Rows with `prompt` (text or turns), `instruction`, or `messages`, of which an answer at the end is left out."""
    pool: dict[str, LanguageModel] = Field(min_length=2)
    """Name -> model that may answer."""
    answers_per_prompt: int = Field(default=ANSWERS_PER_PROMPT, gt=1, le=26)
    """Models drawn from the pool for each prompt, without replacement."""
    min_answers: int | None = Field(default=None, gt=1)
    """Answers that a prompt must have to be judged, where some fail. Default: all of `answers_per_prompt`."""
    principles: FileName | None = None
    """`zephyr`, or the path of a YAML file: principles put before the models as a system message. Default: none."""
    sampling: Sampling
    attempts: int = Field(default=2, gt=0)
    """Tries for an answer that is cut or empty, each with another seed; none at temperature 0."""
    judge: LanguageModel
    judging: Judging
    max_set_aside_share: float = Field(default=0.05, ge=0, le=1)
    """Share of prompts that may fail (listed in `set_aside.jsonl`) before the run is refused at its end."""
    max_unusable_share: float = Field(default=0.0, ge=0, le=1)
    """Share of rows that may hold no prompt (counted and listed) before the run is refused."""
    budget: Budget = Field(default_factory=Budget)
    expect: FeedbackExpect | None = None
    """Lengths by which the plan reckons tokens, cost and hours. Default: calls alone are planned."""
