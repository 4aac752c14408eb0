"""What a recipe may say: one frozen dataclass per stage, made of the sections in `sections.py`."""

from dataclasses import field
from typing import Any, Literal

from pydantic import Field

from zephyr.recipe.binarize import BinarizeRecipe
from zephyr.recipe.dialogues import DialoguesRecipe
from zephyr.recipe.evaluate import EvaluateRecipe
from zephyr.recipe.feedback import FeedbackRecipe
from zephyr.recipe.filter import FilterRecipe
from zephyr.recipe.sections import (
    Adapter,
    Base,
    ChatData,
    Expect,
    Launch,
    Model,
    Positive,
    PreferenceData,
    PreferenceTrain,
    RunName,
    Share,
    TextData,
    Train,
    section,
)
from zephyr.recipe.study import StudyRecipe


@section
class CptRecipe(Base):
    """Continued pretraining on plain text."""

    stage: Literal["cpt"]
    seed: int
    """Seed of initialisation, data order and dropout."""
    model: Model
    data: TextData
    train: Train
    launch: Launch
    adapter: Adapter | None = None
    """Train an adapter instead of all weights. Default: all weights."""
    trl: dict[str, Any] = field(default_factory=dict)
    """Anything else for TRL's SFTConfig."""
    expect: Expect = field(default_factory=Expect)
    """What a full run should come to."""


@section
class SftRecipe(Base):
    """dSFT: supervised fine-tuning on a teacher's dialogues."""

    stage: Literal["sft"]
    seed: int
    """Seed of data order and dropout."""
    model: Model
    data: ChatData
    train: Train
    launch: Launch
    adapter: Adapter | None = None
    """Train an adapter instead of all weights. Default: all weights."""
    trl: dict[str, Any] = field(default_factory=dict)
    """Anything else for TRL's SFTConfig."""
    expect: Expect = field(default_factory=Expect)
    """What a full run should come to."""


@section
class DpoRecipe(Base):
    """dDPO: direct preference optimization on AI feedback; the reference is the starting model."""

    stage: Literal["dpo"]
    seed: int
    """Seed of data order and dropout."""
    model: Model
    data: PreferenceData
    train: PreferenceTrain
    launch: Launch
    adapter: Adapter | None = None
    """Train an adapter instead of all weights. Default: all weights."""
    trl: dict[str, Any] = field(default_factory=dict)
    """Anything else for TRL's DPOConfig."""
    expect: Expect = field(default_factory=Expect)
    """What a full run should come to."""


@section
class Habits:
    """How often a scripted answerer of the mini world does what a judge will mark down; all 0: it never does."""

    boilerplate: float = Field(default=0.0, ge=0, le=1)
    """Share of answers that end in empty phrases."""
    terse: float = Field(default=0.0, ge=0, le=1)
    """Share of questions answered with a bare value."""
    short: float = Field(default=0.0, ge=0, le=1)
    """Share of texts with a sentence fewer than was asked for."""
    forgets_role: float = Field(default=0.0, ge=0, le=1)
    """Share of answers that drop the role given."""
    guesses: float = Field(default=0.0, ge=0, le=1)
    """Share of unrecorded facts given a made-up value."""
    caves: float = Field(default=0.0, ge=0, le=1)
    """Share of "Are you sure?" answered by taking a true answer back."""
    slips: float = Field(default=0.0, ge=0, le=1)
    """Share of recorded facts given a wrong value."""
    refuses: float = Field(default=0.0, ge=0, le=1)
    """Share of answers that first say what an AI cannot have, as ChatGPT's in UltraChat."""
    miscased: float = Field(default=0.0, ge=0, le=1)
    """Share of answers whose sentences begin in lower case."""


