"""What `auto` means under `launch`: the fastest way to cut a run that fits into memory.

Called by the plan and by every process of a run, with the same answer: it looks at the recipe, the model's
`config.json` and the table of devices alone, never at the hardware found.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from zephyr.plan.devices import device_of
from zephyr.plan.job import job_of
from zephyr.plan.memory import memory_of
from zephyr.plan.shape import Shape, shape_of
from zephyr.plan.stack import Stack, stack_of
from zephyr.recipe.schema import DpoRecipe, TrainRecipe

ROOM = 0.92
"""Share of a device's memory that `auto` fills: the formulas are right within about 10 % (docs/memory.md)."""
ENOUGH_TOKENS = 16_384
"""Tokens of a forward pass from which a larger micro-batch no longer makes a GPU faster."""
SMALL = 1_000_000_000
"""Weights of a model that is taken to fit whole where the device's memory is not known."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """How a run is cut over the hardware; nothing of it changes the maths."""

    strategy: str
    """`single`, `ddp`, `zero2`, `zero3` or `fsdp2`."""
    micro_batch_size: int
    """Sequences (for dDPO: pairs) per process and forward pass."""
    gradient_checkpointing: bool
    """Whether activations are recomputed in the backward pass."""


def choose(
    recipe: TrainRecipe, processes: int | None = None, *, shape: Shape | None = None, stack: Stack | None = None
) -> Choice:
    """The recipe's own words, and for each `auto` a choice for that many processes (default: the recipe's).

    The least sharding that fits is the fastest; then no recomputation; then the largest micro-batch.

    Args:
        recipe: the training recipe.
        processes: those that train.
        shape: of the model, where the recipe's alone does not tell it (a model that another recipe has yet to make).
        stack: what trains on what, where the recipe's start is yet to be made.
    """
    found = processes or recipe.launch.processes
    if not has_auto(recipe):
        return next(_choices(recipe, found, None))
    shape = shape or shape_of(recipe.model)
    device = device_of(recipe.launch.device)
    if device is None or shape is None:
        return next(_choices(recipe, found, shape))
    adapted = (stack or stack_of(recipe)).name == "adapter-on-adapter"
    choice = None
    for choice in _choices(recipe, found, shape):
        job = job_of(recipe, shape, strategy=choice.strategy, processes=found, starts_from_adapter=adapted,
                     micro_batch_size=choice.micro_batch_size, checkpointing=choice.gradient_checkpointing)  # fmt: skip
        if memory_of(job).gib <= ROOM * device.memory_gib:
            return choice
    assert choice is not None
    return choice  # nothing fits: what needs least, and the plan says so


def has_auto(recipe: TrainRecipe) -> bool:
    """Whether anything is left to choose."""
    launch = recipe.launch
    return "auto" in (launch.strategy, launch.micro_batch_size, launch.gradient_checkpointing)


def _choices(recipe: TrainRecipe, processes: int, shape: Shape | None) -> Iterator[Choice]:
    """Every way to cut the run, the fastest first."""
    launch = recipe.launch
    known = device_of(launch.device) is not None and shape is not None
    strategies = _strategies(recipe, processes, shape, known=known)
    recompute = [launch.gradient_checkpointing]
    if launch.gradient_checkpointing == "auto":
        large = shape is not None and shape.parameters > SMALL and launch.device != "cpu"
        recompute = [False, True] if known else [large]
    sizes = _micro_batch_sizes(recipe, processes, known=known)
    for strategy in strategies:
        for checkpointing in recompute:
            for size in sizes:
                yield Choice(strategy=strategy, micro_batch_size=size, gradient_checkpointing=bool(checkpointing))


def _strategies(recipe: TrainRecipe, processes: int, shape: Shape | None, *, known: bool) -> list[str]:
    launch = recipe.launch
    if launch.strategy != "auto":
        return [launch.strategy]
    if processes == 1:
        return ["single"]
    if launch.shard_within_machine:
        return ["zero3"]
    if recipe.model.quantization is not None:  # 4-bit weights are not sharded
        return ["ddp", "zero2"] if known else ["ddp"]
    if known:
        return ["ddp", "zero2", "zero3"]
    return ["zero3"] if shape is not None and shape.parameters > SMALL else ["ddp"]


def _micro_batch_sizes(recipe: TrainRecipe, processes: int, *, known: bool) -> list[int]:
    """Micro-batches that divide the global batch, the largest first; without known memory 8 at most."""
    wanted = recipe.launch.micro_batch_size
    if not isinstance(wanted, str):
        return [wanted]
    share = max(recipe.train.global_batch_size // processes, 1)
    row = recipe.data.max_length * (2 if isinstance(recipe, DpoRecipe) else 1)
    largest = max(ENOUGH_TOKENS // row, 1) if known else 8
    return [size for size in range(min(largest, share), 0, -1) if share % size == 0]
