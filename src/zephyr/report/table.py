"""One table for every output: the page, the Markdown and the JSON are renderings of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple


class Cell(NamedTuple):
    """A value and how it is shown."""

    value: Any
    text: str


class Column(NamedTuple):
    """A heading; numbers are set flush right."""

    title: str
    numeric: bool = False


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of cells under headings."""

    id: str
    """Name in report.json and anchor on the page."""
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    """What a reader must know to read it, shown under it."""


def words(text: Any) -> Cell:
    """A cell of text."""
    return Cell(text, str(text))


def facts(id: str, title: str, pairs: Sequence[tuple[str, Cell | str | None]], note: str = "") -> Table:
    """A table of names and values; pairs without a value are left out."""
    rows = [(words(name), words(value) if isinstance(value, str) else value) for name, value in pairs if value]
    columns = (Column(""), Column(""))
    return Table(id=id, title=title, columns=columns, rows=tuple((a, b) for a, b in rows if b), note=note)


def as_markdown(table: Table) -> str:
    """The table in GitHub's Markdown, its note under it."""
    head = [_cell(column.title) for column in table.columns]
    rule = ["---:" if column.numeric else "---" for column in table.columns]
    body = [[_cell(cell.text) for cell in row] for row in table.rows]
    lines = ["| " + " | ".join(row) + " |" for row in [head, rule, *body]]
    return "\n".join([*lines, *(["", table.note] if table.note else [])])


def _cell(text: str) -> str:
    for mark in "\\`*<|":
        text = text.replace(mark, "\\" + mark)
    return " ".join(text.split()) or " "


def as_data(table: Table) -> dict[str, Any]:
    """The table for report.json: raw values, not their texts."""
    return {
        "id": table.id,
        "title": table.title,
        "columns": [column.title for column in table.columns],
        "rows": [[cell.value for cell in row] for row in table.rows],
        "note": table.note,
    }
