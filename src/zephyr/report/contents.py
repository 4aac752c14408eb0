"""What a report says, in the order it says it; page.py and markdown.py only set it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from zephyr.report import run_tables, score_tables
from zephyr.report.against import BENCHMARKS, paper_tables, scores_against_paper, training_against_card
from zephyr.report.judging import calibration_table, judge_table
from zephyr.report.paper import beside_the_paper, published
from zephyr.report.read import Chain, Run, anchor
from zephyr.report.samples import Samples, pick
from zephyr.report.scales import name_of, scale_of
from zephyr.report.seeds import groups_of_seeds, over_seeds
from zephyr.report.settings import what_ran
from zephyr.report.speed import speed
from zephyr.report.table import Table, as_data
from zephyr.report.win_tables import wins

UNFINISHED = "This run is not finished (it has no result.json). Shown is what it has logged so far."
NO_SCORES = "No model has been scored yet: no evaluate run is among these runs."


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One benchmark of one `evaluate` run."""

    run: Run
    benchmark: str
    heading: str
    sentences: tuple[str, ...]
    """The paired differences in words."""
    caution: str
    """What must be said right beside the scores."""
    scores: Table
    comparisons: Table | None
    wins: tuple[Table, ...]
    """Win rates against a baseline and their differences, where they stand beside the score."""
    breakdowns: tuple[Table, ...]
    one_of_seeds: bool
    """Whether another evaluation sums up this one with those of other seeds."""
    samples: Samples | None
    against: Table | None
    """Ours and the paper's on the paper's own benchmark."""
    paper: tuple[Table, Table] | None


@dataclass(frozen=True, kw_only=True)
class Section:
    """One run: its settings, data, warnings and where it came from."""

    run: Run
    anchor: str
    what: str
    state: str
    """Empty for a finished run."""
    warnings: tuple[str, ...]
    tables: tuple[Table, ...]
    """Settings and data."""
    details: tuple[Table, ...]
    """All numbers and provenance, folded away on the page."""


@dataclass(frozen=True, kw_only=True)
class Contents:
    """A whole report."""

    title: str
    notes: tuple[str, ...]
    """Inputs that are missing or were replaced, and the like."""
    overview: Table
    evaluations: tuple[Evaluation, ...]
    sections: tuple[Section, ...]
    printed: tuple[Table, ...]
    """The paper's own tables, where a benchmark of the paper's was run."""


def contents(title: str, chain: Chain) -> Contents:
    """Puts runs, inputs first, into a report."""
    evaluations = _evaluations(chain.runs)
    return Contents(
        title=title,
        notes=chain.notes if evaluations else (*chain.notes, NO_SCORES),
        overview=run_tables.overview(chain.runs),
        evaluations=evaluations,
        sections=tuple(_section(run, chain.runs) for run in chain.runs),
        printed=paper_tables() if any(each.benchmark in BENCHMARKS for each in evaluations) else (),
    )


def _evaluations(runs: Sequence[Run]) -> tuple[Evaluation, ...]:
    """Every benchmark of every `evaluate` run; where several differ only in their seed, first their means.

    Samples are shown of one seed, and the paper stands beside the means.
    """
    groups = groups_of_seeds(runs)
    of_seeds = {run.directory for group in groups for run in group}
    repeated = {run.directory for group in groups for run in group[1:]}
    found = [_evaluation(over_seeds(group), benchmark, runs) for group in groups for benchmark in _benchmarks(group[0])]
    for run in runs:
        for benchmark in _benchmarks(run):
            each = _evaluation(run, benchmark, runs, one_of_seeds=run.directory in of_seeds)
            found.append(replace(each, samples=None) if run.directory in repeated else each)
    return tuple(found)


def _benchmarks(run: Run) -> tuple[str, ...]:
    return score_tables.benchmarks(run) if run.finished else ()


def _evaluation(run: Run, benchmark: str, others: Sequence[Run], *, one_of_seeds: bool = False) -> Evaluation:
    scale = scale_of(benchmark)
    breakdowns = (
        score_tables.categories(run, benchmark),
        score_tables.aspects(run, benchmark),
        judge_table(run, benchmark),
        calibration_table(run, benchmark),
    )
    return Evaluation(
        run=run,
        benchmark=benchmark,
        heading=f"{run.name}: {name_of(benchmark)}",
        sentences=score_tables.sentences(run, benchmark),
        caution=scale.caution if scale else "",
        scores=score_tables.scores(run, benchmark, others),
        comparisons=score_tables.comparisons(run, benchmark),
        wins=wins(run, benchmark),
        breakdowns=tuple(table for table in breakdowns if table),
        one_of_seeds=one_of_seeds,
        samples=pick(run, benchmark),
        against=None if one_of_seeds else scores_against_paper(run, benchmark),
        paper=None if one_of_seeds else beside_the_paper(run, benchmark),
    )


def _section(run: Run, others: Sequence[Run]) -> Section:
    tables = [run_tables.held_out(run), training_against_card(run), what_ran(run, others), run_tables.data_counts(run),
              speed(run)]  # fmt: skip
    details: list[Table | None] = [run_tables.provenance(run)]
    # what trained or judged has its numbers in curves and tables; any other stage has them here only
    told = "train" in run.recipe or "scores" in run.result
    (details if told else tables).insert(0 if told else 3, run_tables.numbers(run))
    return Section(
        run=run,
        anchor=anchor(run),
        what=run_tables.STAGES.get(run.stage, run.stage),
        state="" if run.finished else UNFINISHED,
        warnings=tuple(run.result.get("warnings", ())),
        tables=tuple(table for table in tables if table and table.rows),
        details=tuple(table for table in details if table),
    )


def paper_context(benchmark: str) -> tuple[str, tuple[str, ...]]:
    """What must be said where the paper's ablation stands beside our scores on a benchmark, and what is known of it."""
    facts = published()
    paper, judges = facts["paper"], facts["judges"]
    judged = f"MT-Bench: {judges['mt_bench']}; AlpacaEval: {judges['alpaca_eval']}"
    if benchmark in BENCHMARKS:
        context = (
            f"The paper's ablation ({paper['id']}) is of {paper['model']} ({judged}). Scores by another judge are on "
            "another scale; of another base model, only the shape can be compared: which stage gains over which."
        )
    else:
        context = (
            f"The paper ({paper['id']}) measured {paper['model']}, another model, on other benchmarks with another "
            f"judge ({judged}). "
            "The numbers can't be compared with ours; what can be is the shape: which stage gains over which."
        )
    return context, tuple(facts["ablation"]["caveats"])


def tables_of(report: Contents) -> list[Table]:
    """Every table of the report, in its order."""
    found: list[Table | None] = [report.overview]
    for each in report.evaluations:
        found += [each.scores, each.comparisons, *each.wins, *each.breakdowns, each.against, *(each.paper or ())]
    for section in report.sections:
        found += [*section.tables, *section.details]
    found += report.printed
    return [table for table in found if table]


def report_data(report: Contents) -> dict[str, Any]:
    """report.json: the tables' values, and what was said beside them."""
    return {
        "title": report.title,
        "notes": list(report.notes),
        "runs": [_run_data(section) for section in report.sections],
        "tables": [as_data(table) for table in tables_of(report)],
    }


def _run_data(section: Section) -> dict[str, Any]:
    run = section.run
    return {
        "name": run.name,
        "stage": run.stage,
        "run_id": run.run_id,
        "finished": run.finished,
        "directory": str(run.directory),
        "warnings": list(section.warnings),
    }
