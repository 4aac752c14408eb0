"""A study's training curves: all rows over each other, means over seeds in a band from the lowest to the highest."""

import math
from collections.abc import Sequence
from statistics import mean
from typing import Any

import numpy as np

from zephyr.report.figures import SMOOTH_FROM, Key, Picture, points, running_mean, thinned
from zephyr.report.read import Run
from zephyr.report.run_tables import HELD_OUT
from zephyr.report.svg import COLOURS, drawing
from zephyr.report.wording import significant
from zephyr.study.report.comparable import why_unlike_curves
from zephyr.study.report.outcome import RowOutcome, StudyOutcome
from zephyr.study.report.pictures import Look, looks, slug

PATTERNS: dict[str, Any] = {"": "solid", "dashed": (0, (5, 2)), "dotted": (0, (1, 1.6))}
STAGES = {"cpt": "continued pretraining", "sft": "dSFT", "dpo": "dDPO"}
ACCURACY, MARGIN = "rewards/accuracies", "rewards/margins"
NO_MARGIN = 1e-6
"""Mean margin of rewards below which policy and reference are equal, so that every pair is a tie."""

Line = list[tuple[float, float]]
"""(step, value)."""
Band = list[tuple[float, float, float, float]]
"""(step, mean, lowest, highest) over seeds."""


def curve_pictures(outcome: StudyOutcome) -> tuple[Picture, ...]:
    """For each of the study's curves, and each stage that logged it, all rows over each other."""
    trained = [each.training for row in outcome.rows for each in row.cells if each.training]
    stages = list(dict.fromkeys(each.stage for each in trained))
    drawn = (_picture(outcome, metric, stage) for metric in outcome.study.recipe.curves for stage in stages)
    return tuple(each for each in drawn if each)


def _picture(outcome: StudyOutcome, metric: str, stage: str) -> Picture | None:
    bands = {row.name: found for row in outcome.rows if (found := band(_runs(row, stage), metric))}
    if all(len(found) < 2 for found in bands.values()):
        return None  # a single point is in the table
    held_out, look = metric.startswith("eval_"), looks(outcome)
    id = f"curve-{slug(metric)}-{stage}"
    told = (f"{name}: from {significant(found[0][1])} to {significant(found[-1][1])}." for name, found in bands.items())
    with drawing(id, f"{_title(metric)} by step. {' '.join(told)}", width=4.6, height=2.9) as picture:
        for name, found in bands.items():
            _draw(picture.axes, found, look[name], dots=held_out)
        picture.axes.set_xlabel("step", loc="right")
        picture.axes.margins(x=0.02)
    keys = tuple(Key(label=name, colour=look[name].colour, dash=look[name].dash) for name in bands)
    smoothed = not held_out and any(len(found) >= SMOOTH_FROM for found in bands.values())
    return Picture(id=id, title=f"{_title(metric)}, {STAGES.get(stage, stage)}", svg=picture.svg, keys=keys,
                   note=_note(outcome, metric, stage, smoothed=smoothed))  # fmt: skip


def _note(outcome: StudyOutcome, metric: str, stage: str, *, smoothed: bool) -> str:
    parts = ["Means over seeds; shaded from the lowest seed to the highest."] if outcome.over_seeds else []
    parts += ["Running means."] if smoothed else []
    parts += ["From the first step on: before it all rewards are equal."] if metric.endswith(ACCURACY) else []
    first = [runs[0] for row in outcome.rows if (runs := _runs(row, stage))]
    parts += [f"The curves are {unlike}"] if (unlike := why_unlike_curves(metric, first)) else []
    return " ".join(parts)


def _runs(row: RowOutcome, stage: str) -> list[Run]:
    return [each.training for each in row.cells if each.training and each.training.stage == stage]


def band(runs: Sequence[Run], metric: str) -> Band:
    """A metric over the steps of runs that differ in their seed.

    Seeds may take different numbers of steps, as their data differ: finished runs are laid over each other by the
    share of their training, at the mean number of steps.
    """
    lines = [(run, line) for run in runs if (line := _line(run, metric))]
    if len(lines) < 2:
        return [(step, value, value, value) for _, line in lines for step, value in line]
    ends = [run.metrics[-1].get("step", 0) for run, _ in lines if run.finished]
    scaled = [_scaled(line, mean(ends) / run.metrics[-1]["step"] if run.finished else 1.0) for run, line in lines]
    found = []
    for step, _ in max(scaled, key=len):
        values = [value for line in scaled if (value := _at(line, step)) is not None]
        found.append((step, mean(values), min(values), max(values)))
    return found


def _line(run: Run, metric: str) -> Line:
    """What a run logged of a metric, gaps and, of accuracies, what every pair of is a tie left out."""
    rows = run.eval_rows if metric.startswith("eval_") else run.train_rows
    if metric.endswith(ACCURACY):
        margin = metric.removesuffix(ACCURACY) + MARGIN
        rows = tuple(row for row in rows if abs(row.get(margin, 1.0)) > NO_MARGIN)
    return [(step, value) for step, value in points(rows, metric) if math.isfinite(value)]


def _scaled(line: Line, factor: float) -> Line:
    return [(step * factor, value) for step, value in line]


def _at(line: Line, step: float) -> float | None:
    """The line's height at a step, straight between its points; None where it has not come so far."""
    steps, values = zip(*line, strict=True)
    if step > steps[-1] + 1e-6 * abs(steps[-1]):
        return None
    return float(np.interp(step, steps, values))


def _draw(axes: Any, found: Band, look: Look, *, dots: bool) -> None:
    colour, pattern = COLOURS[look.colour], PATTERNS[look.dash]
    parts: list[Line] = [[(each[0], each[at]) for each in found] for at in (1, 2, 3)]
    if not dots and len(found) >= SMOOTH_FROM:
        parts = [running_mean(each) for each in parts]
    middle, low, high = (thinned(each) for each in parts)
    if low != high:
        axes.fill_between([x for x, _ in low], [y for _, y in low], [y for _, y in high], color=colour, alpha=0.13,
                          linewidth=0)  # fmt: skip
    axes.plot(*zip(*middle, strict=True), color=colour, linewidth=1.5, linestyle=pattern,
              **({"marker": "o", "markersize": 3.5} if dots else {}))  # fmt: skip


def _title(metric: str) -> str:
    name = metric.removeprefix("eval_")
    shown = HELD_OUT.get(name, name.replace("_", " "))
    return f"Held-out {shown}" if metric.startswith("eval_") else f"{shown[0].upper()}{shown[1:]} while training"
