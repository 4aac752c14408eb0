from itertools import pairwise

import numpy as np
import pytest

from zephyr.data.tokens.pack import fit, shuffled, wrap


def rows(*lengths):
    values = iter(range(100_000))
    return [np.array([next(values) for _ in range(length)], np.int32) for length in lengths]


def blocks(found):
    joined, bounds = found
    return [joined[a:b].tolist() for a, b in pairwise(bounds)]


def test_rows_are_joined_and_cut_and_no_token_is_lost():
    assert blocks(wrap(rows(3, 4, 2), 4)) == [[0, 1, 2, 3], [4, 5, 6, 7], [8]]


def test_no_short_last_sequence_when_it_comes_out_even():
    assert blocks(wrap(rows(3, 5), 4)) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert blocks(wrap(rows(2), 4)) == [[0, 1]]
    assert blocks(wrap([], 4)) == []


def test_equals_trls_wrapped_packing():
    trl = pytest.importorskip("trl.data_utils")
    datasets = pytest.importorskip("datasets")
    made = rows(*np.random.default_rng(0).integers(1, 50, 200))
    theirs = trl.pack_dataset(
        datasets.Dataset.from_dict({"input_ids": [row.tolist() for row in made]}), 64, "wrapped"
    )["input_ids"]  # fmt: skip
    assert blocks(wrap(made, 64)) == list(theirs)


def test_the_shuffle_is_a_permutation_of_the_seed():
    assert sorted(shuffled(50, 1)) == list(range(50))
    assert list(shuffled(50, 1)) == list(shuffled(50, 1))
    assert list(shuffled(50, 1)) != list(shuffled(50, 2))


def test_fitted_rows_stay_whole_and_no_token_is_lost():
    lengths = [5, 9, 3, 16, 2, 7, 0, 21, 8]
    sequences = fit(lengths, 8)
    parts = sorted(part for sequence in sequences for part in sequence)
    assert [sum(end - start for row, start, end in parts if row == n) for n in range(9)] == lengths
    assert all(sum(end - start for _, start, end in sequence) <= 8 for sequence in sequences)
    whole = {row for row, start, end in parts if end - start == lengths[row]}
    assert whole == {n for n, length in enumerate(lengths) if 0 < length <= 8}
    assert [(start, end) for row, start, end in parts if row == 7] == [(0, 8), (8, 16), (16, 21)]


def test_fits_as_well_as_trl_and_almost_fills_the_window():
    trl = pytest.importorskip("trl.data_utils")
    datasets = pytest.importorskip("datasets")
    lengths = np.random.default_rng(0).lognormal(4, 0.8, 2000).astype(int).clip(1)
    sequences = fit(lengths.tolist(), 256)
    ids = [list(range(length)) for length in lengths]
    theirs = trl.pack_dataset(datasets.Dataset.from_dict({"input_ids": ids}), 256, "bfd_split", {"batch_size": 2000})
    assert len(sequences) <= len(theirs) and lengths.sum() / (256 * len(sequences)) > 0.98
