"""The study's table: rows and columns with intervals, differences from the base row, and what each row took."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill

from zephyr.report.scales import HOW_TO_READ_WINS, SHARES, counted
from zephyr.report.table import Cell, Table, words
from zephyr.report.table import Column as Heading
from zephyr.report.wording import MISSING, count, duration, number
from zephyr.study.report.columns import Column
from zephyr.study.report.compare import Compared
from zephyr.study.report.entries import Entry, Figure
from zephyr.study.report.outcome import OUTDATED, RowOutcome, Spent, StudyOutcome

FINISHED = "finished"
DIFFERENCE = "difference"
LONGEST = 20
"""Characters of the base row's name in a heading; a longer one stands under the table."""
NARROW = 9
"""Characters of a heading's line on the terminal, so that no heading makes a column wider than its numbers."""


@dataclass(frozen=True, kw_only=True)
class Tabled:
    """All that the tables are made of."""

    outcome: StudyOutcome
    columns: tuple[Column, ...]
    entries: Mapping[tuple[str, str], Entry]

    def of(self, row: RowOutcome, column: Column) -> Entry:
        """One row's entry in one column."""
        return self.entries[row.name, column.key]


def main_table(found: Tabled, between: str = "\n") -> Table:
    """Every row with every column.

    Args:
        found: the figures.
        between: stands between a figure, its interval and its verdict; a line's end stacks them on the page.

    n and failures that all figures have alike stand in the note, and states only where a row is not finished.
    """
    same, state = same_sizes(found), any(row.state != FINISHED for row in found.outcome.rows)
    sizes = not same and _one_size_for_all(found)
    rows = []
    for row in found.outcome.rows:
        cells = [Cell(row.name, row.name.replace(", ", f",{between}") if row.point else row.name)]
        for column in found.columns:
            entry = found.of(row, column)
            cells += [figure_cell(entry, between, sizes=not sizes and not same), difference_cell(entry, between)]
        cells += _sizes(_first_figure(found, row)) if sizes else []
        cells += [*_times(row), *([words(_short_state(row))] if state else [])]
        rows.append(tuple(cells))
    headings = [Heading("row")]
    for column in found.columns:
        headings += [Heading(column.heading, True), Heading(over_base(found), True)]
    headings += [Heading(_n(found), True), Heading("failed", True)] if sizes else []
    headings += [Heading("own time", True), Heading("shared", True), *([Heading("state")] if state else [])]
    return Table(
        id="table", title=found.outcome.study.recipe.title, columns=tuple(headings), rows=tuple(rows),
        note=" ".join(_notes(found)),
    )  # fmt: skip


def column_table(found: Tabled, column: Column) -> Table:
    """One column with a line for each row, for the terminal; n and failures under it where all rows have the same."""
    figures = [figure for row in found.outcome.rows if (figure := found.of(row, column).figure)]
    same = len({(figure.n, figure.n_failed) for figure in figures}) == 1
    rows = tuple(_line(found, column, row, sizes=not same) for row in found.outcome.rows)
    whole = column.heading.replace(column.scale, column.scale.replace(" ", "\N{NO-BREAK SPACE}"))
    numeric = (whole, "95 % interval", over_base(found), "95 % interval")
    narrow = (Heading(fill(each, NARROW, break_long_words=False), True) for each in numeric)
    headings = [Heading("row"), *narrow, Heading("")]
    headings += [] if same else [Heading(_n(found), True), Heading("failed", True)]
    note = _same_sizes(found, figures[0]) if same else ""
    return Table(id=f"column-{column.key}", title=column.title, columns=tuple(headings), rows=rows, note=note)


def _same_sizes(found: Tabled, figure: Figure) -> str:
    parts = [sizes] if (sizes := _sizes_in_words(found, figure)) else []
    parts += [f"differences from {found.outcome.base.name}"] if over_base(found) == DIFFERENCE else []
    return ", ".join(parts)


def _sizes_in_words(found: Tabled, figure: Figure) -> str:
    parts = [f"{_n(found)} = {count(figure.n)}"] if figure.n is not None else []
    parts += [f"failed {count(figure.n_failed)}"] if figure.n_failed is not None else []
    return ", ".join(parts)


