"""The figures that a study's table shows: which there are, what they are called, and where a run says them."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from zephyr.recipe import EvaluateRecipe
from zephyr.recipe.problems import listed
from zephyr.report.run_tables import HELD_OUT
from zephyr.report.scales import SCALES, SHARES
from zephyr.report.wording import number, signed, significant
from zephyr.study.expand import Study
from zephyr.study.report.outcome import CellOutcome, RowOutcome

BENCHMARKS = {
    "world": "world",
    "mt_bench": "MT-Bench",
    "alpaca_eval": "AlpacaEval",
    "arc": "ARC",
    "hellaswag": "HellaSwag",
    "mmlu": "MMLU",
    "truthfulqa": "TruthfulQA",
}
"""Benchmarks in a column's heading."""
WITHOUT_EVALUATION = ("eval_rewards/accuracies", "eval_loss", "train_loss")
"""Shown where a study evaluates nothing and names no column, as far as a run has them."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One figure of every row."""

    key: str
    """As the study's file has it: `world/score`, `eval_rewards/accuracies`."""
    benchmark: str | None
    """None: a figure of training."""
    path: tuple[str, ...]
    """Its place among the benchmark's figures, or its name among the training run's numbers."""

    @property
    def title(self) -> str:
        """Heading."""
        if self.benchmark is None:
            held_out = self.key.removeprefix("eval_")
            shown = HELD_OUT.get(held_out, held_out.replace("_", " "))
            return f"held-out {shown}" if self.key.startswith("eval_") else shown
        name = BENCHMARKS.get(self.benchmark, self.benchmark.replace("_", " "))
        if self.path == ("score",):
            return f"{name} score" if self.benchmark == "world" else name
        words = [SHARES[part][0] if part in SHARES else part.replace("_", " ") for part in self.path]
        return " ".join([name, *words])

    @property
    def scale(self) -> str:
        """What the figure goes from and to: `1 to 10`, `%`; empty where the title says it or nothing does."""
        name = f"{self.benchmark}_{self.path[-1]}"  # a benchmark may have several: the world's score and its win rate
        found = SCALES.get(name if name in SCALES else self.benchmark or "")
        if found is None or self.path[-1] not in ("score", "win_rate", "turn_1", "turn_2"):
            return ""
        return "%" if found.best == 100 else f"{found.worst:g} to {found.best:g}"

    @property
    def heading(self) -> str:
        """The title with the scale."""
        return f"{self.title}, {self.scale}" if self.scale else self.title

    @property
    def digits(self) -> int:
        """Decimals shown."""
        return {"win_rate": 1, "correct": 3, "boilerplate": 3}.get(self.path[-1], 2 if self.benchmark else 3)

    def shown(self, value: float | None) -> str:
        """A value as the tables show it."""
        large = self.benchmark is None and value is not None and abs(value) >= 1000
        return significant(value, 4) if large else number(value, self.digits)

    def shown_difference(self, value: float | None) -> str:
        """A difference, with its sign."""
        return signed(value, self.digits)


def columns_of(study: Study, rows: Sequence[RowOutcome]) -> tuple[tuple[Column, ...], tuple[str, ...]]:
    """The table's columns, and a sentence for each of the study's that no run has."""
    benchmarks, cells = _benchmarks(study, rows), [cell for row in rows for cell in row.cells]
    if not study.recipe.columns:
        return _every_score(benchmarks, cells), ()
    columns, notes = [], []
    known = _known(cells)
    for key in study.recipe.columns:
        first, *rest = key.split("/")
        column = (
            Column(key=key, benchmark=first, path=tuple(rest) or ("score",))
            if first in benchmarks
            else Column(key=key, benchmark=None, path=(key,))
        )
        if _missing(column, cells):
            notes.append(_unknown(key, known))
        else:
            columns.append(column)
    return tuple(columns), tuple(notes)


def _benchmarks(study: Study, rows: Sequence[RowOutcome]) -> tuple[str, ...]:
    """Benchmarks of the study's `evaluate` recipe, whether or not one has run."""
    found: dict[str, None] = {}
    for cell in (cell for row in study.rows for cell in row.cells if cell.evaluation):
        recipe = cell.evaluation.recipe if cell.evaluation else None
        assert isinstance(recipe, EvaluateRecipe)
        named = recipe.benchmarks
        found |= {name: None for name in ("world", "mt_bench", "alpaca_eval") if getattr(named, name) is not None}
        found |= dict.fromkeys(named.leaderboard.tasks) if named.leaderboard else {}
        break
    return tuple(found | {name: None for row in rows for cell in row.cells for name in cell.scores})


def _every_score(benchmarks: Iterable[str], cells: Sequence[CellOutcome]) -> tuple[Column, ...]:
    scores = tuple(Column(key=f"{name}/score", benchmark=name, path=("score",)) for name in benchmarks)
    training = (key for key in WITHOUT_EVALUATION if any(key in cell.numbers for cell in cells))
    return scores or tuple(Column(key=key, benchmark=None, path=(key,)) for key in training)


def _missing(column: Column, cells: Sequence[CellOutcome]) -> bool:
    """Whether runs have figures of this kind, and none has this one."""
    if column.benchmark is None:
        said = [cell for cell in cells if cell.numbers]
        return bool(said) and not any(column.key in cell.numbers for cell in said)
    measured = [cell for cell in cells if column.benchmark in cell.scores]
    return bool(measured) and not any(_is_figure(place(cell.scores, column)) for cell in measured)


def place(scores: dict[str, dict[str, Any]], column: Column) -> Any:
    """What stands at a column's place among a model's figures; None where nothing does."""
    found: Any = scores.get(column.benchmark or "")
    for part in column.path:
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _is_figure(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _known(cells: Sequence[CellOutcome]) -> list[str]:
    """Every column that a run has."""
    found: dict[str, None] = {}
    for cell in cells:
        for benchmark, figures in cell.scores.items():
            found |= {f"{benchmark}/{name}": None for name, value in figures.items() if _is_figure(value)}
        found |= {name: None for name, value in cell.numbers.items() if _is_figure(value)}
    return list(found)


def _unknown(key: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(key, known, n=3, cutoff=0.5)
    near = near or [each for each in known if key.rpartition("/")[2] in each][:3]
    hint = f"did you mean {listed(near)}?" if near else f"there are {listed(known[:12], 'and')}"
    return f"columns: no run has `{key}`; {hint}"
