from itertools import pairwise

import numpy as np
import pytest

from zephyr.data.pack import shuffled, wrap


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
