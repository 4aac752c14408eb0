"""The sections of a recipe: where the data is from, which model, how it is trained, on what.

Every field's docstring is its documentation everywhere: in `zephyr schema`, in an editor and in error messages.
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
    """A text that may name another recipe: which part of its output is meant.

    `file`: only a local file, which must be there; `path`: a local file or directory, which may come later;
    `tasks`: a directory with tasks of lm-evaluation-harness; `recipe`: a recipe itself, not what it makes.
    """

    artefact: Literal["model", "tokenizer", "rows", "run", "file", "path", "tasks", "recipe"]


ModelName = Annotated[str, Names("model")]
TokenizerName = Annotated[str, Names("tokenizer")]
RowsName = Annotated[str, Names("rows")]
RunName = Annotated[str, Names("run")]
FileName = Annotated[str, Names("file")]
LocalPath = Annotated[str, Names("path")]
TasksPath = Annotated[str, Names("tasks")]
RecipeFile = Annotated[str, Names("recipe")]


@section
class Base:
    """What a recipe of any stage may say."""

    name: str | None = None
    """Name of the run in reports. Default: the recipe's folder and file name."""
    description: str | None = None
    """One line for lists and reports."""
    output_dir: str | None = None
    """Run directory. Default: `outputs/<folders of the recipe below recipes/>/<file name of the recipe>`."""


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
    packing: Literal["wrapped", "bfd_split", "none"] = "wrapped"
    """`wrapped`: documents joined, cut every `max_length`; `bfd_split`: fitted whole, kept apart; `none`."""
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
    packing: Literal["wrapped", "bfd_split", "none"] = "wrapped"
    """`wrapped` (the paper's): joined, cut every `max_length`; `bfd_split`: fitted whole, kept apart; `none`."""
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
    """Precision the weights are loaded in; `auto`: the checkpoint's, but float32 where whole weights train in bf16."""
    quantization: Literal["nf4"] | None = None
    """Keep the frozen weights in 4 bits (QLoRA's NormalFloat, doubly quantised); needs an `adapter`."""
    attn_implementation: Literal["auto", "eager", "sdpa", "flash_attention_2"] = "auto"
    """Attention kernel; `auto`: FlashAttention-2 where it is installed and can be used, else `sdpa`."""
    trust_remote_code: bool = False
    """Run code that comes with a Hub model."""


@section
class Adapter:
    """Train low-rank matrices beside the frozen weights instead of the weights (LoRA, arXiv 2106.09685)."""

    method: Literal["lora", "dora"] = "lora"
    """`dora` trains magnitude and direction apart (arXiv 2402.09353)."""
    r: int = Positive
    """Rank of the matrices."""
    lora_alpha: float = Positive
    """Their product is scaled by `lora_alpha / r`."""
    lora_dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout before the matrices, in training."""
    target_modules: Literal["all-linear"] | list[str] = "all-linear"
    """Names of the layers that get one (`q_proj`); `all-linear`: every linear layer but the output's."""


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
    logging_steps: int = Field(default=10, gt=0)
    """Optimizer steps between two rows of `metrics.jsonl`."""
    eval_steps: float | None = Field(default=None, gt=0)
    """Optimizer steps (below 1: share of all steps) between evaluations. Default: before, and at the end."""
    save_steps: float | None = Field(default=None, gt=0)
    """Optimizer steps (below 1: share of all steps) between checkpoints. Default: none before the end."""
    save_total_limit: int = Field(default=1, gt=0)
    """Checkpoints kept; the oldest goes once a newer one is whole."""
    report_to: list[Literal["tensorboard", "wandb", "mlflow", "trackio"]] = field(default_factory=list)
    """Trackers that get the metrics too. Default: none."""


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

    micro_batch_size: Annotated[int, Positive] | Literal["auto"]
    """Sequences (for dDPO: pairs) per process and forward pass, accumulation is derived; `auto`: what memory allows."""
    eval_micro_batch_size: int | None = Field(default=None, gt=0)
    """The same in evaluation. Default: `micro_batch_size`."""
    processes: int = Field(default=1, gt=0)
    """Processes (GPUs) in all, on all machines; `zephyr run` starts them."""
    machines: int = Field(default=1, gt=0)
    """Machines that the processes are spread over evenly."""
    strategy: Literal["auto", "single", "ddp", "zero2", "zero3", "fsdp2"] = "auto"
    """What is sharded over the processes; `auto`: the least that fits into memory."""
    shard_within_machine: bool = False
    """`zero3`, `fsdp2`: keep a copy of the weights on every machine and shard inside it (hpZ, HSDP)."""
    gradient_checkpointing: bool | Literal["auto"] = "auto"
    """Recompute activations in the backward pass: less memory, about a third more time; `auto`: only if needed."""
    padding_free: bool | Literal["auto"] = "auto"
    """dDPO: compute real tokens only, each prompt once; `auto`: where that was seen to agree; true: else refuse."""
    leave_checkpoint: bool = False
    """Keep a checkpoint of the last step too; a study's run of more epochs may go on from there."""
    torch_compile: bool = False
    """Compile the model: pays from some hundred steps on, on GPUs, with packed rows."""
    device: Literal[
        "a100-80gb", "a100-40gb", "h100-80gb", "h200-141gb", "b200-192gb", "mi300x-192gb", "l40s-48gb", "a6000-48gb",
        "rtx-5090-32gb", "rtx-4090-24gb", "rtx-3090-24gb", "a10g-24gb", "l4-24gb", "t4-16gb", "cpu",
    ] | None = None  # fmt: skip
    """What the plan reckons memory, hours and cost for. Default: not reckoned."""
    mfu: float = Field(default=0.4, gt=0, le=1)
    """Share of the device's peak that the plan reckons hours with (model FLOPs utilisation)."""
    price_per_gpu_hour: float | None = Field(default=None, gt=0)
    """What an hour of one GPU costs, for the plan, in your currency."""


@section
class Expect:
    """What a full run should come to, by publication or measurement: planned with until the data is here."""

    sequences: int | None = Field(default=None, gt=0)
    """Training sequences after packing (for dDPO: pairs)."""
    tokens: int | None = Field(default=None, gt=0)
    """Tokens of one epoch (for dDPO: prompt and answer of both sides). Default: full rows."""
    source: str | None = None
    """Where the figures are from."""
