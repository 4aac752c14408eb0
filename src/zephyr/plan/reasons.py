"""Why `auto` chose what it chose, and what crosses the network for it: sentences for the plan."""

from collections.abc import Iterator
from dataclasses import replace

from zephyr.plan.choose import ENOUGH_TOKENS, ROOM, Choice, has_auto
from zephyr.plan.devices import Device
from zephyr.plan.job import Job
from zephyr.plan.memory import GIB, memory_of
from zephyr.recipe.schema import DpoRecipe, TrainRecipe

SHARDING = ("ddp", "zero2", "zero3")
"""What `auto` tries for several processes, the least sharding first."""
LINK_BYTES_PER_SECOND = 25e9
"""What a GPU gets of a network of 200 Gbit/s; the published run's machines had about that."""


def reasons(recipe: TrainRecipe, choice: Choice, job: Job, device: Device) -> Iterator[str]:
    """A sentence for each key left to `auto`, one of dDPO's reference, and one where a single machine would do.

    Args:
        recipe: with what was left to `auto`.
        choice: what it came to.
        job: of that choice.
        device: whose memory was to be filled.
    """
    launch, room = recipe.launch, ROOM * device.memory_gib
    if has_auto(recipe) and _sides(recipe) == 2 and job.reference == "none":
        yield "the reference needs no memory while the policy trains: its log-probabilities are looked up"
    if launch.strategy == "auto" and job.processes > 1 and not job.nf4:
        yield from _of_strategy(recipe, job, room)
    if launch.gradient_checkpointing == "auto":
        yield _of_recomputation(recipe, job, room)
    if launch.micro_batch_size == "auto":
        yield _of_micro_batch(recipe, choice, job)
    if launch.strategy == "auto" and job.machines > 1 and job.shards > 1:
        yield from _of_machines(recipe, job, room)


def traffic(job: Job) -> float:
    """Bytes that a process sends in an optimizer step, those of an adapter's frozen weights under ZeRO-3 included.

    Gradients are summed by a reduce-scatter after each forward pass, weights gathered once (ZeRO-2), or in every
    forward and every backward pass (ZeRO-3): ZeRO, arXiv 1910.02054, section 7. DDP sums once a step.
    """
    weights, trained = job.weight * job.shape.parameters, job.trained_bytes * job.trained
    if job.strategy in ("zero3", "fsdp2"):
        return job.accumulation * (2 * weights + trained)
    if job.strategy == "zero2":
        return (job.accumulation + 1) * trained
    return 2 * trained if job.processes > 1 else 0.0


def _of_strategy(recipe: TrainRecipe, job: Job, room: float) -> Iterator[str]:
    tried = SHARDING.index(job.strategy)
    for less in SHARDING[:tried]:
        least = _needs(replace(job, strategy=less, rows=_sides(recipe), checkpointing=True))
        if least > room:
            yield f"{less} would need {least:.0f} GiB of {room:.0f} at least, with recomputation and micro-batch 1"
    for more in SHARDING[tried + 1 :]:
        sent, now = traffic(replace(job, strategy=more)) / 1e9, traffic(job) / 1e9
        if more == "zero3" and sent > now:
            yield f"{more} would only move bytes: {sent:.0f} GB a step and GPU, where {job.strategy} moves {now:.0f}"


def _of_recomputation(recipe: TrainRecipe, job: Job, room: float) -> str:
    if not job.checkpointing:
        kept = memory_of(job).parts["activations"] / GIB
        return f"activations fit ({kept:.1f} GiB), so no layer is computed twice, which would be a third more work"
    smaller = recipe.launch.micro_batch_size == "auto"
    kept = _needs(replace(job, checkpointing=False, rows=_sides(recipe) if smaller else job.rows))
    least = " even with micro-batch 1" if smaller else ""
    return f"activations are recomputed, since with them kept it would be {kept:.0f} GiB of {room:.0f}{least}"


def _of_micro_batch(recipe: TrainRecipe, choice: Choice, job: Job) -> str:
    size, share = choice.micro_batch_size, max(recipe.train.global_batch_size // job.processes, 1)
    if size == share:
        return f"micro-batch {size} is a process's whole share of the global batch"
    double = next((n for n in range(size + 1, share + 1) if share % n == 0), share)
    tokens = double * job.tokens // size
    if tokens > ENOUGH_TOKENS:
        return f"micro-batch {size}: more than {ENOUGH_TOKENS:,} tokens at once make a GPU no faster"
    return f"micro-batch {size}: {double} would not fit"


def _of_machines(recipe: TrainRecipe, job: Job, room: float) -> Iterator[str]:
    """Whether one machine would do, which spares all traffic between machines."""
    seconds = traffic(job) / LINK_BYTES_PER_SECOND
    inside = job.processes // job.machines
    share, rest = divmod(recipe.train.global_batch_size, inside)
    size = min(max(ENOUGH_TOKENS // (_sides(recipe) * job.length), 1), share)
    sizes = [n for n in range(size, 0, -1) if share % n == 0] if not rest else []
    for each in sizes:
        rows, accumulation = each * _sides(recipe), share // each
        alone = replace(job, processes=inside, machines=1, rows=rows, accumulation=accumulation)
        if _needs(alone) <= room:
            yield (
                f"{seconds:.1f} s of each step go over the network between machines (at 200 Gbit/s a GPU); it fits on"
                f" one machine too ({_needs(alone):.0f} GiB, micro-batch {each}), so give each of several runs one:"
                f" launch.machines=1 launch.processes={inside}"
            )
            return


def _sides(recipe: TrainRecipe) -> int:
    return 2 if isinstance(recipe, DpoRecipe) else 1


def _needs(job: Job) -> float:
    return memory_of(job).gib
