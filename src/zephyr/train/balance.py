"""How the rows of one optimizer step are split over micro-batches and processes, by their length.

Which rows make the step, and how many make a micro-batch, stays as it is; so do the loss and the gradient, which are
means over the step's rows. Only the waiting goes: processes meet after every micro-batch, so the slowest counts.
"""

import heapq

import numpy as np
import numpy.typing as npt

Lengths = npt.NDArray[np.int64]


def even(lengths: Lengths, size: int, processes: int) -> list[int]:
    """Order of a step's rows in which consecutive micro-batches have about as many tokens each.

    Longest first into the lightest micro-batch with room (Graham's LPT with a cap), then swaps between the heaviest and
    the lightest. Micro-batches that run at the same time are next to each other in weight.

    Args:
        lengths: tokens of each row of the step; as many rows as a whole number of micro-batches.
        size: rows of a micro-batch.
        processes: micro-batches that run at the same time.
    """
    bins: list[list[int]] = [[] for _ in range(len(lengths) // size)]
    loads = [0] * len(bins)
    lightest = [(0, n) for n in range(len(bins))]
    for row in np.argsort(-lengths, kind="stable"):
        load, n = heapq.heappop(lightest)
        bins[n].append(int(row))
        loads[n] = load + int(lengths[row])
        if len(bins[n]) < size:
            heapq.heappush(lightest, (loads[n], n))
    for _ in range(4 * len(bins)):
        if not _swapped(bins, loads, lengths):
            break
    by_load = sorted(range(len(bins)), key=lambda n: (-loads[n], n))
    return [row for n in by_load for row in bins[n]]


def _swapped(bins: list[list[int]], loads: list[int], lengths: Lengths) -> bool:
    """Exchanges the two rows of the heaviest and the lightest micro-batch that bring them closest; False: none does."""
    heavy, light = int(np.argmax(loads)), int(np.argmin(loads))
    gap = loads[heavy] - loads[light]
    moved = lengths[bins[heavy]][:, None] - lengths[bins[light]][None, :]
    rest = np.abs(gap - 2 * moved)
    here, there = np.unravel_index(int(np.argmin(rest)), rest.shape)
    if rest[here, there] >= gap:
        return False
    bins[heavy][here], bins[light][there] = bins[light][there], bins[heavy][here]
    loads[heavy] -= int(moved[here, there])
    loads[light] += int(moved[here, there])
    return True


def alike(lengths: Lengths) -> list[int]:
    """Order of a step's rows in which those of a micro-batch are alike, where each is padded to the longest."""
    return [int(row) for row in np.argsort(-lengths, kind="stable")]
