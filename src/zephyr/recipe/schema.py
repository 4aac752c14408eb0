"""What a recipe may say: one frozen dataclass per section, one recipe class per stage.

Every field's docstring is its documentation everywhere: in `zephyr schema`, in an editor and in error messages.
Beside these keys a file may say `extends` (see extends.py), and the resolved recipe in a run directory ends with
`resolved`, which only the toolkit writes and reads (see carried.py).
Values that are science (model, data, learning rate, batch, epochs, beta, seed) have no default.
"""

from dataclasses import dataclass as plain_dataclass
from dataclasses import field
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

# built when first used, and docstrings read by keys.py when shown: `zephyr plan` answers at once
_strict = ConfigDict(extra="forbid", defer_build=True)
section = dataclass(frozen=True, kw_only=True, config=_strict)

Positive = Field(gt=0)
Share = Field(ge=0, le=1)


@plain_dataclass(frozen=True)
class Names:
    """A text that may name another recipe: which part of its output is meant. `file`: only a local file."""

    artefact: Literal["model", "tokenizer", "rows", "run", "file"]


ModelName = Annotated[str, Names("model")]
TokenizerName = Annotated[str, Names("tokenizer")]
RowsName = Annotated[str, Names("rows")]
RunName = Annotated[str, Names("run")]
FileName = Annotated[str, Names("file")]


# ------------------------------------------------------------------ data


@section
class Source:
    """Where rows come from, and how many of them."""

    path: RowsName
    """Hub id, local file or directory (jsonl, json, parquet, csv, `save_to_disk`), or another recipe (`world.yaml`)."""
    name: str | None = None
    """Hub configuration; for another recipe, which of its files (`dialogues` for `dialogues.jsonl`)."""
    revision: str | None = None
    """Commit, tag or branch of a Hub data set."""
    split: str | None = None
    """Split of a Hub data set or a saved `DatasetDict`; files have none."""
    fraction: float | None = Field(default=None, gt=0, le=1)
    """Share of the rows to take, drawn with the recipe's seed. Default: all."""
    rows: int | None = Field(default=None, gt=0)
    """Number of rows to take, drawn with the recipe's seed; instead of `fraction`."""
    columns: dict[str, str] = field(default_factory=dict)
    """Our field name -> the data set's column, where they differ (`prompt: question`)."""


@section
class TextData:
    """Plain text for continued pretraining."""

    train: list[Source] = Field(min_length=1)
    """Sources trained on."""
    eval: list[Source] = field(default_factory=list)
    """Held-out sources, never pooled with `train`."""
    max_length: int = Positive
    """Tokens per sequence."""
    packing: Literal["wrapped", "none"] = "wrapped"
    """`wrapped`: documents joined and cut every `max_length` tokens; `none`: one document a sequence."""
    add_bos_token: bool = False
    """Put the tokenizer's BOS before every document."""
    append_eos_token: bool = True
    """Put the tokenizer's EOS after every document."""
    eval_overlap: Literal["refuse", "drop"] = "refuse"
    """Rows of `eval` whose prompt is in `train` too: `refuse` the run, or `drop` them from `eval` (counted, listed)."""
    max_unusable_share: float = Field(default=0.0, ge=0, le=1)
    """Share of rows that may be unusable (counted and listed) before the run is refused."""


@section
class ChatData:
    """Conversations for dSFT (section 3.1 of the paper)."""

    train: list[Source] = Field(min_length=1)
    """Sources trained on."""
    eval: list[Source] = field(default_factory=list)
    """Held-out sources, never pooled with `train`."""
    chat_template: FileName = "zephyr"
    """`zephyr`, `tokenizer` (the one it carries), or the path of a Jinja file."""
    empty_system_turn: bool = True
    """Start conversations that have no system turn with an empty one, as Zephyr's training did."""
    max_length: int = Positive
    """Tokens per sequence."""
    packing: Literal["wrapped", "none"] = "wrapped"
    """`wrapped`: conversations joined and cut every `max_length` tokens (the paper's); `none`: one a sequence."""
    loss_on: Literal["all", "assistant", "completion"] = "all"
    """Tokens that carry loss: all, every assistant turn, or only the last assistant turn."""
    add_bos_token: bool = False
    """Put the tokenizer's BOS before every conversation."""
    append_eos_token: bool = False
    """Put a further EOS after the rendered conversation (the template already ends each turn with one)."""
    eval_overlap: Literal["refuse", "drop"] = "refuse"
    """Rows of `eval` whose prompt is in `train` too: `refuse` the run, or `drop` them from `eval` (counted, listed)."""
    max_unusable_share: float = Field(default=0.0, ge=0, le=1)
    """Share of rows that may be unusable (counted and listed) before the run is refused."""


