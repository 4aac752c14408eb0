"""A study's report: written from what there is of its runs, and shown on the terminal."""

import json
import re
from pathlib import Path
from textwrap import shorten

from rich.console import Console
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from zephyr.recipe.problems import shown
from zephyr.report.terminal import drawn
from zephyr.report.wording import times
from zephyr.run import write_atomically
from zephyr.study.expand import Study
from zephyr.study.report.contents import Report, contents, first_column, page_of
from zephyr.study.report.data import report_csv, report_data
from zephyr.study.report.markdown import markdown
from zephyr.study.report.page import page
from zephyr.study.report.table import column_table, times_table

FEW = 4
"""Warnings of runs shown on the terminal; the page has them all."""
LONGEST = 300
"""Characters of a warning there."""
GAP = 2
"""Characters between a table's columns there."""
LONGEST_WORD = 16
"""Characters of a word that is kept whole in a table of the terminal; longer ones are keys and paths."""
LINE, WORD = re.compile(r".+"), re.compile(r"\S+")
PIECE = re.compile(r"\S+?(?:(?<=[._,/])(?=[^\W\d])|(?=\s)|$)")
"""What of a longer word stays together: up to a dot, comma, underscore or slash before a letter; no number breaks."""


def write_report(study: Study) -> Path:
    """Writes report.html, report.md, report.json and table.csv into the study's run directory; returns the page.

    Whatever is missing, running or has failed is shown as that, with the run that is the cause.
    """
    report, directory = contents(study), study.loaded.run_dir
    directory.mkdir(parents=True, exist_ok=True)
    write_atomically(directory / "report.md", markdown(report))
    write_atomically(directory / "report.json", json.dumps(report_data(report), indent=1, ensure_ascii=False) + "\n")
    write_atomically(directory / "table.csv", report_csv(report))
    write_atomically(page_of(study), page(report, directory))
    return page_of(study)


def show(study: Study, console: Console) -> None:
    """Prints the table column by column, the differences in words, and where the page is."""
    report = contents(study)
    console.print()
    _said(console, Text(report.title, style="bold"))
    for column in report.tabled.columns:
        table = column_table(report.tabled, column)
        console.print()
        console.print(_whole(drawn(table), console.width))
        if table.note:
            _said(console, Text(table.note, style="dim"))
    console.print()
    console.print(_whole(drawn(times_table(report.tabled)), console.width))
    for text in _words(report):
        console.print()
        _said(console, Text(text))
    if page_of(study).is_file():
        console.print()
        console.print(Text(f"  Report: {shown(page_of(study))}"), soft_wrap=True)


def _words(report: Report) -> list[str]:
    """What the tables mean: of the first column, as the verdicts of all stand in the tables."""
    first = first_column(report)
    said = "\n".join(report.brief or (report.sentences.get(first.title, ()) if first else ()))
    shape = "\n".join(report.beside.shape) if report.beside else ""
    return [
        text
        for text in (
            said,
            shape,
            *_warnings(report),
            *report.cautions,
            report.saving,
            *report.unknown,
            report.outdated,
        )
        if text
    ]


def _warnings(report: Report) -> list[str]:
    """The first warnings of runs, a line each."""
    lines = [shorten(f"warning: {each.whom}: {each.text}", LONGEST, placeholder=" …") for each in report.warned]
    more = len(lines) - FEW
    return ["\n".join([*lines[:FEW], *([f"and {times(more, 'more warning')} on the page"] if more > 0 else [])])]


def _whole(padded: Padding, width: int) -> Padding:
    """The table with columns wide enough for their words, and for their numbers with what is beside, if they can be."""
    grid = padded.renderable
    assert isinstance(grid, RichTable)
    room = width - padded.left - padded.right - GAP * (len(grid.columns) - 1)
    texts = [[str(each) for each in (column.header, *column.cells)] for column in grid.columns]
    lines = [_longest(each, LINE) for each in texts]
    words = [min(_longest(each, WORD), LONGEST_WORD) for each in texts]
    numbers = [line if column.justify == "right" else word
               for column, line, word in zip(grid.columns, lines, words, strict=True)]  # fmt: skip
    pieces = [min(_longest(each, WORD if column.justify == "right" else PIECE), LONGEST_WORD)
              for column, each in zip(grid.columns, texts, strict=True)]  # fmt: skip
    least = next((each for each in (numbers, words, pieces) if sum(each) <= room), None)
    if least is None or sum(lines) <= room:
        return padded  # too narrow for any care, or so wide that it takes none
    while sum(least) < room:
        short = [line - now for line, now in zip(lines, least, strict=True)]
        least[short.index(max(short))] += 1
    for column, now in zip(grid.columns, least, strict=True):
        column.no_wrap, column.width = False, now
        for text in (column.header, *column.cells):
            assert isinstance(text, Text)
            text.plain = re.sub(r"\S+", lambda found, now=now: broken(found[0], now), text.plain)  # type: ignore[misc]
    return padded


def _longest(texts: list[str], part: re.Pattern[str]) -> int:
    return max((len(each) for text in texts for each in part.findall(text)), default=0)


def broken(word: str, width: int) -> str:
    """A word in lines of so many characters, which end behind a dot, comma, underscore or slash where they can."""
    lines = [""]
    for piece in PIECE.findall(word):
        if len(lines[-1] + piece) <= width:
            lines[-1] += piece
        else:
            lines.append(piece)
    return "\n".join(lines).strip()


def _said(console: Console, text: Text) -> None:
    console.print(Padding(text, (0, 2)))
