"""What `auto` means under `launch`: the fastest way to cut a run that fits into memory."""

from dataclasses import dataclass

from zephyr.recipe.schema import TrainRecipe


@dataclass(frozen=True, kw_only=True)
class Choice:
    """How a run is cut over the hardware; nothing of it changes the maths."""

    strategy: str
    """`single`, `ddp`, `zero2`, `zero3` or `fsdp2`."""
    micro_batch_size: int
    """Sequences (for dDPO: pairs) per process and forward pass."""
    gradient_checkpointing: bool
    """Whether activations are recomputed in the backward pass."""


def choose(recipe: TrainRecipe, processes: int | None = None) -> Choice:
    """The recipe's own words, and for each `auto` a choice for that many processes (default: the recipe's)."""
    launch, found = recipe.launch, processes or recipe.launch.processes
    strategy = launch.strategy
    if strategy == "auto":
        strategy = "single" if found == 1 else "zero3"
    share = max(recipe.train.global_batch_size // found, 1)
    largest = max(each for each in range(1, 9) if share % each == 0)
    micro = largest if isinstance(launch.micro_batch_size, str) else launch.micro_batch_size
    recompute = launch.gradient_checkpointing
    return Choice(
        strategy=strategy,
        micro_batch_size=micro,
        gradient_checkpointing=False if recompute == "auto" else recompute,
    )
