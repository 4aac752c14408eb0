"""The runs of a study in few lines: by recipe and by the rows that want them, whatever their seeds."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zephyr.recipe.loaded import leaves, plain
from zephyr.recipe.problems import dotted
from zephyr.run import run_name
from zephyr.study.plan.plan import PlannedRun, StudyPlan
from zephyr.study.rows import shown_value

MOST_ROWS = 6
"""Rows up to which the runs for each of them stand apart."""
NAMED = 2
"""Rows that are named where a run serves only some; more are counted."""
NO_SCIENCE = ("expect.", "launch.")
"""Settings of a row that are not told, since they change nothing of its figures."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Runs of one recipe that stand on one line."""

    runs: tuple[PlannedRun, ...]
    serves: str
    """Which rows want them."""

    @property
    def name(self) -> str:
        """The recipe."""
        return run_name(self.runs[0].work.loaded)


def groups(plan: StudyPlan) -> list[Group]:
    """The runs by recipe and by the rows that want them; where rows are many, by recipe and how many rows do."""
    every = [each.name for each in plan.study.rows]
    found = _grouped(plan.runs, tuple if len(every) <= MOST_ROWS else len)
    return [Group(runs=tuple(runs), serves=_serves(runs, every)) for runs in found]


def _grouped(runs: Iterable[PlannedRun], key: Callable[[tuple[str, ...]], Any]) -> list[list[PlannedRun]]:
    found: dict[Any, list[PlannedRun]] = {}
    for each in runs:
        found.setdefault((each.work.loaded.file, key(_rows_of(each))), []).append(each)
    files = list(dict.fromkeys(file for file, _ in sorted(found, key=lambda key: _measures(found[key][0]))))
    return [group for file in files for (of, _), group in found.items() if of == file]


def _measures(run: PlannedRun) -> bool:
    """Whether a run is a row's evaluation: those stand at the end."""
    return run.work.loaded.recipe.stage == "evaluate"


def _rows_of(run: PlannedRun) -> tuple[str, ...]:
    return tuple(dict.fromkeys(row for row, _ in run.work.wanted_by))


def _serves(runs: Sequence[PlannedRun], every: Sequence[str]) -> str:
    """`all rows`, `all but base`, `dSFT-1, dSFT-2`, `3 rows each`."""
    rows = _rows_of(runs[0])
    if any(_rows_of(each) != rows for each in runs):
        return f"{len(rows)} row{'s' if len(rows) > 1 else ''} each"
    others = [each for each in every if each not in rows]
    if not others:
        return "all rows" if len(every) > 1 else every[0]
    if len(others) == 1 and len(rows) > 1:
        return f"all but {others[0]}"
    return ", ".join(rows) if len(rows) <= NAMED else f"{len(rows)} rows"


def family(plan: StudyPlan) -> str:
    """The folder that need not be said with each recipe: the study's own, else that of most recipes."""
    folders = Counter(run_name(each.work.loaded).partition("/")[0] for each in plan.runs)
    own = [each.name for each in plan.study.loaded.file.parents if each.name in folders]
    return own[0] if own else folders.most_common(1)[0][0]


def within(name: str, family: str) -> str:
    """A recipe's name, without the folder that most have in common."""
    return name.removeprefix(f"{family}/")


def varied(group: Group) -> str:
    """What differs between the runs of a line, or is said of all of them: `  beta 0.01, 0.1`."""
    if len({row for each in group.runs for row in _rows_of(each)}) == 1:
        return ""  # the table of rows says what it sets
    settings = [_said(each) for each in group.runs]
    keys = [key for key in dict.fromkeys(key for each in settings for key in each) if key not in ("seed", "models")]
    keys = [key for key in keys if not key.startswith(NO_SCIENCE)]
    shown_keys = []
    for key in keys:
        values = list(dict.fromkeys(each.get(key) or _value(run, key) for each, run in
                                    zip(settings, group.runs, strict=True)))  # fmt: skip
        shown_keys.append(f"{key.rpartition('.')[2]} {', '.join(values)}")
    return "".join(f"\n  {each}" for each in shown_keys)


def _said(run: PlannedRun) -> dict[str, str]:
    """Keys and values that a run says otherwise than its file."""
    pairs = (each.removeprefix("--").partition("=") for each in run.work.loaded.overrides)
    return {key: value for key, _, value in pairs if key not in ("endpoints",)}


def _value(run: PlannedRun, key: str) -> str:
    """What the recipe's own file says."""
    found = {dotted(parts): value for parts, value in leaves(plain(run.work.loaded.recipe))}
    value = found.get(key)
    return Path(value).name if isinstance(value, str) and value.startswith("/") else shown_value(value)
