"""A table on the terminal, of what is known: columns without an entry are left out, and no figure is cut off."""

import re
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

GAP = 2
"""Characters between two columns."""


class Fitted:
    """A table whose columns that say nothing are left out."""

    def __init__(self, *left: str) -> None:
        self.left, self.rows = left, list[dict[str, str | Text]]()

    def add(self, row: dict[str, str | Text]) -> None:
        """Adds a line: column -> cell."""
        self.rows.append(row)

    def show(self, title: str, console: Console) -> None:
        """Prints the table, without columns that are empty in every line."""
        names = [name for name in self.rows[0] if any(str(row[name]) for row in self.rows)]
        table = Table(box=None, pad_edge=False, header_style="dim")
        for name, width in self._widths(names, console.width).items():
            table.add_column(name, justify="left" if self._is_left(name) else "right", overflow="fold", width=width)
        for row in self.rows:
            table.add_row(*(row[name] for name in names))
        console.print(f"\n{title}", style="italic", highlight=False)
        console.print(table)

    def _widths(self, names: Sequence[str], room: int) -> dict[str, int]:
        """Column -> characters: as wide as its text, or on a narrow terminal the left ones down to their words."""
        widths = {name: self._widest(name, r".+") for name in names}
        least = {name: self._widest(name, r"(?:^ +)?\S+") for name in names if self._is_left(name)}
        while sum(widths.values()) + GAP * (len(names) - 1) > room:
            wide = max(least, key=lambda name: (widths[name] > least[name], widths[name]))
            if widths[wide] == least[wide]:
                break
            widths[wide] -= 1
        return widths

    def _is_left(self, name: str) -> bool:
        return name in (*self.left, "state")

    def _widest(self, name: str, pieces: str) -> int:
        """Characters of the longest piece of a column's texts, such as a line or a word; the heading's included."""
        texts = [name, *(str(row[name]) for row in self.rows)]
        return max((len(found) for text in texts for found in re.findall(pieces, text, re.MULTILINE)), default=0)
