"""Usable rows become what the trainer is given: encoded, cut or packed, counted."""

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from zephyr.data.counts import Counts, by_reason
from zephyr.data.tokens.encode import NO_LOSS, Encoded, batches, encode_conversations, encode_pairs, encode_texts
from zephyr.data.tokens.pack import Ids, fit, shuffled, wrap
from zephyr.data.tokens.store import table
from zephyr.data.tokens.template import Template
from zephyr.data.tokens.tokenize import Tokenizer
from zephyr.data.tokens.truncate import Pair, truncate_pair
from zephyr.data.usable import Split
from zephyr.errors import UserError
from zephyr.recipe.sections import ChatData, PreferenceData, TextData

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Made:
    """A split ready for the trainer."""

    table: "pa.Table"
    counts: Counts


# Documents and conversations


def make_sequences(
    split: Split, data: TextData | ChatData, tokenizer: Tokenizer, template: Template | None, seed: int | None
) -> Made:
    """`input_ids` and `labels`. With a seed, wrapped rows are shuffled first so that a block mixes the sources."""
    rows: list[Encoded] = []
    truncated = dropped = 0
    for batch in batches(split.usable):
        values = [usable.value for usable in batch]
        encoded = (
            encode_texts(values, data, tokenizer)
            if isinstance(data, TextData)
            else encode_conversations(values, data, tokenizer, template)  # type: ignore[arg-type]
        )
        if data.packing != "none":
            rows.extend(encoded)
            continue
        for usable, row in zip(batch, encoded, strict=True):
            over = max(0, len(row.ids) - data.max_length)
            kept = Encoded(row.ids[: data.max_length], row.labels[: data.max_length]) if over else row
            if over and not (kept.labels != NO_LOSS).any():
                split.refuse(usable.row, "prompt longer than the window (no answer left)", f"{len(row.ids)} tokens")
                continue
            truncated += over > 0
            dropped += over
            rows.append(kept)
    return _made(split, rows, data, seed, Counts(truncated_rows=truncated, dropped_tokens=dropped))


def _made(split: Split, rows: list[Encoded], data: TextData | ChatData, seed: int | None, cut: Counts) -> Made:
    _refuse_empty(split, rows)
    used, beside = len(rows), {}
    if data.packing == "bfd_split":
        ids, labels, beside["seq_lengths"] = _fitted(rows, data.max_length)
    elif data.packing == "wrapped":
        if seed is not None:
            rows = [rows[n] for n in shuffled(len(rows), seed)]
        ids, labels = _wrapped([row.ids for row in rows], data), _wrapped([row.labels for row in rows], data)
    else:
        ids, labels = [row.ids for row in rows], [row.labels for row in rows]
    lengths = np.array([len(row) for row in ids])
    counts = Counts(
        rows_read=split.rows_read,
        rows_used=used,
        unusable=by_reason(split.unusable),
        sequences=len(ids),
        tokens=int(lengths.sum()),
        loss_tokens=int(sum(np.count_nonzero(row != NO_LOSS) for row in labels)),
        truncated_rows=cut.truncated_rows,
        dropped_tokens=cut.dropped_tokens,
        eos_inside=split.eos_inside,
        longest=int(lengths.max()),
        mean_length=round(float(lengths.mean()), 1),
    )
    return Made(table({"input_ids": ids, "labels": labels, **beside}), counts)


def _fitted(rows: list[Encoded], max_length: int) -> tuple[list[Ids], list[Ids], list[Ids]]:
    """Ids, labels and lengths of each sequence's parts; nothing predicts a part's first token: no loss."""
    ids, labels, lengths = [], [], []
    for parts in fit([len(row.ids) for row in rows], max_length):
        found = [rows[row].labels[start:end].copy() for row, start, end in parts]
        for each in found:
            each[0] = NO_LOSS
        ids.append(np.concatenate([rows[row].ids[start:end] for row, start, end in parts]))
        labels.append(np.concatenate(found))
        lengths.append(np.array([end - start for _, start, end in parts], np.int32))
    return ids, labels, lengths


def _wrapped(rows: list[Ids], data: TextData | ChatData) -> list[Ids]:
    joined, bounds = wrap(rows, data.max_length)
    return [joined[start:end] for start, end in pairwise(bounds)]


def _refuse_empty(split: Split, rows: list[Encoded] | list[Pair]) -> None:
    if rows:
        return
    reasons = "; ".join(f"{n:,} x {reason}" for reason, n in by_reason(split.unusable).items())
    raise UserError(f"data.{split.name}: none of {split.rows_read:,} rows can be used: {reasons}.")


# Preference pairs


def make_pairs(split: Split, data: PreferenceData, tokenizer: Tokenizer, template: Template) -> Made:
    """`prompt_ids`, `chosen_ids`, `rejected_ids`, cut as Zephyr-7B's trainer did, in the order of the sources."""
    if data.max_prompt_length >= data.max_length:
        raise UserError(
            f"data.max_prompt_length: {data.max_prompt_length} leaves no room for an answer in `max_length: "
            f"{data.max_length}`. The paper has 512 of 1024."
        )
    pairs: list[Pair] = []
    truncated = dropped = merged = 0
    for batch in batches(split.usable):
        values = [usable.value for usable in batch]
        for usable, (whole, is_merged) in zip(batch, encode_pairs(values, data, tokenizer, template), strict=True):
            pair = truncate_pair(whole, data.max_length, data.max_prompt_length)
            if pair.chosen == pair.rejected:
                split.refuse(usable.row, "chosen equal to rejected once cut to the window", usable.value.chosen[:100])
                continue
            lost = sum(len(before) - len(after) for before, after in zip(whole, pair, strict=True))
            truncated += lost > 0
            dropped += lost
            merged += is_merged
            pairs.append(pair)
    _refuse_empty(split, pairs)
    return _made_pairs(split, pairs, Counts(truncated_rows=truncated, dropped_tokens=dropped, merged_boundaries=merged))


def _made_pairs(split: Split, pairs: list[Pair], cut: Counts) -> Made:
    columns = [[np.array(ids, np.int32) for ids in column] for column in zip(*pairs, strict=True)]
    prompt, chosen, rejected = (np.array([len(ids) for ids in column]) for column in columns)
    lengths = prompt + np.maximum(chosen, rejected)
    counts = Counts(
        rows_read=split.rows_read,
        rows_used=len(pairs),
        unusable=by_reason(split.unusable),
        sequences=len(pairs),
        tokens=int(2 * prompt.sum() + chosen.sum() + rejected.sum()),
        loss_tokens=int(chosen.sum() + rejected.sum()),
        truncated_rows=cut.truncated_rows,
        dropped_tokens=cut.dropped_tokens,
        eos_inside=split.eos_inside,
        longest=int(lengths.max()),
        mean_length=round(float(lengths.mean()), 1),
        prompt_tokens=int(prompt.sum()),
        chosen_tokens=int(chosen.sum()),
        rejected_tokens=int(rejected.sum()),
        merged_boundaries=cut.merged_boundaries,
    )
    names = ("prompt_ids", "chosen_ids", "rejected_ids")
    return Made(table(dict(zip(names, columns, strict=True))), counts)
