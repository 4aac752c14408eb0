"""Bytes that stay from step to step: weights, gradients, optimizer, reference, buffers. Per process.

Sources: ZeRO (arXiv 1910.02054, section 3) for what is sharded; the versions of DeepSpeed, accelerate and PyTorch that
the package pins for what is really allocated.
"""

from zephyr.plan.job import Job
from zephyr.plan.shape import Shape

BUCKET = 500_000_000
"""DeepSpeed's `reduce_bucket_size`, in numbers; allocated whole, whatever the model's size."""
LIVE = 1_000_000_000
"""DeepSpeed's `stage3_max_live_parameters` and `sub_group_size`, in numbers."""
NF4 = 0.5 + (1 + 4 / 256) / 64
"""Bytes of a weight in NF4: 4 bits, a byte per block of 64, a float32 per 256 of those (QLoRA, arXiv 2305.14314)."""


def weights(job: Job) -> float:
    """The model's weights, without adapters."""
    shape = job.shape
    whole = job.weight * shape.parameters
    if job.nf4:
        others = shape.parameters - shape.matrix_parameters
        return NF4 * shape.matrix_parameters + job.weight * others  # bitsandbytes' weights are not sharded here
    if job.strategy not in ("zero3", "fsdp2"):
        return whole
    hpz = job.strategy == "zero3" and job.shard_within_machine and job.machines > 1
    second = whole / (job.processes // job.machines) if hpz else 0  # hpZ: a further copy, sharded inside the machine
    return whole / job.shards + second


def adapter(job: Job) -> float:
    """The adapter's own weights."""
    if job.adapter is None:
        return 0
    return job.trained_bytes * job.trained / (job.shards if job.strategy in ("zero3", "fsdp2") else 1)


def gradients(job: Job) -> float:
    """Gradients of what trains, when a backward pass has ended; FSDP2 accumulates them whole, before it shards them."""
    accumulated = job.compute * job.trained if job.strategy == "fsdp2" and job.accumulation > 1 else 0
    return job.trained_bytes * job.trained / job.shards + accumulated


def optimizer(job: Job) -> float:
    """The optimizer's moments, and under DeepSpeed the float32 copy of the weights that it updates."""
    number = 4 if job.deepspeed else job.trained_bytes
    return (moments(job) * number + (4 if job.deepspeed else 0)) * job.trained / job.shards


def moments(job: Job) -> float:
    """Numbers that the optimizer keeps per weight."""
    if job.optimizer == "adafactor":  # a row and a column of each matrix: about (n + m) / nm
        return 2 / job.shape.hidden
    return {"adamw_torch": 2, "adamw_torch_fused": 2, "rmsprop": 1, "sgd": 0}[job.optimizer]


def step(job: Job) -> float:
    """What an optimizer step needs for a moment beside gradients and moments.

    PyTorch's foreach optimizers hold the denominator of every weight at once; the fused one and SGD hold nothing.
    DeepSpeed turns gradients into float32 first: ZeRO-2 all of its shard, ZeRO-3 one sub-group after the other.
    """
    number = 4 if job.deepspeed else job.trained_bytes
    at_once = job.trained / job.shards
    if job.strategy == "zero3":
        at_once = min(at_once, LIVE)
    denominator = 0 if job.optimizer in ("adamw_torch_fused", "sgd") else number
    return at_once * (denominator + (4 if job.deepspeed else 0))


def reference(job: Job) -> float:
    """What dDPO compares with: a frozen model, sharded under ZeRO-3 and FSDP2, else whole; or a frozen adapter."""
    if job.reference == "none":
        return 0
    if job.reference == "adapter":
        return adapter(job)
    each = job.compute if job.deepspeed else job.loaded
    return each * job.shape.parameters / (job.shards if job.strategy in ("zero3", "fsdp2") else 1)


def buffers(job: Job) -> float:
    """What communication needs: gathered weights, buckets of gradients."""
    if job.strategy == "ddp":
        return job.trained_bytes * job.trained  # gradients are copied into DDP's buckets
    if job.strategy == "zero2":
        return BUCKET * job.compute
    if job.strategy == "zero3":
        gathered = min(LIVE, 0 if job.nf4 else job.shape.parameters) * job.compute
        return (
            gathered + 2 * BUCKET * job.compute
        )  # the bucket, and what reduce-scatter makes of it while it is refilled
    if job.strategy == "fsdp2":
        return _units(job.shape) * job.compute
    return 0


def _units(shape: Shape) -> int:
    """Weights that FSDP2 holds whole: embedding and output layer throughout; a layer, the next one, its gradients."""
    ends = shape.embedding * (1 if shape.tied else 2)
    return ends + 3 * shape.layer_parameters
