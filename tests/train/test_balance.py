"""Micro-batches of about equal work, from the same rows in every step."""

from itertools import combinations

import numpy as np
import pytest

from zephyr.train.balance import alike, even
from zephyr.train.batches import Cut, StepBatches, Weights

LENGTHS = np.random.default_rng(0).lognormal(6.5, 0.6, 320).clip(max=1600).astype(np.int64)


def batches(micro: int, processes: int, rank: int, weights: Weights | None, epoch: int = 1) -> list[list[int]]:
    cut = Cut(global_batch_size=32, micro_batch_size=micro, processes=processes)
    sampler = StepBatches(320, cut, rank=rank, seed=3, weights=weights)
    sampler.set_epoch(epoch)
    return list(sampler)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(("micro", "processes"), [(2, 16), (4, 8), (4, 2), (8, 1), (1, 4)])
def test_a_step_keeps_its_rows_and_a_micro_batch_its_size(micro: int, processes: int, padded: bool):
    weights = Weights(tokens=LENGTHS, padded=padded)
    plain, balanced = (
        [batches(micro, processes, rank, given) for rank in range(processes)] for given in (None, weights)
    )
    passes = 32 // (micro * processes)
    assert all(len(batch) == micro for rank in balanced for batch in rank)
    for step in range(10):
        window = slice(step * passes, (step + 1) * passes)
        rows = [sorted(row for rank in each for batch in rank[window] for row in batch) for each in (plain, balanced)]
        assert rows[0] == rows[1]
    assert balanced == [batches(micro, processes, rank, weights) for rank in range(processes)]  # seeded
    assert balanced != [batches(micro, processes, rank, weights, epoch=2) for rank in range(processes)]


def waited(micro: int, processes: int, weights: Weights | None) -> float:
    """Time with processes that wait for the slowest after every micro-batch, over that of perfect balance."""
    ranks = [batches(micro, processes, rank, weights) for rank in range(processes)]
    slowest = sum(max(LENGTHS[batch].sum() for batch in together) for together in zip(*ranks, strict=True))
    return float(slowest / (LENGTHS.sum() / processes))


@pytest.mark.parametrize(("micro", "processes"), [(2, 16), (4, 8), (4, 4), (2, 8)])
def test_processes_hardly_wait(micro: int, processes: int):
    excess = [waited(micro, processes, given) - 1 for given in (Weights(tokens=LENGTHS, padded=False), None)]
    assert excess[0] < (0.05 if micro == 4 else 0.5 * excess[1])  # a step's longest row alone outweighs two mean ones


def test_where_rows_are_padded_those_alike_are_together():
    tokens = Weights(tokens=LENGTHS, padded=True)
    padding = [sum(len(b) * LENGTHS[b].max() for b in batches(4, 1, 0, given)) for given in (None, tokens)]
    assert padding[1] < 0.75 * padding[0]
    assert alike(np.array([3, 9, 4, 9])) == [1, 3, 2, 0]


def test_the_smaller_last_step_is_left_as_it_is():
    cut = Cut(global_batch_size=8, micro_batch_size=2, processes=2)
    weights = Weights(tokens=LENGTHS[:21], padded=False)
    ends = [list(StepBatches(21, cut, rank=0, seed=1, weights=given))[4:] for given in (None, weights)]
    assert ends[0] == ends[1]


def test_the_heaviest_micro_batch_is_nearly_as_light_as_any_split_makes_it():
    draw = np.random.default_rng(1)
    for _ in range(50):
        lengths = draw.lognormal(6, 0.6, 8).astype(np.int64)
        order = even(lengths, 4, 2)
        found = max(lengths[order[:4]].sum(), lengths[order[4:]].sum())
        best = min(
            max(lengths[list(c)].sum(), lengths.sum() - lengths[list(c)].sum()) for c in combinations(range(8), 4)
        )
        assert sorted(order) == list(range(8)) and found <= 1.1 * best
