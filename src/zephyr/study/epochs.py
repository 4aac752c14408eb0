"""Runs of the same recipe for more and for fewer epochs: where the schedule allows it, one training that goes on.

A run of one epoch is the first epoch of a run of three only if nothing of the first epoch depends on how many follow:
the learning rate must be constant, and its warmup counted in steps.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from zephyr.recipe import Loaded, difference
from zephyr.recipe.schema import TrainRecipe
from zephyr.recipe.sections import Train
from zephyr.run import CONTINUES, run_name
from zephyr.study.state import has_result

EPOCHS = "train.num_train_epochs"
ENDS_WITH_THE_RUN = ("linear", "cosine", "polynomial", "cosine_with_min_lr")
"""Schedules of the learning rate that reach their end at the last step, however many there are."""


def epochs_of(loaded: Loaded) -> float:
    """How many a training run has."""
    return float(_train(loaded).num_train_epochs)


def _train(loaded: Loaded) -> Train:
    assert isinstance(loaded.recipe, TrainRecipe)
    return loaded.recipe.train


def why_apart(loaded: Loaded) -> list[str]:
    """What of a training depends on how many epochs it has, as parts of a sentence; empty where nothing does."""
    train = _train(loaded)
    found = (
        [f"the {train.lr_scheduler_type} schedule ends at the last step"]
        if train.lr_scheduler_type in ENDS_WITH_THE_RUN
        else []
    )
    if 0 < train.warmup_steps < 1 and train.lr_scheduler_type != "constant":
        found.append(f"warmup is {train.warmup_steps:.0%} of all steps")
    return found


def going_on(runs: Sequence[Loaded]) -> dict[Path, Loaded]:
    """Run directory -> the run of most epochs that are fewer, where the one's training goes on from the other's end.

    A finished run has what it went on from, if that is still there, and needs nothing else. For others what was run
    before without leaving a checkpoint is left out: nothing can go on from there.
    """
    training = [each for each in runs if isinstance(each.recipe, TrainRecipe) and not why_apart(each)]
    found: dict[Path, Loaded] = {}
    for longer in training:
        shorter = [
            each for each in training
            if each.file == longer.file and epochs_of(each) < epochs_of(longer) and epochs_of(each).is_integer()
            and differ_in_epochs(each, longer)
        ]  # fmt: skip
        if has_result(longer.run_dir, longer.run_id):
            before = _went_on_from(longer)
            shorter = [each for each in shorter if each.run_dir == before and has_result(each.run_dir, each.run_id)]
        else:
            shorter = [each for each in shorter if not _left_nothing(each)]
        if shorter:
            found[longer.run_dir] = max(shorter, key=epochs_of)
    return found


def differ_in_epochs(a: Loaded, b: Loaded) -> bool:
    """Whether two runs differ in that alone, whatever they say of `launch`."""
    return {key for key, _, _ in difference(a, b) if not key.startswith("launch.")} == {EPOCHS}


def _went_on_from(loaded: Loaded) -> Path | None:
    note = loaded.run_dir / CONTINUES
    return Path(json.loads(note.read_text())["run"]) if note.is_file() else None


def _left_nothing(loaded: Loaded) -> bool:
    return has_result(loaded.run_dir, loaded.run_id) and not any((loaded.run_dir / "checkpoints").glob("checkpoint-*"))


def leaving(loaded: Loaded) -> Loaded:
    """The run, told to leave a checkpoint at its end: that changes nothing of what it computes."""
    assert isinstance(loaded.recipe, TrainRecipe)
    launch = replace(loaded.recipe.launch, leave_checkpoint=True)  # type: ignore[type-var]
    return replace(loaded, recipe=replace(loaded.recipe, launch=launch))  # type: ignore[type-var]


def epochs_sentence(loaded: Loaded, counts: Sequence[float], *, on: bool) -> str:
    """Why a run of one epoch is not the first epoch of a run of three, or that it is (`on`)."""
    shown = [f"{each:g}" for each in counts]
    runs, because = f"{run_name(loaded)} for {', '.join(shown[:-1])} and {shown[-1]} epochs", why_apart(loaded)
    first = f"{shown[0]} epoch{'s' if counts[0] != 1 else ''}"
    if because:
        return (
            f"{runs} are trained apart: {' and '.join(because)}, so after {first} the longer run is at another learning"
            f" rate, and its weights are not those of the run of {first}"
        )
    schedule = _train(loaded).lr_scheduler_type
    if not on:
        return (
            f"{runs} are trained apart, though with the {schedule} schedule the longer run passes through the weights"
            f" of the run of {first}: that one was run without leaving a checkpoint to go on from"
        )
    return (
        f"{runs} are one training that goes on: with the {schedule} schedule the longer run passes through the weights"
        f" of the run of {first}, and continues from the checkpoint which that one leaves"
    )
