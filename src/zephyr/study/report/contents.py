"""What a study's report says; page.py, markdown.py and show.py only set it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from zephyr.recipe import DpoRecipe
from zephyr.recipe.problems import shown
from zephyr.report import score_tables
from zephyr.report.read import Run
from zephyr.report.samples import Turn, in_order, turns
from zephyr.report.seeds import over_seeds
from zephyr.report.table import Cell, Table, words
from zephyr.report.table import Column as Heading
from zephyr.report.wording import duration, times
from zephyr.run import run_name
from zephyr.study.expand import MODEL, Study
from zephyr.study.report.about import made, rows_table
from zephyr.study.report.beside import Beside, beside_the_paper
from zephyr.study.report.columns import Column, columns_of
from zephyr.study.report.entries import entries
from zephyr.study.report.outcome import WORST_FIRST, StudyOutcome, WorkOutcome, read_study
from zephyr.study.report.sentences import cautions, in_brief, saving, sentences
from zephyr.study.report.table import Tabled, main_table, reasons
from zephyr.study.report.warned import Warned, warned

FEW_ROWS = 8
"""Rows up to which each difference is told by a sentence of its own."""
SEVERAL = 2
"""Names listed, where more are counted."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A prompt answered by every row."""

    benchmark: str
    category: str
    id: str
    turns: tuple[Turn, ...]


@dataclass(frozen=True, kw_only=True)
class Samples:
    """A prompt of each category, of the first seed that has answers."""

    how: str
    shown: tuple[Sample, ...]


@dataclass(frozen=True, kw_only=True)
class Report:
    """A study's report."""

    title: str
    tabled: Tabled
    unknown: tuple[str, ...]
    """Columns that no run has."""
    outdated: str
    """Which figures are of an earlier state of the files that their runs were made of; empty when none are."""
    unfinished: str
    """How many rows are not finished; empty when all are."""
    table: Table
    """With line ends in its cells, which stack them."""
    brief: tuple[str, ...]
    """The first column's differences in few words, where there are many rows; empty for few."""
    sentences: Mapping[str, tuple[str, ...]]
    """Column's title -> its differences in words."""
    warned: tuple[Warned, ...]
    cautions: tuple[str, ...]
    saving: str
    beside: Beside | None
    categories: tuple[Table, ...]
    samples: Samples | None
    rows: Table
    """What each row is."""
    runs: Table
    made: tuple[str, ...]
    """When, on what and by which code the runs were made."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What must be said first; a note may have several lines."""
        unfinished = "\n".join([self.unfinished, *reasons(self.tabled.outcome)])
        return tuple(each for each in (*self.unknown, self.outdated, unfinished if self.unfinished else "") if each)

    @property
    def works(self) -> tuple[WorkOutcome, ...]:
        """Every run, as in the rows of `runs`."""
        return self.tabled.outcome.works


def contents(study: Study) -> Report:
    """Reads what there is of a study's runs and puts it into a report."""
    outcome = read_study(study)
    columns, unknown = columns_of(study, outcome.rows)
    tabled = Tabled(outcome=outcome, columns=columns, entries=entries(outcome, columns))
    merged = [run for at in range(len(outcome.rows[0].cells)) if (run := merged_run(outcome, at))]
    benchmarks = dict.fromkeys(each.benchmark for each in columns if each.benchmark)
    return Report(
        title=study.recipe.title,
        tabled=tabled,
        unknown=unknown,
        outdated=_outdated(outcome),
        unfinished=_unfinished(outcome),
        table=main_table(tabled),
        brief=in_brief(tabled, columns[0]) if columns and len(outcome.rows) > FEW_ROWS else (),
        sentences={column.title: said for column in columns if (said := sentences(tabled, column))},
        warned=warned(outcome),
        cautions=cautions(columns) if _trains_by_dpo(study) else (),
        saving=saving(outcome),
        beside=beside_the_paper(tabled),
        categories=_categories(outcome, merged, tuple(benchmarks)),
        samples=_samples(merged[0], tuple(benchmarks)) if merged else None,
        rows=rows_table(study),
        runs=_runs(outcome),
        made=made(outcome),
    )


def _trains_by_dpo(study: Study) -> bool:
    """Whether any row does, which is what the cautions are about."""
    return any(isinstance(each.loaded.recipe, DpoRecipe) for each in study.works)


def _outdated(outcome: StudyOutcome) -> str:
    """Which figures are of an earlier state of the files that their runs were made of, and why."""
    found = [each for each in outcome.works if each.outdated]
    if not found:
        return ""
    rows = dict.fromkeys(row for each in found for row in each.rows)
    reasons = [f"{shown(each.work.loaded.run_dir)} {each.outdated}" for each in found]
    more = [f"and {times(len(found) - SEVERAL, 'more run')}"] if len(found) > SEVERAL else []
    return "\n".join(["Out of date: figures of " + ", ".join(rows), *reasons[:SEVERAL], *more])


def _unfinished(outcome: StudyOutcome) -> str:
    """How many rows are not finished; empty when all are."""
    states = {state: sum(row.state == state for row in outcome.rows) for state in WORST_FIRST}
    told = [f"{number} {IN_WORDS[state]}" for state, number in states.items() if number]
    done = sum(row.state == "finished" for row in outcome.rows)
    return f"{done} of {times(len(outcome.rows), 'row')} finished, {', '.join(told)}." if told else ""