@section
class PreferenceData:
    """Pairs of a chosen and a rejected answer for dDPO (section 3.3 of the paper)."""

    train: list[Source] = Field(min_length=1)
    """Sources trained on."""
    eval: list[Source] = field(default_factory=list)
    """Held-out sources, never pooled with `train`."""
    chat_template: FileName = "zephyr"
    """`zephyr`, `tokenizer` (the one it carries), or the path of a Jinja file."""
    empty_system_turn: bool = True
    """Start conversations that have no system turn with an empty one, as Zephyr's training did."""
    max_length: int = Positive
    """Tokens of prompt and answer together."""
    max_prompt_length: int = Positive
    """When prompt + longer answer exceed `max_length`: the prompt keeps its last so many tokens, answers the rest."""
    add_bos_token: bool = False
    """Put the tokenizer's BOS before every prompt."""
    append_eos_token: bool = False
    """Put a further EOS after each answer (the template already ends it with one)."""
    eval_overlap: Literal["refuse", "drop"] = "refuse"
    """Rows of `eval` whose prompt is in `train` too: `refuse` the run, or `drop` them from `eval` (counted, listed)."""
    max_unusable_share: float = Field(default=0.0, ge=0, le=1)
    """Share of rows that may be unusable (counted and listed) before the run is refused."""


# ------------------------------------------------------------------ model, train, launch


@section
class Model:
    """The model to start from: a published one, another recipe's, or a random one from `config`."""

    model_name_or_path: ModelName | None = None
    """Hub id, local directory, or another recipe (`sft.yaml`): the output of that run."""
    revision: str | None = None
    """Commit, tag or branch of a Hub model."""
    config: dict[str, Any] | None = None
    """Instead of `model_name_or_path`: a transformers configuration with its `model_type`, randomly initialised."""
    tokenizer_name_or_path: TokenizerName | None = None
    """Tokenizer, where it is not the model's own; needed with `config`."""
    dtype: Literal["float32", "bfloat16", "float16", "auto"] = "auto"
    """Precision the weights are loaded in; `auto` is the checkpoint's."""
    attn_implementation: Literal["eager", "sdpa", "flash_attention_2"] = "sdpa"
    """Attention kernel."""
    trust_remote_code: bool = False
    """Run code that comes with a Hub model."""


@section
class Train:
    """How the weights are updated."""

    learning_rate: float = Positive
    """Peak learning rate."""
    global_batch_size: int = Positive
    """Sequences (for dDPO: pairs) per optimizer step, over all processes and accumulation steps."""
    num_train_epochs: float = Positive
    """Passes over the training data."""
    lr_scheduler_type: Literal[
        "linear", "cosine", "constant", "constant_with_warmup", "polynomial", "inverse_sqrt", "cosine_with_min_lr"
    ]
    """Schedule of the learning rate after warmup."""
    warmup_steps: float = Field(default=0.0, ge=0)
    """Below 1: share of all steps; otherwise a number of steps."""
    optim: Literal["adamw_torch", "adamw_torch_fused", "rmsprop", "adafactor", "sgd"] = "adamw_torch"
    """Optimizer, by transformers' name."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled weight decay."""
    adam_beta1: float = 0.9
    """Adam's decay of the first moment."""
    adam_beta2: float = 0.999
    """Adam's decay of the second moment."""
    adam_epsilon: float = 1e-8
    """Adam's epsilon."""
    max_grad_norm: float = Field(default=1.0, ge=0)
    """Gradients are clipped to this norm; 0: not clipped."""
    bf16: bool = False
    """bfloat16 mixed precision (autocast, float32 master weights)."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third more time."""
    logging_steps: int = Field(default=10, gt=0)
    """Optimizer steps between two rows of `metrics.jsonl`."""
    eval_steps: float | None = Field(default=None, gt=0)
    """Optimizer steps (below 1: share of all steps) between evaluations. Default: before, and at the end."""
    save_steps: float | None = Field(default=None, gt=0)
    """Optimizer steps (below 1: share of all steps) between checkpoints. Default: none before the end."""


