"""One row's figure against another's: on the same questions for one seed, seed by seed for several."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from zephyr.evaluate.asked import file_of
from zephyr.evaluate.leaderboard import run as leaderboard
from zephyr.evaluate.statistics import Difference, clustered_difference
from zephyr.evaluate.world.wins import preference
from zephyr.report.read import Run
from zephyr.report.seeds import student_interval
from zephyr.study.expand import MODEL
from zephyr.study.report.columns import Column
from zephyr.study.report.outcome import CellOutcome

SAME = "the same run"
"""In place of an interval, where both rows are one run: the difference is zero by definition, and no evidence."""
Question = tuple[str, int]
"""Its id, and the turn; turns of one question are drawn again together."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """A figure minus the base row's."""

    difference: float
    interval: tuple[float, float] | None
    """95 %; None where nothing says how far the difference would move."""
    n: int
    """Questions, or seeds."""
    why: str = ""
    """Why there is no interval."""
    each: tuple[float, ...] = ()
    """Seed by seed."""

    @property
    def same(self) -> bool:
        """Whether both rows are one run (with several seeds, one of each)."""
        return self.why == SAME

    @property
    def separable(self) -> bool | None:
        """Whether the interval excludes zero; None without one."""
        return None if self.interval is None else self.interval[0] > 0 or self.interval[1] < 0

    @property
    def verdict(self) -> str:
        """In words; empty without an interval."""
        return {None: "", True: "separable", False: "not separable"}[self.separable]


def over_seeds(differences: Sequence[float]) -> Compared | None:
    """Differences of several seeds, each between its own two runs: their mean and Student's t interval."""
    if not differences:
        return None
    found = student_interval(differences)
    return Compared(
        difference=sum(differences) / len(differences),
        interval=(found[0], found[1]) if found else None,
        n=len(differences),
        why="" if found else "one seed only",
        each=tuple(differences),
    )


def on_the_same_questions(column: Column, base: CellOutcome, row: CellOutcome, difference: float) -> Compared:
    """Row minus base, question by question.

    Args:
        column: the figure.
        base: the one it is taken from.
        row: the other.
        difference: of the two figures, where single questions are not stored.
    """
    if column.benchmark is None:
        return Compared(difference=difference, interval=None, n=1, why="one training run each")
    assert base.evaluation is not None and row.evaluation is not None  # both have the figure
    found = _paired(column, base.evaluation, row.evaluation)
    if found is None:
        return Compared(difference=difference, interval=None, n=1, why="not stored by question")
    return Compared(difference=found.value, interval=found.interval, n=found.n)


def _paired(column: Column, base: Run, row: Run) -> Difference | None:
    if column.path == ("score",) and (base.directory / "leaderboard").is_dir():
        files = [_task_file(each.directory, column.benchmark or "") for each in (base, row)]
        if all(each.is_file() for each in files):
            return leaderboard.compare(*(json.loads(each.read_text()) for each in files))
    a, b = (by_question(each, column) for each in (base, row))
    common = [each for each in a if each in b]  # in the benchmark's order, so that the draws are its own
    groups = [[b[each] - a[each] for each in found] for _, found in groupby(common, key=lambda each: each[0])]
    return clustered_difference(groups) if len(groups) > 1 else None


def _task_file(run_dir: Path, task: str) -> Path:
    return file_of(file_of(run_dir / "leaderboard", MODEL, ""), task, ".json")


def by_question(run: Run, column: Column) -> dict[Question, float]:
    """What the model of an `evaluate` run earned for each question; empty where the column has no such thing."""
    values = EARNED.get((column.benchmark or "", column.path))
    if values is None:
        return {}
    rows = (row for row in run.answers if row["benchmark"] == column.benchmark and row["model"] == MODEL)
    earned = ((str(row["id"]), turn, value) for row in rows for turn, value in values(row).items())
    return {(id, turn): value for id, turn, value in earned if value is not None}


def _score(row: Mapping[str, Any]) -> dict[int, float | None]:
    return {0: row["score"]}


def _world_win(row: Mapping[str, Any]) -> dict[int, float | None]:
    """Percent won against the baseline's answer: 0, 50 or 100."""
    baseline = row.get("baseline")
    return {0: 100 * (preference(baseline["score"], row["score"]) - 1)} if baseline else {}


def _correct(row: Mapping[str, Any]) -> dict[int, float | None]:
    return {0: sum(row["correct"]) / len(row["correct"])}


def _turns(*wanted: int) -> Callable[[Mapping[str, Any]], dict[int, float | None]]:
    """The ratings of turns, counted from 1."""
    return lambda row: {turn: value for turn, value in enumerate(row["turn_scores"], 1) if turn in wanted}


EARNED: dict[tuple[str, tuple[str, ...]], Callable[[Mapping[str, Any]], dict[int, float | None]]] = {
    ("world", ("score",)): _score,
    ("world", ("win_rate",)): _world_win,
    ("world", ("correct",)): _correct,
    ("mt_bench", ("score",)): _turns(1, 2),
    ("mt_bench", ("turn_1",)): _turns(1),
    ("mt_bench", ("turn_2",)): _turns(2),
    ("alpaca_eval", ("score",)): _score,
}
"""Figure -> what a row of answers.jsonl says of it, by turn (0: of the whole answer)."""
