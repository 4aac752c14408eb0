"""Packing of rows into sequences of `max_length` tokens; no token is dropped.

`wrapped` (section 4.1 of the paper's code): rows are joined in the order given and cut every `max_length` tokens,
wherever that falls; attention crosses rows, as in the paper. Unlike TRL 0.7 what is left at the end is a last, shorter
sequence.

`bfd_split`: a row stays whole, and rows in one sequence don't see each other; only rows longer than `max_length` are
split. Unlike TRL's `bfd` nothing of them is lost.
"""

from bisect import bisect_left, insort
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int32]


def shuffled(n: int, seed: int) -> npt.NDArray[np.int64]:
    """The order in which `n` rows are packed, so that a block mixes the sources. The same for the same seed."""
    return np.random.default_rng(seed).permutation(n)


def wrap(rows: Sequence[Ids], max_length: int) -> tuple[Ids, npt.NDArray[np.int64]]:
    """All tokens in a row, and the bounds (`n + 1` of them) of the `n` sequences they are cut into."""
    joined = np.concatenate(rows) if rows else np.empty(0, np.int32)
    bounds = np.arange(0, len(joined) + max_length, max_length, dtype=np.int64)
    return joined, np.minimum(bounds, len(joined))


def fit(lengths: Sequence[int], max_length: int) -> list[list[tuple[int, int, int]]]:
    """Which parts of rows make each sequence: best fit, longest first (Johnson 1973: at most 11/9 of the fewest + 1).

    Args:
        lengths: tokens of each row; those of no token are left out.
        max_length: tokens of a sequence, at most.

    Returns:
        Sequences of (row, start, end); rows longer than `max_length` are split into parts of it and a rest.
    """
    parts = [
        (row, start, min(start + max_length, length))
        for row, length in enumerate(lengths)
        for start in range(0, length, max_length)
    ]
    parts.sort(key=lambda part: part[1] - part[2])
    sequences: list[list[tuple[int, int, int]]] = []
    room: list[list[int]] = [[] for _ in range(max_length + 1)]  # tokens left -> sequences
    open_rooms: list[int] = []  # those with a sequence, sorted
    for part in parts:
        size = part[2] - part[1]
        at = bisect_left(open_rooms, size)
        if at == len(open_rooms):
            sequences.append([])
            taken, left = len(sequences) - 1, max_length
        else:
            left = open_rooms[at]
            taken = room[left].pop()
            if not room[left]:
                open_rooms.pop(at)
        sequences[taken].append(part)
        left -= size
        if left and not room[left]:
            insort(open_rooms, left)
        if left:
            room[left].append(taken)
    return sequences
