"""The label report: what preference labels are like before anything is trained on them.

Differences of the scores, ties, lengths and how often the longer answer wins, agreement of repeated judgments, and
values that can hardly be right. Lengths are in characters; shares come with Wilson's 95 % interval and their n.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from zephyr.data.labels.agreement import SAME, Z, agreement
from zephyr.data.ultrafeedback import Score, ScoredPrompt

IDENTICAL = "chosen equal to rejected"
EMPTY = "empty answer"
TRUNCATED = "answer cut at the length limit"
DUPLICATE_ANSWERS = "prompts with two equal answers"
GAPS = (0.0, 0.5, 1.0, 2.0, 3.0, 5.0, math.inf)
"""Upper bounds of the bins in which differences of scores are counted; the first holds ties."""


@dataclass
class Labels:
    """Collects what the report needs, row by row: numbers, no texts."""

    lengths: list[tuple[int, int]] = field(default_factory=list)
    """Per pair: characters of the chosen, of the rejected answer."""
    scores: list[tuple[float, float]] = field(default_factory=list)
    """Per pair: its scores; NaN where it has none."""
    answers: list[tuple[float, int]] = field(default_factory=list)
    """Per scored answer: score, characters."""
    within: list[float] = field(default_factory=list)
    """Per prompt whose scores and lengths vary: Spearman's correlation of the two."""
    models: dict[str, list[tuple[float, int]]] = field(default_factory=dict)
    """Model -> score and characters of each of its answers."""
    sides: dict[str, Counter[str]] = field(default_factory=lambda: {"chosen": Counter(), "rejected": Counter()})
    """How often each model's answer is on a side."""
    judged: list[list[tuple[float, ...]]] = field(default_factory=list)
    """Per prompt with answers judged several times: the judgments of each of these."""
    suspicious: Counter[str] = field(default_factory=Counter)

    def add_pair(
        self, chosen: str, rejected: str, scores: tuple[float, float] | None = None, models: tuple[str, str] = ("", "")
    ) -> None:
        """Counts a pair; without scores, that it was preferred is all that is known."""
        self.lengths.append((len(chosen), len(rejected)))
        self.scores.append(scores or (math.nan, math.nan))
        for side, model in zip(("chosen", "rejected"), models, strict=True):
            if model:
                self.sides[side][model] += 1
        if chosen.strip() == rejected.strip():
            self.suspicious[IDENTICAL] += 1
        elif not chosen.strip() or not rejected.strip():
            self.suspicious[f"pair with an {EMPTY}"] += 1

    def add_prompt(self, row: ScoredPrompt, which: Score) -> None:
        """Counts the answers to a prompt, by the score that counts."""
        scored = [(score, len(each.text)) for each in row.answers if (score := each.score(which)) is not None]
        self.answers += scored
        for each in row.answers:
            score = each.score(which)
            if each.model and score is not None:
                self.models.setdefault(each.model, []).append((score, len(each.text)))
            self.suspicious.update(each.suspicious)
            self.suspicious.update([EMPTY] if not each.text.strip() else [])
            self.suspicious.update([TRUNCATED] if each.truncated else [])
        texts = [each.text.strip() for each in row.answers]
        self.suspicious.update([DUPLICATE_ANSWERS] if len(set(texts)) < len(texts) else [])
        rho = spearman(scored) if len(scored) > 2 else None
        self.within += [] if rho is None else [rho]
        repeated = [each.judgments for each in row.answers if len(each.judgments) > 1]
        if repeated:
            self.judged.append(repeated)

    def figures(self) -> dict[str, Any]:
        """The report's figures; what there is nothing to say about is left out."""
        found: dict[str, Any] = {}
        if self.lengths:
            found["pairs"] = _pairs(np.array(self.lengths, dtype=float), np.array(self.scores, dtype=float))
        if self.answers:
            found["answers"] = _answers(self.answers, self.within)
        if self.models or any(self.sides.values()):
            found["models"] = _models(self.models, self.sides)
        if self.judged:
            found["agreement"] = agreement(self.judged)
        found["suspicious"] = dict(self.suspicious.most_common())
        return found


# Statistics


def share(hits: int, n: int) -> dict[str, float]:
    """A share with Wilson's 95 % interval; with n = 0 there is none."""
    if n == 0:
        return {"n": 0}
    p, spread = hits / n, Z * Z / n
    middle = (p + spread / 2) / (1 + spread)
    half = math.sqrt(p * (1 - p) * spread + spread * spread / 4) / (1 + spread)
    return {"value": p, "low": max(0.0, middle - half), "high": min(1.0, middle + half), "n": n}


