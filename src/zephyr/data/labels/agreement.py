"""Agreement of a judge with itself: the same answers, judged several times.

Shares are over answers, or over two judgments of something; they come with a 95 % interval over prompts, since the
judgments of one prompt go together (ratio estimator, Cochran 1977, section 6.3).
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any

import numpy as np

SAME = 1e-9
"""Scores closer than this are the same: means of thirds and quarters differ in their last bits."""
Z = 1.959964
"""Standard normal quantile of a 95 % interval."""

Prompt = Sequence[tuple[float, ...]]
"""The answers to one prompt: of each its judgments; the same place means the same judgment session."""


def agreement(prompts: Sequence[Prompt]) -> dict[str, Any]:
    """How far repeated judgments agree on scores, on the order of two answers and on the best one."""
    counts = [_counts(prompt) for prompt in prompts]
    answers = [each for prompt in prompts for each in prompt]
    two = [abs(a - b) for each in answers for a, b in combinations(each, 2)]
    return {
        "n_prompts": len(prompts),
        "n_answers": len(answers),
        "all_equal": _share(counts, "all equal", ("answers",)),
        "two_equal": _share(counts, "two equal", ("two",)),
        "two_within_one": _share(counts, "two within one", ("two",)),
        "mean_difference": float(np.mean(two)),
        "reliability": _reliability(answers),
        "same_order": _share(counts, "order same", ("order same", "order opposite")),
        "order_undecided": _share(counts, "order tied", ("order same", "order opposite", "order tied")),
        "same_best": _share(counts, "best same", ("best same", "best other")),
        "best_undecided": _share(counts, "best tied", ("best same", "best other", "best tied")),
    }


def _counts(prompt: Prompt) -> Counter[str]:
    two = [abs(a - b) for each in prompt for a, b in combinations(each, 2)]
    counts = Counter[str]({
        "answers": len(prompt),
        "all equal": sum(max(each) - min(each) < SAME for each in prompt),
        "two": len(two),
        "two equal": sum(difference < SAME for difference in two),
        "two within one": sum(difference <= 1 + SAME for difference in two),
    })  # fmt: skip
    counts.update(_orders(prompt))
    counts.update(_bests(prompt))
    return counts


def _share(counts: Sequence[Counter[str]], hit: str, of: Sequence[str]) -> dict[str, float]:
    """A share over all prompts with its interval over prompts; with n = 0 there is none."""
    hits = np.array([each[hit] for each in counts], dtype=float)
    sizes = np.array([sum(each[name] for name in of) for each in counts], dtype=float)
    n, k = sizes.sum(), int((sizes > 0).sum())
    if n == 0:
        return {"n": 0}
    share = float(hits.sum() / n)
    found = {"value": share, "n": int(n)}
    if k < 2:
        return found
    half = Z * math.sqrt(float(((hits - share * sizes) ** 2).sum()) * k / (k - 1)) / n
    return found | {"low": max(0.0, share - half), "high": min(1.0, share + half)}


def _reliability(answers: Prompt) -> float | None:
    """Intraclass correlation ICC(1) of a single judgment (Shrout and Fleiss 1979), of answers judged equally often."""
    times = Counter(len(each) for each in answers).most_common(1)[0][0]
    table = np.array([each for each in answers if len(each) == times], dtype=float)
    if len(table) < 2:
        return None
    between = times * table.mean(axis=1).var(ddof=1)
    inside = table.var(axis=1, ddof=1).mean()
    whole = between + (times - 1) * inside
    return float((between - inside) / whole) if whole > 0 else None


def _orders(prompt: Prompt) -> Iterable[str]:
    """For every two answers and every two judgments: whether both put the same answer first."""
    for a, b in combinations(prompt, 2):
        signs = [0 if abs(x - y) < SAME else 1 if x > y else -1 for x, y in zip(a, b, strict=False)]
        for one, other in combinations(signs, 2):
            yield "order tied" if 0 in (one, other) else "order same" if one == other else "order opposite"


def _bests(prompt: Prompt) -> Iterable[str]:
    """For every two judgments of a prompt: whether they have the same best answer."""
    if len(prompt) < 2:
        return
    best = []
    for scores in zip(*prompt, strict=False):
        first = [n for n, score in enumerate(scores) if score >= max(scores) - SAME]
        best.append(first[0] if len(first) == 1 else None)
    for one, other in combinations(best, 2):
        yield "best tied" if one is None or other is None else "best same" if one == other else "best other"
