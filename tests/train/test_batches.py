"""Every optimizer step has its rows once, on any number of processes."""

import itertools

import pytest

from zephyr.train.batches import Cut, StepBatches

CUTS = [
    (micro, processes, accumulation)
    for micro, processes, accumulation in itertools.product((1, 2, 3, 8), (1, 2, 3, 16), (1, 2, 5))
]


@pytest.mark.parametrize(("micro", "processes", "accumulation"), CUTS)
def test_a_step_of_any_size_is_cut_evenly_and_no_row_counts_twice(micro, processes, accumulation):
    whole = micro * processes * accumulation
    cut = Cut(global_batch_size=whole, micro_batch_size=micro, processes=processes)
    for rows in range(1, whole + 1):
        plans = [cut.of(rows, rank) for rank in range(processes)]
        taken = [cut.positions(rows, rank) for rank in range(processes)]
        counted = [
            position
            for plan, passes in zip(plans, taken, strict=True)
            for micro_batch, positions in zip(plan, passes, strict=True)
            for position in (positions[:-1] if micro_batch.stands_in else positions)
        ]
        assert sorted(counted) == list(range(rows))
        shapes = {tuple(len(positions) for positions in passes) for passes in taken}
        assert len(shapes) == 1  # collectives need equal shapes everywhere
        assert max(shapes.pop()) <= micro and len(plans[0]) <= accumulation
    assert cut.positions(whole, 0)[0] == list(range(micro))


def epoch(rows: int, micro: int, processes: int, rank: int = 0, number: int = 0, seed: int = 1) -> list[list[int]]:
    sampler = StepBatches(
        rows, Cut(global_batch_size=12, micro_batch_size=micro, processes=processes), rank=rank, seed=seed
    )
    sampler.set_epoch(number)
    batches = list(sampler)
    assert len(batches) == len(sampler)
    return batches


@pytest.mark.parametrize(("micro", "processes"), [(12, 1), (1, 1), (3, 2), (2, 6), (1, 12)])
def test_each_step_has_the_same_rows_on_any_number_of_processes(micro, processes):
    alone = [row for batch in epoch(36, 4, 1) for row in batch]
    accumulation = 12 // (micro * processes)
    ranks = [epoch(36, micro, processes, rank) for rank in range(processes)]
    for step in range(3):
        passes = range(step * accumulation, (step + 1) * accumulation)
        together = {row for batches in ranks for k in passes for row in batches[k]}
        assert together == set(alone[step * 12 : step * 12 + 12])


def test_epochs_and_seeds_have_orders_of_their_own():
    orders = [
        tuple(row for batch in epoch(36, 12, 1, number=number, seed=seed) for row in batch)
        for number in (0, 1)
        for seed in (1, 2)
    ]
    assert len(set(orders)) == 4 and all(sorted(order) == list(range(36)) for order in orders)
