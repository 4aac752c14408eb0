"""The sections `train` and `launch` of a foreign recipe, and the global batch that it never states."""

import re
from pathlib import Path
from typing import Any

from zephyr.recipe.convert.keys import Foreign, as_yaml
from zephyr.recipe.convert.origin import TRL

TRACKERS = ("tensorboard", "wandb", "mlflow", "trackio")
STRATEGIES = {
    "single_gpu": "single", "multi_gpu": "ddp", "ddp": "ddp", "zero1": "zero2", "zero2": "zero2", "zero3": "zero3",
    "fsdp1": "fsdp2", "fsdp2": "fsdp2", "fsdp": "fsdp2",
}  # fmt: skip
"""Names of TRL's and the handbook's configurations of accelerate -> `launch.strategy`."""


def train(foreign: Foreign) -> None:
    """The sections `train` and `launch` but for the batch."""
    dialect = foreign.dialect
    foreign.carry("train.learning_rate", "learning_rate", default=dialect.learning_rate[foreign.kind])
    foreign.carry("train.lr_scheduler_type", "lr_scheduler_type", default="linear")
    steps = foreign.get("warmup_steps")
    foreign.carry("train.warmup_steps", *(("warmup_steps", "warmup_ratio") if steps else ("warmup_ratio",)))
    foreign.carry("train.num_train_epochs", "num_train_epochs", default=3)
    limit = foreign.given("max_steps")
    if limit and isinstance(foreign.data[limit], int) and foreign.data[limit] > 0:
        foreign.note(
            "lost",
            "training went that many steps, whatever `num_train_epochs` said; here epochs decide: set "
            "`train.num_train_epochs` (a part of one is allowed) by what `zephyr plan` shows",
            limit,
        )
    foreign.carry("train.optim", "optim", default=dialect.optim[foreign.kind])
    for key in ("weight_decay", "adam_beta1", "adam_beta2", "adam_epsilon", "max_grad_norm"):
        foreign.carry(f"train.{key}", key)
    half = foreign.given("fp16")
    if half and foreign.data[half] is True:
        foreign.put("train.bf16", True, key=half)
        foreign.note("moved", "float16 mixed precision is not there; written as `train.bf16: true`", half)
        foreign.seen.add("bf16")
    else:
        foreign.carry("train.bf16", "bf16", default=dialect.bf16)
    if foreign.stage == "dpo":
        foreign.carry("train.beta", "beta", default=0.1)
        _loss(foreign)
        foreign.carry("train.label_smoothing", "label_smoothing")
    elif foreign.get("loss_type") not in (None, "nll", "chunked_nll"):
        foreign.note("lost", "the loss of dSFT here is the mean negative log-likelihood", "loss_type")
    _logging(foreign)


def _loss(foreign: Foreign) -> None:
    losses = foreign.get("loss_type")
    if isinstance(losses, list) and len(losses) == 1:
        foreign.data["loss_type"] = losses[0]
    foreign.carry("train.loss_type", "loss_type", default="sigmoid")


def _logging(foreign: Foreign) -> None:
    epochs = foreign.recipe["train"]["num_train_epochs"]
    foreign.carry("train.logging_steps", "logging_steps", default=foreign.dialect.logging_steps)
    if "eval" in foreign.recipe["data"]:
        _each(
            "train.eval_steps",
            foreign,
            ("eval_strategy", "evaluation_strategy"),
            "eval_steps",
            epochs,
            default=foreign.recipe["train"]["logging_steps"],
        )
    else:
        foreign.seen.add("eval_steps")
        off = foreign.given("eval_strategy", "evaluation_strategy")
        if off:
            foreign.note("renamed", "nothing to write: without `data.eval` nothing is evaluated", off)
    _each("train.save_steps", foreign, ("save_strategy",), "save_steps", epochs, default=500)
    if foreign.given("save_total_limit") and "save_steps" in foreign.recipe["train"]:
        foreign.carry("train.save_total_limit", "save_total_limit")
    elif "save_steps" in foreign.recipe["train"]:
        foreign.note(
            "moved", "every checkpoint was kept; here the newest alone is (`train.save_total_limit`, default 1)"
        )
    trackers = foreign.get("report_to")
    wanted = trackers if isinstance(trackers, list) else [trackers] if trackers not in (None, "none") else []
    known = [each for each in wanted if each in TRACKERS]
    if known:
        foreign.put("train.report_to", known, key="report_to")
    if wanted != known:
        others = ", ".join(str(each) for each in wanted if each not in TRACKERS)
        foreign.note("lost", f"{others}: the trackers here are {', '.join(TRACKERS)}", "report_to")


