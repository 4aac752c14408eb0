"""The output layer of a CPU: log-probabilities of labels, in TRL's fused forward, block by block in the cache.

TRL 1.16 has this for GPUs. Elsewhere its `ChunkedLogProbFunction` projects every position, prompts and padding too,
passes a dozen times over all logits, and computes them again backward. Here only positions with a label are projected,
what is read more than once stays in the cache, and the probabilities are kept for the way back where they are small.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
import trl.trainer.utils as trl_utils
from torch import Tensor

from zephyr.train.products import product, product_over_rows

BLOCK = 2**18
"""Logits of a block, 1 MiB: what a core's own cache holds."""
FEWEST_ROWS = 64
"""Rows of a block at least; fewer make the product slow, whatever the vocabulary."""
KEPT = 2**26
"""Probabilities that are kept for the way back at most, 256 MiB; beyond that they are computed again in such parts."""


@contextlib.contextmanager
def blockwise() -> Iterator[None]:
    """Within it TRL's fused forward computes log-probabilities on a CPU as described above."""
    function, labelled_only = trl_utils._ChunkedLogProbFunction, trl_utils._use_triton
    trl_utils._ChunkedLogProbFunction = _Either(function)
    trl_utils._use_triton = lambda device: device.type == "cpu" or labelled_only(device)
    try:
        yield
    finally:
        trl_utils._ChunkedLogProbFunction, trl_utils._use_triton = function, labelled_only


class _Either:
    """Stands where TRL looks for its function: ours for what it can, TRL's for everything else."""

    def __init__(self, trl: Any) -> None:
        self.trl = trl

    def apply(
        self, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, temperature: float,
        chunk_size: int, softcap: float | None = None, scale: float = 1.0, outputs: tuple[str, ...] = (),
    ) -> Any:  # fmt: skip
        """TRL's `ChunkedLogProbFunction.apply`."""
        plain = temperature == scale == 1.0 and softcap is None and bias is None and len(targets) > 0
        whole = hidden.dtype == weight.dtype == torch.float32 and hidden.device.type == weight.device.type == "cpu"
        if plain and whole and not torch.is_autocast_enabled("cpu"):
            return label_logps(hidden, weight, targets, outputs)
        return self.trl.apply(hidden, weight, bias, targets, temperature, chunk_size, softcap, scale, outputs)


def label_logps(hidden: Tensor, weight: Tensor, targets: Tensor, outputs: tuple[str, ...]) -> tuple[Tensor | None, ...]:
    """log softmax(hidden @ weight.T) at each row's target, and what TRL shows beside it.

    Args:
        hidden: shape (N, width), float32.
        weight: shape (vocabulary, width).
        targets: shape (N,).
        outputs: which of the four others TRL wants; the rest are None.

    Returns:
        Each of shape (N,): log-probability, entropy, log of the sum of squared probabilities, mean logit, whether the
        target is the most likely one. Only the first has a gradient.
    """
    return _LabelLogps.apply(hidden, weight, targets, outputs)


class _LabelLogps(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, outputs: tuple[str, ...]
    ) -> tuple[Tensor | None, ...]:
        ctx.set_materialize_grads(False)
        n, vocabulary = len(hidden), len(weight)
        keep = any(ctx.needs_input_grad[:2]) and n * vocabulary <= KEPT
        kept = hidden.new_empty(n, vocabulary) if keep else None
        rows = max(BLOCK // vocabulary, FEWEST_ROWS)
        parts = []
        for start in range(0, n, rows):
            block = slice(start, start + rows)
            logits = product(hidden[block], weight)
            likely = torch.softmax(logits, 1)
            if kept is not None:
                kept[block] = likely
            parts.append(_of_block(logits, likely, targets[block], outputs))
        found = [torch.cat(column) if column[0] is not None else None for column in zip(*parts, strict=True)]
        if "mean_logits" in outputs:
            found[3] = hidden @ weight.mean(0)
        ctx.kept = kept
        ctx.save_for_backward(hidden, weight, targets)
        ctx.mark_non_differentiable(*(each for each in found[2:] if each is not None))
        return tuple(found)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor | None, of_entropy: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
        if of_entropy is not None:
            raise NotImplementedError("a gradient of the entropy: no loss of dSFT or dDPO asks for one")
        assert gradient is not None
        hidden, weight, targets = ctx.saved_tensors
        with trl_utils.maybe_gather_lm_head_ctx(weight, None):  # ZeRO-3: the weight is in pieces again by now
            of_hidden = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
            of_weight = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None
            rows = max(KEPT // len(weight), FEWEST_ROWS)
            for start in range(0, len(hidden), rows):
                part = slice(start, start + rows)
                likely = ctx.kept if ctx.kept is not None else torch.softmax(product(hidden[part], weight), 1)
                slope = likely * -gradient[part, None]  # d log p(target) / d logit = 1(target) - p
                slope.scatter_add_(1, targets[part, None], gradient[part, None])
                if of_hidden is not None:
                    of_hidden[part] = product(slope, weight.t())
                if of_weight is not None:
                    of_weight += product_over_rows(slope, hidden[part])
        return of_hidden, of_weight, None, None


def _of_block(
    logits: Tensor, likely: Tensor, targets: Tensor, outputs: tuple[str, ...]
) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None, Tensor | None]:
    """Values of some rows in TRL's order; the mean logit is left to the whole."""
    highest = logits.amax(1)
    normalizer = highest - likely.amax(1).log()  # the highest logit's probability is 1 / (sum of exp(logit - highest))
    target = logits.gather(1, targets[:, None])[:, 0]
    entropy = normalizer - torch.linalg.vecdot(likely, logits) if "entropy" in outputs else None
    squares = torch.linalg.vecdot(likely, likely).log() if "log_sum_sq_probs" in outputs else None
    top = None
    if "is_top1" in outputs:
        top = target == highest
        tied = top.nonzero()[:, 0]  # of equal logits the first is the most likely one, as argmax has it
        top[tied] = logits[tied].argmax(1) == targets[tied]
    return target - normalizer, entropy, squares, None, top
