"""What there is of a study's runs: each read once, with its state, the time it took, and the rows that use it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zephyr.errors import UserError
from zephyr.made_of import Known, outdated
from zephyr.report.read import Run, read_run
from zephyr.run import run_name
from zephyr.study.expand import MODEL, Study, Work
from zephyr.study.state import RunState, states_of
from zephyr.study.status import row_state
from zephyr.study.watch import labels

OUTDATED = "outdated"
"""State of what is finished, but made of other files than there are now."""
ON_A_GPU = ("cpt", "sft", "dpo", "evaluate")
"""Stages that compute on GPUs where there are any; the others leave them idle."""


@dataclass(frozen=True, kw_only=True)
class Spent:
    """Time of processes."""

    gpu_s: float = 0.0
    """Seconds of GPUs."""
    cpu_s: float = 0.0
    """Seconds of processes that computed on none."""

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(gpu_s=self.gpu_s + other.gpu_s, cpu_s=self.cpu_s + other.cpu_s)


@dataclass(frozen=True, kw_only=True)
class WorkOutcome:
    """One run."""

    work: Work
    label: str
    """What it is called in the report."""
    state: RunState
    run: Run | None
    """What is in its directory; None where it was not begun."""
    outdated: str = ""
    """Of a run that finished before what it was made from was changed: what that was, as the end of a sentence."""

    @property
    def shown_state(self) -> str:
        """Its state, `outdated` included."""
        return OUTDATED if self.outdated else self.state.state

    @property
    def why(self) -> str:
        """What there is to say of its state; empty where nothing is."""
        return self.outdated or self.state.why

    @property
    def rows(self) -> tuple[str, ...]:
        """Names of the rows that use it."""
        return tuple(dict.fromkeys(row for row, _ in self.work.wanted_by))

    @property
    def wall_s(self) -> float | None:
        """Seconds that it ran, stretches that ended in an interruption included as far as they logged."""
        if self.run is None:
            return None
        stretches = _stretches(self.run)
        last = self.run.result.get("wall_s", stretches[-1] if stretches else None)
        return None if last is None else last + sum(stretches[:-1])

    @property
    def spent(self) -> Spent:
        """Its time, for all its processes."""
        if self.run is None or self.wall_s is None:
            return Spent()
        seconds = self.wall_s * (self.run.result.get("batch") or {}).get("processes", 1)
        gpus = (self.run.provenance.get("hardware") or {}).get("gpus")
        return Spent(gpu_s=seconds) if gpus and self.run.stage in ON_A_GPU else Spent(cpu_s=seconds)


def _stretches(run: Run) -> list[float]:
    """Seconds of each stretch of a run's training, whose clock starts again when it is continued."""
    found: list[float] = []
    for row in run.metrics:
        if "time_s" in row:
            if found and row["time_s"] >= found[-1]:
                found[-1] = row["time_s"]
            else:
                found.append(row["time_s"])
    return found


@dataclass(frozen=True, kw_only=True)
class CellOutcome:
    """One row with one seed."""

    seed: int | None
    state: str
    """`finished`; `outdated` where one of its runs was made of other files than there are now; else what the first of
    its runs that is not finished is."""
    why: str
    """Which run that is, and what there is to say of it; empty when finished."""
    model: Run | None
    """The finished run that made the model; None too for a model that was there already."""
    training: Run | None
    """The same run, finished or not: its curves."""
    evaluation: Run | None
    """The finished run that measured the model."""

    @property
    def scores(self) -> dict[str, dict[str, Any]]:
        """Benchmark -> figures; empty until measured."""
        return (self.evaluation.result.get("scores") or {}).get(MODEL, {}) if self.evaluation else {}

    @property
    def numbers(self) -> dict[str, Any]:
        """What training says of itself; empty until trained."""
        return (self.model.result.get("numbers") or {}) if self.model else {}


