"""Intervals: how far a mean, or a difference of two models on the same prompts, would move with other prompts.

Resampled are prompts, each with all its turns, since turns of one dialogue go together. What another training seed
would give is another question; the report answers it where there are runs of several seeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

N_DRAWS = 10_000


@dataclass(frozen=True, kw_only=True)
class Mean:
    """A mean over prompts with its 95 % interval."""

    value: float
    interval: tuple[float, float]
    n: int
    n_groups: int | None = None
    """What was drawn again, where that is not single values."""

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The interval; None where a single prompt or group says nothing of others."""
        return self.interval if (self.n_groups or self.n) > 1 else None


@dataclass(frozen=True, kw_only=True)
class Difference(Mean):
    """A mean paired difference with its 95 % interval."""

    @property
    def separable(self) -> bool:
        """Whether the interval excludes zero."""
        low, high = self.interval
        return low > 0 or high < 0


def bootstrap_mean(scores: Sequence[float]) -> Mean:
    """Mean of one score per prompt, with the percentile bootstrap's interval (10,000 draws, fixed seed)."""
    values = np.asarray(scores, dtype=float)
    return Mean(value=float(values.mean()), interval=_interval(values), n=len(values))


def paired_difference(a: Sequence[float], b: Sequence[float]) -> Difference:
    """Mean of b - a, prompt by prompt, with its bootstrap interval."""
    if len(a) != len(b):
        raise ValueError(f"paired scores must be of the same prompts: {len(a)} and {len(b)} given")
    differences = np.asarray(b, dtype=float) - np.asarray(a, dtype=float)
    return Difference(value=float(differences.mean()), interval=_interval(differences), n=len(differences))


def clustered_mean(groups: Sequence[Sequence[float]]) -> Mean:
    """Mean over all values; drawn again are whole groups, since values of one group go together.

    A group is a question with its scores: two turns, or each turn rated several times. `n` counts values. Groups
    without a value count for nothing; ValueError when there is no value at all.
    """
    sums, counts = _sums_and_counts(groups)
    value, interval = float(sums.sum() / counts.sum()), _ratio_interval(sums, counts)
    return Mean(value=value, interval=interval, n=int(counts.sum()), n_groups=len(counts))


def clustered_difference(groups: Sequence[Sequence[float]]) -> Difference:
    """Mean of paired differences (b - a), drawn again by group; `n` counts groups, as each is one independent pair."""
    sums, counts = _sums_and_counts(groups)
    interval = _ratio_interval(sums, counts)
    return Difference(value=float(sums.sum() / counts.sum()), interval=interval, n=len(counts))


def standard_error(values: Sequence[float]) -> float | None:
    """Of the mean of independent values, the sample's deviation with n - 1; None for fewer than two."""
    if len(values) < 2:
        return None
    return float(np.std(np.asarray(values, dtype=float), ddof=1) / np.sqrt(len(values)))


def rank_correlation(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Spearman's, ties with their mean rank; None where either side is all the same."""
    if len(a) != len(b):
        raise ValueError(f"paired scores must be of the same prompts: {len(a)} and {len(b)} given")
    first, second = _ranks(a), _ranks(b)
    if len(a) < 2 or first.std() == 0 or second.std() == 0:
        return None
    return float(np.corrcoef(first, second)[0, 1])


def _ranks(values: Sequence[float]) -> np.ndarray:
    _, place, counts = np.unique(np.asarray(values, dtype=float), return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]


def _sums_and_counts(groups: Sequence[Sequence[float]]) -> tuple[np.ndarray, np.ndarray]:
    filled = [group for group in groups if len(group)]
    if not filled:
        raise ValueError("no value in any group")
    return np.asarray([sum(group) for group in filled], dtype=float), np.asarray([len(group) for group in filled])


def _ratio_interval(sums: np.ndarray, counts: np.ndarray) -> tuple[float, float]:
    generator = np.random.default_rng(0)
    means = []
    for _ in range(N_DRAWS // 1000):
        drawn = generator.integers(0, len(sums), (1000, len(sums)))
        means.append(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1))
    low, high = np.percentile(np.concatenate(means), [2.5, 97.5])
    return float(low), float(high)


def _interval(values: np.ndarray) -> tuple[float, float]:
    generator = np.random.default_rng(0)
    means = np.concatenate([
        values[generator.integers(0, len(values), (1000, len(values)))].mean(axis=1) for _ in range(N_DRAWS // 1000)
    ])  # fmt: skip
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)
