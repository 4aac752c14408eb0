"""The end of a run on the terminal: the table, what it shows, and where the page is."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from zephyr.report.contents import Contents
from zephyr.report.table import Table

DROPPED = ("standard error", "made by", "seed by seed", "what it does", "state")
"""Columns that the page has and 80 characters have no room for."""


def summary(report: Contents, console: Console, page: Path | None = None) -> None:
    """Prints scores, differences with their verdicts, warnings, and the page's path.

    Where seeds are summed up, only the sum is printed; where nothing was scored, what ran and its losses.
    """
    if not report.evaluations:
        console.print()
        console.print(drawn(report.overview))
    for each in report.evaluations:
        if not each.one_of_seeds:
            _said(console, Text(each.heading, style="bold"))
            console.print()
            console.print(drawn(each.scores))
            if each.comparisons:
                console.print()
                console.print(drawn(each.comparisons))
            if each.wins:
                _said(console, f"{each.wins[0].title}:")
                console.print(drawn(each.wins[0]))
            _said(console, each.caution)
            _said(console, each.scores.note)
            _said(console, each.wins[0].note if each.wins else "")
    for text, runs in _by_text(report).items():
        _said(console, f"{', '.join(runs)}: {text}")
    for note in report.notes:
        _said(console, note)
    if page:
        console.print()
        console.print(Text(f"  Report: {page}"), soft_wrap=True)


def _by_text(report: Contents) -> dict[str, list[str]]:
    """What is to be warned of -> the runs it is true of."""
    found: dict[str, list[str]] = {}
    for section in report.sections:
        for text in filter(None, (section.state, *section.warnings)):
            found.setdefault(text, []).append(section.run.name)
    return found


def drawn(table: Table) -> Padding:
    """The table for the terminal, without the columns it has no room for."""
    shown = [at for at, column in enumerate(table.columns) if column.title not in DROPPED]
    grid = RichTable(box=None, pad_edge=False)
    for at in shown:
        column = table.columns[at]
        names = not column.numeric and not any(" " in row[at].text for row in table.rows)  # kept whole if room allows
        grid.add_column(
            Text(column.title),
            justify="right" if column.numeric else "left",
            header_style="dim",
            overflow="fold",
            no_wrap=names,
        )
    for row in table.rows:
        grid.add_row(*_cells([row[at].text for at in shown]))
    return Padding(grid, (0, 2))


def _cells(texts: Sequence[str]) -> list[Text]:
    styles = {"separable": "bold", "not separable": "italic"}
    return [Text(text, style=styles.get(text, "")) for text in texts]


def _said(console: Console, text: str | Text) -> None:
    if text:
        console.print()
        console.print(Padding(text if isinstance(text, Text) else Text(text), (0, 2)))
