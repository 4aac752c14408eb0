"""What a study's table says in words: differences from the base row, what sharing saved, what to be careful about."""

from collections.abc import Sequence

from zephyr.report.scales import SCALES
from zephyr.report.wording import count, percent, times
from zephyr.study.report.columns import Column
from zephyr.study.report.compare import Compared
from zephyr.study.report.outcome import RowOutcome, Spent, StudyOutcome
from zephyr.study.report.table import Tabled, bounds_in_words, spent_in_words


def cautions(columns: Sequence[Column]) -> tuple[str, ...]:
    """What must be said beside the scores of the table's benchmarks."""
    found = (SCALES[each.benchmark].caution for each in columns if each.benchmark in SCALES)
    return tuple(dict.fromkeys(each for each in found if each))


def saving(outcome: StudyOutcome) -> str:
    """What the runs took, and once all are begun what sharing saved."""
    together = sum((each.spent for each in outcome.works), Spent())
    alone = sum((row.own + row.shared for row in outcome.rows), Spent())
    begun = sum(each.run is not None for each in outcome.works)
    total, single = together.gpu_s or together.cpu_s, alone.gpu_s or alone.cpu_s
    if not total:
        return ""
    text = f"{times(begun, 'run')} took {spent_in_words(together)}"
    if begun < len(outcome.works):
        text = f"{begun} of {len(outcome.works)} runs are begun and took {spent_in_words(together)} so far"
    if begun < len(outcome.works) or single <= total:  # on the way the shared runs, which come first, would be all
        return f"{text}."
    return f"{text}; each row by itself, {spent_in_words(alone)}: sharing saves {percent(1 - total / single)}."


def sentences(found: Tabled, column: Column) -> tuple[str, ...]:
    """A column's differences from the base row in words."""
    return tuple(_sentence(found, column, row, compared) for row, compared in _told(found, column))


def in_brief(found: Tabled, column: Column) -> tuple[str, ...]:
    """A column's differences in words, where a sentence for each row would be too many."""
    sides: dict[str, list[str]] = {"above": [], "below": [], "not separable from": [], "the same run as": []}
    for row, compared in _told(found, column):
        side = "above" if compared.difference > 0 else "below"
        side = side if compared.separable else "the same run as" if compared.same else "not separable from"
        sides[side].append(row.name)
    base = found.outcome.base.name
    return tuple(_side(side, base, names) for side, names in sides.items() if names)


def _side(side: str, base: str, names: Sequence[str]) -> str:
    return f"{side[0].upper()}{side[1:]} {base}: {'; '.join(names)}."


def _told(found: Tabled, column: Column) -> list[tuple[RowOutcome, Compared]]:
    """Rows whose difference has an interval, or is none because they are the base row's run."""
    there = ((row, found.of(row, column).compared) for row in found.outcome.rows)
    return [(row, each) for row, each in there if isinstance(each, Compared) and (each.interval or each.same)]


def _sentence(found: Tabled, column: Column, row: RowOutcome, compared: Compared) -> str:
    base = found.outcome.base.name
    if compared.same:
        return f"{row.name} is the same run as {base}: what they set differently changes no figure."
    size = times(compared.n, "seed") if found.outcome.over_seeds else f"n = {count(compared.n)}"
    low, high = compared.interval or (0.0, 0.0)
    if not compared.separable:
        difference, told = column.shown_difference(compared.difference), bounds_in_words(column, (low, high))
        return f"{row.name} and {base} are not separable: {difference} (95 % interval {told}, {size})."
    side, low, high = ("above", low, high) if compared.difference > 0 else ("below", -high, -low)
    difference, told = column.shown(abs(compared.difference)), bounds_in_words(column, (low, high))
    return f"{row.name} is {side} {base} by {difference} (95 % interval {told}, {size})."