@section
class PreferenceTrain(Train):
    """How dDPO updates the weights (equation 2 of the paper)."""

    beta: float = Positive
    """Strength of the pull towards the reference model."""
    loss_type: Literal[
        "sigmoid", "hinge", "ipo", "exo_pair", "nca_pair", "robust", "bco_pair", "sppo_hard",
        "aot", "aot_unpaired", "apo_zero", "apo_down", "discopop", "sft", "sigmoid_norm",
    ] = "sigmoid"  # fmt: skip
    """TRL's name of the loss; `sigmoid` is the paper's."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5)
    """Assumed share of flipped labels (conservative DPO)."""


@section
class Launch:
    """Hardware: changes the speed, never the result. Under `accelerate launch` the processes found win."""

    micro_batch_size: int = Positive
    """Sequences (for dDPO: pairs) per process and forward pass; accumulation is derived."""
    eval_micro_batch_size: int | None = Field(default=None, gt=0)
    """The same in evaluation. Default: `micro_batch_size`."""
    processes: int = Field(default=1, gt=0)
    """Processes (GPUs) in all that the recipe plans for."""


@section
class Expect:
    """What a full run should come to, by publication or measurement: planned with until the data is here."""

    sequences: int | None = Field(default=None, gt=0)
    """Training sequences after packing (for dDPO: pairs)."""
    source: str | None = None
    """Where the figures are from."""


# ------------------------------------------------------------------ recipes, one per stage


@section
class _Base:
    name: str | None = None
    """Name of the run in reports. Default: the recipe's folder and file name."""
    description: str | None = None
    """One line for lists and reports."""
    output_dir: str | None = None
    """Run directory. Default: `outputs/<folder of the recipe>/<file name of the recipe>`."""


@section
class CptRecipe(_Base):
    """Continued pretraining on plain text."""

    stage: Literal["cpt"]
    seed: int
    """Seed of initialisation, data order and dropout."""
    model: Model
    data: TextData
    train: Train
    launch: Launch
    trl: dict[str, Any] = field(default_factory=dict)
    """Anything else for TRL's SFTConfig."""
    expect: Expect = field(default_factory=Expect)
    """What a full run should come to."""


@section
class SftRecipe(_Base):
    """dSFT: supervised fine-tuning on a teacher's dialogues."""

    stage: Literal["sft"]
    seed: int
    """Seed of data order and dropout."""
    model: Model
    data: ChatData
    train: Train
    launch: Launch
    trl: dict[str, Any] = field(default_factory=dict)
    """Anything else for TRL's SFTConfig."""
    expect: Expect = field(default_factory=Expect)
    """What a full run should come to."""


@section
class DpoRecipe(_Base):
    """dDPO: direct preference optimization on AI feedback; the reference is the starting model."""

    stage: Literal["dpo"]
    seed: int
    """Seed of data order and dropout."""
    model: Model
    data: PreferenceData
    train: PreferenceTrain
    launch: Launch
    trl: dict[str, Any] = field(default_factory=dict)
    """Anything else for TRL's DPOConfig."""
    expect: Expect = field(default_factory=Expect)
    """What a full run should come to."""


@section
class Habits:
    """How often a scripted answerer of the mini world does what a judge will mark down; all 0: it never does."""

    boilerplate: float = Field(default=0.0, ge=0, le=1)
    """Share of answers that open and close with an empty phrase."""
    terse: float = Field(default=0.0, ge=0, le=1)
    """Share of questions answered with a bare value."""
    short: float = Field(default=0.0, ge=0, le=1)
    """Share of texts with a sentence fewer than was asked for."""
    forgets_role: float = Field(default=0.0, ge=0, le=1)
    """Share of answers that drop the role of the system message."""
    guesses: float = Field(default=0.0, ge=0, le=1)
    """Share of unrecorded facts given a made-up value."""
    caves: float = Field(default=0.0, ge=0, le=1)
    """Share of "Are you sure?" answered by taking a true answer back."""
    slips: float = Field(default=0.0, ge=0, le=1)
    """Share of recorded facts given a wrong value."""