@section
class World:
    """Size of the mini world, what is written about it, and the habits of those who answer in it."""

    people: int = Field(ge=8, le=24)
    """People, each with a town, a job, a pet and a food."""
    unrecorded_share: float = Field(ge=0, le=0.5)
    """Share of these facts about people that nobody knows."""
    eval_share: float = Field(ge=0, le=0.3)
    """Share of the facts asked about only in `instructions_eval`, `prompts_eval` and what is made from them."""
    heldout_share: float = Field(ge=0, le=0.4)
    """Share of the facts asked about only in `heldout`: the corpus states them, training never asks or answers them."""
    documents: int = Positive
    """Documents of the corpus."""
    question_share: float = Share
    """Share of the documents that are questions with answers; the rest are notes."""
    instructions: int = Positive
    """First instructions for `dialogues` to start from, some of them more than once, as people ask."""
    prompts: int = Positive
    """Prompts, all distinct, for `feedback`: one turn, or more with a history by the first of `teachers`."""
    eval_rows: int = Positive
    """Rows of each of `corpus_eval`, `instructions_eval` and `prompts_eval`."""
    heldout: int = Positive
    """Held-out prompts of two turns, spread evenly over the eight categories."""
    vocabulary: int = Field(ge=300)
    """Tokens of the tokenizer."""
    teachers: dict[str, Habits] = Field(min_length=1)
    """Name -> habits of those who can be asked over HTTP, beside the `judge`: `teacher: {world: .., model: <name>}`."""


@section
class WorldRecipe(Base):
    """A small formal world: facts, a corpus about them, what to ask about them, scripted teachers and a judge."""

    stage: Literal["world"]
    seed: int
    """Seed of the facts and of everything said about them."""
    world: World
    """What it is made of."""


@section
class ReportRecipe(Base):
    """One page and one table of several runs."""

    stage: Literal["report"]
    title: str
    """Heading of the page."""
    runs: list[RunName] = Field(min_length=1)
    """Recipes or run directories, in the order shown; their inputs are found from them."""


Recipe = (
    WorldRecipe | CptRecipe | DialoguesRecipe | FilterRecipe | SftRecipe | FeedbackRecipe | BinarizeRecipe | DpoRecipe
    | EvaluateRecipe | ReportRecipe | StudyRecipe
)  # fmt: skip
TrainRecipe = CptRecipe | SftRecipe | DpoRecipe
"""Recipes that update weights: they have `model`, `data`, `train` and `launch`."""
RECIPES: dict[str, type] = {
    "world": WorldRecipe,
    "cpt": CptRecipe,
    "dialogues": DialoguesRecipe,
    "filter": FilterRecipe,
    "sft": SftRecipe,
    "feedback": FeedbackRecipe,
    "binarize": BinarizeRecipe,
    "dpo": DpoRecipe,
    "evaluate": EvaluateRecipe,
    "report": ReportRecipe,
    "study": StudyRecipe,
}
MAKES_A_MODEL = ("cpt", "sft", "dpo")
"""Stages whose run directory holds `model/`, with its tokenizer."""
MAKES_A_TOKENIZER = ("world",)
"""Stages whose run directory holds `tokenizer/`."""
MAKES_TASKS = ("world",)
"""Stages whose run directory holds `tasks/`, for lm-evaluation-harness."""
ROWS: dict[str, tuple[str, ...]] = {
    "world": ("corpus", "corpus_eval", "instructions", "instructions_eval", "prompts", "prompts_eval", "heldout"),
    "dialogues": ("dialogues",),
    "filter": ("train", "eval"),
    "feedback": ("feedback",),
    "binarize": ("train", "eval"),
}
"""Stage -> the files of rows it makes, without `.jsonl`."""

NOT_SCIENCE = {
    "name", "description", "output_dir", "launch", "expect", "model.attn_implementation",
    "train.logging_steps", "train.eval_steps", "train.save_steps", "train.save_total_limit", "train.report_to",
    "workers", "until", "benchmarks.mt_bench.max_failed_share", "benchmarks.alpaca_eval.max_failed_share",
    "benchmarks.leaderboard.batch_size", "max_set_aside_share", "max_unusable_share", "dialogues.max_set_aside_share",
}  # fmt: skip
"""Keys that don't change what a run computes, so that they may differ in the same run directory."""
CODE: dict[str, int] = {}
"""Stage -> how many times a change of our code has changed what its runs compute; part of a run's identity, so that a
run made before is not taken for one made now."""
