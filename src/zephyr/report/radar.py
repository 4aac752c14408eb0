"""MT-Bench by category as the paper's Figure 1 draws it, with our intervals; the paper's own points were digitised."""

import math
from collections.abc import Mapping, Sequence
from typing import cast

from matplotlib.projections.polar import PolarAxes

from zephyr.report.figures import Key, Picture
from zephyr.report.paper import published
from zephyr.report.read import Run, anchor
from zephyr.report.score_tables import category_interval, models
from zephyr.report.svg import COLOURS, SERIES, polar_drawing
from zephyr.report.wording import number

TITLES = {"stem": "STEM"}
"""Categories that a capital at their start does not make a title of."""
MOST_MODELS = 3
"""Models drawn: more lines on a radar hide each other."""


def radar_picture(run: Run, benchmark: str) -> Picture | None:
    """Each model's score by category, clockwise from the top as in the paper; None for other benchmarks than MT-Bench.

    Solid are ours, with 95 % intervals along the spokes; dashed the paper's Zephyr and GPT-4.
    """
    if benchmark != "mt_bench":
        return None
    paper = published()["by_category"]
    categories = tuple(paper["mt_bench"])
    ours = {model: _means(run, model, categories) for model in models(run, benchmark)}
    drawn = dict([(model, found) for model, found in ours.items() if len(found) == len(categories)][:MOST_MODELS])
    if not drawn:
        return None
    colours = dict(zip(drawn, SERIES, strict=False))
    id = f"radar-{benchmark}-{anchor(run)}"
    with polar_drawing(id, _alt(drawn), width=4.6, height=4.1) as picture:
        axes = cast(PolarAxes, picture.axes)
        _layout(axes, categories)
        _series(axes, categories, paper["mt_bench"], COLOURS["ink"], dashes=(4, 2.5))
        _series(axes, categories, paper["others"]["GPT-4"], COLOURS["quiet"], dashes=(1, 2))
        for at, (model, found) in enumerate(drawn.items()):
            turn = (at - (len(drawn) - 1) / 2) * 0.03  # side by side, so that no interval hides another
            _series(axes, categories, found, COLOURS[colours[model]], dashes=None)
            _intervals(axes, run, model, categories, COLOURS[colours[model]], turn)
    keys = (*(Key(label=model, colour=colours[model]) for model in drawn), *PAPER_KEYS)
    left_out = [model for model in ours if model not in drawn]
    figure = paper["source"].split(";")[0]
    note = f"The paper's points are digitised ({figure}; ±0.05). Bars: 95 % intervals, n = {_n(run, drawn)} ratings."
    if left_out:
        note += f" Not drawn: {', '.join(left_out)}."
    return Picture(id=id, title="As the paper's Figure 1", svg=picture.svg, keys=keys, note=note)


PAPER_KEYS = (
    Key(label="paper: Zephyr 7B (dashed, digitised)", colour="ink"),
    Key(label="paper: GPT-4 (dotted, digitised)", colour="quiet"),
)


def _means(run: Run, model: str, categories: Sequence[str]) -> dict[str, float]:
    found = run.result["scores"][model]["mt_bench"].get("by_category") or {}
    values = {name: each["score"] if isinstance(each, dict) else each for name, each in found.items()}
    return {name: values[name] for name in categories if values.get(name) is not None}


def _layout(axes: PolarAxes, categories: Sequence[str]) -> None:
    axes.set_theta_zero_location("N")
    axes.set_theta_direction(-1)
    axes.set_xticks(_angles(len(categories)), [TITLES.get(each, each.capitalize()) for each in categories])
    axes.tick_params(axis="x", labelcolor=COLOURS["ink"], pad=3)
    for angle, label in zip(_angles(len(categories)), axes.get_xticklabels(), strict=True):
        side = math.sin(angle)
        label.set_horizontalalignment("center" if abs(side) < 0.1 else "left" if side > 0 else "right")
    axes.set_ylim(0, 10)
    axes.set_yticks([0, 2, 4, 6, 8, 10], ["0", "2", "4", "6", "8", "10"])
    axes.set_rlabel_position(22.5)
    axes.spines["polar"].set_color(COLOURS["grid"])


def _angles(n: int) -> list[float]:
    return [2 * math.pi * at / n for at in range(n)]


def _series(
    axes: PolarAxes, categories: Sequence[str], values: Mapping[str, float], colour: str,
    *, dashes: tuple[float, float] | None,
) -> None:  # fmt: skip
    """A closed line; solid and with dots without `dashes`."""
    angles, heights = _angles(len(categories)), [values[each] for each in categories]
    style = {"linestyle": (0, dashes), "linewidth": 1.1} if dashes else {"linewidth": 1.8}
    axes.plot([*angles, angles[0]], [*heights, heights[0]], color=colour, zorder=3, **style)
    if not dashes:
        axes.plot(angles, heights, linestyle="none", marker="o", markersize=4.5, color=colour,
                  markeredgecolor=COLOURS["paper"], zorder=4)  # fmt: skip


def _intervals(
    axes: PolarAxes, run: Run, model: str, categories: Sequence[str], colour: str, turn: float
) -> None:  # fmt: skip
    for angle, category in zip(_angles(len(categories)), categories, strict=True):
        if bounds := category_interval(run, model, "mt_bench", category):
            axes.plot([angle + turn] * 2, bounds, color=colour, linewidth=2.2, alpha=0.4, zorder=2)


def _n(run: Run, drawn: Mapping[str, object]) -> str:
    sizes = {
        each.get("n")
        for model in drawn
        for each in run.result["scores"][model]["mt_bench"]["by_category"].values()
        if isinstance(each, dict)
    }
    known = sorted(size for size in sizes if size)
    return " to ".join(map(str, dict.fromkeys((known[0], known[-1])))) if known else "unknown"


def _alt(drawn: Mapping[str, Mapping[str, float]]) -> str:
    told = (
        f"{model}: {', '.join(f'{name} {number(value)}' for name, value in found.items())}."
        for model, found in drawn.items()
    )
    return f"Radar of the MT-Bench score by category. {' '.join(told)}"
