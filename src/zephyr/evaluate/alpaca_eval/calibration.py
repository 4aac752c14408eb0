"""How another judge's preferences relate to known ones on the same pairs: win rate, agreement."""

from collections.abc import Sequence
from dataclasses import dataclass

from zephyr.evaluate.alpaca_eval.files import Annotation
from zephyr.evaluate.alpaca_eval.judging import BASELINE, DRAW
from zephyr.evaluate.statistics import paired_difference, rank_correlation


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Our judge beside the known one."""

    known_judge: str
    judge: str
    offset: float
    """Our win rate minus the known one, in points."""
    interval: tuple[float, float]
    """Of the offset, 95 %, over instructions."""
    rank_correlation: float | None
    """Spearman's, over pairs; None where a judge preferred one side throughout."""
    same: float
    """Share of pairs with the same winner; a draw is a winner of its own."""
    known_rate: float
    """The known judge's win rate, in percent."""
    rate: float
    """Ours."""
    n: int
    """Pairs that both judged."""
    n_failed: int
    """Pairs with a known preference that our judge gave none for."""


def calibrate(known: Sequence[Annotation], ours: Sequence[Annotation]) -> Calibration | None:
    """Compares preferences on the pairs that both judged; None for fewer than two of them."""
    theirs = {_pair(each): each.preference for each in known if each.preference is not None}
    here = {_pair(each): each.preference for each in ours if _pair(each) in theirs}
    both = {pair: preference for pair, preference in here.items() if preference is not None}
    if len(both) < 2:
        return None
    a, b = [_percent(theirs[pair]) for pair in both], [_percent(each) for each in both.values()]
    offset = paired_difference(a, b)
    return Calibration(
        known_judge=", ".join(dict.fromkeys(each.annotator for each in known)),
        judge=", ".join(dict.fromkeys(each.annotator for each in ours)),
        offset=offset.value,
        interval=offset.interval,
        rank_correlation=rank_correlation(a, b),
        same=sum(_winner(theirs[pair]) == _winner(each) for pair, each in both.items()) / len(both),
        known_rate=sum(a) / len(a),
        rate=sum(b) / len(b),
        n=len(both),
        n_failed=len(here) - len(both),
    )


def _pair(annotation: Annotation) -> tuple[str, str, str]:
    return annotation.instruction, annotation.output_1, annotation.output_2


def _percent(preference: float) -> float:
    return 100 * (preference - BASELINE)


def _winner(preference: float) -> int:
    return (preference > DRAW) - (preference < DRAW)
