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


def _interval(values: np.ndarray) -> tuple[float, float]:
    generator = np.random.default_rng(0)
    means = np.concatenate([
        values[generator.integers(0, len(values), (1000, len(values)))].mean(axis=1) for _ in range(N_DRAWS // 1000)
    ])  # fmt: skip
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)
