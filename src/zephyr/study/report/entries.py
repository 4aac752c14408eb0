"""Every figure of the table: a row's, with interval, n and failures, and its difference from the base row's."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from statistics import mean
from typing import Any

from zephyr.evaluate.statistics import Mean, clustered_mean
from zephyr.report.seeds import student_interval
from zephyr.study.report.columns import Column, place
from zephyr.study.report.comparable import NOT_COMPARED, why_apart
from zephyr.study.report.compare import SAME, Compared, by_question, on_the_same_questions, over_seeds
from zephyr.study.report.outcome import CellOutcome, RowOutcome, StudyOutcome


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A number with what makes it one."""

    value: float
    interval: tuple[float, float] | None
    """95 %, over questions of one run or over seeds."""
    n: int | None
    """Questions (rows of held-out data), or seeds; None where it is not known."""
    n_failed: int | None
    """Questions without a score, in all seeds; None where nothing can fail."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One row's figure in one column."""

    row: RowOutcome
    column: Column
    figure: Figure | None
    """None: not there (yet)."""
    seeds: tuple[tuple[int | None, Figure | None], ...]
    """Each seed's own."""
    compared: Compared | str | None
    """The difference from the base row; a reason why there is none; None for the base row itself, or while the row's
    own figure is missing."""


def entries(outcome: StudyOutcome, columns: Sequence[Column]) -> dict[tuple[str, str], Entry]:
    """(row's name, column's key) -> entry."""
    found = {}
    for column in columns:
        figures = {row.name: _figures(outcome, row, column) for row in outcome.rows}
        for row in outcome.rows:
            found[row.name, column.key] = _entry(outcome, row, column, figures)
    return found


Figures = tuple[Figure | None, ...]
"""One for each seed."""


def _figures(outcome: StudyOutcome, row: RowOutcome, column: Column) -> Figures:
    return tuple(figure_of(cell, column, alone=not outcome.over_seeds) for cell in row.cells)


def _entry(outcome: StudyOutcome, row: RowOutcome, column: Column, figures: dict[str, Figures]) -> Entry:
    found = figures[row.name]
    there = [each for each in found if each is not None]
    compared = None
    if there and row is not outcome.base:
        compared = _compared(outcome, row, column, figures[outcome.base.name], found)
    return Entry(
        row=row,
        column=column,
        figure=None if not there else _over_seeds(there) if outcome.over_seeds else there[0],
        seeds=tuple((cell.seed, each) for cell, each in zip(row.cells, found, strict=True)),
        compared=compared,
    )


def figure_of(cell: CellOutcome, column: Column, *, alone: bool) -> Figure | None:
    """The figure of one row with one seed; None while it is not there.

    Args:
        cell: the row with the seed.
        column: which figure.
        alone: whether it is no part of a mean over seeds: then it needs an interval of its own.
    """
    if column.benchmark is None:
        return _of_training(cell, column)
    value, around = place(cell.scores, column), _around(cell.scores, column)
    if value is None or isinstance(value, dict | list | str):
        return None
    last = column.path[-1]
    interval = around.get("interval" if last == "score" else f"{last}_interval")
    if alone and interval is None and (found := _of_questions(cell, column)):
        return Figure(value=value, interval=found.bounds, n=found.n, n_failed=around.get("n_failed"))
    return Figure(
        value=value,
        interval=(interval[0], interval[1]) if interval else None,
        n=around.get("n"),
        n_failed=around.get("n_failed"),
    )


def _of_questions(cell: CellOutcome, column: Column) -> Mean | None:
    """A figure with its interval from what each question earned, where the result has it without."""
    found = by_question(cell.evaluation, column) if cell.evaluation else {}
    groups = groupby(found, key=lambda each: each[0])
    return clustered_mean([[found[each] for each in of_one] for _, of_one in groups]) if found else None


def _around(scores: dict[str, dict[str, Any]], column: Column) -> dict[str, Any]:
    """The figures that a column's stands among."""
    found: Any = scores.get(column.benchmark or "", {})
    for part in column.path[:-1]:
        found = found.get(part, {})
    return found if isinstance(found, dict) else {}


def _of_training(cell: CellOutcome, column: Column) -> Figure | None:
    value = cell.numbers.get(column.key)
    if value is None or isinstance(value, str) or cell.model is None:
        return None
    held_out = (cell.model.result.get("data") or {}).get("eval") or {}
    n = held_out.get("rows_used") if column.key.startswith("eval_") else None
    return Figure(value=value, interval=None, n=n, n_failed=None)


def _over_seeds(found: Sequence[Figure]) -> Figure:
    values = [each.value for each in found]
    interval = student_interval(values)
    failed = [each.n_failed for each in found if each.n_failed is not None]
    return Figure(
        value=mean(values),
        interval=(interval[0], interval[1]) if interval else None,
        n=len(values),
        n_failed=sum(failed) if failed else None,
    )


WHY_NO_FIGURE = {
    "failed": "has failed",
    "running": "is running",
    "interrupted": "was interrupted",
    "waiting": "is waiting",
}
"""State of the base row -> what is said where its figure is missing."""


def _compared(
    outcome: StudyOutcome, row: RowOutcome, column: Column, base: Figures, own: Figures
) -> Compared | str | None:
    pairs = [
        (cell, other, b.value - a.value)
        for cell, other, a, b in zip(outcome.base.cells, row.cells, base, own, strict=True)
        if a is not None and b is not None
    ]
    if not pairs:
        return f"{NOT_COMPARED}{outcome.base.name} {WHY_NO_FIGURE.get(outcome.base.state, 'has no such figure')}"
    if all(_run_of(cell, column) == _run_of(other, column) for cell, other, _ in pairs):
        n = next((each.n for each in own if each and each.n), len(pairs))
        return Compared(difference=0.0, interval=None, n=len(pairs) if outcome.over_seeds else n, why=SAME)
    if apart := next(filter(None, (why_apart(column, cell, other) for cell, other, _ in pairs)), ""):
        return apart
    if outcome.over_seeds:
        return over_seeds([difference for *_, difference in pairs])
    return on_the_same_questions(column, *pairs[0])


def _run_of(cell: CellOutcome, column: Column) -> Path | None:
    """The directory of the run that a figure is from."""
    run = cell.evaluation if column.benchmark else cell.model
    return run.directory if run else None
