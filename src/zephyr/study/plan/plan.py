"""`zephyr plan STUDY`: every run it takes, what is there, what rows share, and what that saves."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from zephyr.errors import UserError
from zephyr.made_of import Known, outdated
from zephyr.plan.needs import lacking, refuse_missing
from zephyr.recipe import Loaded, RecipeError
from zephyr.run import CONTINUES, refuse_outdated
from zephyr.study.epochs import epochs_of
from zephyr.study.expand import Study, StudyRow, Work
from zephyr.study.plan.like import counts_of, hours_like
from zephyr.study.plan.shared import Common, one_training, reasons, references, same_rows, tokenised
from zephyr.study.plan.takes import Takes, going_on_from, result_of, takes_of
from zephyr.study.state import RunState, states_of


@dataclass(frozen=True, kw_only=True)
class PlannedRun:
    """One run of the study."""

    work: Work
    state: RunState
    takes: Takes
    outdated: str = ""
    """Of a run that finished before what it was made from was changed: what that was, as the end of a sentence."""

    @property
    def finished(self) -> bool:
        """Whether there is nothing to do."""
        return self.state.state == "finished" and not self.outdated


@dataclass(frozen=True, kw_only=True)
class Totals:
    """Sums over runs."""

    runs: int
    hours: float | None
    """One run after the other; None where no run's are known."""
    gpu_hours: float | None
    calls: int | None
    """What endpoints are asked."""
    answers: int | None
    """What models that are loaded here are asked, and a mini world's."""
    cost: float | None
    without_hours: int
    """Runs whose hours are not known, and not in the sum."""


@dataclass(frozen=True, kw_only=True)
class StudyPlan:
    """What `zephyr plan` shows of a study."""

    study: Study
    runs: tuple[PlannedRun, ...]
    """Every distinct run, inputs before what uses them."""
    references: tuple[Common, ...]
    """dDPO runs by the stored reference that they look up."""
    tokenised: tuple[Common, ...]
    """Training runs by the prepared data that they read."""
    same: tuple[str, ...]
    """Which rows are the same runs, and which runs go on from others."""
    alone: Totals
    """Every row by itself, with all it is made from."""
    once: Totals
    """Equal work done once."""
    finished: Totals
    to_do: Totals
    looked_up_hours: float
    """What equal work once is spared by stored references."""
    apart: tuple[str, ...]
    """Why what one may expect to be shared is not."""
    lacks: tuple[str, ...]
    """What runs would still need here."""
    outdated: str
    """Which finished runs `run` refuses to use again, why, and the ways out; empty where there is none."""

    @property
    def begun(self) -> bool:
        """Whether any run is more than waiting."""
        return any(each.state.state != "waiting" for each in self.runs)

    def of(self, row: StudyRow) -> tuple[PlannedRun, ...]:
        """The runs that a row takes, with all its seeds."""
        return tuple(each for each in self.runs if any(name == row.name for name, _ in each.work.wanted_by))

    def alone_of(self, row: StudyRow) -> Totals:
        """A row by itself: what one of its seeds shares with another is done again too."""
        return _totals((each, sum(name == row.name for name, _ in each.work.wanted_by)) for each in self.runs)


def make_study_plan(study: Study) -> StudyPlan:
    """Plans a study; nothing is written, nothing read but run directories, and files that were changed since."""
    runs = _with_like(_planned(study))
    loaded = [each.work.loaded for each in runs]
    looked_up = tuple(references(loaded))
    spared = {finished: _spared(runs, looked_up, finished=finished) for finished in (True, False)}
    finished = _totals(((each, 1) for each in runs if each.finished), spared[True])
    to_do = _totals(((each, 1) for each in runs if not each.finished), spared[False])
    return StudyPlan(
        study=study,
        runs=runs,
        references=looked_up,
        tokenised=tuple(tokenised(loaded)),
        same=(*same_rows(study.rows), *one_training(loaded)),
        alone=_totals((each, len(each.work.wanted_by)) for each in runs),
        once=_sum(finished, to_do),
        finished=finished,
        to_do=to_do,
        looked_up_hours=spared[True][0] + spared[False][0],
        apart=tuple(reasons(loaded, _kept(study, loaded))),
        lacks=_lacks(runs),
        outdated=_refusal(each.work.loaded for each in runs if each.outdated),
    )


def _planned(study: Study) -> list[PlannedRun]:
    """Every run, with where it is and what it takes."""
    states = states_of(each.loaded for each in study.works)
    known: Known = {}
    runs = {each.loaded.run_dir: each.loaded for each in study.works}
    finished = {run_dir: (runs[run_dir], result_of(run_dir)) for run_dir, each in states.items()
                if each.state == "finished"}  # fmt: skip
    planned, counts = [], counts_of(finished)
    for work in study.works:
        run_dir, state = work.loaded.run_dir, states[work.loaded.run_dir]
        changed = outdated(work.loaded, known).get(run_dir, "") if run_dir in finished else ""
        takes = takes_of(work.loaded, finished[run_dir][1] if run_dir in finished else {}, counts(work.loaded))
        if work.continues is not None and (run_dir not in finished or (run_dir / CONTINUES).is_file()):
            before = next(each.loaded for each in study.works if each.loaded.run_dir == work.continues)
            takes = going_on_from(takes, epochs_of(before) / epochs_of(work.loaded))
        planned.append(PlannedRun(work=work, state=state, takes=takes, outdated=changed))
    return planned


def _refusal(runs: Iterable[Loaded]) -> str:
    """What `run` says of finished runs that are outdated; empty where none is."""
    try:
        refuse_outdated(runs)
    except UserError as error:
        return str(error)
    return ""


