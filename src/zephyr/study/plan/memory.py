"""Runs of a study that do not fit into the memory of the device that they name, and what would make them fit."""

from collections.abc import Sequence

from zephyr.plan.ways import Way
from zephyr.run import run_name
from zephyr.study.plan.plan import PlannedRun, StudyPlan

NAMED = 6
"""Rows that are named; more are counted."""


def memory_lines(plan: StudyPlan) -> list[str]:
    """For each recipe and need that is too large: the runs' rows, the GiB needed and there, and the ways out."""
    tight: dict[tuple[str, str, tuple[Way, ...]], list[PlannedRun]] = {}
    for each in plan.runs:
        if each.takes.fits is False and not each.finished:
            key = (run_name(each.work.loaded), _needs(each), each.takes.ways)
            tight.setdefault(key, []).append(each)
    said = []
    for (name, needs, ways), runs in tight.items():
        said.append(f"{name}, for {_rows(runs)}: does not fit; {needs}. To make it fit:")
        said += [f"  {_words(way)}\n    {way.gib:.1f} GiB; {way.meaning}" for way in ways]
        if not ways:
            said.append("  no cut of it does; take a larger device (launch.device), or a shorter data.max_length")
    return said


def _needs(run: PlannedRun) -> str:
    loaded, takes = run.work.loaded, run.takes
    device = getattr(getattr(loaded.recipe, "launch", None), "device", "device")
    return f"it needs {takes.memory_gib:.1f} GiB, and one {device} has {takes.device_gib:g}"


def _rows(runs: Sequence[PlannedRun]) -> str:
    rows = list(dict.fromkeys(row for each in runs for row, _ in each.work.wanted_by))
    return ", ".join(rows) if len(rows) <= NAMED else f"{len(rows)} rows"


def _words(way: Way) -> str:
    """As one types it: settings of the hardware for all recipes that train, others where the rows are written."""
    if all(each.startswith("launch.") for each in way.overrides):
        return " ".join(f"--everywhere {each}" for each in way.overrides)
    return f"in the rows' `set`, or in the recipe: {' '.join(way.overrides)}"
