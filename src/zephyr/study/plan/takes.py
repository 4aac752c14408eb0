"""What one run of a study takes: steps, hours, calls, cost; by its own plan, or measured where it is finished."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from zephyr.plan.batch import steps_of
from zephyr.plan.calls import Calls, calls_of
from zephyr.plan.choose import choose
from zephyr.plan.memory import GIB
from zephyr.plan.reckon import Reckoning, reckon
from zephyr.plan.shape import shape_of_loaded
from zephyr.plan.stack import stack_of
from zephyr.plan.ways import Way
from zephyr.recipe import Loaded
from zephyr.recipe.schema import TrainRecipe


@dataclass(frozen=True, kw_only=True)
class Takes:
    """What a run takes, as far as it is known before it."""

    steps: int | None = None
    """Optimizer steps."""
    hours: float | None = None
    """Wall time; None where nothing tells it."""
    hours_from: Literal["plan", "measured", "like"] | None = None
    """`plan`: FLOPs at a share of the device's peak, or calls at a speed; `measured`: this run took them here; `like`:
    from finished runs of its kind in the study (`like.py`)."""
    gpus: int = 0
    """GPUs that are busy all the while."""
    reference_hours: float = 0.0
    """Of `hours`, those that dDPO is spared where its reference's log-probabilities are stored already."""
    calls: int | None = None
    """What endpoints are asked; None for a stage that asks none, or where it is not known."""
    answers: int | None = None
    """What models that are loaded here are asked, and a mini world's."""
    fits: bool | None = None
    """Whether it fits into the memory of the device that its recipe names; None where it names none."""
    memory_gib: float | None = None
    """What one of its processes needs at its peak; None where the model's shape or the device is not known."""
    device_gib: float | None = None
    """What the device has."""
    ways: tuple[Way, ...] = ()
    """What would make it fit, if it does not."""
    kept_gib: float = 0.0
    """What is left on disk of a training run: its model."""
    checkpoints_gib: float = 0.0
    """And its last checkpoints."""
    passing_gib: float = 0.0
    """What it writes beside both for as long as it runs: another checkpoint."""
    cost: float | None = None
    """Of the GPUs (`launch.price_per_gpu_hour`) and of the calls, in the currency of the recipes' prices."""

    @property
    def gpu_hours(self) -> float | None:
        """Hours times GPUs; None on a CPU, or where the hours are not known."""
        return self.hours * self.gpus if self.hours is not None and self.gpus else None


def takes_of(loaded: Loaded, result: dict[str, Any], counted: dict[str, Any] | None) -> Takes:
    """What a run takes. Data are never read for it.

    Args:
        loaded: the run.
        result: its `result.json`; empty where it is not finished.
        counted: figures of its training data, as a run counted them; None: those that the recipe expects.
    """
    if isinstance(loaded.recipe, TrainRecipe):
        found = _training(loaded, loaded.recipe, result.get("data", {}).get("train") or counted)
    else:
        found = _asking(calls_of(loaded))
    if found.hours is None and "wall_s" in result:
        return Takes(steps=found.steps, calls=found.calls, answers=found.answers, cost=found.cost,
                     hours=result["wall_s"] / 3600, hours_from="measured")  # fmt: skip
    return found


def going_on_from(takes: Takes, done: float) -> Takes:
    """What is left of a training that goes on where a share of its epochs, and the reference pass, are done."""
    takes = replace(takes, steps=takes.steps and round(takes.steps * (1 - done)))
    if takes.hours is None or takes.hours_from != "plan":
        return takes
    hours = (takes.hours - takes.reference_hours) * (1 - done)
    return replace(takes, hours=hours, reference_hours=0.0, cost=takes.cost and takes.cost * hours / takes.hours)


def result_of(run_dir: Path) -> dict[str, Any]:
    """A run's `result.json`; empty where there is none that can be read."""
    try:
        found: dict[str, Any] = json.loads((run_dir / "result.json").read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return found


def _training(loaded: Loaded, recipe: TrainRecipe, counted: dict[str, Any] | None) -> Takes:
    sequences = counted["sequences"] if counted else recipe.expect.sequences
    steps = steps_of(recipe, sequences).steps if sequences else None
    shape, stack = shape_of_loaded(loaded), stack_of(recipe, loaded.inputs)
    if shape is None:
        return Takes(steps=steps)
    found = reckon(recipe, choose(recipe, shape=shape, stack=stack), shape, stack, counted)
    kept = found.disk.model + found.disk.start
    takes = Takes(steps=steps, kept_gib=kept / GIB, checkpoints_gib=found.disk.left / GIB,
                  passing_gib=(found.disk.peak - kept - found.disk.left) / GIB)  # fmt: skip
    if found.device is not None:
        takes = replace(takes, fits=found.fits, memory_gib=found.memory.gib, device_gib=found.device.memory_gib,
                        ways=found.ways)  # fmt: skip
    if found.hours is None:
        return takes
    return replace(takes, hours=found.hours, hours_from="plan", gpus=found.job.processes, cost=found.cost,
                 reference_hours=_reference_hours(recipe, found))  # fmt: skip


def _reference_hours(recipe: TrainRecipe, found: Reckoning) -> float:
    if found.work is None or found.hours is None or recipe.trl.get("sync_ref_model"):
        return 0.0
    return found.hours * found.work.reference_flops / found.work.model_flops


def _asking(calls: Calls | str | None) -> Takes:
    if not isinstance(calls, Calls):
        return Takes()
    seconds = calls.total.seconds
    asked = sum(each.n_calls for each in calls.steps.values() if each.model.base_url is not None)
    return Takes(
        calls=asked,
        answers=calls.total.n_calls - asked,
        cost=calls.total.cost or None,
        hours=seconds / 3600 if seconds else None,
        hours_from="plan" if seconds else None,
    )