def _with_like(runs: list[PlannedRun]) -> tuple[PlannedRun, ...]:
    """With hours that nothing else tells, of runs to do, reckoned from finished ones of their kind."""
    like = hours_like((each.work.loaded, each.takes) for each in runs)
    return tuple(replace(each, takes=like(each.work.loaded, each.takes)) for each in runs)


def _totals(runs: Iterable[tuple[PlannedRun, int]], spared: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Totals:
    """Sums over runs, each as often as said; `spared`: hours, GPU-hours and cost of references that are looked up."""
    counted = [(each, times) for each, times in runs if times]
    hours = [times * each.takes.hours for each, times in counted if each.takes.hours is not None]
    gpu_hours = [times * each.takes.gpu_hours for each, times in counted if each.takes.gpu_hours is not None]
    calls = [times * each.takes.calls for each, times in counted if each.takes.calls]
    answers = [times * each.takes.answers for each, times in counted if each.takes.answers]
    costs = [times * each.takes.cost for each, times in counted if each.takes.cost is not None]
    return Totals(
        runs=sum(times for _, times in counted),
        hours=sum(hours) - spared[0] if hours else None,
        gpu_hours=sum(gpu_hours) - spared[1] if gpu_hours else None,
        calls=sum(calls) if calls else None,
        answers=sum(answers) if answers else None,
        cost=sum(costs) - spared[2] if costs else None,
        without_hours=sum(times for each, times in counted if each.takes.hours is None),
    )


def _spared(
    runs: tuple[PlannedRun, ...], looked_up: tuple[Common, ...], *, finished: bool
) -> tuple[float, float, float]:
    """Hours, GPU-hours and cost of references that finished runs, or those to do, find stored already."""
    by_directory = {each.work.loaded.run_dir: each for each in runs}
    hours = gpu_hours = cost = 0.0
    for group in looked_up:
        members = sorted((by_directory[each] for each in group.run_dirs), key=lambda each: not each.finished)
        for each in members[1:]:  # the first computes it
            takes = each.takes
            if each.finished == finished and takes.hours:
                hours += takes.reference_hours
                gpu_hours += takes.reference_hours * takes.gpus
                cost += (takes.cost or 0.0) * takes.reference_hours / takes.hours
    return hours, gpu_hours, cost


def _sum(a: Totals, b: Totals) -> Totals:
    def added(key: str) -> Any:
        known = [value for value in (getattr(a, key), getattr(b, key)) if value is not None]
        return sum(known) if known else None

    return Totals(**{key: added(key) for key in asdict(a)})


def _kept(study: Study, runs: list[Loaded]) -> list[Loaded]:
    """One run of each recipe that no row changes."""
    return [next(run for run in runs if run.file == file) for file in map(Path, study.recipe.keep)
            if any(run.file == file for run in runs)]  # fmt: skip


def _lacks(runs: tuple[PlannedRun, ...]) -> tuple[str, ...]:
    """Local files that are not there, and keys of endpoints: what is told once, whatever runs want it."""
    said: dict[str, None] = {}
    for each in runs:
        if each.finished:
            continue
        try:
            refuse_missing(each.work.loaded)
        except RecipeError as error:
            said |= dict.fromkeys(map(str, error.problems))
        said |= dict.fromkeys(lacking(each.work.loaded))
    return tuple(said)


def as_json(plan: StudyPlan) -> dict[str, Any]:
    """For programs: totals first, then every row and every run."""
    study = plan.study
    return {
        "stage": "study",
        "recipe": str(study.loaded.file),
        "run_dir": str(study.loaded.run_dir),
        "title": study.recipe.title,
        "seeds": study.recipe.seeds,
        "compare_with": study.compare_with,
        "totals": {key: asdict(getattr(plan, key)) for key in ("alone", "once", "finished", "to_do")},
        "looked_up_hours": plan.looked_up_hours,
        "rows": [_row_json(plan, each) for each in study.rows],
        "runs": [_run_json(each) for each in plan.runs],
        "references": [[str(each) for each in group.run_dirs] for group in plan.references],
        "tokenised": [[str(each) for each in group.run_dirs] for group in plan.tokenised],
        "same_rows": list(plan.same),
        "not_shared": list(plan.apart),
        "lacks": list(plan.lacks),
    }


def _row_json(plan: StudyPlan, row: StudyRow) -> dict[str, Any]:
    wanted = row.wanted
    return {
        "name": row.name,
        "recipe": str(wanted.recipe) if wanted.recipe else None,
        "model": wanted.model,
        "set": {each.key: each.value for each in wanted.settings},
        "runs": [str(each.work.loaded.run_dir) for each in plan.of(row)],
        "cells": [{"seed": each.seed, "run_dir": str(each.last.run_dir) if each.last else None} for each in row.cells],
        "alone": asdict(plan.alone_of(row)),
    }


def _run_json(run: PlannedRun) -> dict[str, Any]:
    loaded, takes = run.work.loaded, run.takes
    return {
        "run_dir": str(loaded.run_dir),
        "run_id": loaded.run_id,
        "stage": loaded.recipe.stage,
        "recipe": str(loaded.file),
        "overrides": list(loaded.overrides),
        "state": run.state.state,
        "why": run.state.why,
        "outdated": run.outdated or None,
        "needs": [str(each) for each in run.work.needs],
        "continues": str(run.work.continues) if run.work.continues else None,
        "wanted_by": [{"row": row, "seed": seed} for row, seed in run.work.wanted_by],
        **{key: value for key, value in asdict(takes).items() if key != "ways"},
        "to_fit": [list(each.overrides) for each in takes.ways],
        "gpu_hours": takes.gpu_hours,
    }
