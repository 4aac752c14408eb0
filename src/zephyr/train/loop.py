"""What the training stages share: find the processes, prepare once, train, evaluate, save, and say what came out."""

import json
import logging
import math
import os
import time
import warnings
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import DistributedType
from transformers import TrainingArguments
from transformers.utils import logging as transformers_logging

from zephyr.data import Prepared, prepare
from zephyr.errors import Interrupted, UserError
from zephyr.plan.batch import Batch, batch_and_steps, batch_of, steps_of
from zephyr.plan.job import has_flash_attention_2
from zephyr.plan.shape import from_config
from zephyr.processes import world_size
from zephyr.recipe.problems import shown
from zephyr.recipe.schema import TrainRecipe
from zephyr.run import CONTINUES
from zephyr.train.checkpoints import About, LeaveLast, newest, read_about, require_same_maths, sweep, take_over
from zephyr.train.meter import KINDS, device_here, flops_per_token
from zephyr.train.model import save
from zephyr.train.progress import Peak, Progress, forget_after
from zephyr.train.stopping import StopWhenAsked
from zephyr.train.trackers import missing_trackers

log = logging.getLogger("zephyr")
REPORTED = (
    "loss", "mean_token_accuracy", "rewards/chosen", "rewards/rejected", "rewards/margins", "rewards/accuracies",
    "logps/chosen", "logps/rejected",
)  # fmt: skip


def start(recipe: TrainRecipe) -> Batch:
    """The batch for the processes that were really started, whatever the recipe planned for."""
    transformers_logging.disable_progress_bar()
    # TRL 1.16 still asks transformers by the old name; nothing a user could mend
    warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
    found = world_size()
    if found is None and torch.cuda.device_count() > 1:
        script = "run_dpo.py" if recipe.stage == "dpo" else "run_sft.py"
        raise UserError(
            f"{torch.cuda.device_count()} GPUs are visible to one process.\n"
            "  Use all: accelerate launch --config_file recipes/accelerate_configs/zero3.yaml "
            f"--num_processes {torch.cuda.device_count()} scripts/{script} RECIPE\n"
            "  Use one: CUDA_VISIBLE_DEVICES=0 zephyr run RECIPE"
        )
    _check_hardware(recipe)
    return batch_of(recipe, found or 1)


def _check_hardware(recipe: TrainRecipe) -> None:
    """Refuses what this machine can't do before anything loads."""
    wanted = missing_trackers(list(recipe.train.report_to))
    if recipe.train.bf16 and not torch.accelerator.is_available():
        wanted.append("`train.bf16: true` needs a GPU, and torch finds none here; on a CPU: train.bf16=false")
    if recipe.model.attn_implementation == "flash_attention_2" and not has_flash_attention_2():
        wanted.append(
            "`model.attn_implementation: flash_attention_2` needs the package flash-attn, which is not installed; "
            "install 'zephyr-recipes[flash]', or model.attn_implementation=sdpa"
        )
    if wanted:
        raise UserError("\n".join(wanted))


def prepare_first(recipe: TrainRecipe, arguments: TrainingArguments) -> Prepared:
    """One process a machine prepares the data, the others then read its store."""
    with arguments.main_process_first(desc="preparing the data"):
        prepared = prepare(recipe)
    # from now on data workers are forked, which the tokenizer's threads would not survive; and nothing is tokenised
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    return prepared


