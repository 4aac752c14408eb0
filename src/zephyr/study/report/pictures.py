"""A study's pictures of scores: by row with their intervals, and the differences from the base row."""

from dataclasses import dataclass
from typing import Any, Literal

from matplotlib.ticker import MaxNLocator

from zephyr.report.figures import Picture, rows_of, with_interval
from zephyr.report.svg import COLOURS, SERIES, drawing
from zephyr.report.wording import interval
from zephyr.study.report.columns import Column
from zephyr.study.report.comparable import why_unlike
from zephyr.study.report.compare import Compared
from zephyr.study.report.entries import Figure
from zephyr.study.report.outcome import RowOutcome, StudyOutcome
from zephyr.study.report.table import Tabled

Dash = Literal["", "dashed", "dotted"]
DASHES: tuple[Dash, ...] = ("", "dashed", "dotted")


@dataclass(frozen=True, kw_only=True)
class Look:
    """How a row is drawn everywhere."""

    colour: str
    dash: Dash


def looks(outcome: StudyOutcome) -> dict[str, Look]:
    """Row's name -> its look: the base row in ink, the others in five colours, then the same dashed and dotted."""
    others = [each.name for each in outcome.rows if each is not outcome.base]
    found = {
        name: Look(colour=SERIES[at % len(SERIES)], dash=DASHES[at // len(SERIES) % len(DASHES)])
        for at, name in enumerate(others)
    }
    return {outcome.base.name: Look(colour="ink", dash="")} | found


def score_pictures(found: Tabled) -> tuple[Picture, ...]:
    """For each column the rows' figures with their intervals; the base row's is a line through all."""
    drawn = (draw(found, column) for column in found.columns for draw in (_scores, _differences))
    return tuple(each for each in drawn if each)


def _scores(found: Tabled, column: Column) -> Picture | None:
    rows = [(row, found.of(row, column).figure) for row in found.outcome.rows]
    there = [(row.name, figure) for row, figure in rows if figure]
    if len(there) < 2:
        return None
    id, look, base = f"scores-{slug(column.key)}", looks(found.outcome), found.outcome.base.name
    title = f"{column.title} with 95 % intervals" if any(each.interval for _, each in there) else column.title
    told = (f"{name}: {_told(column, each)}." for name, each in there)
    with drawing(id, f"{title}. {' '.join(told)}", width=4.6, height=0.6 + 0.3 * len(rows)) as picture:
        axes = picture.axes
        for at, (row, figure) in enumerate(rows):
            colour = COLOURS[look[row.name].colour]
            if figure is None:
                _missing(axes, at, row)
                continue
            with_interval(axes, at, figure.value, figure.interval, colour, 6)
            if row.name == base and not apart(found, column):
                axes.axvline(figure.value, color=COLOURS["quiet"], linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
        rows_of(axes, [row.name for row, _ in rows])
        _figures_below(axes)
    lined = any(name == base for name, _ in there) and not apart(found, column)
    unlike = why_unlike(column, found.outcome.rows)
    note = f"Dashed: {base}." if lined else f"The figures are {unlike}" if unlike else ""
    return Picture(id=id, title=title, svg=picture.svg, note=note)


def _told(column: Column, figure: Figure) -> str:
    bounds = f" ({interval(figure.interval, column.digits)})" if figure.interval else ""
    return f"{column.shown(figure.value)}{bounds}"


def apart(found: Tabled, column: Column) -> bool:
    """Whether a column's figure of the base row is another thing than that of others: of another stage, by another
    judge."""
    return any(isinstance(found.of(row, column).compared, str) for row in found.outcome.rows)


def _differences(found: Tabled, column: Column) -> Picture | None:
    """Differences from the base row with their intervals, which tell more than those of the figures themselves."""
    base = found.outcome.base
    others = [row for row in found.outcome.rows if row is not base]
    compared = [(row, each) for row in others if isinstance(each := found.of(row, column).compared, Compared)]
    if not any(each.interval for _, each in compared):
        return None
    look = looks(found.outcome)
    told = (
        f"{row.name}: {column.shown_difference(each.difference)} ({each.verdict or each.why})."
        for row, each in compared
    )
    alt = f"{column.title} over {base.name} with 95 % intervals. {' '.join(told)}"
    with drawing(f"over-{slug(column.key)}", alt, width=4.6, height=0.6 + 0.3 * len(others)) as picture:
        axes, there = picture.axes, {row.name: each for row, each in compared}
        for at, row in enumerate(others):
            each = there.get(row.name)
            if each and each.same:
                _missing(axes, at, row, each.why)
            elif each:
                with_interval(axes, at, each.difference, each.interval, COLOURS[look[row.name].colour], 6)
            else:
                _missing(axes, at, row, "not compared")
        axes.axvline(0, color=COLOURS["quiet"], linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
        rows_of(axes, [row.name for row in others])
        _figures_below(axes)
    return Picture(id=f"over-{slug(column.key)}", title=f"{column.title} over {base.name}",
                   svg=picture.svg, note="Not separable: the interval crosses the dashed line.")  # fmt: skip


def _figures_below(axes: Any) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.margins(x=0.08)


def _missing(axes: Any, at: int, row: RowOutcome, otherwise: str = "not measured") -> None:
    """Says in place of a figure why there is none: the row's state, or where that is finished `otherwise`."""
    state = otherwise if row.state == "finished" else row.state
    axes.annotate(state, (0.01, at), xycoords=("axes fraction", "data"), va="center", color=COLOURS["quiet"],
                  fontstyle="italic")  # fmt: skip


def slug(key: str) -> str:
    """A key as part of an id."""
    return "".join(letter if letter.isalnum() else "-" for letter in key)
