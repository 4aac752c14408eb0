"""Global batch = micro-batch x processes x accumulation, and the steps that follow: just what the trainer does."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from zephyr.errors import UserError
from zephyr.plan.choose import choose
from zephyr.plan.shape import Shape
from zephyr.plan.stack import Stack
from zephyr.recipe import check_batch
from zephyr.recipe.schema import TrainRecipe


@dataclass(frozen=True, kw_only=True)
class Batch:
    """How one optimizer step is cut into forward passes."""

    global_batch_size: int
    """Sequences (for dDPO: pairs) per optimizer step."""
    processes: int
    """Processes that train."""
    micro_batch_size: int
    """Sequences per process and forward pass."""
    gradient_accumulation_steps: int
    """Forward passes per process and optimizer step."""

    def __str__(self) -> str:
        processes = f"{self.processes} process" + ("es" if self.processes > 1 else "")
        return (
            f"{self.global_batch_size} = micro-batch {self.micro_batch_size} x {processes}"
            f" x accumulation {self.gradient_accumulation_steps}"
        )


@dataclass(frozen=True, kw_only=True)
class Steps:
    """Optimizer steps of a run, counted as transformers' Trainer counts them."""

    steps: int
    """Optimizer steps in all."""
    steps_per_epoch: int
    """Optimizer steps in one epoch; the last one may hold fewer sequences."""
    warmup_steps: int
    """Steps in which the learning rate still rises."""


def batch_of(
    recipe: TrainRecipe, processes: int | None = None, *, shape: Shape | None = None, stack: Stack | None = None
) -> Batch:
    """Cuts the recipe's global batch for the processes found, or for those that the recipe plans for.

    Args:
        recipe: the training recipe.
        processes: those found. Default: the recipe's.
        shape: of the model, for `auto`, where the recipe alone does not tell it.
        stack: what trains on what, for `auto`, where the recipe's start is yet to be made.

    Raises:
        UserError: it does not divide; with the nearest values that work.
    """
    found = processes or recipe.launch.processes
    micro = choose(recipe, found, shape=shape, stack=stack).micro_batch_size
    problem = check_batch(recipe.train.global_batch_size, micro, found)
    if problem:
        raise UserError(problem)
    return Batch(
        global_batch_size=recipe.train.global_batch_size,
        processes=found,
        micro_batch_size=micro,
        gradient_accumulation_steps=recipe.train.global_batch_size // (micro * found),
    )


def steps_of(recipe: TrainRecipe, rows: int) -> Steps:
    """Optimizer steps for that many training sequences (for dDPO: pairs)."""
    per_epoch = max(math.ceil(rows / recipe.train.global_batch_size), 1)
    steps = math.ceil(recipe.train.num_train_epochs * per_epoch)
    warmup = recipe.train.warmup_steps
    warmup_steps = int(warmup) if warmup >= 1 else math.ceil(steps * warmup)
    return Steps(steps=steps, steps_per_epoch=per_epoch, warmup_steps=warmup_steps)


def batch_and_steps(batch: Batch, steps: Steps) -> dict[str, Any]:
    """Both as one flat mapping, for `result.json` and `zephyr plan --json`."""
    return {**asdict(batch), **asdict(steps)}
