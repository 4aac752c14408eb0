"""A study's report as data: JSON with raw values, and one line of CSV for each figure."""

import csv
import io
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from zephyr.report.table import as_data
from zephyr.study.expand import StudyRow
from zephyr.study.report.about import settings_of
from zephyr.study.report.columns import Column
from zephyr.study.report.compare import Compared
from zephyr.study.report.contents import Report
from zephyr.study.report.entries import Entry, Figure
from zephyr.study.report.outcome import RowOutcome, Spent
from zephyr.study.report.warned import Warned

CSV_COLUMNS = ("row", "seed", "column", "value", "low", "high", "n", "failed", "state")
MEAN = "mean"
"""Stands for a seed where a line is the mean over them."""


def report_data(report: Report) -> dict[str, Any]:
    """report.json."""
    outcome = report.tabled.outcome
    return {
        "title": report.title,
        "run_id": outcome.study.loaded.run_id,
        "compare_with": outcome.base.name,
        "seeds": outcome.study.recipe.seeds,
        "notes": list(report.notes),
        "warnings": [_warned(each) for each in report.warned],
        "columns": [
            {"key": each.key, "title": each.title, "scale": each.scale, "from": each.benchmark or "training"}
            for each in report.tabled.columns
        ],
        "everywhere": list(outcome.study.everywhere),
        "made": list(report.made),
        "rows": [
            _what(each) | _row(report, row) for each, row in zip(outcome.study.rows, outcome.rows, strict=True)
        ],
        "runs": [
            {
                "label": each.label, "stage": each.work.loaded.recipe.stage, "run_id": each.work.loaded.run_id,
                "directory": str(each.work.loaded.run_dir), "state": each.shown_state, "why": each.why,
                "wall_s": each.wall_s, "spent": asdict(each.spent), "rows": list(each.rows),
            }
            for each in outcome.works
        ],
        "spent": asdict(sum((each.spent for each in outcome.works), Spent())),
        "spent_row_by_row": asdict(sum((row.own + row.shared for row in outcome.rows), Spent())),
        "beside_the_paper": as_data(report.beside.table) if report.beside else None,
        "tables": [as_data(table) for table in report.categories],
    }  # fmt: skip


def _warned(warned: Warned) -> dict[str, Any]:
    said = [{"run": run.label, "directory": str(run.work.loaded.run_dir), "text": text} for run, text in warned.said]
    return {"text": warned.text, "rows": list(warned.rows), "said": said}


def _what(row: StudyRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "recipe": str(row.cells[0].model.file) if row.cells[0].model else None,
        "model": row.wanted.model,
        "settings": settings_of(row),
    }


def _row(report: Report, row: RowOutcome) -> dict[str, Any]:
    return {
        "name": row.name,
        "point": dict(row.point),
        "state": row.state,
        "why": row.why,
        "own": asdict(row.own),
        "shared": asdict(row.shared),
        "seeds": [{"seed": cell.seed, "state": cell.state, "why": cell.why} for cell in row.cells],
        "figures": {column.key: _entry(report.tabled.of(row, column)) for column in report.tabled.columns},
    }


def _entry(entry: Entry) -> dict[str, Any]:
    compared = entry.compared
    return {
        **_figure(entry.figure),
        "over_base": _compared(compared) if isinstance(compared, Compared) else None,
        "why_not_compared": compared if isinstance(compared, str) else None,
        "by_seed": [{"seed": seed, **_figure(each)} for seed, each in entry.seeds],
    }


def _figure(figure: Figure | None) -> dict[str, Any]:
    return asdict(figure) if figure else {"value": None, "interval": None, "n": None, "n_failed": None}


def _compared(compared: Compared) -> dict[str, Any]:
    return {**asdict(compared), "separable": compared.separable}


def report_csv(report: Report) -> str:
    """table.csv: a line for each figure of each row and seed, for its mean over seeds, and for the difference."""
    written = io.StringIO()
    lines = csv.writer(written, lineterminator="\n")
    lines.writerow(CSV_COLUMNS)
    for row in report.tabled.outcome.rows:
        for column in report.tabled.columns:
            lines.writerows(_lines(report, row, column))
    return written.getvalue()


def _lines(report: Report, row: RowOutcome, column: Column) -> Iterator[tuple[Any, ...]]:
    entry, outcome = report.tabled.of(row, column), report.tabled.outcome
    for (seed, figure), cell in zip(entry.seeds, row.cells, strict=True):
        yield (row.name, seed, column.key, *_numbers(figure), cell.state)
    if outcome.over_seeds:
        yield (row.name, MEAN, column.key, *_numbers(entry.figure), row.state)
    if isinstance(entry.compared, Compared):
        low, high = entry.compared.interval or (None, None)
        of_seed = MEAN if outcome.over_seeds else row.cells[0].seed
        over = f"{column.key} over {outcome.base.name}"
        yield (row.name, of_seed, over, entry.compared.difference, low, high, entry.compared.n, None, row.state)


def _numbers(figure: Figure | None) -> tuple[Any, ...]:
    if figure is None:
        return None, None, None, None, None
    low, high = figure.interval or (None, None)
    return figure.value, low, high, figure.n, figure.n_failed
