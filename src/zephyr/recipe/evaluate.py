"""The `evaluate` stage's recipe: which models are asked what, by whom they are judged (section 4.2 of the paper)."""

from typing import Literal

from pydantic import Field

from zephyr.recipe.sections import Base, LocalPath, ModelName, Positive, RunName, TasksPath, section
from zephyr.recipe.teacher import Budget, LanguageModel


@section
class WorldBenchmark:
    """The mini world's held-out dialogues, judged against its facts."""

    path: RunName
    """The recipe or directory that holds them."""
    baseline: str | None = None
    """One of that world's teachers, whose answers to the same prompts the models' are set against. Default: none."""


@section
class MtBench:
    """MT-Bench by FastChat's protocol: 80 questions of two turns, each answer rated by the judge."""

    questions: LocalPath | None = None
    """FastChat's question.jsonl. Default: fetched from where it was published, and checked."""
    references: LocalPath | None = None
    """FastChat's reference_answer/gpt-4.jsonl, or corrected ones. Default: fetched and checked."""
    prompts: LocalPath | None = None
    """FastChat's judge_prompts.jsonl. Default: fetched and checked."""
    answers: dict[str, LocalPath] = Field(default_factory=dict)
    """Row name -> FastChat's model_answer/MODEL.jsonl: answers that are there already."""
    max_new_tokens: int = Field(default=1024, gt=0)
    """Longest answer in tokens; one that is cut there is judged as it is, as FastChat does."""
    repeats: int = Field(default=1, gt=0)
    """Judgments of each turn; all ratings count."""
    judge_max_tokens: int = Field(default=2048, gt=0)
    """Longest judgment in tokens; one that is cut there is a failure."""
    max_failed_share: float = Field(default=0.0, ge=0, le=1)
    """Share of a model's judgments that may fail (counted, in no mean) before the run is refused."""
    calibration: LocalPath | None = None
    """FastChat's judgments with known ratings, which the judge rates again. Default: no calibration."""


@section
class AlpacaEval:
    """AlpacaEval: the judge says which of two answers is better, the model's or the baseline's."""

    version: Literal[1, 2] = 1
    """1: the paper's, a ranking that the judge writes; 2: weighted by the log-probabilities of one token."""
    baseline: LocalPath | None = None
    """Instructions with the baseline's answers (AlpacaEval's outputs or annotations). Default: version 1's, fetched."""
    prompt: LocalPath | None = None
    """The judge's prompt, a file of AlpacaEval's. Default: version 1's is fetched and checked; version 2 needs it."""
    answers: dict[str, LocalPath] = Field(default_factory=dict)
    """Row name -> AlpacaEval's model_outputs.json: answers that are there already."""
    temperature: float = Field(default=0.7, ge=0)
    """Temperature of the answers (AlpacaEval's for zephyr-7b-beta)."""
    max_new_tokens: int = Field(default=2048, gt=0)
    """Longest answer in tokens; one that is cut there is judged as it is."""
    judge_max_tokens: int | None = Field(default=None, gt=0)
    """Longest judgment in tokens, for judges that reason before they answer. Default: AlpacaEval's, 100 or 1."""
    max_failed_share: float = Field(default=0.01, ge=0, le=1)
    """Share of a model's pairs that may fail (counted, in no mean) before the run is refused; 2 of 805 did in 2023."""
    calibration: LocalPath | None = None
    """Annotations with known preferences, judged again; `zephyr-7b-beta`: its published ones. Default: none."""


@section
class Leaderboard:
    """Multiple choice by lm-evaluation-harness on the weights, without a chat template (Open LLM Leaderboard v1)."""

    tasks: list[str] = Field(default_factory=lambda: ["arc", "hellaswag", "mmlu", "truthfulqa"], min_length=1)
    """The Leaderboard's `arc`, `hellaswag`, `mmlu`, `truthfulqa`; any other name is a task of the harness."""
    data: dict[str, LocalPath] = Field(default_factory=dict)
    """Leaderboard task -> its authors' files (a directory, or the file). Default: the Hub's."""
    include: TasksPath | None = None
    """Directory with task files of the harness for own tasks, or a world's recipe. Default: the harness's own tasks."""
    batch_size: int = Field(default=8, gt=0)
    """Sequences computed at once."""
    limit: int | None = Field(default=None, gt=0)
    """First questions of each task, to try things out: such figures are no one's. Default: all."""


@section
class Benchmarks:
    """What the models are asked; any of them."""

    world: WorldBenchmark | None = None
    """The mini world's held-out dialogues."""
    mt_bench: MtBench | None = None
    """80 questions of two turns, rated by the judge."""
    alpaca_eval: AlpacaEval | None = None
    """805 instructions, each answer compared by the judge with a baseline's."""
    leaderboard: Leaderboard | None = None
    """Multiple choice by lm-evaluation-harness."""


@section
class Generation:
    """How the models of `models` answer."""

    max_new_tokens: int | None = Field(default=None, gt=0)
    """Longest answer in the world's dialogues, in tokens; other benchmarks have their own."""
    batch_size: int = Field(default=16, gt=0)
    """Prompts generated at once."""
    chat_template: str = "tokenizer"
    """`tokenizer` (the one each model carries), `zephyr`, or the path of a Jinja file, for all models alike."""
    empty_system_turn: bool = True
    """Start conversations that have no system turn with an empty one, as Zephyr's training did."""


@section
class EvaluateExpect:
    """Lengths by which the plan reckons tokens, cost and hours."""

    answer_tokens: int = Positive
    """Tokens of an answer."""
    judgment_tokens: int = Positive
    """Tokens that the judge writes about an answer of MT-Bench."""
    answer_tokens_per_second: float | None = Field(default=None, gt=0)
    """Tokens a second that one request gets from a model behind an endpoint. Default: hours are not reckoned."""
    judge_tokens_per_second: float | None = Field(default=None, gt=0)
    """Tokens a second that one request gets from the judge. Default: hours are not reckoned."""
    source: str | None = None
    """Where these figures are from."""


@section
class EvaluateRecipe(Base):
    """Answers of several models to the same questions, judged."""

    stage: Literal["evaluate"]
    seed: int
    """Seed of sampling."""
    models: dict[str, ModelName] = Field(default_factory=dict)
    """Row name -> Hub id (`NAME@REVISION` is that commit of it), local directory or another recipe: loaded here."""
    endpoints: dict[str, LanguageModel] = Field(default_factory=dict)
    """Row name -> model asked over HTTP, or in this process with settings of its own; never for `leaderboard`."""
    benchmarks: Benchmarks
    judge: LanguageModel | None = None
    """Who judges MT-Bench and AlpacaEval; the paper's is gpt-4, and any other is marked."""
    generation: Generation = Field(default_factory=Generation)
    budget: Budget = Field(default_factory=Budget)
    until: Literal["generate", "judge", "score"] = "score"
    """Last step to do; the same command without it goes on from the files."""
    expect: EvaluateExpect | None = None
    """Lengths by which the plan reckons tokens, cost and hours. Default: answers as long as allowed."""
