"""What a machine has to run on: GPUs, or a number of runs at once on the CPU."""

import os
from dataclasses import dataclass

from zephyr.errors import UserError
from zephyr.launch.command import on_cpu, visible_gpus
from zephyr.recipe import EvaluateRecipe, Loaded
from zephyr.recipe.problems import shown
from zephyr.recipe.schema import TrainRecipe


@dataclass(frozen=True, kw_only=True)
class Slots:
    """How many runs go at once, and on what."""

    devices: tuple[str, ...]
    """GPUs by number or UUID; none: runs are on the CPU."""
    at_once: int
    """Most runs at a time."""

    @property
    def threads(self) -> int | None:
        """Threads of a run on the CPU, where several share it."""
        return None if self.at_once == 1 else max((os.cpu_count() or 1) // self.at_once, 1)


def slots(devices: str | None, at_once: int | None) -> Slots:
    """From the options `--devices 0,1,2` and `--jobs N`; by default every GPU that is visible, or one run on the CPU.

    Raises:
        UserError: no device, one twice, or fewer than one run at a time.
    """
    if at_once is not None and at_once < 1:
        raise UserError(f"--jobs {at_once}: at least one run at a time is expected")
    if devices is None:
        found = _visible()
    else:
        found = tuple(each.strip() for each in devices.split(",") if each.strip())
        if not found or len(set(found)) < len(found):
            raise UserError(f"--devices {devices}: GPUs that differ are expected, such as --devices 0,1,2,3")
        if visible_gpus() == 0:
            raise UserError(
                f"--devices {devices}: this machine shows no GPU; on a CPU --jobs says how many runs go at once"
            )
    return Slots(devices=found, at_once=at_once or max(len(found), 1))


def _visible() -> tuple[str, ...]:
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return tuple(each.strip() for each in named.split(",") if each.strip() not in ("", "-1"))
    return tuple(str(number) for number in range(visible_gpus()))


def devices_needed(loaded: Loaded) -> int:
    """GPUs that a run takes: one for each process, one for what generates answers here, none for the rest."""
    recipe = loaded.recipe
    if isinstance(recipe, TrainRecipe):
        return 0 if on_cpu(recipe) else recipe.launch.processes
    return 1 if (isinstance(recipe, EvaluateRecipe) and recipe.models) or _answers_here(loaded) else 0


def _answers_here(loaded: Loaded) -> bool:
    """Whether a `feedback` run has models of its own to answer."""
    pool = getattr(loaded.recipe, "pool", {})
    return any(each.base_url is None for each in pool.values())


def refuse_too_few(loaded: Loaded, having: Slots) -> None:
    """UserError for a run that needs more GPUs than there are to give."""
    needed, there = devices_needed(loaded), len(having.devices)
    if needed > there and (there or isinstance(loaded.recipe, TrainRecipe)):
        has = f"the study has {there} ({', '.join(having.devices)})" if there else "this machine shows none"
        fewer = (
            f"  Use fewer, the same training: --everywhere launch.processes={there} --everywhere launch.machines=1\n"
        )
        raise UserError(
            f"{shown(loaded.file)}: needs {needed} GPUs at once, and {has}.\n{fewer if there else ''}"
            "  On a cluster: --slurm recipes/clusters/slurm.yaml"
        )