def _line(found: Tabled, column: Column, row: RowOutcome, *, sizes: bool) -> tuple[Cell, ...]:
    figure, compared = found.of(row, column).figure, found.of(row, column).compared
    there = compared if isinstance(compared, Compared) else None
    verdict = compared if isinstance(compared, str) else (there.verdict or there.why) if there else MISSING
    if figure is None and row.state != FINISHED:
        verdict = row.state
    return (
        words(row.name),
        Cell(figure and figure.value, column.shown(figure.value if figure else None)),
        Cell(figure and figure.interval, bounds_in_words(column, figure.interval if figure else None)),
        Cell(there and there.difference, column.shown_difference(there.difference if there else None)),
        Cell(there and there.interval, bounds_in_words(column, there.interval if there else None)),
        words(verdict),
        *(_sizes(figure) if sizes else []),
    )


def times_table(found: Tabled) -> Table:
    """What each row took and where it is, for the terminal."""
    rows = tuple((words(row.name), *_times(row), words(_state(row))) for row in found.outcome.rows)
    headings = (Heading("row"), Heading("own time", True), Heading("shared", True), Heading("where it is"))
    return Table(id="times", title="Runs", columns=headings, rows=rows)


def figure_cell(entry: Entry, between: str, *, sizes: bool = False) -> Cell:
    """A figure with its interval, and where wanted n and failures; `between` as for `main_table`."""
    figure, column = entry.figure, entry.column
    if figure is None:
        return Cell(None, MISSING)
    text = column.shown(figure.value)
    under = [bounds_in_words(column, figure.interval)] if figure.interval else []
    under += [f"n = {count(figure.n)}"] if sizes and figure.n is not None else []
    under += [f"failed {count(figure.n_failed)}"] if sizes and figure.n_failed else []
    return Cell([figure.value, figure.interval], _joined(text, under, between))


def difference_cell(entry: Entry, between: str) -> Cell:
    """A difference with its interval and verdict; `between` as for `main_table`."""
    compared, column = entry.compared, entry.column
    if compared is None:
        return Cell(None, MISSING)
    if isinstance(compared, str):
        why = re.split(r": | (?=\()", compared) if between == "\n" else [compared]
        return Cell(None, _joined(MISSING, why, between))
    text = column.shown_difference(compared.difference)
    if compared.interval is None:
        return Cell([compared.difference, None, None], _joined(text, [compared.why], between))
    under = [bounds_in_words(column, compared.interval), compared.verdict]
    return Cell([compared.difference, compared.interval, compared.separable], _joined(text, under, between))


def _joined(text: str, under: Sequence[str], between: str) -> str:
    """A figure with what stands under it, or in brackets behind it."""
    if not under:
        return text
    return "\n".join([text, *under]) if between == "\n" else f"{text} ({', '.join(under)})"


def bounds_in_words(column: Column, bounds: tuple[float, float] | None) -> str:
    """An interval in the column's unit, `0.12 to 0.34`."""
    return MISSING if bounds is None else f"{column.shown(bounds[0])} to {column.shown(bounds[1])}"


def _sizes(figure: Figure | None) -> list[Cell]:
    n, failed = (figure.n, figure.n_failed) if figure else (None, None)
    return [Cell(n, count(n)), Cell(failed, count(failed))]


def same_sizes(found: Tabled) -> Figure | None:
    """A figure whose n and failures all others have too; None where they differ."""
    figures = [figure for each in found.entries.values() if (figure := each.figure)]
    return figures[0] if len({(each.n, each.n_failed) for each in figures}) == 1 else None


def _one_size_for_all(found: Tabled) -> bool:
    """Whether n and failures are the same in all columns, and stand once."""
    for row in found.outcome.rows:
        there = [figure for column in found.columns if (figure := found.of(row, column).figure)]
        failed = {figure.n_failed for figure in there} - {None}
        if len({figure.n for figure in there}) > 1 or len(failed) > 1:
            return False
    return True


