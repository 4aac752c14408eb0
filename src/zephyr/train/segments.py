"""Attention of sequences that lie end to end in one row, without padding and without a mask of all by all.

A piece attends to itself causally and, where it has a prompt, to the whole of that too: so an answer needs no copy of
its prompt. The pieces travel as an argument of the model's forward, since activation checkpointing runs layers again
when a global would have moved on. On GPUs: FlashAttention's varlen kernels, two calls at most; elsewhere a call of
causal attention for each piece.
"""

from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any

import torch
import torch.nn.functional as functional
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from zephyr.plan.job import has_flash_attention_2

NAME = "zephyr_segments"
"""What transformers knows this attention by."""
ARGUMENT = "zephyr_pieces"
"""Argument of a model's forward that carries `Pieces`; its attention functions get it."""


@dataclass(frozen=True)
class Piece:
    """Consecutive tokens of the row."""

    start: int
    """Its first token."""
    length: int
    """Its tokens."""
    prompt_start: int = 0
    """First token of the prompt that it continues; a piece starts there."""
    prompt_length: int = 0
    """Tokens of that prompt; 0: it stands alone."""


@dataclass(frozen=True)
class Pieces:
    """All pieces of a row, in its order, without gaps."""

    pieces: tuple[Piece, ...]
    device: torch.device

    @cached_property
    def number_at(self) -> dict[int, int]:
        """Number of the piece that starts at a token."""
        return {piece.start: n for n, piece in enumerate(self.pieces)}

    def mask(self, n: int, dtype: torch.dtype) -> torch.Tensor:
        """0 where a piece sees its prompt and itself, else -inf; shape (its tokens, those it may see)."""
        if (n, dtype) not in self._masks:
            piece = self.pieces[n]
            shape = (piece.length, piece.prompt_length + piece.length)
            later = torch.full(shape, float("-inf"), dtype=dtype, device=self.device)
            self._masks[n, dtype] = later.triu_(piece.prompt_length + 1)
        return self._masks[n, dtype]

    @cached_property
    def _masks(self) -> dict[tuple[int, torch.dtype], torch.Tensor]:
        """Made once for all layers."""
        return {}

    @cached_property
    def alone(self) -> "Varlen":
        """The pieces without a prompt."""
        return Varlen.of([piece for piece in self.pieces if not piece.prompt_length], self.device)

    @cached_property
    def continued(self) -> "Varlen | None":
        """The pieces with one."""
        found = [piece for piece in self.pieces if piece.prompt_length]
        return Varlen.of(found, self.device) if found else None


@dataclass(frozen=True, kw_only=True)
class Varlen:
    """Arguments of a varlen kernel; on the device."""

    queries: torch.Tensor
    """Positions in the row, shape (tokens,)."""
    keys: torch.Tensor
    """Positions in the row, a prompt's before its piece's, shape (tokens,)."""
    query_bounds: torch.Tensor
    """Shape (pieces + 1,), int32."""
    key_bounds: torch.Tensor
    """Shape (pieces + 1,), int32."""
    most_queries: int
    most_keys: int

    @staticmethod
    def of(pieces: list[Piece], device: torch.device) -> "Varlen":
        """Arguments for some pieces."""
        own = [torch.arange(piece.start, piece.start + piece.length) for piece in pieces]
        before = [torch.arange(piece.prompt_start, piece.prompt_start + piece.prompt_length) for piece in pieces]
        keys = [torch.cat(both) for both in zip(before, own, strict=True)]
        return Varlen(
            queries=torch.cat(own).to(device),
            keys=torch.cat(keys).to(device),
            query_bounds=_bounds(own).to(device),
            key_bounds=_bounds(keys).to(device),
            most_queries=max(map(len, own)),
            most_keys=max(map(len, keys)),
        )


def _bounds(parts: list[torch.Tensor]) -> torch.Tensor:
    lengths = torch.tensor([0, *map(len, parts)])
    return lengths.cumsum(0).to(torch.int32)


def register() -> None:
    """Makes the attention known to transformers: with pieces ours, without (generation, padded rows) `sdpa` itself."""
    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)  # without it padding on the left would be attended to


