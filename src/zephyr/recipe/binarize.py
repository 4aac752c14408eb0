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
    drop_sources: list[str] = Field(default_factory=list)
    """Rows whose `source` is one of these are left out and counted, such as benchmarks (`truthful_qa`, `false_qa`)."""
    max_unusable_share: float = Field(default=0.0, ge=0, le=1)
    """Share of rows that may be unreadable (counted and listed) before the run is refused."""


@section
class Binarize:
    """Which answer is chosen, which rejected."""

    strategy: Literal["zephyr_paper", "h4_release", "h4_v1", "argilla_mean", "best_worst", "all_pairs"]
    """`zephyr_paper`: best, random lower; `h4_*`: as released; `argilla_mean`: Notus's; the last two as they say."""
    score: Literal["mean", "overall"] | None = None
    """`mean` of the aspects' ratings or the critique's `overall` score. Default: mean, `h4_*` overall."""
    ties: Literal["first", "random", "drop"] | None = None
    """Several are best: the `first`, a `random` one, or `drop`ped. Default: random; `h4_*`, `argilla_mean` first."""
    min_margin: float = Field(default=0.0, ge=0)
    """Least difference of a pair's scores; 0: what the strategy allows, which for `h4_*` includes equal scores."""
    ten_for_one: Literal["keep", "correct", "leave_out"] = "keep"
    """Overall scores of 10 that may be a misread 1: `keep` and count, `correct` the certain, or `leave_out` all."""


@section
class BinarizeRecipe(Base):
    """Preference pairs for dDPO (section 3.2 of the paper)."""

    stage: Literal["binarize"]
    seed: int
    """Seed of the random draws; each depends on its row's own id, so that order and parallelism change nothing."""
    data: BinarizeData
    binarize: Binarize
