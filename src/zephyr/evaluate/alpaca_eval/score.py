"""AlpacaEval's figures from annotations: win rate with standard error and interval, lengths; two models compared.

The win rate is AlpacaEval's: the mean of preference - 1 in percent, a draw being a half. What could not be read is
counted and is in no mean. Longer answers win more often, so the mean length stands beside each rate.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from zephyr.evaluate.alpaca_eval.files import Annotation
from zephyr.evaluate.alpaca_eval.judging import BASELINE, DRAW
from zephyr.evaluate.statistics import Difference, Mean, bootstrap_mean, paired_difference, standard_error


@dataclass(frozen=True, kw_only=True)
class WinRate:
    """One model against a baseline, by one judge."""

    model: str
    baseline: str
    annotator: str
    rate: Mean | None
    """Percent won, with its interval; None when no pair was judged."""
    standard_error: float | None
    """Of the rate, in points."""
    wins: int
    losses: int
    draws: int
    n_failed: int
    """Pairs without a preference that could be read."""
    length: float
    """Mean characters of the model's answers, all of them."""
    baseline_length: float
    """Mean characters of the baseline's."""
    notes: tuple[str, ...]
    """What a reader must know of these annotations."""
    cells: Mapping[str, float]
    """Instruction -> percent won (0 to 100): what another model is compared on."""

    @property
    def n(self) -> int:
        """Pairs with a preference."""
        return self.rate.n if self.rate else 0


def win_rates(annotations: Sequence[Annotation]) -> list[WinRate]:
    """Figures of every model, baseline and judge among the annotations, best first."""
    groups: dict[tuple[str, str, str], list[Annotation]] = defaultdict(list)
    for each in annotations:
        groups[each.generator_2, each.generator_1, each.annotator].append(each)
    found = [_win_rate(*names, group) for names, group in groups.items()]
    return sorted(found, key=lambda each: -each.rate.value if each.rate else 0)


def _win_rate(model: str, baseline: str, annotator: str, rows: list[Annotation]) -> WinRate:
    annotations = list(dict.fromkeys(rows))  # the same annotation twice is one
    judged = [(each.instruction, each.preference) for each in annotations if each.preference is not None]
    percent = [100 * (preference - BASELINE) for _, preference in judged]
    cells: dict[str, list[float]] = defaultdict(list)
    for (instruction, _), won in zip(judged, percent, strict=True):
        cells[instruction].append(won)
    return WinRate(
        model=model,
        baseline=baseline,
        annotator=annotator,
        rate=bootstrap_mean(percent) if percent else None,
        standard_error=standard_error(percent),
        wins=sum(preference > DRAW for _, preference in judged),
        losses=sum(preference < DRAW for _, preference in judged),
        draws=sum(preference == DRAW for _, preference in judged),
        n_failed=len(annotations) - len(judged),
        length=mean(len(each.output_2) for each in annotations),
        baseline_length=mean(len(each.output_1) for each in annotations),
        notes=tuple(_notes(cells, len(rows) - len(annotations))),
        cells={instruction: mean(won) for instruction, won in cells.items()},
    )


def _notes(cells: Mapping[str, Sequence[float]], n_left_out: int) -> list[str]:
    notes = []
    if n_left_out:
        notes.append(f"{n_left_out} rows of the file repeat another one and were left out")
    if repeated := sum(len(won) > 1 for won in cells.values()):
        notes.append(f"{repeated} instructions were judged more than once; each judgment counts")
    return notes


def summary(found: WinRate) -> dict[str, Any]:
    """As an `evaluate` run's result.json has it, for the report; the score is the win rate."""
    return {
        "score": found.rate.value if found.rate else None,
        "interval": found.rate and found.rate.bounds,
        "standard_error": found.standard_error,
        "n": found.n,
        "n_failed": found.n_failed,
        "judge": found.annotator,
        "baseline": found.baseline,
        "wins": found.wins,
        "losses": found.losses,
        "draws": found.draws,
        "length": found.length,
        "baseline_length": found.baseline_length,
        "notes": list(found.notes),
    }


def compare(a: WinRate, b: WinRate) -> Difference | str:
    """Mean of b - a in points over the instructions that both were judged on; or why they can't be compared."""
    if (a.annotator, a.baseline) != (b.annotator, b.baseline):
        return f"other judges or baselines ({a.annotator} against {a.baseline}, {b.annotator} against {b.baseline})"
    common = [instruction for instruction in a.cells if instruction in b.cells]
    if len(common) < 2:
        return "no two instructions in common"
    return paired_difference([a.cells[each] for each in common], [b.cells[each] for each in common])
