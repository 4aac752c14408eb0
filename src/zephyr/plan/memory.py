"""Peak memory of one process, by part, in bytes: closed formulas, no torch.

A run peaks in the backward pass or in the optimizer step. In the backward pass, either at its start, where everything
kept is still there and the output layer works, or with checkpointing in a recomputed layer. The parts shown are those
of that moment.
"""

from dataclasses import dataclass

from zephyr.plan import activations, states
from zephyr.plan.job import Job

GIB = 2**30
CONTEXT = 1.0 * GIB
"""CUDA context, loaded kernels and cuBLAS workspaces of one process on a data-centre GPU."""
NCCL = 0.6 * GIB
"""Channels and workspaces of NCCL, where several processes communicate."""
FRAGMENTATION = 0.08
"""Share of what comes and goes that the caching allocator can't reuse."""

PARTS = ("weights", "adapter", "gradients", "optimizer", "reference", "activations", "logits", "buffers", "overhead")


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Peak memory of one process."""

    parts: dict[str, float]
    """Part -> bytes at the peak; the keys of `PARTS`."""
    moment: str
    """Where the peak is: `backward` or `step`."""

    @property
    def total(self) -> float:
        """Bytes in all."""
        return sum(self.parts.values())

    @property
    def gib(self) -> float:
        """GiB in all."""
        return self.total / GIB


def memory_of(job: Job, *, overhead: bool = True) -> Memory:
    """Peak memory of a job; without `overhead` what the allocator hands out, without context and fragmentation."""
    fixed = {"weights": states.weights(job), "adapter": states.adapter(job), "optimizer": states.optimizer(job),
             "reference": states.reference(job)}  # fmt: skip
    moments = [*_backward(job), {"gradients": states.gradients(job), "optimizer": states.step(job),
                                 "buffers": _kept_buffers(job), "moment": 1.0}]  # fmt: skip
    peak = max(moments, key=lambda each: sum(value for key, value in each.items() if key != "moment"))
    parts = {part: fixed.get(part, 0.0) + peak.get(part, 0.0) for part in PARTS}
    if overhead:
        loose = sum(peak.get(part, 0.0) for part in PARTS)
        parts["overhead"] = CONTEXT + (NCCL if job.processes > 1 else 0) + FRAGMENTATION * loose
    return Memory(parts=parts, moment="step" if "moment" in peak else "backward")


def _backward(job: Job) -> list[dict[str, float]]:
    """The moments at which a backward pass may peak."""
    gradients, buffers = states.gradients(job), states.buffers(job)
    kept, logits, layer = activations.kept(job), activations.logits(job), activations.moment(job)
    states_only = job.residual * job.shape.hidden * job.tokens
    earlier = gradients if job.accumulation > 1 or job.shards > 1 else 0.0
    start = {"activations": kept, "logits": logits, "gradients": earlier, "buffers": buffers}
    if not job.checkpointing:
        last = {"activations": kept + layer, "logits": states_only, "gradients": earlier, "buffers": buffers}
        return [start, last]
    start["activations"] += activations.cast_weights(job)
    one = activations.layer(job) + layer
    first = {"activations": kept / job.shape.layers + one, "gradients": gradients, "buffers": buffers}
    last = {"activations": kept + one, "logits": states_only, "gradients": earlier, "buffers": buffers}
    return [start, first, last]


def _kept_buffers(job: Job) -> float:
    """Buffers that are there in the optimizer step too: DDP's and DeepSpeed's buckets."""
    if job.strategy == "ddp":
        return states.buffers(job)
    return states.BUCKET * job.compute if job.deepspeed else 0.0