def attention(
    module: torch.nn.Module, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor,
    attention_mask: torch.Tensor | None, dropout: float = 0.0, scaling: float | None = None, **rest: Any,
) -> tuple[torch.Tensor, None]:  # fmt: skip
    """An attention function of transformers.

    Args:
        module: the layer.
        query: shape (1, heads, tokens, width).
        key: shape (1, heads of keys, tokens, width).
        value: like key.
        attention_mask: not looked at where pieces are given.
        dropout: 0 where pieces are given.
        scaling: of the products; None: one over the root of the width.
        rest: the pieces as `zephyr_pieces`, and what only some models use.

    Returns:
        Shape (1, tokens, heads, width), and no weights.
    """
    pieces = rest.pop(ARGUMENT, None)
    if pieces is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, dropout, scaling, **rest)
    unknown = [name for name in ("softcap", "s_aux", "position_bias") if rest.get(name) is not None]
    if unknown:
        raise NotImplementedError(f"attention with {unknown[0]}")
    half = _half(query)
    if query.device.type == "cuda" and half is not None:
        return _varlen(query.to(half), key.to(half), value.to(half), pieces, scaling).to(query.dtype), None
    return _one_by_one(query, key, value, pieces, scaling), None


def _half(query: torch.Tensor) -> torch.dtype | None:
    """The 16-bit type that a varlen kernel computes in: the tensors' own or autocast's; None: neither."""
    if query.dtype in (torch.bfloat16, torch.float16):
        return query.dtype
    return torch.get_autocast_dtype("cuda") if torch.is_autocast_enabled("cuda") else None


def _one_by_one(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, pieces: Pieces, scaling: float | None
) -> torch.Tensor:
    grouped = query.shape[1] != key.shape[1]
    # split, not sliced: backward it is joined at once, where each slice would add to a row of zeros of its own
    queries, keys, values = (each.split([piece.length for piece in pieces.pieces], 2) for each in (query, key, value))
    found = []
    for n, piece in enumerate(pieces.pieces):
        own_keys, own_values, mask = keys[n], values[n], None
        if piece.prompt_length:
            before = pieces.number_at[piece.prompt_start]
            own_keys = torch.cat([keys[before][:, :, : piece.prompt_length], own_keys], 2)
            own_values = torch.cat([values[before][:, :, : piece.prompt_length], own_values], 2)
            mask = pieces.mask(n, query.dtype)
        found.append(
            functional.scaled_dot_product_attention(
                queries[n], own_keys, own_values, attn_mask=mask, is_causal=mask is None, scale=scaling,
                enable_gqa=grouped,
            )
        )  # fmt: skip
    return torch.cat(found, dim=2).transpose(1, 2).contiguous()


def _varlen(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, pieces: Pieces, scaling: float | None
) -> torch.Tensor:
    rows = [each[0].transpose(0, 1) for each in (query, key, value)]  # (tokens, heads, width)
    if pieces.continued is None:
        return _kernel(rows, pieces.alone, scaling)[None]
    found = torch.empty_like(rows[0])
    for each in (pieces.alone, pieces.continued):
        taken = [rows[0][each.queries], rows[1][each.keys], rows[2][each.keys]]
        found = found.index_copy(0, each.queries, _kernel(taken, each, scaling))
    return found[None]


def _kernel(rows: list[torch.Tensor], each: Varlen, scaling: float | None) -> torch.Tensor:
    """Of queries, keys and values; causal at the lower right: the last query sees the last key (FlashAttention 2.1)."""
    query, key, value = (row.contiguous() for row in rows)
    bounds = (each.query_bounds, each.key_bounds, each.most_queries, each.most_keys)
    if has_flash_attention_2():
        flash_attn = import_module("flash_attn")
        return flash_attn.flash_attn_varlen_func(query, key, value, *bounds, softmax_scale=scaling, causal=True)
    from torch.nn.attention.varlen import varlen_attn

    grouped = query.shape[1] != key.shape[1]
    found = varlen_attn(query, key, value, *bounds, scale=scaling, window_size=(-1, 0), enable_gqa=grouped)
    assert isinstance(found, torch.Tensor)
    return found
