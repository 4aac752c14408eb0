"""Whether ours computes what TRL's own forward does: tried on a few short sequences before a run relies on it.

How far 16 bits round differs from model to model by a factor of fifty, with its depth and the size of its logits. So
what is allowed is measured: TRL's forward against itself, on the same tokens beside other padding.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedModel

from zephyr.train.padding_free import PaddingFree
from zephyr.train.segments import Piece, Pieces, attention

ALWAYS = {torch.float32: 1e-4, torch.bfloat16: 2e-2, torch.float16: 5e-3}
"""Nats a token (root mean square) that are rounding on any model: 1e-6 was seen in float32, from 5e-3 in bfloat16."""
TIMES = 4
"""How many times what rounding does to TRL's own forward is allowed; a token that sees another one than it should
changes by far more in any model that has learnt something."""
FAILURES = (TypeError, NotImplementedError, ValueError, RuntimeError, ImportError, AttributeError, AssertionError)
"""What a kernel says that can't do it, or that is not whole."""
log = logging.getLogger("zephyr")


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Differences from TRL's forward, as root mean squares over tokens' log-probabilities, in nats."""

    ours: float
    """Infinite where ours can't be computed."""
    rounding: float
    """Of TRL's own, beside other padding."""

    def share(self, dtype: torch.dtype) -> float:
        """Of what is allowed in a precision; above 1 it is too far."""
        return self.ours / max(ALWAYS[dtype], TIMES * self.rounding)


@torch.no_grad()
def agreement_on_pairs(call: Callable[..., Any], batch: dict[str, Any], wrapped: PaddingFree) -> Agreement:
    """Of a padded batch of pairs with our forward, and of each of its sequences alone with TRL's.

    Args:
        call: the model as it will be called, in whatever wrappers.
        batch: as TRL's collator makes it, on the device.
        wrapped: its forward.
    """
    ids, mask = batch["input_ids"], batch["attention_mask"]
    labels = ids.masked_fill(batch["completion_mask"] == 0, -100)
    expected = _log_probs(call, wrapped, on=False, input_ids=ids, attention_mask=mask, labels=labels)
    labelled = labels[:, 1:] != -100
    alone = torch.zeros_like(expected)
    for n, length in enumerate(mask.sum(1).tolist()):
        row = {"input_ids": ids, "attention_mask": mask, "labels": labels}
        row = {name: value[n : n + 1, :length] for name, value in row.items()}
        alone[n, : length - 1] = _log_probs(call, wrapped, on=False, **row)[0]
    found = _ours(call, wrapped, input_ids=ids, attention_mask=mask, labels=labels)
    return Agreement(ours=_apart(found, expected, labelled), rounding=_apart(alone, expected, labelled))


@torch.no_grad()
def agreement_on_documents(call: Callable[..., Any], documents: torch.Tensor, wrapped: PaddingFree) -> Agreement:
    """Of documents packed into a row with our forward, and of the same ones padded with TRL's; shape (2, tokens)."""
    count, length = documents.shape
    labels = documents.clone()
    labels[:, 0] = -100
    whole = torch.ones_like(documents)
    expected = _log_probs(call, wrapped, on=False, input_ids=documents, attention_mask=whole, labels=labels)
    wider = {
        "input_ids": torch.cat([documents, documents], 1),
        "attention_mask": torch.cat([whole, torch.zeros_like(whole)], 1),
        "labels": torch.cat([labels, torch.full_like(labels, -100)], 1),
    }
    padded = _log_probs(call, wrapped, on=False, **wider)[:, : length - 1]
    positions = torch.arange(length, device=documents.device).repeat(count)[None]
    row = {"input_ids": documents.reshape(1, -1), "labels": labels.reshape(1, -1), "position_ids": positions}
    found = _ours(call, wrapped, attention_mask=whole.reshape(1, -1), **row)
    if found is not None:
        found = torch.stack([found[0, n * length : n * length + length - 1] for n in range(count)])
    everywhere = torch.ones_like(expected, dtype=torch.bool)
    return Agreement(ours=_apart(found, expected, everywhere), rounding=_apart(padded, expected, everywhere))


def _log_probs(call: Callable[..., Any], wrapped: PaddingFree, *, on: bool, **arguments: Any) -> torch.Tensor:
    wrapped.on = on
    try:
        return call(**arguments, use_cache=False, fused_lm_head=True).log_probs.float()
    finally:
        wrapped.on = True


def _ours(call: Callable[..., Any], wrapped: PaddingFree, **arguments: Any) -> torch.Tensor | None:
    """None where it can't be computed, forward or backward."""
    try:
        try_backward(wrapped.model, arguments["input_ids"].device)
        return _log_probs(call, wrapped, on=True, **arguments)
    except FAILURES as error:
        log.debug("without padding: %s", error)
        return None


def try_backward(model: PreTrainedModel, device: torch.device) -> None:
    """Runs the attention by pieces forward and backward on heads of the model's shape, outside the model."""
    config = model.config.get_text_config()
    heads = config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    dtype = torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else model.dtype
    numbers = (heads, *2 * (getattr(config, "num_key_value_heads", None) or heads,))
    pieces = Pieces((Piece(0, 8), Piece(8, 8, 0, 8), Piece(16, 8, 0, 8)), device)
    with torch.enable_grad():
        query, key, value = (
            torch.randn(1, n, 24, width, device=device, dtype=dtype, requires_grad=True) for n in numbers
        )
        found, _ = attention(model, query, key, value, None, zephyr_pieces=pieces)
        found.float().sum().backward()


def _apart(found: torch.Tensor | None, expected: torch.Tensor, labelled: torch.Tensor) -> float:
    if found is None:
        return float("inf")
    return float((found - expected)[labelled].square().mean().sqrt().nan_to_num(float("inf")))