def train(
    trainer: Any, recipe: TrainRecipe, run_dir: Path, batch: Batch, prepared: Prepared, *, reference: str | None = None
) -> dict[str, Any]:
    """Trains to the end, evaluates, writes `model/` and returns the parts of `result.json`.

    Args:
        trainer: of TRL, with this package's mixins.
        recipe: the run's.
        run_dir: where everything goes.
        batch: for the processes found.
        prepared: the data.
        reference: dDPO: digest of what the policy is compared with.

    Raises:
        Interrupted: it was asked to stop, and did with a checkpoint.
        UserError: there is a checkpoint that this run can't continue.
    """
    steps = steps_of(recipe, len(prepared.train))
    trainer.run_dir, trainer.save_total_limit = run_dir, recipe.train.save_total_limit
    trainer.pop_callback(_printer(trainer))
    trainer.spent = Counter()
    stopping, progress = StopWhenAsked(), Progress(run_dir, trainer.spent, _peak(trainer, recipe, prepared))
    trainer.add_callback(stopping)
    trainer.add_callback(progress)
    if recipe.launch.leave_checkpoint:
        trainer.add_callback(LeaveLast())
    if trainer.accelerator.is_main_process:
        sweep(Path(trainer.args.output_dir))
        take_over(run_dir)
        _announce(trainer, prepared, batch, steps.steps, recipe.launch.processes)
        for each in _rounded_away(trainer, recipe):
            log.warning("  warning: %s", each)
        _list_unusable(prepared, run_dir)
    trainer.accelerator.wait_for_everyone()
    trainer.about_now = lambda: _about(trainer, prepared, progress, reference)
    checkpoint = _continue_from(trainer, progress, run_dir)
    try:
        trainer.train(resume_from_checkpoint=checkpoint)
    finally:
        stopping.restore()
    if stopping.stopped_at is not None:
        raise Interrupted(stopping.stopped_at, steps.steps)
    if trainer.state.global_step != steps.steps:
        raise RuntimeError(f"{steps.steps} steps were planned, the trainer made {trainer.state.global_step}")
    if prepared.eval is not None and not _evaluated_last(trainer):
        trainer.evaluate()
    started = time.monotonic()
    save(trainer, run_dir)
    trainer.spent["saving"] += time.monotonic() - started
    if trainer.accelerator.is_main_process:
        sweep(Path(trainer.args.output_dir))
    numbers = _numbers(trainer, progress)
    _conclude(numbers, run_dir)
    return {
        "numbers": numbers,
        "data": {split: asdict(counts) for split, counts in prepared.counts.items()},
        "batch": batch_and_steps(batch, steps),
        "warnings": _rounded_away(trainer, recipe),
        "provenance": {"data": prepared.sources, "template_sha256": _sha256(prepared.template), **_went_on(run_dir)},
    }


def _rounded_away(trainer: Any, recipe: TrainRecipe) -> list[str]:
    """A warning where small steps change nothing: weights of 16 bits that nobody keeps a float32 copy of."""
    sixteen_bits = recipe.model.dtype in ("bfloat16", "float16")
    if recipe.adapter is not None or not sixteen_bits or strategy_of(trainer.accelerator) != "ddp":
        return []
    return [
        f"Whole weights were trained in {recipe.model.dtype} (`model.dtype`), without a float32 copy of them: at this"
        f" learning rate ({recipe.train.learning_rate:g}) most steps may be too small to change a weight."
        " model.dtype=float32 keeps them."
    ]


def _about(trainer: Any, prepared: Prepared, progress: Progress, reference: str | None) -> About:
    """What a checkpoint of this run says about itself at this moment."""
    return About(
        strategy=strategy_of(trainer.accelerator),
        processes=trainer.args.world_size,
        data=prepared.folder.name,
        step=trainer.state.global_step,
        training_s=progress.training_s,
        tokens=trainer._total_train_tokens,
        reference=reference,
    )


def _continue_from(trainer: Any, progress: Progress, run_dir: Path) -> str | None:
    """The newest checkpoint, with everything beside the trainer's own state set back to it; None: from the start."""
    checkpoint = newest(Path(trainer.args.output_dir))
    if checkpoint is None:
        if trainer.accelerator.is_main_process:
            (run_dir / "metrics.jsonl").write_text("")  # an interrupted run without a checkpoint starts again
        return None
    require_same_maths(checkpoint, trainer.about_now())
    before = read_about(checkpoint)
    log.info(f"  continues from step {before.step}")
    trainer.args.eval_on_start = False
    trainer.seen_first_loss = True  # by now the policy has left the reference
    trainer._total_train_tokens = before.tokens
    progress.continue_from(before.training_s, before.tokens)
    if trainer.accelerator.is_main_process:
        forget_after(run_dir / "metrics.jsonl", before.step)
    return str(checkpoint)


def strategy_of(accelerator: Any) -> str:
    """How the processes that were found share the model: `ddp` (one process too), `zero2`, `zero3` or `fsdp2`."""
    if accelerator.distributed_type == DistributedType.DEEPSPEED:
        return f"zero{accelerator.state.deepspeed_plugin.zero_stage}"
    return "fsdp2" if accelerator.distributed_type == DistributedType.FSDP else "ddp"


def _printer(trainer: Any) -> Any:
    from transformers import PrinterCallback, ProgressCallback

    shown = (PrinterCallback, ProgressCallback)
    return next((type(each) for each in trainer.callback_handler.callbacks if isinstance(each, shown)), PrinterCallback)


