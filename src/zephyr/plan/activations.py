"""Bytes of one forward and backward pass: what autograd keeps, what a layer needs for a moment, the output layer.

Counted tensor by tensor for transformers' modules of the Llama family; `benchmarks/memory.py` compares with what
autograd really keeps, on small models.
"""

from zephyr.plan.job import Job
from zephyr.plan.shape import targets

TILE_TOKENS, TILE_WORDS = 4096, 32768
"""TRL's fused output layer computes logits in tiles of so many tokens and words."""
WHOLE_LOGITS = {"whole": 12, "half": 8}
"""Bytes per token and word where logits are made whole: three float32 copies (logits, their log-softmax, its gradient),
or four in 16 bits (logits, shifted logits, their log-softmax, its gradient)."""


def kept(job: Job) -> float:
    """What autograd keeps of all layers, or with checkpointing the input of each layer."""
    if job.checkpointing:
        return job.shape.layers * job.residual * job.shape.hidden * job.tokens
    return job.shape.layers * layer(job) + cast_weights(job)


def layer(job: Job) -> float:
    """What autograd keeps of one layer."""
    return job.tokens * (_norms(job) + _linear_inputs(job) + _attention(job) + _mlp(job))


def moment(job: Job) -> float:
    """What the backward pass of an MLP needs for a moment: three gradients of its width, and the residual stream's."""
    shape = job.shape
    residual = (8 if job.autocast else job.compute) * shape.hidden
    extra = 0.0
    if job.nf4:  # the largest matrix, dequantised
        extra = job.compute * max(rows * columns for rows, columns in shape.matrices.values())
    if job.checkpointing and job.autocast:
        extra += 2 * shape.matrix_parameters / shape.layers  # the recomputed layer's weights in bfloat16
    return job.tokens * (3 * job.compute * shape.intermediate + residual) + extra


def cast_weights(job: Job) -> float:
    """Autocast's bfloat16 copies of float32 weights; autograd keeps them until the backward pass has used them."""
    if not job.autocast or job.nf4:
        return 0
    return 2 * job.shape.matrix_parameters


def logits(job: Job) -> float:
    """The output layer at its peak, in the backward pass: a tile of logits, float32 gradients of states and weights."""
    shape = job.shape
    trains = 0 if job.adapter is not None else shape.embedding
    states = (job.residual + 4 + job.residual) * shape.hidden * job.tokens
    if job.head != "fused":
        return (
            WHOLE_LOGITS[job.head] * shape.vocabulary * job.tokens
            + job.residual * shape.hidden * job.tokens
            + trains * 2
        )
    tile = job.compute * min(job.tokens, TILE_TOKENS) * min(shape.vocabulary, TILE_WORDS)
    words = job.compute * min(shape.vocabulary, TILE_WORDS) * shape.hidden if job.autocast else 0
    return states + tile + words + trains * (4 + (0 if job.weight == 4 else job.weight))


def _norms(job: Job) -> float:
    """Two RMSNorms: the float32 input, for a trained scale the normalised states too, and the reciprocal roots."""
    width, count = job.shape.hidden, 4 if job.shape.model_type == "gemma2" else 2
    normalised = 0 if job.adapter else 4 if job.shape.model_type.startswith("gemma") else job.residual
    return count * (width * (4 + normalised) + 4)


def _linear_inputs(job: Job) -> float:
    """Inputs of linear layers that autograd keeps for the gradient of their weights.

    Under autocast, and where PEFT casts, each layer gets a copy of its own; otherwise layers with the same input share
    it. The output projection's input is the attention's output, kept already.
    """
    shape, number = job.shape, job.compute
    shared = {"q_proj": "attention", "k_proj": "attention", "v_proj": "attention", "gate_proj": "mlp", "up_proj": "mlp"}
    if job.adapter is None:
        return number * shape.hidden * (5 if job.autocast else 2) + number * shape.intermediate
    trained = targets(shape, job.adapter)
    own = (job.trained_bytes == 4 and number == 2) or job.adapter.lora_dropout > 0
    if own:
        inputs = sum(rows for rows, _ in trained.values())
    else:
        inputs = shape.hidden * len({shared[name] for name in trained if name in shared})
        inputs += shape.intermediate if "down_proj" in trained else 0
    bytes_ = number * (inputs + job.adapter.r * len(trained))
    bytes_ += sum(rows for rows, _ in trained.values()) if job.adapter.lora_dropout else 0  # masks of one byte
    if job.adapter.method == "dora":  # both summands, for the gradient of the magnitude
        bytes_ += 2 * number * sum(columns for _, columns in trained.values())
    return bytes_


def _attention(job: Job) -> float:
    """Queries, keys, values, output, and what the kernel keeps of the scores."""
    shape, number = job.shape, job.compute
    whole = shape.heads * shape.head_dim
    masked = job.attention == "sdpa" and job.padded
    keys = whole if masked or job.attention == "eager" else shape.kv_heads * shape.head_dim
    kept_ = number * (2 * whole + 2 * keys)
    if job.attention == "eager":
        return kept_ + shape.heads * job.length * (4 + (2 if number == 2 else 0))
    return kept_ + 4 * shape.heads + (number * job.length if masked else 0)


def _mlp(job: Job) -> float:
    """Gate, activated gate, and the other branch; their product is the last layer's input."""
    return 3 * job.compute * job.shape.intermediate
