"""FLOPs, hours, cost and disk of a run: arithmetic on the model's shape and the tokens it sees."""

from dataclasses import dataclass

from zephyr.plan.devices import Device
from zephyr.plan.job import Job
from zephyr.plan.shape import adapter_parameters
from zephyr.plan.stack import Stack
from zephyr.plan.states import moments
from zephyr.recipe.schema import DpoRecipe, TrainRecipe


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """Tokens of one epoch."""

    count: int
    """Tokens that go through the model; for dDPO prompt and answer of both sides."""
    sequences: int
    """Sequences they are in; for dDPO two per pair."""
    basis: str
    """Where the number is from: `counted`, `expected`, or `at most` where every row is taken as full."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a run computes."""

    tokens: Tokens
    """Tokens of one epoch."""
    model_flops: float
    """Floating-point operations that the method needs, over all epochs."""
    hardware_flops: float
    """The same with what is computed twice because activations are not kept."""
    reference_flops: float = 0.0
    """Of `model_flops` those of dDPO's reference, which a run that finds its log-probabilities stored is spared."""

    def hours(self, device: Device, processes: int, mfu: float) -> float:
        """Hours at a share of the devices' peak; as in every MFU, operations done twice count once."""
        return self.model_flops / (processes * device.tflops * 1e12 * mfu) / 3600


def tokens_of(recipe: TrainRecipe, counted: dict | None) -> Tokens | None:
    """Tokens of one epoch: counted, else what the recipe expects, else full rows; None where nothing is known."""
    sides = 2 if isinstance(recipe, DpoRecipe) else 1
    if counted:
        return Tokens(count=counted["tokens"], sequences=counted["sequences"] * sides, basis="counted")
    expected, rows = recipe.expect, recipe.expect.sequences
    if rows is None:
        return None
    if expected.tokens is not None:
        return Tokens(count=expected.tokens, sequences=rows * sides, basis="expected")
    packed = getattr(recipe.data, "packing", "none") != "none"
    full = rows * sides * recipe.data.max_length
    return Tokens(count=full, sequences=rows * sides, basis="expected" if packed else "at most")


def work_of(recipe: TrainRecipe, job: Job, tokens: Tokens) -> Work:
    """What a run computes.

    A forward pass takes 2 operations per token and weight in a product, and 4 x layers x width x context in attention,
    a causal model's mean context being half the sequence (Kaplan et al., arXiv 2001.08361, section 2.1). A backward
    pass takes twice that: once for the gradient of the inputs, once for that of the weights, which frozen weights do
    not have. dDPO's reference is one more forward pass over its pairs, not one an epoch; recomputation is one over
    all that is seen.
    """
    forward = forward_flops(job, tokens.count / tokens.sequences)
    adapter = 0 if recipe.adapter is None else 6 * adapter_parameters(job.shape, recipe.adapter)
    trained = 3 * forward if recipe.adapter is None else 2 * forward + adapter
    epochs = recipe.train.num_train_epochs
    reference = forward if isinstance(recipe, DpoRecipe) else 0.0
    seen = epochs * tokens.count
    model = seen * trained + tokens.count * reference
    return Work(
        tokens=tokens,
        model_flops=model,
        hardware_flops=model + seen * forward * job.checkpointing,
        reference_flops=tokens.count * reference,
    )


def forward_flops(job: Job, length: float) -> float:
    """Operations of a forward pass per token, in sequences of that length."""
    shape = job.shape
    return 2 * shape.in_products + 4 * shape.layers * shape.heads * shape.head_dim * length / 2


@dataclass(frozen=True, kw_only=True)
class Disk:
    """Bytes that a run writes."""

    checkpoint: float
    """One checkpoint: weights, optimizer and its float32 weights; 0: none is written."""
    left: float
    """Checkpoints that are there when the run has ended: it deletes none of the last."""
    model: float
    """The final model or adapter."""
    start: float
    """The start with its adapter merged in, kept beside what trains on it."""
    peak: float
    """At most at one time: a new checkpoint is whole before the oldest goes."""


def disk_of(recipe: TrainRecipe, job: Job, stack: Stack) -> Disk:
    """Bytes that a run writes."""
    saved = job.trained_bytes * job.trained
    state = (moments(job) * (4 if job.deepspeed else job.trained_bytes) + (4 if job.deepspeed else 0)) * job.trained
    whole = 2 * job.trained if job.strategy == "zero3" else 0  # transformers adds the gathered 16-bit weights
    saves = recipe.train.save_steps is not None
    checkpoint = saved + state + whole if saves or recipe.launch.leave_checkpoint else 0.0
    left = (recipe.train.save_total_limit if saves else 1) * checkpoint
    being_written = checkpoint if saves else 0.0
    merged = stack.name in ("full-on-adapter", "adapter-on-merged")
    start = (4 if recipe.model.dtype == "float32" else 2) * job.shape.parameters if merged else 0.0
    peak = left + being_written + saved + start
    return Disk(checkpoint=checkpoint, left=left, model=saved, start=start, peak=peak)
