"""The `feedback` stage's recipe: several models answer, a judge scores (section 3.2 of the paper, UltraFeedback)."""

from typing import Literal

from pydantic import Field

from zephyr.recipe.sections import Base, FileName, Positive, Source, section
from zephyr.recipe.teacher import Budget, LanguageModel, Sampling


@section
class Judging:
    """How answers are scored."""

    rubric: FileName = "zephyr"
    """`zephyr` (the aspects and wording that come with this toolkit), or the path of a YAML file with others."""
    mode: Literal["listwise", "pointwise"] = "listwise"
    """`listwise`: one call sees all answers to a prompt; `pointwise`: one call per answer."""
    repeats: int = Field(default=1, gt=0)
    """Judgments of each answer, each with another order; the mean counts and their agreement is reported."""
    temperature: float = Field(default=0.0, ge=0)
    """Temperature of the judge."""
    max_tokens: int = Positive
    """Longest judgment; one that is cut there is a failure."""


@section
class FeedbackRecipe(Base):
    """AI feedback: each prompt is answered by some models of a pool and the answers are scored by a judge."""

    stage: Literal["feedback"]
    seed: int
    """Seed of which models answer which prompt, their principles and the order in which the judge sees them."""
    prompts: list[Source] = Field(min_length=1)
    """Rows with `prompt` (text or messages) or `messages`, of which the part before the last answer is taken."""
    pool: dict[str, LanguageModel] = Field(min_length=2)
    """Name -> model that may answer."""
    answers_per_prompt: int = Field(default=4, gt=1)
    """Models drawn from the pool for each prompt, without replacement."""
    principles: FileName | None = None
    """`zephyr`, or the path of a YAML file: principles put before the models as a system message. Default: none."""
    sampling: Sampling
    judge: LanguageModel
    judging: Judging
    budget: Budget = Field(default_factory=Budget)
