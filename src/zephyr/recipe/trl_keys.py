"""What may stand under `trl:`: keys that the installed TRL knows and that the recipe does not already own. No torch."""

import ast
import difflib
from functools import cache
from pathlib import Path

OWNED = {
    "output_dir": "output_dir", "seed": "seed", "learning_rate": "train.learning_rate",
    "lr_scheduler_type": "train.lr_scheduler_type", "warmup_steps": "train.warmup_steps",
    "num_train_epochs": "train.num_train_epochs", "optim": "train.optim", "weight_decay": "train.weight_decay",
    "adam_beta1": "train.adam_beta1", "adam_beta2": "train.adam_beta2", "adam_epsilon": "train.adam_epsilon",
    "max_grad_norm": "train.max_grad_norm", "bf16": "train.bf16",
    "gradient_checkpointing": "launch.gradient_checkpointing",
    "activation_checkpointing": "launch.gradient_checkpointing",
    "per_device_train_batch_size": "launch.micro_batch_size",
    "per_device_eval_batch_size": "launch.eval_micro_batch_size",
    "gradient_accumulation_steps": "train.global_batch_size", "logging_steps": "train.logging_steps",
    "eval_steps": "train.eval_steps", "save_steps": "train.save_steps",
    "save_total_limit": "train.save_total_limit", "report_to": "train.report_to",
    "torch_compile": "launch.torch_compile", "padding_free": "launch.padding_free",
    "max_length": "data.max_length", "packing": "data.packing", "beta": "train.beta",
    "loss_type": "train.loss_type", "label_smoothing": "train.label_smoothing",
    "model_init_kwargs": "model", "chat_template_path": "data.chat_template",
    "assistant_only_loss": "data.loss_on", "completion_only_loss": "data.loss_on",
    "packing_strategy": "data.packing", "max_steps": "train.num_train_epochs",
    "eval_strategy": "train.eval_steps", "save_strategy": "train.save_steps",
}  # fmt: skip
"""TRL's key -> where the recipe says it."""
FIXED = {
    "logging_first_step": "the first loss is always logged, since it is checked",
    "logging_nan_inf_filter": "a NaN is shown, never replaced",
    "disable_tqdm": "the toolkit shows its own progress line",
    "eval_on_start": "evaluation before training is how a gain is known",
    "prediction_loss_only": "logits are never gathered",
    "disable_dropout": "policy and reference must agree at step 0",
    "ddp_backend": "chosen from the hardware",
    "dataloader_pin_memory": "chosen from the hardware",
    "truncation_mode": "data.max_length and data.max_prompt_length cut the rows",
    "precompute_ref_log_probs": "the reference is always computed from the starting model",
}
"""TRL's keys that the toolkit sets, with the reason."""
CONFIG_FILES = {
    "sft": "trl/trainer/sft_config.py",
    "cpt": "trl/trainer/sft_config.py",
    "dpo": "trl/trainer/dpo_config.py",
}
BASE_FILES = (("trl", "trl/trainer/base_config.py"), ("transformers", "transformers/training_args.py"))


def trl_problems(stage: str, keys: list[str]) -> list[str]:
    """One sentence for each key under `trl:` that can't stand there; empty when TRL isn't installed to ask."""
    known = known_keys(stage)
    problems = []
    for key in keys:
        if key in OWNED:
            problems.append(f"`trl.{key}` is the recipe's own: write `{OWNED[key]}` instead")
        elif key in FIXED:
            problems.append(f"`trl.{key}` is set by the toolkit: {FIXED[key]}")
        elif known and key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"; did you mean `{near[0]}`?" if near else ""
            problems.append(f"`trl.{key}`: the installed TRL has no such argument for `stage: {stage}`{hint}")
    return problems


@cache
def known_keys(stage: str) -> frozenset[str]:
    """Fields of TRL's config for the stage, read from the installed source text: importing it would import torch."""
    from importlib.metadata import PackageNotFoundError, distribution  # here: it is slow, and seldom needed

    wanted = [("trl", CONFIG_FILES[stage]), *BASE_FILES]
    try:
        files = [Path(str(distribution(package).locate_file(file))) for package, file in wanted]
    except PackageNotFoundError:
        return frozenset()
    return frozenset(name for file in files if file.is_file() for name in _fields(file))


def _fields(file: Path) -> list[str]:
    return [
        statement.target.id
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.ClassDef)
        for statement in node.body
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)
    ]