def _each(place: str, foreign: Foreign, strategies: tuple[str, ...], steps: str, epochs: Any, *, default: int) -> None:
    """Steps between two evaluations or checkpoints, from the strategy and its number."""
    key = foreign.given(*strategies)
    strategy = str(foreign.data[key]).lower() if key else "steps" if steps == "save_steps" else "no"
    if strategy == "steps":
        if key:
            foreign.note("renamed", f"`{place}`", key)
        foreign.carry(place, steps, default=default)
        return
    foreign.seen.add(steps)
    if strategy == "epoch" and isinstance(epochs, int | float) and epochs > 1:
        foreign.put(place, round(1 / epochs, 4), because=f"an epoch of {as_yaml(epochs)}, as a share of all steps")
        foreign.note(
            "renamed", f"`{place}: {round(1 / epochs, 4)}`, the share of all steps that an epoch is", key or ""
        )
    elif strategy == "no" and key:
        what = "nothing is evaluated" if steps == "eval_steps" else "no checkpoint is written before the end"
        foreign.note("renamed", f"nothing to write: {what}", key)
    elif key:
        what = (
            "held-out data are evaluated before and after" if steps == "eval_steps" else "the model is saved at the end"
        )
        foreign.note("renamed", f"nothing to write: {what} training anyway", key)


def evaluates(foreign: Foreign) -> bool:
    """Whether the foreign script evaluated anything."""
    strategy = foreign.get("eval_strategy", "evaluation_strategy")
    at_intervals = strategy not in (None, False) and str(strategy).lower() not in ("no", "off", "false")
    return at_intervals or (foreign.dialect is not TRL and foreign.get("do_eval") is True)


def launch(foreign: Foreign, processes: int | None) -> None:
    """The section `launch`, and the global batch, which the others leave to the number of processes."""
    found = foreign.get("num_processes")
    n = processes or (found if isinstance(found, int) else None) or foreign.dialect.processes
    if not processes and not isinstance(found, int):
        foreign.note(
            "moved",
            f"how many processes it was started with is in no key; {n} is assumed, and the global "
            "batch follows from it: say --processes N if it was another number",
        )
    micro = foreign.carry("launch.micro_batch_size", "per_device_train_batch_size", default=8)
    foreign.carry("launch.eval_micro_batch_size", "per_device_eval_batch_size")
    accumulation = foreign.get("gradient_accumulation_steps") or 1
    if isinstance(micro, int) and isinstance(accumulation, int):
        product = f"{micro} x {accumulation} x {n}"
        foreign.put("train.global_batch_size", micro * accumulation * n, because=f"{product} processes")
        foreign.note(
            "moved",
            f"the global batch is stated here: {product} = {micro * accumulation * n} (micro-batch x "
            "accumulation x processes); accumulation is derived from it",
            foreign.given("gradient_accumulation_steps") or "per_device_train_batch_size",
        )
    foreign.put("launch.processes", n, because="--processes" if processes else "num_processes" if found else "assumed")
    foreign.carry("launch.machines", "num_machines")
    _strategy(foreign)
    foreign.carry(
        "launch.gradient_checkpointing",
        "gradient_checkpointing",
        "activation_checkpointing",
        default=foreign.dialect.gradient_checkpointing,
    )
    if foreign.get("torch_compile") is True:
        foreign.put("launch.torch_compile", True, key="torch_compile")


def _strategy(foreign: Foreign) -> None:
    key = foreign.given("accelerate_config", "deepspeed", "fsdp")
    foreign.seen.update(("fsdp_config", "use_deepspeed", "use_fsdp", "config_file"))
    if key is None:
        return
    name = "fsdp" if key == "fsdp" else re.sub(r"deepspeed_|ds_config_", "", Path(str(foreign.data[key])).stem.lower())
    if name in STRATEGIES:
        foreign.put("launch.strategy", STRATEGIES[name], key=key)
        foreign.note(
            "moved" if name in ("zero1", "fsdp", "fsdp1") else "renamed", f"`launch.strategy: {STRATEGIES[name]}`", key
        )
    else:
        foreign.note("lost", "that file is not read; `launch.strategy` (default `auto`) says what is sharded", key)
