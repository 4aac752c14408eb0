"""What to change when a run does not fit: overrides to type, each of which would make it fit."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

from zephyr.plan.choose import ROOM, Choice
from zephyr.plan.devices import Device
from zephyr.plan.job import Job
from zephyr.plan.memory import memory_of
from zephyr.recipe.schema import DpoRecipe, TrainRecipe
from zephyr.recipe.sections import Adapter

SPARING = ("single", "ddp", "zero2", "zero3", "fsdp2")
"""Strategies by what they leave on a device, the most first; the last two leave about the same."""
MOST_PROCESSES = 128
"""More than this are not proposed."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """Overrides that make a run fit."""

    overrides: tuple[str, ...]
    """As one types them."""
    gib: float
    """Memory that one process then needs."""
    meaning: str
    """What it changes besides."""


def ways_to_fit(recipe: TrainRecipe, job: Job, choice: Choice, device: Device) -> Iterator[Way]:
    """The nearest way that trains the same, one with more devices, one with an adapter; those that there are."""
    room = ROOM * device.memory_gib
    same = _first(_same_training(recipe, job, choice), room)
    if same:
        yield replace(same, meaning="the same training, " + ("slower" if "checkpointing" in str(same) else "as fast"))
    more = _first(_more_processes(recipe, job, choice), room)
    if more and not same:
        yield replace(more, meaning="the same training")
    adapted = _first(_adapters(recipe, job, choice), room)
    if adapted:
        yield replace(adapted, meaning="other weights train: another result")


def _first(candidates: Iterator[tuple[dict[str, object], Job]], room: float) -> Way | None:
    """Of those that fit, the one with the fewest overrides; among equals the first."""
    fitting = [
        Way(
            overrides=tuple(f"{key}={_word(value)}" for key, value in changes.items()),
            gib=memory_of(job).gib,
            meaning="",
        )
        for changes, job in candidates
        if changes and memory_of(job).gib <= room
    ]
    return min(fitting, key=lambda way: len(way.overrides), default=None)


def _same_training(recipe: TrainRecipe, job: Job, choice: Choice) -> Iterator[tuple[dict[str, object], Job]]:
    """Another strategy, recomputation, smaller micro-batches: nothing of it changes the maths."""
    strategies = [choice.strategy]
    if job.processes > 1 and not job.nf4 and choice.strategy in ("ddp", "zero2"):
        strategies += SPARING[SPARING.index(choice.strategy) + 1 : 4]
    sizes = [n for n in range(choice.micro_batch_size, 0, -1) if choice.micro_batch_size % n == 0]
    for size, checkpointing, strategy in product(sizes, (choice.gradient_checkpointing, True), strategies):
        yield (
            _changes(choice, Choice(strategy=strategy, micro_batch_size=size, gradient_checkpointing=checkpointing)),
            _cut(recipe, job, size, strategy=strategy, checkpointing=checkpointing),
        )


def _more_processes(recipe: TrainRecipe, job: Job, choice: Choice) -> Iterator[tuple[dict[str, object], Job]]:
    """More devices share the weights; the global batch stays."""
    processes = job.processes * 2
    while processes <= MOST_PROCESSES and not job.nf4 and recipe.adapter is None:
        share = recipe.train.global_batch_size / processes
        size = min(choice.micro_batch_size, int(share))
        if share >= 1 and share % size == 0:
            changes: dict[str, object] = {"launch.processes": processes}
            changes |= _changes(choice, Choice(strategy="zero3", micro_batch_size=size, gradient_checkpointing=True))
            changed = replace(job, processes=processes, machines=max(processes // 8, 1))
            yield changes, _cut(recipe, changed, size, strategy="zero3", checkpointing=True)
        processes *= 2


def _adapters(recipe: TrainRecipe, job: Job, choice: Choice) -> Iterator[tuple[dict[str, object], Job]]:
    """An adapter instead of all weights, on weights as they are or in 4 bits."""
    adapter = recipe.adapter or Adapter(**{"r": 16, "lora_alpha": 16.0})
    new: dict[str, object] = {} if recipe.adapter else {"adapter.r": 16, "adapter.lora_alpha": 16}
    plain = "single" if job.processes == 1 else "ddp"
    if recipe.model.config is not None:
        return
    for nf4, checkpointing in product((False, True), (choice.gradient_checkpointing, True)):
        changes = dict(new)
        if nf4 and not job.nf4:
            changes["model.quantization"] = "nf4"
        if not changes:
            continue
        if recipe.model.dtype == "float32":
            changes["model.dtype"] = "bfloat16"
        changes |= _changes(choice, Choice(strategy=plain, micro_batch_size=1, gradient_checkpointing=checkpointing))
        adapted = replace(job, adapter=adapter, nf4=nf4, loaded=min(job.loaded, 2), reference="none")
        yield changes, _cut(recipe, adapted, 1, strategy=plain, checkpointing=checkpointing)


def _cut(recipe: TrainRecipe, job: Job, size: int, *, strategy: str, checkpointing: bool) -> Job:
    """The job with another cut of the global batch."""
    return replace(job, strategy=strategy, checkpointing=checkpointing,
                   rows=size * (2 if isinstance(recipe, DpoRecipe) else 1),
                   accumulation=max(recipe.train.global_batch_size // (size * job.processes), 1))  # fmt: skip


def _changes(before: Choice, after: Choice) -> dict[str, object]:
    """The keys of `launch` that differ."""
    keys = ("micro_batch_size", "gradient_checkpointing", "strategy")
    return {f"launch.{key}": getattr(after, key) for key in keys if getattr(before, key) != getattr(after, key)}


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