def _announce(trainer: Any, prepared: Prepared, batch: Batch, steps: int, planned: int) -> None:
    counts = prepared.counts["train"]
    weights = sum(getattr(p, "ds_numel", p.numel()) for p in trainer.model.parameters() if p.requires_grad)
    log.info(
        "  %s weights train on %s tokens in %s sequences",
        f"{weights:,}",
        f"{counts.tokens:,}",
        f"{len(prepared.train):,}",
    )
    log.info(f"  global batch {batch}, {steps:,} steps")
    if planned != batch.processes:
        log.info(f"  (the recipe plans {planned} processes, {batch.processes} found: the same training, another speed)")


def _conclude(numbers: dict[str, float], run_dir: Path) -> None:
    """The last lines of a training run: what changed on held-out rows, and where the model is."""
    if "eval_loss" in numbers:
        text = f"  held-out loss {numbers['eval_loss_before']:.4f} -> {numbers['eval_loss']:.4f}"
        if "eval_rewards/accuracies" in numbers:
            text += f", preference accuracy {numbers['eval_rewards/accuracies']:.3f}"
        log.info(text)
    log.info(f"  model: {shown(run_dir / 'model')}   look: zephyr report {shown(run_dir)}")


def _list_unusable(prepared: Prepared, run_dir: Path) -> None:
    """Every row that was not trained, with its reason: `unusable.jsonl`."""
    if not prepared.unusable:
        return
    rows = [json.dumps(asdict(row), ensure_ascii=False) for row in prepared.unusable]
    (run_dir / "unusable.jsonl").write_text("\n".join(rows) + "\n")
    log.info("  %d rows could not be used: %s", len(rows), run_dir / "unusable.jsonl")


def _evaluated_last(trainer: Any) -> bool:
    evaluations = [row["step"] for row in trainer.state.log_history if "eval_loss" in row]
    return bool(evaluations) and evaluations[-1] == trainer.state.global_step and trainer.state.global_step > 0


def _numbers(trainer: Any, progress: Progress) -> dict[str, float]:
    """The few numbers a reader wants: first and last of what was logged, before and after of what was evaluated."""
    history = trainer.state.log_history
    trained = [row for row in history if "loss" in row]
    evaluated = [row for row in history if "eval_loss" in row]
    numbers: dict[str, float] = {"train_loss": _mean(trained, "loss"), "first_loss": trained[0]["loss"]}
    numbers |= {key: trained[-1][key] for key in REPORTED if trained and key in trained[-1]}
    for row, suffix in ((evaluated[0], "_before"), (evaluated[-1], "")) if len(evaluated) > 1 else ():
        numbers |= {f"eval_{key}{suffix}": row[f"eval_{key}"] for key in REPORTED if f"eval_{key}" in row}
    tokens = trained[-1].get("num_tokens", 0.0) if trained else 0.0
    numbers |= {"tokens_seen": tokens, "training_s": round(progress.training_s, 1)}
    numbers |= {f"time/{kind}": round(trainer.spent[kind] / (time.monotonic() - progress.started), 4) for kind in KINDS}
    numbers |= {key: _mean(trained, key) for key in ("tokens/padded", "tokens/computed") if key in trained[-1]}
    numbers["tokens_per_second"] = round(tokens / progress.training_s, 1) if progress.training_s else 0.0
    if torch.cuda.is_available():
        numbers["peak_memory_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
    return {key: value for key, value in numbers.items() if value is not None and math.isfinite(value)}


def _mean(trained: list[dict[str, float]], key: str) -> float:
    """Mean over all steps; each row holds the mean since the row before it."""
    total, last = 0.0, 0.0
    for row in trained:
        total, last = total + row[key] * (row["step"] - last), row["step"]
    return total / last


def _peak(trainer: Any, recipe: TrainRecipe, prepared: Prepared) -> Peak | None:
    """What MFU is a share of; None without a GPU whose peak is known, or with a model whose operations are not."""
    device, shape = device_here(), from_config(trainer.model.config.to_dict())
    if device is None or shape is None:
        return None
    flops = flops_per_token(shape, prepared.counts["train"].mean_length, recipe.adapter is not None)
    return Peak(flops_per_token=flops, flops_per_second=trainer.args.world_size * device.tflops * 1e12)


def _went_on(run_dir: Path) -> dict[str, Any]:
    """For `provenance.json`: the run of fewer epochs whose training went on in this one, and from which step."""
    note = run_dir / CONTINUES
    return {"went_on_from": json.loads(note.read_text())} if note.is_file() else {}


def _sha256(text: str | None) -> str | None:
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest() if text is not None else None
