"""The pictures: training curves as small multiples, and scores with their intervals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from matplotlib.axes import Axes

from zephyr.report.read import Run, anchor
from zephyr.report.scales import scale_of
from zephyr.report.score_tables import category_interval, models
from zephyr.report.svg import COLOURS, SERIES, drawing
from zephyr.report.wording import interval, number, significant

SMOOTH_FROM = 40
"""Logged rows from which a running mean is drawn over them."""
READING_CURVES = "Lines: training, thin as logged and thick their running mean. Circles: held-out data."
DRAWN_POINTS = 400
"""Points drawn of a line at most: more can't be told apart at this size and make the page heavy."""


@dataclass(frozen=True, kw_only=True)
class Key:
    """An entry of a figure's legend."""

    label: str
    colour: str
    dot: bool = False
    """A dot rather than a line."""
    dash: Literal["", "dashed", "dotted"] = ""
    """How the line is drawn."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure ready for the page."""

    id: str
    title: str
    svg: str
    keys: tuple[Key, ...] = ()
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """What one small plot shows: metrics by their key in metrics.jsonl, each with its label."""

    id: str
    title: str
    metrics: tuple[tuple[str, str], ...]
    level: float | None = None
    """A value worth a dashed line."""
    note: str = ""
    noisy: bool = True
    """Whether a running mean helps."""


PANELS = (
    Panel(id="loss", title="Loss", metrics=(("loss", ""),)),
    Panel(id="learning-rate", title="Learning rate", metrics=(("learning_rate", ""),), noisy=False),
    Panel(id="gradient-norm", title="Gradient norm", metrics=(("grad_norm", ""),)),
)
PREFERENCE_PANELS = (
    Panel(
        id="loss",
        title="Loss",
        metrics=(("loss", ""),),
        level=math.log(2),
        note="Dashed: ln 2, the loss of a policy equal to its reference.",
    ),
    Panel(
        id="accuracy",
        title="Preference accuracy",
        metrics=(("rewards/accuracies", ""),),
        level=0.5,
        note="Share of pairs whose chosen answer has the higher reward, a tie counting as wrong; dashed: a half.",
    ),
    Panel(id="margin", title="Reward margin", metrics=(("rewards/margins", ""),), note="Chosen minus rejected."),
    Panel(
        id="rewards",
        title="Rewards",
        metrics=(("rewards/chosen", "chosen"), ("rewards/rejected", "rejected")),
        level=0.0,
        note="Beta times the log-probability gained over the reference.",
    ),
    Panel(
        id="log-probabilities",
        title="Log-probabilities",
        metrics=(("logps/chosen", "chosen"), ("logps/rejected", "rejected")),
        note="Of whole answers, in nats.",
    ),
    *PANELS[1:],
)


def curves(run: Run) -> tuple[Picture, ...]:
    """The training curves of a run, as far as it logged them."""
    panels = PREFERENCE_PANELS if run.stage == "dpo" else PANELS
    drawn = (_curve(run, panel) for panel in panels)
    return tuple(picture for picture in drawn if picture)


def _curve(run: Run, panel: Panel) -> Picture | None:
    lines = []
    for (metric, label), colour in zip(panel.metrics, SERIES, strict=False):
        lines.append((label or "training", colour, False, points(run.train_rows, metric)))
        lines.append((f"{label} held-out".strip(), colour, True, points(run.eval_rows, f"eval_{metric}")))
    lines = [line for line in lines if line[3]]
    if not lines:
        return None
    id = f"{anchor(run)}-{panel.id}"
    alt = f"{panel.title} by step. " + " ".join(f"{label}: {_ends(found)}." for label, _, _, found in lines)
    with drawing(id, alt, width=3.1, height=2.0) as picture:
        for _, colour, dot, found in lines:
            if dot:
                _dots(picture.axes, COLOURS[colour], found)
            else:
                _line(picture.axes, COLOURS[colour], found, smooth=panel.noisy and len(found) >= SMOOTH_FROM)
        if panel.level is not None:
            picture.axes.axhline(panel.level, color=COLOURS["quiet"], linewidth=0.9, linestyle=(0, (4, 3)))
        picture.axes.set_xlabel("step", loc="right")
        picture.axes.margins(x=0.02)
    keys = tuple(
        Key(label=label, colour=colour) for (_, label), colour in zip(panel.metrics, SERIES, strict=False) if label
    )
    return Picture(id=id, title=panel.title, svg=picture.svg, keys=keys, note=panel.note)


def points(rows: Sequence[dict[str, Any]], metric: str) -> list[tuple[float, float]]:
    """(step, value) of the rows that have the metric; what is not a number stays a gap."""
    return [
        (row.get("step", position), row[metric] if isinstance(row[metric], int | float) else math.nan)
        for position, row in enumerate(rows)
        if metric in row
    ]


def _line(axes: Axes, colour: str, found: list[tuple[float, float]], *, smooth: bool) -> None:
    steps, values = zip(*thinned(found), strict=True)
    if not smooth:
        axes.plot(steps, values, color=colour, linewidth=1.5)
        return
    axes.plot(steps, values, color=colour, linewidth=0.7, alpha=0.35)
    axes.plot(*zip(*thinned(running_mean(found)), strict=True), color=colour, linewidth=1.6)