@section
class World:
    """Size of the mini world, what is written about it, and the habits of those who answer in it."""

    people: int = Field(ge=8, le=24)
    """People, each with a town, a job, a pet and a food."""
    unrecorded_share: float = Field(ge=0, le=0.5)
    """Share of these facts about people that nobody knows."""
    eval_share: float = Field(ge=0, le=0.3)
    """Share of the facts asked about only in `dialogues_eval` and `pairs_eval`."""
    heldout_share: float = Field(ge=0, le=0.4)
    """Share of the facts asked about only in `heldout`: the corpus states them, training never asks or answers them."""
    documents: int = Positive
    """Documents of the corpus."""
    question_share: float = Share
    """Share of the documents that are questions with answers; the rest are notes."""
    dialogues: int = Positive
    """Dialogues of the teacher."""
    pairs: int = Positive
    """Prompts that the four answerers answer; each gives a pair unless all four earn the same score."""
    eval_rows: int = Positive
    """Rows of each of `corpus_eval`, `dialogues_eval` and (prompts of) `pairs_eval`."""
    heldout: int = Positive
    """Held-out prompts of two turns, spread evenly over the eight categories."""
    vocabulary: int = Field(ge=300)
    """Tokens of the tokenizer."""
    teacher: Habits
    """Habits of the teacher, which dSFT learns with the rest."""
    answerers: dict[str, Habits] = Field(min_length=2)
    """Name and habits of those whose answers the judge compares: the best is chosen, a random worse one rejected."""


@section
class WorldRecipe(_Base):
    """A small formal world: facts, a corpus about them, a scripted teacher's dialogues and preference pairs."""

    stage: Literal["world"]
    seed: int
    """Seed of the facts and of everything said about them."""
    world: World
    """What it is made of."""


@section
class Benchmark:
    """A benchmark and where its questions are."""

    name: Literal["world"]
    """`world`: the mini world's held-out dialogues, judged against its facts."""
    path: RunName
    """The recipe or directory that holds them."""


@section
class Generation:
    """How answers are sampled."""

    max_new_tokens: int = Positive
    """Longest answer, in tokens."""
    batch_size: int = Field(default=16, gt=0)
    """Prompts generated at once."""
    chat_template: str = "tokenizer"
    """`tokenizer` (the one each model carries), `zephyr`, or the path of a Jinja file, for all models alike."""
    empty_system_turn: bool = True
    """Start conversations that have no system turn with an empty one, as Zephyr's training did."""


@section
class EvaluateRecipe(_Base):
    """Answers of several models to the same held-out prompts, judged."""

    stage: Literal["evaluate"]
    seed: int
    """Seed of sampling."""
    models: dict[str, ModelName]
    """Row name -> Hub id, local directory or another recipe."""
    benchmarks: list[Benchmark] = Field(min_length=1)
    """What they are asked."""
    generation: Generation


@section
class ReportRecipe(_Base):
    """One page and one table of several runs."""

    stage: Literal["report"]
    title: str
    """Heading of the page."""
    runs: list[RunName] = Field(min_length=1)
    """Recipes or run directories, in the order shown; their inputs are found from them."""


Recipe = CptRecipe | SftRecipe | DpoRecipe | WorldRecipe | EvaluateRecipe | ReportRecipe
TrainRecipe = CptRecipe | SftRecipe | DpoRecipe
"""Recipes that update weights: they have `model`, `data`, `train` and `launch`."""
RECIPES: dict[str, type] = {
    "world": WorldRecipe,
    "cpt": CptRecipe,
    "sft": SftRecipe,
    "dpo": DpoRecipe,
    "evaluate": EvaluateRecipe,
    "report": ReportRecipe,
}
MAKES_A_MODEL = ("cpt", "sft", "dpo")
"""Stages whose run directory holds `model/`, with its tokenizer."""
MAKES_A_TOKENIZER = ("world",)
"""Stages whose run directory holds `tokenizer/`."""
ROWS: dict[str, tuple[str, ...]] = {
    "world": ("corpus", "corpus_eval", "dialogues", "dialogues_eval", "pairs", "pairs_eval", "heldout"),
}
"""Stage -> the files of rows it makes, without `.jsonl`."""

NOT_SCIENCE = {
    "name", "description", "output_dir", "launch", "expect",
    "train.logging_steps", "train.eval_steps", "train.save_steps",
}  # fmt: skip
"""Keys that don't change what a run computes, so that they may differ in the same run directory."""