def _first_figure(found: Tabled, row: RowOutcome) -> Figure | None:
    figures = (found.of(row, column).figure for column in found.columns)
    return next((each for each in figures if each), None)


def _times(row: RowOutcome) -> list[Cell]:
    return [Cell(_seconds(each), spent_in_words(each)) for each in (row.own, row.shared)]


def _seconds(spent: Spent) -> dict[str, float]:
    return {"gpu_s": round(spent.gpu_s, 1), "cpu_s": round(spent.cpu_s, 1)}


def spent_in_words(spent: Spent) -> str:
    """`12.4 GPU-hours`, or where no GPU computed `3 min 24 s`."""
    if spent.gpu_s:
        return f"{number(spent.gpu_s / 3600, 2 if spent.gpu_s < 36000 else 1)} GPU-hours"
    return duration(spent.cpu_s) if spent.cpu_s else MISSING


def _state(row: RowOutcome) -> str:
    return FINISHED if row.state == FINISHED else f"{row.state}: {row.why}" if row.why else row.state


def _short_state(row: RowOutcome) -> str:
    if row.state == FINISHED or len(row.cells) == 1:
        return row.state
    return f"{row.state}, {sum(each.state == FINISHED for each in row.cells)} of {len(row.cells)} seeds finished"


def reasons(outcome: StudyOutcome) -> tuple[str, ...]:
    """Why rows are not finished; not of those that only wait, nor of what is out of date, which is said by itself."""
    there = (row for row in outcome.rows if row.state not in (FINISHED, "waiting", OUTDATED))
    return tuple(f"{row.name} {_state(row)}" for row in there)


def over_base(found: Tabled) -> str:
    """Heading of the differences."""
    return over(found.outcome.base.name)


def over(base: str) -> str:
    """Heading of differences from a row."""
    return f"over {base}" if len(base) <= LONGEST else DIFFERENCE


def _notes_over_seeds(found: Tabled) -> Iterator[str]:
    yield "Figures are means over seeds, each with runs of its own."
    if _any_interval(found):
        yield "Intervals are 95 % by Student's t over seeds."
    yield f"Differences are from {found.outcome.base.name}, each seed's between its own two runs."
    if any(column.benchmark for column in found.columns):
        yield "Failed: questions without a score, in all seeds; they are in no mean."


def _notes_of_one_seed(found: Tabled) -> Iterator[str]:
    over = f"Differences are from {found.outcome.base.name}"
    if _any_interval(found):
        yield (
            "Intervals are 95 %, over the questions of this one training run: another seed moves a figure too, and "
            f"that is not in them. {over}, taken question by question."
        )
    else:
        yield f"Figures are of one training run each, without intervals: another seed moves them too. {over}."
    if any(column.benchmark for column in found.columns):
        yield "n: questions with a score; failed: those without, which are in no mean."


def _any_interval(found: Tabled) -> bool:
    figures = (each.figure for each in found.entries.values())
    compared = (each for each in _differences(found) if isinstance(each, Compared))
    return any(each is not None and each.interval for each in (*figures, *compared))


def _differences(found: Tabled) -> Iterator[Compared | str | None]:
    return (each.compared for each in found.entries.values())


def _n(found: Tabled) -> str:
    return "seeds" if found.outcome.over_seeds else "n"


def _notes(found: Tabled) -> Iterator[str]:
    """What a reader must know to read the table."""
    yield from _notes_over_seeds(found) if found.outcome.over_seeds else _notes_of_one_seed(found)
    if (same := same_sizes(found)) and (sizes := _sizes_in_words(found, same)):
        yield f"Of every figure {sizes}."
    if any(isinstance(each, Compared) and each.interval for each in _differences(found)):
        yield "Separable: the interval of the difference excludes zero. Each is taken by itself."
    if any(column.path[-1] in SHARES for column in found.columns):
        yield from (SHARES[name][1] for name in SHARES if any(column.path[-1] == name for column in found.columns))
    yield from (counted(HOW_TO_READ_WINS, "world") for column in found.columns if column.key == "world/win_rate")
    yield (
        "Own time: of the row's own runs, times their processes; shared: of those that other rows use too, whole."
    )  # fmt: skip