IN_WORDS = {
    "failed": "failed",
    "running": "going on",
    "interrupted": "stopped half way",
    "waiting": "waiting",
    "outdated": "out of date",
}


def merged_run(outcome: StudyOutcome, at: int) -> Run | None:
    """The `evaluate` runs of all rows with the seed at a place, as one run whose models are the rows."""
    cells = {row.name: row.cells[at] for row in outcome.rows if row.cells[at].scores}
    if not cells:
        return None
    answers = [
        {**answer, "model": name}
        for name, cell in cells.items()
        for answer in (cell.evaluation.answers if cell.evaluation else ())
        if answer["model"] == MODEL
    ]
    seed = next(iter(cells.values())).seed
    title = outcome.study.recipe.title
    return Run(
        directory=outcome.study.loaded.run_dir,
        recipe_text="",
        recipe={"stage": "evaluate", "seed": seed},
        result={"name": title, "status": "finished", "scores": {name: cell.scores for name, cell in cells.items()}},
        answers=tuple(answers),
        label=title if seed is None else f"{title}, seed {seed}",
    )


def _categories(outcome: StudyOutcome, merged: list[Run], benchmarks: tuple[str, ...]) -> tuple[Table, ...]:
    """Score by category, a column per row; over seeds of the rows that all seeds have."""
    if not merged:
        return ()
    run = merged[0]
    if outcome.over_seeds:
        everywhere = [name for name in run.result["scores"] if all(name in each.result["scores"] for each in merged)]
        if len(merged) < 2 or not everywhere:
            return ()
        run = over_seeds([_only(each, everywhere) for each in merged])
    drawn = (score_tables.categories(run, benchmark) for benchmark in benchmarks)
    note = f"Means over {len(merged)} seeds, of the rows that all of them have." if outcome.over_seeds else ""
    return tuple(replace(table, note=note) for table in drawn if table)


def _only(run: Run, names: list[str]) -> Run:
    scores = {name: run.result["scores"][name] for name in names}
    return Run(directory=run.directory, recipe_text="", recipe=run.recipe, result={**run.result, "scores": scores})


def _samples(run: Run, benchmarks: tuple[str, ...]) -> Samples | None:
    """The first prompt of each category that all rows answered, in the order of the SHA-256 of their ids."""
    found = [sample for benchmark in benchmarks for sample in _samples_of(run, benchmark)]
    if not found:
        return None
    how = "Of each category the first prompt in the order of the SHA-256 of their ids, so that nobody chose it"
    seed = run.recipe["seed"]
    return Samples(how=f"{how}{'' if seed is None else f'; answers with seed {seed}'}.", shown=tuple(found))


def _samples_of(run: Run, benchmark: str) -> list[Sample]:
    by_id: dict[str, dict[str, dict[str, Any]]] = {}
    for row in run.answers:
        if row["benchmark"] == benchmark:
            by_id.setdefault(str(row["id"]), {})[row["model"]] = row
    most = max(map(len, by_id.values()), default=0)
    first: dict[str, Sample] = {}
    for id in in_order(id for id, rows in by_id.items() if len(rows) == most):
        category = str(next(iter(by_id[id].values())).get("category") or "")
        first.setdefault(
            category, Sample(benchmark=benchmark, category=category, id=id, turns=turns(by_id[id]))
        )  # fmt: skip
    return [first[category] for category in sorted(first)]


def _runs(outcome: StudyOutcome) -> Table:
    """Every run: its state, its time, the rows that use it, its directory."""
    names = [row.name for row in outcome.rows]
    rows = tuple(
        (
            words(run_name(each.work.loaded)),
            words(each.work.loaded.recipe.stage),
            *([words(_seeds(each))] if outcome.over_seeds else []),
            words(f"{each.shown_state}: {each.why}" if each.why else each.shown_state),
            Cell(each.wall_s, duration(each.wall_s)),
            Cell(list(each.rows), _some(each.rows, names)),
            Cell(str(each.work.loaded.run_dir), str(shown(each.work.loaded.run_dir))),
        )
        for each in outcome.works
    )
    seed = [Heading("seed")] if outcome.over_seeds else []
    headings = (Heading("run"), Heading("stage"), *seed, Heading("state"), Heading("time", True), Heading("rows"),
                Heading("directory"))  # fmt: skip
    return Table(id="runs", title="Runs", columns=headings, rows=rows)


def _seeds(work: WorkOutcome) -> str:
    return ", ".join(dict.fromkeys(str(seed) for _, seed in work.work.wanted_by))


def _some(of: tuple[str, ...], names: list[str]) -> str:
    """The rows that use a run, as briefly as can be."""
    others = [name for name in names if name not in of]
    if len(of) <= SEVERAL:
        return ", ".join(of)
    if len(others) <= 1:
        return f"all but {others[0]}" if others else "all"
    return f"{len(of)} of {len(names)}"


def first_column(report: Report) -> Column | None:
    """The column that matters most: the study's first."""
    return report.tabled.columns[0] if report.tabled.columns else None


def page_of(study: Study) -> Path:
    """Where a study's page is."""
    return study.loaded.run_dir / "report.html"
