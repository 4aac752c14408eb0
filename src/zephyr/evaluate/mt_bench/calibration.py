"""How another judge's ratings relate to known ones of the same answers: offset, rank correlation, agreement.

A judge other than the paper's is on another scale. It is given prompts that have a known rating (FastChat's stored
judgments, by GPT-4) and what it says is set beside that.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import mean
from typing import Any

from zephyr.evaluate.mt_bench.files import Judgment
from zephyr.evaluate.statistics import Difference, clustered_difference, rank_correlation

Cell = tuple[str, int, int, str]
"""Model, question, turn, and the prompt, since a model's name may stand for several sets of answers."""


@dataclass(frozen=True, kw_only=True)
class ModelMeans:
    """One model's mean rating by both judges, over the turns that both rated."""

    model: str
    known: float
    ours: float


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Our judge beside the known one."""

    known_judge: str
    judge: str
    offset: Difference
    """Ours minus known, in points, drawn again by question; `n` counts questions."""
    rank_correlation: float | None
    """Spearman's, over turns; None where a judge gave one rating to all."""
    same: float
    """Share of turns with the same rating, both rounded to whole points."""
    within_one: float
    """Share of turns at most one point apart."""
    n: int
    """Turns that both rated."""
    n_failed: int
    """Turns with a known rating that our judge gave none for."""
    models: tuple[ModelMeans, ...]
    """Best first by the known judge: whether ours puts them in the same order."""


def calibrate(known: Sequence[Judgment], ours: Sequence[Judgment]) -> Calibration | None:
    """Compares the ratings of turns that were judged in both; None when fewer than two questions were rated in both.

    Turns that only one of the two was asked about are left out. A turn rated several times counts with its mean.
    """
    theirs, here = _ratings(known), _ratings(ours)
    asked = [cell for cell in _cells(ours) if cell in theirs]
    both = [cell for cell in asked if cell in here]
    by_question: dict[int, list[float]] = defaultdict(list)
    for cell in both:
        by_question[cell[1]].append(here[cell] - theirs[cell])
    if len(by_question) < 2:
        return None
    return Calibration(
        known_judge=_judges(known),
        judge=_judges(ours),
        offset=clustered_difference(list(by_question.values())),
        rank_correlation=rank_correlation([theirs[cell] for cell in both], [here[cell] for cell in both]),
        same=mean(round(here[cell]) == round(theirs[cell]) for cell in both),
        within_one=mean(abs(here[cell] - theirs[cell]) <= 1 for cell in both),
        n=len(both),
        n_failed=len(asked) - len(both),
        models=_models(both, theirs, here),
    )


def summary(found: Calibration) -> dict[str, Any]:
    """As an `evaluate` run's result.json has it."""
    return {
        "known_judge": found.known_judge,
        "judge": found.judge,
        "offset": found.offset.value,
        "interval": found.offset.bounds,
        "rank_correlation": found.rank_correlation,
        "same": found.same,
        "within_one": found.within_one,
        "n": found.n,
        "n_failed": found.n_failed,
        "models": [asdict(each) for each in found.models],
    }


def _cell(judgment: Judgment) -> Cell:
    return judgment.model, judgment.question_id, judgment.turn, judgment.user_prompt


def _cells(judgments: Iterable[Judgment]) -> list[Cell]:
    return list(dict.fromkeys(_cell(each) for each in judgments))


def _ratings(judgments: Iterable[Judgment]) -> dict[Cell, float]:
    found: dict[Cell, list[float]] = defaultdict(list)
    for each in judgments:
        if each.score is not None:
            found[_cell(each)].append(each.score)
    return {cell: mean(ratings) for cell, ratings in found.items()}


def _models(
    both: Sequence[Cell], theirs: Mapping[Cell, float], here: Mapping[Cell, float]
) -> tuple[ModelMeans, ...]:  # fmt: skip
    found = []
    for model in dict.fromkeys(cell[0] for cell in both):
        own = [cell for cell in both if cell[0] == model]
        known, ours = mean(theirs[cell] for cell in own), mean(here[cell] for cell in own)
        found.append(ModelMeans(model=model, known=known, ours=ours))
    return tuple(sorted(found, key=lambda each: -each.known))


def _judges(judgments: Iterable[Judgment]) -> str:
    return ", ".join(dict.fromkeys(each.judge for each in judgments))
