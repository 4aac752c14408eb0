"""Where a foreign recipe comes from: which toolkit, which stage, and the defaults that it leaves unsaid."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zephyr.errors import UserError
from zephyr.recipe.problems import listed, shown
from zephyr.recipe.schema import MAKES_A_MODEL, RECIPES


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """A toolkit's recipe format, and what its scripts do where a recipe says nothing. `sft` goes for `cpt` too."""

    name: str
    processes: int
    """Processes that its recipes are usually started with."""
    learning_rate: dict[str, float]
    optim: dict[str, str]
    max_length: dict[str, int]
    max_prompt_length: int | None
    """None: the trainer has no such limit."""
    bf16: bool
    gradient_checkpointing: bool
    logging_steps: int
    packing: str
    """`wrapped` or `none`, where no key says it."""
    empty_system_turn: bool
    add_bos_token: dict[str, bool]
    append_eos_token: dict[str, bool]
    chat_template: dict[str, str]
    remarks: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """What its trainer does and ours doesn't, whatever the keys say."""


MIXER = Dialect(
    name="alignment-handbook, 2023 to 2024 (`dataset_mixer`)",
    processes=8,
    learning_rate={"sft": 5e-5, "dpo": 5e-5},
    optim={"sft": "adamw_torch", "dpo": "rmsprop"},
    max_length={"sft": 1024, "dpo": 512},
    max_prompt_length=128,
    bf16=False,
    gradient_checkpointing=False,
    logging_steps=500,
    packing="wrapped",
    empty_system_turn=True,
    add_bos_token={"sft": True, "dpo": False},
    append_eos_token={"sft": True, "dpo": True},
    chat_template={"sft": "zephyr", "dpo": "tokenizer"},
    remarks={
        "sft": (
            "its TRL planned the schedule for unpacked rows, so until January 2024 training ended at about 67 % of "
            "an epoch with the learning rate still high; here an epoch is an epoch",
        ),
        "dpo": (
            "its trainer masked EOS tokens inside the prompt from attention, and from TRL 0.7.5 on put a BOS before "
            "the prompt; neither is done here (`add_bos_token: true` does the second)",
        ),
    },
)
MIXTURE = Dialect(
    name="alignment-handbook, 2025 (`dataset_mixture`)",
    processes=8,
    learning_rate={"sft": 2e-5, "dpo": 1e-6},
    optim={"sft": "adamw_torch", "dpo": "adamw_torch"},
    max_length={"sft": 1024, "dpo": 1024},
    max_prompt_length=512,
    bf16=False,
    gradient_checkpointing=False,
    logging_steps=500,
    packing="none",
    empty_system_turn=False,
    add_bos_token={"sft": False, "dpo": False},
    append_eos_token={"sft": False, "dpo": False},
    chat_template={"sft": "tokenizer", "dpo": "tokenizer"},
    remarks={"sft": ("its script gave a tokenizer without a chat template ChatML; here such a tokenizer is refused",)},
)
TRL = Dialect(
    name="TRL 1.x (`--config`)",
    processes=1,
    learning_rate={"sft": 2e-5, "dpo": 1e-6},
    optim={"sft": "adamw_torch_fused", "dpo": "adamw_torch_fused"},
    max_length={"sft": 1024, "dpo": 1024},
    max_prompt_length=None,
    bf16=True,
    gradient_checkpointing=True,
    logging_steps=10,
    packing="none",
    empty_system_turn=False,
    add_bos_token={"sft": False, "dpo": False},
    append_eos_token={"sft": False, "dpo": False},
    chat_template={"sft": "tokenizer", "dpo": "tokenizer"},
)

OTHER_METHODS = {
    "num_generations": "GRPO", "reward_funcs": "GRPO", "reward_weights": "GRPO", "num_ppo_epochs": "PPO",
    "desirable_weight": "KTO", "undesirable_weight": "KTO", "cpo_alpha": "CPO", "simpo_gamma": "SimPO",
    "reward_model_path": "online RL", "center_rewards_coefficient": "a reward model", "teacher_model_path": "GKD",
}  # fmt: skip
"""A key that only another method's trainer has -> the method."""
METHOD = re.compile(r"(?<![a-z])(orpo|kto|grpo|rloo|ppo|cpo|simpo)(?=trainer|config|[^a-z]|$)", re.IGNORECASE)
DPO_KEYS = ("beta", "max_prompt_length", "precompute_ref_log_probs", "label_smoothing", "rpo_alpha",
            "f_divergence_type", "ref_model", "sync_ref_model", "ld_alpha", "max_completion_length",
            "max_target_length")  # fmt: skip