@dataclass(frozen=True, kw_only=True)
class RowOutcome:
    """One row of the table."""

    name: str
    point: tuple[tuple[str, Any], ...]
    """For a row of the grid, the label and value of each axis."""
    cells: tuple[CellOutcome, ...]
    """One for each seed."""
    own: Spent
    """Time of runs that no other row uses."""
    shared: Spent
    """Time of runs that other rows use too, whole."""

    @property
    def state(self) -> str:
        """That of its seeds, the worst first."""
        states = {each.state for each in self.cells}
        return next((state for state in WORST_FIRST if state in states), "finished")

    @property
    def why(self) -> str:
        """What is not finished, and which run is the cause; with several seeds, how many are finished."""
        if len(self.cells) == 1:
            return self.cells[0].why
        causes: dict[str, list[int | None]] = {}
        for each in self.cells:
            if each.state != "finished":
                causes.setdefault(f"{each.state}: {each.why}", []).append(each.seed)
        done = sum(each.state == "finished" for each in self.cells)
        told = [f"{'seeds' if len(of) > 1 else 'seed'} {', '.join(map(str, of))} {why}" for why, of in causes.items()]
        return "; ".join([f"{done} of {len(self.cells)} seeds finished", *told]) if told else ""


WORST_FIRST = ("failed", "running", "interrupted", "waiting", OUTDATED)


@dataclass(frozen=True, kw_only=True)
class StudyOutcome:
    """A study with what there is of its runs."""

    study: Study
    rows: tuple[RowOutcome, ...]
    works: tuple[WorkOutcome, ...]

    @property
    def base(self) -> RowOutcome:
        """The row that the others are set against."""
        return next(each for each in self.rows if each.name == self.study.compare_with)

    @property
    def over_seeds(self) -> bool:
        """Whether figures are means over seeds rather than of one run."""
        return len(self.rows[0].cells) > 1


def read_study(study: Study) -> StudyOutcome:
    """Reads every run that is there; what is missing or can't be read is a state, never an error."""
    states, named = dict(states_of(each.loaded for each in study.works)), labels(study.works)
    works, known = {}, Known()
    for work in study.works:
        directory = work.loaded.run_dir
        run, state = _read(directory, states[directory])
        states[directory] = state
        changed = outdated(work.loaded, known).get(directory, "") if state.state == "finished" else ""
        works[directory] = WorkOutcome(work=work, label=named[directory], state=state, run=run, outdated=changed)
    rows = [_row(each.name, each.wanted.point, each.cells, works, states) for each in study.rows]
    return StudyOutcome(study=study, rows=tuple(rows), works=tuple(works.values()))


def _read(directory: Path, state: RunState) -> tuple[Run | None, RunState]:
    if not (directory / "recipe.yaml").is_file():
        return None, state
    if state.state == "waiting" and not state.why:
        return None, state  # not begun; what is in the directory is another run's
    try:
        return read_run(directory), state
    except (UserError, OSError, ValueError) as error:
        return None, RunState(state="failed", why=f"its files can't be read: {error}")


def _row(
    name: str,
    point: tuple[tuple[str, Any], ...],
    cells: Sequence[Any],
    works: Mapping[Path, WorkOutcome],
    states: Mapping[Path, RunState],
) -> RowOutcome:
    used = [each for each in works.values() if name in each.rows]
    return RowOutcome(
        name=name,
        point=point,
        cells=tuple(_cell(name, each, works, states) for each in cells),
        own=sum((each.spent for each in used if len(each.rows) == 1), Spent()),
        shared=sum((each.spent for each in used if len(each.rows) > 1), Spent()),
    )


def _cell(row: str, cell: Any, works: Mapping[Path, WorkOutcome], states: Mapping[Path, RunState]) -> CellOutcome:
    own = [each.work for each in works.values() if (row, cell.seed) in each.work.wanted_by]
    state, why = row_state(own, states)
    changed = next((found for each in own if (found := works[each.loaded.run_dir]).outdated), None)
    if state == "finished" and changed is not None:
        state, why = OUTDATED, f"{run_name(changed.work.loaded)} {changed.outdated}"
    training = works[cell.model.run_dir].run if cell.model else None
    evaluation = works[cell.evaluation.run_dir].run if cell.evaluation else None
    return CellOutcome(
        seed=cell.seed,
        state=state,
        why=why,
        model=training if training and training.finished else None,
        training=training,
        evaluation=evaluation if evaluation and evaluation.finished else None,
    )