def _dots(axes: Axes, colour: str, found: list[tuple[float, float]]) -> None:
    axes.plot(
        *zip(*found, strict=True), linestyle="none", marker="o", markersize=5,
        markerfacecolor=COLOURS["paper"], markeredgecolor=colour, markeredgewidth=1.5, clip_on=False, zorder=3,
    )  # fmt: skip


def running_mean(found: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The mean of the rows around each row, a twentieth of them all (fewer at both ends)."""
    half = max(1, len(found) // 40)
    values = [value for _, value in found]
    around = (values[max(0, at - half) : at + half + 1] for at in range(len(values)))
    return [(step, sum(part) / len(part)) for (step, _), part in zip(found, around, strict=True)]


def thinned(found: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Every k-th point, and the last one."""
    stride = math.ceil(len(found) / DRAWN_POINTS)
    return found if stride == 1 else [*found[:-1:stride], found[-1]]


def _ends(found: list[tuple[float, float]]) -> str:
    (first_step, first), (last_step, last) = found[0], found[-1]
    if len(found) == 1:
        return f"{significant(first)} at step {first_step:g}"
    return f"from {significant(first)} at step {first_step:g} to {significant(last)} at step {last_step:g}"


def score_picture(run: Run, benchmark: str) -> Picture | None:
    """Score of each model with its interval, one line each."""
    rows = [
        (model, found["score"], found.get("interval"), SERIES[at % len(SERIES)])
        for at, model in enumerate(models(run, benchmark))
        if (found := run.result["scores"][model][benchmark])["score"] is not None
    ]
    if not rows:
        return None
    alt = "Score with 95 % interval. " + " ".join(f"{name}: {number(x)} ({interval(lo)})." for name, x, lo, _ in rows)
    id = f"scores-{benchmark}-{anchor(run)}"
    with drawing(id, alt, width=4.1, height=0.62 + 0.36 * len(rows)) as picture:
        axes = picture.axes
        for at, (_, score, bounds, colour) in enumerate(rows):
            with_interval(axes, at, score, bounds, COLOURS[colour], 6)
        rows_of(axes, [name for name, *_ in rows])
        _scale_axis(axes, benchmark)
    return Picture(id=id, title="Score with 95 % interval", svg=picture.svg)


def category_picture(run: Run, benchmark: str) -> Picture | None:
    """Score by category with intervals, the models under each other in every category."""
    names = models(run, benchmark)
    by_category = {name: run.result["scores"][name][benchmark].get("by_category") or {} for name in names}
    categories = list(dict.fromkeys(category for found in by_category.values() for category in found))
    if not categories:
        return None
    colours = {name: SERIES[at % len(SERIES)] for at, name in enumerate(names)}
    id = f"categories-{benchmark}-{anchor(run)}"
    alt = f"Score by category with 95 % intervals for {', '.join(names)}; the numbers are in the table beside it."
    step = 0.7 / max(len(names), 1)
    with drawing(id, alt, width=4.1, height=0.62 + (0.17 + 0.115 * len(names)) * len(categories)) as picture:
        for at, category in enumerate(categories):
            for turn, name in enumerate(names):
                found = by_category[name].get(category) or {}
                if found.get("score") is not None:
                    bounds = category_interval(run, name, benchmark, category)
                    place = at + (turn - (len(names) - 1) / 2) * step
                    with_interval(picture.axes, place, found["score"], bounds, COLOURS[colours[name]], 4.5)
            if at:
                picture.axes.axhline(at - 0.5, color=COLOURS["grid"], linewidth=0.6)
        rows_of(picture.axes, [category.replace("_", " ") for category in categories])
        _scale_axis(picture.axes, benchmark)
    keys = tuple(Key(label=name, colour=colours[name], dot=True) for name in names)
    return Picture(id=id, title="Score by category, with 95 % intervals", svg=picture.svg, keys=keys)


def with_interval(
    axes: Axes, at: float, score: float, bounds: Sequence[float] | None, colour: str, size: float
) -> None:
    """A dot in row `at`, and its interval as a line through it."""
    if bounds:
        axes.plot(bounds, [at, at], color=colour, linewidth=size / 3, alpha=0.75)
    axes.plot([score], [at], marker="o", markersize=size, color=colour, markeredgecolor=COLOURS["paper"])


def rows_of(axes: Axes, labels: list[str]) -> None:
    """Names the rows, the first one on top."""
    axes.set_yticks(range(len(labels)), labels)
    axes.tick_params(axis="y", labelcolor=COLOURS["ink"])
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")


def _scale_axis(axes: Axes, benchmark: str) -> None:
    scale = scale_of(benchmark)
    if scale:
        axes.set_xlim(scale.worst - 0.1, scale.best + 0.1)
        width = scale.best - scale.worst
        parts = 3 if width % 3 == 0 else 4  # whole numbers at the axis
        axes.set_xticks([scale.worst + width * part / parts for part in range(parts + 1)])
        axes.set_xlabel(scale.unit, loc="right")