def spearman(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Spearman's rank correlation, ties with their mean rank; None where one of the two doesn't vary."""
    a, b = (_ranks(column) for column in zip(*pairs, strict=True))
    if len(pairs) < 2 or a.std() == 0 or b.std() == 0:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def _ranks(values: Iterable[float]) -> np.ndarray:
    _, inverse, counts = np.unique(np.array(list(values), dtype=float), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def _spearman(pairs: Sequence[tuple[float, float]]) -> dict[str, float]:
    """With Bonett and Wright's interval (2000), as if the answers were independent."""
    rho, n = spearman(pairs), len(pairs)
    if rho is None or n < 4:
        return {"n": n}
    half = Z * math.sqrt((1 + rho * rho / 2) / (n - 3))
    middle = math.atanh(max(-1 + 1e-12, min(1 - 1e-12, rho)))
    return {"value": rho, "low": math.tanh(middle - half), "high": math.tanh(middle + half), "n": n}


def _mean(values: Sequence[float]) -> dict[str, float]:
    """A mean with its 95 % interval by the normal approximation."""
    if not values:
        return {"n": 0}
    mean = float(np.mean(values))
    half = Z * float(np.std(values, ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    interval = {} if math.isnan(half) else {"low": mean - half, "high": mean + half}
    return {"value": mean, **interval, "n": len(values)}


def _summary(values: np.ndarray) -> dict[str, float]:
    low, median, high = np.percentile(values, [10, 50, 90])
    return {"mean": float(values.mean()), "p10": float(low), "median": float(median), "p90": float(high)}


# Parts of the report


def _pairs(lengths: np.ndarray, scores: np.ndarray) -> dict[str, Any]:
    chosen, rejected = lengths[:, 0], lengths[:, 1]
    gaps = scores[:, 0] - scores[:, 1]
    scored = ~np.isnan(gaps)
    tied = scored & (np.abs(gaps) < SAME)
    unlike = chosen != rejected
    won = ~tied & unlike
    found: dict[str, Any] = {
        "n": len(lengths),
        "n_scored": int(scored.sum()),
        "chosen_characters": _summary(chosen),
        "rejected_characters": _summary(rejected),
        "longer_is_chosen": share(int((chosen > rejected).sum()), int(unlike.sum())),
        "longer_wins": share(int((won & (chosen > rejected)).sum()), int(won.sum())),
    }
    both = (chosen > 0) & (rejected > 0)
    if both.any():
        found["median_length_ratio"] = float(np.median(chosen[both] / rejected[both]))
    if scored.any():
        found["ties"] = share(int(tied.sum()), int(scored.sum()))
        found["inverted"] = int((gaps[scored] < -SAME).sum())
        found["gap"] = _summary(gaps[scored])
        found["gaps"] = _binned(gaps[scored])
    return found


def _binned(gaps: np.ndarray) -> dict[str, int]:
    rounded = np.abs(np.where(np.abs(gaps) < SAME, 0, gaps)) - SAME
    places = np.clip(np.searchsorted(GAPS, rounded), 0, len(GAPS) - 1)
    names = ["0", *(f"up to {high:g}" for high in GAPS[1:-1]), f"above {GAPS[-2]:g}"]
    return {name: int((places == n).sum()) for n, name in enumerate(names)}


def _answers(answers: list[tuple[float, int]], within: list[float]) -> dict[str, Any]:
    columns = np.array(answers, dtype=float)
    return {
        "n": len(answers),
        "score": _summary(columns[:, 0]),
        "characters": _summary(columns[:, 1]),
        "score_length_spearman": _spearman(answers),
        "score_length_spearman_within_prompts": _mean(within),
    }


def _models(models: dict[str, list[tuple[float, int]]], sides: dict[str, Counter[str]]) -> dict[str, Any]:
    names = sorted({*models, *sides["chosen"], *sides["rejected"]})
    found = {}
    for name in names:
        columns = np.array(models.get(name, []), dtype=float).reshape(-1, 2)
        means = (
            {"score": float(columns[:, 0].mean()), "characters": float(columns[:, 1].mean())} if len(columns) else {}
        )
        counts = {side: counter[name] for side, counter in sides.items()}
        found[name] = {"answers": len(columns), **means, **counts}
    return found
