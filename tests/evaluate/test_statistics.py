import numpy as np
import pytest

from zephyr.evaluate.statistics import (
    bootstrap_mean,
    clustered_difference,
    clustered_mean,
    paired_difference,
    rank_correlation,
    standard_error,
)


def test_the_interval_is_that_of_a_normal_mean() -> None:
    values = np.random.default_rng(1).normal(5, 2, 400)
    found = bootstrap_mean(values.tolist())
    low, high = found.interval
    half = 1.96 * values.std() / 400**0.5
    assert found.value == pytest.approx(values.mean())
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.02)
    assert found.n == 400


def test_the_same_scores_give_the_same_interval() -> None:
    assert bootstrap_mean([1, 5, 3, 8]) == bootstrap_mean([1, 5, 3, 8])


def test_equal_scores_have_no_width() -> None:
    assert bootstrap_mean([3.0] * 10).interval == (3.0, 3.0)


def test_pairing_separates_what_the_spread_of_prompts_would_hide() -> None:
    prompts = np.random.default_rng(2).uniform(1, 10, 200)
    better = prompts + np.random.default_rng(3).normal(0.1, 0.3, 200)
    unpaired_overlap = bootstrap_mean(prompts.tolist()).interval[1] > bootstrap_mean(better.tolist()).interval[0]
    found = paired_difference(prompts.tolist(), better.tolist())
    assert unpaired_overlap
    assert found.separable
    assert found.value == pytest.approx((better - prompts).mean())


def test_noise_is_not_separable() -> None:
    noise = np.random.default_rng(4).normal(0, 1, 200)
    noise -= noise.mean()
    assert not paired_difference([0.0] * 200, noise.tolist()).separable


def test_scores_of_different_prompts_are_refused() -> None:
    with pytest.raises(ValueError, match="2 and 3 given"):
        paired_difference([1, 2], [1, 2, 3])


def test_groups_are_drawn_whole() -> None:
    alike = [[level, level] for level in np.random.default_rng(5).normal(5, 2, 100)]
    found, twice = clustered_mean(alike), bootstrap_mean([value for group in alike for value in group])
    assert found.value == pytest.approx(twice.value)
    assert found.n == 200
    wide, narrow = (high - low for low, high in (found.interval, twice.interval))
    assert wide == pytest.approx(2**0.5 * narrow, rel=0.1)


def test_groups_of_other_sizes_weigh_by_their_values() -> None:
    found = clustered_mean([[1, 1, 1], [5], []])
    assert found.value == 2 and found.n == 4


def test_one_value_a_group_is_the_plain_bootstrap() -> None:
    values = np.random.default_rng(6).normal(5, 2, 100).tolist()
    grouped, plain = clustered_mean([[value] for value in values]), bootstrap_mean(values)
    assert (grouped.value, grouped.interval, grouped.n) == (plain.value, plain.interval, plain.n)


def test_one_group_says_nothing_of_others() -> None:
    assert clustered_mean([[7, 9]]).bounds is None and bootstrap_mean([7]).bounds is None
    assert clustered_mean([[7], [9]]).bounds == (7, 9)


def test_no_value_is_no_mean() -> None:
    with pytest.raises(ValueError, match="no value"):
        clustered_mean([[], []])


def test_differences_in_groups() -> None:
    found = clustered_difference([[1, 1.5], [0.5], [1.2, 0.8]])
    assert found.value == 1 and found.n == 3 and found.separable


def test_the_standard_error_is_the_samples() -> None:
    assert standard_error([0, 100, 100, 50]) == pytest.approx(23.935677)
    assert standard_error([1]) is None


def test_rank_correlation_is_spearmans() -> None:
    assert rank_correlation([1, 2, 2, 4], [1, 3, 2, 4]) == pytest.approx(0.9486833)  # ranks 1, 2.5, 2.5, 4
    assert rank_correlation([1, 2, 3], [10, 100, 1000]) == pytest.approx(1)
    assert rank_correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert rank_correlation([1, 2, 3], [5, 5, 5]) is None
    with pytest.raises(ValueError, match="2 and 1 given"):
        rank_correlation([1, 2], [1])
