"""Pictures of a study's grid: lines over one axis, a heat map over two."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import NullLocator

from zephyr.report.figures import Picture
from zephyr.report.svg import COLOURS, SERIES, drawing
from zephyr.study.report.columns import Column
from zephyr.study.report.comparable import why_unlike
from zephyr.study.report.outcome import RowOutcome
from zephyr.study.report.pictures import apart, slug
from zephyr.study.report.table import Tabled
from zephyr.study.rows import shown_value

LOG_FROM = 20
"""Largest value over smallest from which an axis is logarithmic."""
DEEPEST = 0.5
"""Opacity of the highest cell of a heat map: the numbers in it stay readable, light and dark."""


def grid_pictures(found: Tabled) -> tuple[tuple[Picture, ...], str]:
    """The grid's pictures, column by column, and a sentence where there can be none."""
    rows = [row for row in found.outcome.rows if row.point]
    if len(rows) < 2:
        return (), ""
    axes = [label for label, _ in rows[0].point]
    varied = [label for label in axes if len(_values(rows, label)) > 1]
    if len(varied) > 2:
        return (), f"A grid of {len(varied)} axes ({', '.join(varied)}) has no picture; the table has all of it."
    if not varied:
        return (), ""
    draw = _lines if len(varied) == 1 else _heat_map
    drawn = (draw(found, column, rows, varied) for column in found.columns)
    return tuple(each for each in drawn if each), ""


def _values(rows: Sequence[RowOutcome], label: str) -> list[Any]:
    """The values of an axis, in the study's order."""
    found: list[Any] = []
    for row in rows:
        value = dict(row.point)[label]
        if value not in found:
            found.append(value)
    return found


def _lines(found: Tabled, column: Column, rows: Sequence[RowOutcome], varied: Sequence[str]) -> Picture | None:
    """The figure over the axis, with intervals; an axis of words is even, and one of many magnitudes logarithmic."""
    (label,) = varied
    values = _values(rows, label)
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    places = {repr(value): float(value) if numeric else float(at) for at, value in enumerate(values)}
    there = [
        (places[repr(dict(row.point)[label])], figure) for row in rows if (figure := found.of(row, column).figure)
    ]  # fmt: skip
    if len(there) < 2:
        return None
    there.sort(key=lambda each: each[0])
    id, unlike = f"grid-{slug(column.key)}", why_unlike(column, rows)
    told = ". ".join(f"{label} {x:g}: {column.shown(figure.value)}" for x, figure in there)
    with drawing(id, f"{column.title} by {label}. {told}.", width=4.6, height=2.7) as picture:
        axes = picture.axes
        if numeric and _spans_decades(values):
            axes.set_xscale("log")
        for x, figure in there:
            if figure.interval:
                axes.plot([x, x], figure.interval, color=COLOURS[SERIES[0]], linewidth=2, alpha=0.6)
        axes.plot([x for x, _ in there], [figure.value for _, figure in there], color=COLOURS[SERIES[0]],
                  linewidth=0 if unlike else 1.4, marker="o", markersize=6,
                  markeredgecolor=COLOURS["paper"])  # fmt: skip
        axes.set_xticks(list(places.values()), [shown_value(value) for value in values])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel(label, loc="right")
        dashed = _base_line(axes, found, column)
    bars = "Bars: 95 % intervals." if any(figure.interval for _, figure in there) else ""
    note = " ".join(filter(None, [bars, f"No line, since the figures are {unlike}" if unlike else "", dashed]))
    return Picture(id=id, title=f"{column.title} by {label}", svg=picture.svg, note=note)


def _spans_decades(values: Sequence[float]) -> bool:
    return min(values) > 0 and max(values) / min(values) >= LOG_FROM


def _base_line(axes: Axes, found: Tabled, column: Column) -> str:
    """The base row as a dashed line, where it is no point of the grid itself."""
    base = found.outcome.base
    figure = found.of(base, column).figure
    if base.point or figure is None or apart(found, column):
        return ""
    axes.axhline(figure.value, color=COLOURS["quiet"], linewidth=0.9, linestyle=(0, (4, 3)))
    return f"Dashed: {base.name}."


