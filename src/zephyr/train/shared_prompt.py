"""A padded batch as one row of real tokens: of pairs, in which a prompt stands once, or of packed documents.

A pair's row is [prompt, chosen, rejected]; both answers continue the prompt, so the positions of the rejected one start
again after it. The prompt's last token predicts the first token of both.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from zephyr.train.segments import Piece, Pieces

NO_LABEL = -100


@dataclass(frozen=True, kw_only=True)
class Row:
    """A batch laid end to end; T tokens, N labels."""

    taken: torch.Tensor
    """Shape (T,): where each token is in the padded batch, flattened."""
    positions: torch.Tensor
    """Shape (1, T): position of each token in its own sequence."""
    predicting: torch.Tensor
    """Shape (N,): the token of the row that predicts each label; a prompt's last one does so twice."""
    labels: torch.Tensor
    """Shape (1, N): where each label is in the padded batch, flattened."""
    predicted: torch.Tensor
    """Shape (N,): where each prediction belongs in a padded (2b, S - 1) result, flattened."""
    pieces: Pieces


def lay(input_ids: torch.Tensor, attention_mask: torch.Tensor, labels: torch.Tensor) -> Row | None:
    """The row of a padded batch; None where the batch is not made as TRL's collator makes it, or has no label.

    Args:
        input_ids: shape (2b, S), padded on the right: b chosen sequences, then their b rejected ones.
        attention_mask: of the same shape, 0 on padding.
        labels: of the same shape, -100 on prompt and padding.
    """
    facts = _facts(input_ids, attention_mask, labels)
    if facts is None:
        return None
    lengths, starts, shared = facts
    pairs, width = len(lengths) // 2, input_ids.shape[1]
    made = _Maker(width)
    for n in range(pairs):
        made.sequence(n, lengths[n], starts[n])
        if shared[n]:
            made.continuation(pairs + n, lengths[pairs + n], starts[n], lengths[n])
        else:
            made.sequence(pairs + n, lengths[pairs + n], starts[pairs + n])
    return made.row(input_ids.device)


def _facts(
    input_ids: torch.Tensor, attention_mask: torch.Tensor, labels: torch.Tensor
) -> tuple[list[int], list[int], list[int]] | None:
    """Length and first label of each sequence, and whether both of a pair begin with the same prompt; one copy to the
    CPU."""
    rows, width = input_ids.shape
    if rows % 2:
        return None
    place = torch.arange(width, device=input_ids.device)
    labelled = labels != NO_LABEL
    lengths = attention_mask.sum(1)
    starts = torch.where(labelled.any(1), labelled.int().argmax(1), lengths)
    regular = (attention_mask.bool() == (place < lengths[:, None])).all(1)
    regular &= (labelled == ((place >= starts[:, None]) & (place < lengths[:, None]))).all(1)
    chosen, rejected = input_ids[: rows // 2], input_ids[rows // 2 :]
    start, other = starts[: rows // 2], starts[rows // 2 :]
    same = ((chosen == rejected) | (place >= start[:, None])).all(1) & (start == other) & (start > 0)
    same &= other < lengths[rows // 2 :]  # an answer of no token continues nothing
    found = torch.stack([lengths, starts, regular.long(), torch.cat([same, same]).long()]).tolist()
    if not all(found[2]) or found[0] == found[1]:
        return None
    return found[0], found[1], found[3]


def lay_documents(
    input_ids: torch.Tensor, attention_mask: torch.Tensor, labels: torch.Tensor, position_ids: torch.Tensor
) -> Row | None:
    """The row of packed sequences, in which each document stands alone; None where there is no label.

    Args:
        input_ids: shape (b, S), padded on the right.
        attention_mask: of the same shape, 0 on padding.
        labels: of the same shape, -100 on what carries no loss, a document's first token among it.
        position_ids: of the same shape, 0 where a document starts.
    """
    width = input_ids.shape[1]
    real = attention_mask.bool().reshape(-1)
    taken = real.nonzero()[:, 0]
    row_of = real.cumsum(0) - 1  # where a token of the padded batch is in the row
    inner = labels[:, 1:] != NO_LABEL
    predicted = inner.reshape(-1).nonzero()[:, 0]
    if not len(predicted):
        return None
    sequence, place = predicted // (width - 1), predicted % (width - 1)
    predicting = sequence * width + place
    positions = position_ids.reshape(-1)[taken]
    starts = [*(positions == 0).nonzero()[:, 0].tolist(), len(taken)]
    return Row(
        taken=taken,
        positions=positions[None],
        predicting=row_of[predicting],
        labels=(predicting + 1)[None],
        predicted=predicted,
        pieces=Pieces(tuple(Piece(a, b - a) for a, b in pairwise(starts)), input_ids.device),
    )


class _Maker:
    """Collects a row's parts, sequence by sequence."""

    def __init__(self, width: int) -> None:
        self.width, self.tokens = width, 0
        self.taken: list[np.ndarray] = []
        self.positions: list[np.ndarray] = []
        self.predicting: list[np.ndarray] = []
        self.labels: list[np.ndarray] = []
        self.predicted: list[np.ndarray] = []
        self.pieces: list[Piece] = []

    def sequence(self, row: int, length: int, start: int) -> None:
        """A whole sequence of the batch; labels from `start` on."""
        places = np.arange(length)
        first = max(start, 1)  # nothing predicts a sequence's first token
        self._add(row, places, np.arange(first, length), np.arange(first - 1, length - 1) + self.tokens)
        self.pieces.append(Piece(self.tokens, length))
        self.tokens += length

    def continuation(self, row: int, length: int, start: int, before: int) -> None:
        """What follows the prompt; the sequence of the same prompt is the last one added, of `before` tokens."""
        prompt_start = self.tokens - before
        places = np.arange(start, length)
        own = np.arange(length - start - 1) + self.tokens
        self._add(row, places, places, np.concatenate([[prompt_start + start - 1], own]))
        self.pieces.append(Piece(self.tokens, length - start, prompt_start, start))
        self.tokens += length - start

    def _add(self, row: int, places: np.ndarray, labels: np.ndarray, predicting: np.ndarray) -> None:
        self.taken.append(row * self.width + places)
        self.positions.append(places)
        self.labels.append(row * self.width + labels)
        self.predicting.append(predicting)
        self.predicted.append(row * (self.width - 1) + labels - 1)

    def row(self, device: torch.device) -> Row:
        """All of it, on the device."""

        def joined(parts: list[np.ndarray]) -> torch.Tensor:
            return torch.from_numpy(np.concatenate(parts).astype(np.int64)).to(device, non_blocking=True)

        return Row(
            taken=joined(self.taken),
            positions=joined(self.positions)[None],
            predicting=joined(self.predicting),
            labels=joined(self.labels)[None],
            predicted=joined(self.predicted),
            pieces=Pieces(tuple(self.pieces), device),
        )
