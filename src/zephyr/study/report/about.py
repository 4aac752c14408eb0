"""What a study's rows are, and when, where and by which code its runs were made."""

from collections import Counter
from collections.abc import Iterable, Iterator
from math import prod
from typing import Any

from zephyr.recipe.problems import shown
from zephyr.report.run_tables import hardware_in_words
from zephyr.report.table import Cell, Table, words
from zephyr.report.table import Column as Heading
from zephyr.report.wording import MISSING, times
from zephyr.study.checks import takes_effect
from zephyr.study.expand import Study, StudyRow
from zephyr.study.report.outcome import StudyOutcome
from zephyr.study.rows import shown_value


def rows_table(study: Study) -> Table:
    """Each named row with its recipe and what it sets, and the grid as one line."""
    named = [row for row in study.rows if not row.wanted.point]
    grid = [row for row in study.rows if row.wanted.point]
    lines = [(words(row.name), words(made_by(row)), _settings(row)) for row in named]
    if grid:
        lines.append((words(times(len(grid), "row of the grid", "rows of the grid")), words(made_by(grid[0])),
                      words(_axes(study, len(grid)))))  # fmt: skip
    headings = (Heading("row"), Heading("recipe or model"), Heading("what it sets"))
    note = " ".join(_in_all(study))
    return Table(id="rows", title="What the rows are", columns=headings, rows=tuple(lines), note=note)


def made_by(row: StudyRow) -> str:
    """The recipe that makes a row's model, or the model that was there."""
    model = row.cells[0].model
    return f"the model {row.wanted.model}, which was there" if model is None else str(shown(model.file))


def settings_of(row: StudyRow) -> dict[str, Any]:
    """Key -> value, as the study sets them for a row."""
    return {each.key: each.value for each in row.wanted.settings}


def _settings(row: StudyRow) -> Cell:
    said = [f"{key}: {shown_value(value)}" for key, value in settings_of(row).items()]
    return Cell(settings_of(row), "\n".join(said) or ("nothing" if row.cells[0].model else MISSING))


def _axes(study: Study, there: int) -> str:
    recipe = study.recipe
    told = []
    for key, values in recipe.grid.items():
        label = recipe.labels.get(key, key)
        told.append(f"{key}{'' if label == key else f' ({label})'}: {', '.join(map(shown_value, values))}")
    left_out = prod(map(len, recipe.grid.values())) - there
    return "\n".join([*told, *([times(left_out, "combination") + " left out"] if left_out else [])])


def _in_all(study: Study) -> Iterator[str]:
    runs = [each.loaded for each in study.works]
    said = [each for each in study.everywhere if any(takes_effect(run, each) for run in runs)]
    if said:
        yield f"In all rows that do not set it themselves: {', '.join(said)}."
    models = (cell.model for row in study.rows for cell in row.cells if cell.model)
    seeds = study.recipe.seeds or dict.fromkeys(each.recipe.seed for each in models if hasattr(each.recipe, "seed"))
    if seeds:
        yield f"{'Seeds' if len(seeds) > 1 else 'Seed'}: {', '.join(map(str, seeds))}."
    evaluation = study.rows[0].cells[0].evaluation
    if evaluation:
        yield f"Measured by {shown(evaluation.file)}."


def made(outcome: StudyOutcome) -> tuple[str, ...]:
    """When, on what and by which code the runs were made; several where they differ. Empty while none was begun."""
    records = [each.run.provenance for each in outcome.works if each.run and each.run.provenance]
    times_ = sorted(time for each in records for time in (each.get("started"), each.get("finished")) if time)
    when = [f"Run {_span(times_[0], times_[-1])}."] if times_ else []
    code = _differing("Code", (_code(each) for each in records))
    machine = _differing("Machine", (hardware_in_words(each.get("hardware") or {}) or "" for each in records))
    return (*when, *code, *machine)


def _span(first: str, last: str) -> str:
    """Times of ISO 8601 to the minute."""
    start, end = (each[:16].replace("T", " ") for each in (first, last))
    zone = " UTC" if first.endswith(("+00:00", "Z")) else ""
    return f"{start}{zone}" if start == end else f"from {start} to {end}{zone}"


def _code(record: dict[str, Any]) -> str:
    if not record.get("zephyr"):
        return ""
    commit = f", commit {record['commit'][:12]}" if record.get("commit") else ""
    return f"zephyr {record['zephyr']}{commit}{' with uncommitted changes' if record.get('dirty') else ''}"


def _differing(what: str, found: Iterable[str]) -> Iterator[str]:
    """One sentence where all runs are alike; else how many of them are of each kind."""
    kinds = Counter(each for each in found if each)
    if len(kinds) == 1:
        yield f"{what}: {next(iter(kinds))}."
    elif kinds:
        told = (f"{kind} ({times(number, 'run')})" for kind, number in kinds.most_common())
        yield f"{what}, which differs between runs: {'; '.join(told)}."