SFT_KEYS = ("max_seq_length", "packing", "packing_strategy", "assistant_only_loss", "completion_only_loss",
            "dataset_text_field", "neftune_noise_alpha")  # fmt: skip
SFT_LOSSES = ("nll", "chunked_nll", "dft")


def dialect_of(data: dict[str, Any], file: Path) -> Dialect:
    """The toolkit that a recipe is written for.

    Raises:
        UserError: it is our own already, or of no toolkit that can be read.
    """
    if data.get("stage") in RECIPES or "extends" in data:
        raise UserError(f"{shown(file)} is a Zephyr recipe already; look at it with: zephyr plan {shown(file)}")
    if "distributed_type" in data:
        raise UserError(f"{shown(file)}: a configuration of accelerate, no recipe; `accelerate launch` takes it")
    for key, dialect in (("dataset_mixer", MIXER), ("dataset_mixture", MIXTURE), ("dataset_name", TRL)):
        if key in data:
            return dialect
    entries = data.get("datasets")
    if "model_name_or_path" in data and isinstance(entries, list) and all(isinstance(each, dict) for each in entries):
        return TRL
    raise UserError(
        f"{shown(file)}: neither a recipe of alignment-handbook (`dataset_mixer`, `dataset_mixture`) nor a "
        "configuration of TRL (`dataset_name`, or `model_name_or_path` with `datasets`).\n"
        "  `zephyr check` says key by key what to write instead; `zephyr recipes` lists recipes to start from"
    )


def stage_of(data: dict[str, Any], file: Path, text: str) -> tuple[str, str]:
    """The stage that the recipe is for, and what shows it.

    Raises:
        UserError: it is for a method that is not here.
    """
    _refuse_other_methods(data, file, text)
    loss = data.get("loss_type")
    if loss is not None and loss not in SFT_LOSSES:
        return "dpo", "`loss_type` is there"
    for stage, keys in (("dpo", DPO_KEYS), ("sft", SFT_KEYS)):
        found = next((key for key in keys if data.get(key) is not None), None)
        if found and not (stage == "sft" and "cpt" in _path_words(file)):
            return stage, f"`{found}` is there"
    for stage in MAKES_A_MODEL:
        if stage in _path_words(file):
            return stage, f"the path {shown(file)} says so"
    if data.get("text_column") is not None:
        return "cpt", "`text_column` is there"
    return "sft", "no key of another stage is there"


def _refuse_other_methods(data: dict[str, Any], file: Path, text: str) -> None:
    found = next(((method, f"it has `{key}`") for key, method in OTHER_METHODS.items() if key in data), None)
    losses = data.get("loss_type")
    for loss in losses if isinstance(losses, list) else [losses]:
        if str(loss).startswith("kto"):
            found = "KTO", f"`loss_type` is `{loss}`"
    comments = [line.partition("#")[2] for line in text.splitlines()]
    named = {"its path": str(Path(file.parent.name, file.name)), "a comment": "\n".join(comments)}
    named |= {f"`{key}`": str(data.get(key)) for key in ("output_dir", "hub_model_id", "run_name")}
    for where, words in named.items():
        match = METHOD.search(words)
        if match and not found:
            found = match[1].upper(), f"{where} says `{match[1]}`"
    if found:
        raise UserError(
            f"{shown(file)}: a recipe for {found[0]} ({found[1]}), which this toolkit doesn't have: it trains "
            f"{listed(MAKES_A_MODEL)}.\n  If it is one of these all the same, say so: --stage dpo"
        )


def _path_words(file: Path) -> list[str]:
    return re.findall(r"[a-z]+", f"{file.parent.name} {file.stem}".lower())