def _heat_map(found: Tabled, column: Column, rows: Sequence[RowOutcome], varied: Sequence[str]) -> Picture | None:
    """The figure in the cells of two axes; what is missing or failed is hatched, what is left out blank."""
    down, across = varied
    ys, xs = _values(rows, down), _values(rows, across)
    there = [figure.value for row in rows if (figure := found.of(row, column).figure)]
    if not there:
        return None
    id, low, high, unlike = f"grid-{slug(column.key)}", min(there), max(there), why_unlike(column, rows)
    alt = f"{column.title} by {down} and {across}, from {column.shown(low)} to {column.shown(high)}; as in the table."
    with drawing(id, alt, width=max(2.6, 0.9 + 0.95 * len(xs)), height=0.6 + 0.62 * len(ys)) as picture:
        axes = picture.axes
        for row in rows:
            point = dict(row.point)
            x, y = xs.index(point[across]), ys.index(point[down])
            figure = found.of(row, column).figure
            if figure is None:
                _hatched(axes, x, y, row)
                continue
            share = (figure.value - low) / (high - low) if high > low else 0.5
            if unlike:
                _outlined(axes, x, y)
            else:
                _cell(axes, x, y, facecolor=COLOURS[SERIES[0]], alpha=0.05 + (DEEPEST - 0.05) * share)
            _text(axes, x, y - (0.12 if figure.interval else 0), column.shown(figure.value), "ink", 9.5)
            if figure.interval:
                bounds = " to ".join(column.shown(each) for each in figure.interval)
                _text(axes, x, y + 0.2, bounds, "ink", 6.8)
        _frame(axes, xs, ys, across, down)
    note = _heat_map_note(found, column, rows, unlike, left_out=len(rows) < len(xs) * len(ys))
    return Picture(id=id, title=f"{column.title} by {down} and {across}", svg=picture.svg, note=note)


def _heat_map_note(found: Tabled, column: Column, rows: Sequence[RowOutcome], unlike: str, *, left_out: bool) -> str:
    figures = [found.of(row, column).figure for row in rows]
    parts = ["Below each figure its 95 % interval."] if any(each and each.interval for each in figures) else []
    parts += [f"Not coloured, since the figures are {unlike}"] if unlike else []
    parts += ["Hatched: not there."] if None in figures else []
    parts += ["Blank: left out of the grid."] if left_out else []
    return " ".join(parts)


def _cell(axes: Axes, x: float, y: float, **look: Any) -> None:
    axes.add_patch(Rectangle((x - 0.47, y - 0.46), 0.94, 0.92, linewidth=0, **look))


def _outlined(axes: Axes, x: float, y: float) -> None:
    axes.add_patch(Rectangle((x - 0.47, y - 0.46), 0.94, 0.92, fill=False, edgecolor=COLOURS["grid"], linewidth=0.8))


def _hatched(axes: Axes, x: float, y: float, row: RowOutcome) -> None:
    left, top = x - 0.47, y - 0.46
    _outlined(axes, x, y)
    for step in range(1, 8):  # lines by hand: a pattern of SVG can't take the page's colours everywhere
        reach = step / 4
        a = (left + 0.94 * min(reach, 1), top + 0.92 * max(reach - 1, 0))
        b = (left + 0.94 * max(reach - 1, 0), top + 0.92 * min(reach, 1))
        axes.plot([a[0], b[0]], [a[1], b[1]], color=COLOURS["grid"], linewidth=0.8)
    _text(axes, x, y, "not measured" if row.state == "finished" else row.state, "quiet", 7.5)


def _text(axes: Axes, x: float, y: float, text: str, colour: str, size: float) -> None:
    axes.text(x, y, text, ha="center", va="center", color=COLOURS[colour], fontsize=size)


def _frame(axes: Axes, xs: Sequence[Any], ys: Sequence[Any], across: str, down: str) -> None:
    axes.set_xlim(-0.5, len(xs) - 0.5)
    axes.set_ylim(len(ys) - 0.5, -0.5)
    axes.set_xticks(range(len(xs)), [shown_value(value) for value in xs])
    axes.set_yticks(range(len(ys)), [shown_value(value) for value in ys])
    axes.set_xlabel(across)
    axes.set_ylabel(down)
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
