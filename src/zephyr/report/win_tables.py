"""Tables of win rates against a baseline, where a benchmark counts them beside its score."""

from dataclasses import replace
from typing import Any

from zephyr.report.read import Run, anchor
from zephyr.report.scales import HOW_TO_READ_WINS, HOW_TO_READ_WINS_OF_SEEDS, counted
from zephyr.report.score_tables import comparisons, models
from zephyr.report.table import Cell, Column, Table, words
from zephyr.report.wording import count, interval, number

COLUMNS = (
    Column("model"),
    Column("won %", True),
    Column("95 % interval", True),
    Column("standard error", True),
    Column("n", True),
    Column("failed", True),
    Column("wins", True),
    Column("losses", True),
    Column("draws", True),
    Column("length", True),
)


def wins(run: Run, benchmark: str) -> tuple[Table, ...]:
    """Each model's win rate, and the differences between them; nothing where there is no baseline."""
    found = {model: run.result["scores"][model][benchmark] for model in models(run, benchmark)}
    first = next(iter(found.values()))
    if "win_rate" not in first:
        return ()
    of_seeds = [HOW_TO_READ_WINS_OF_SEEDS] if "seeds" in run.result else []
    rates = Table(
        id=f"wins-{benchmark}-{anchor(run)}",
        title=f"Win rate against {first['baseline']}",
        columns=COLUMNS,
        rows=tuple(_row(model, each) for model, each in found.items()),
        note=" ".join([counted(HOW_TO_READ_WINS, benchmark), *of_seeds, _lengths(first)]),
    )
    differences = comparisons(run, f"{benchmark}_win_rate")
    return (rates, replace(differences, title="Differences between win rates")) if differences else (rates,)


def _row(model: str, found: dict[str, Any]) -> tuple[Cell, ...]:
    return (
        words(model),
        Cell(found["win_rate"], number(found["win_rate"], 1)),
        Cell(found["win_rate_interval"], interval(found["win_rate_interval"], 1)),
        Cell(found["win_rate_standard_error"], number(found["win_rate_standard_error"])),
        *(Cell(found[key], count(found[key])) for key in ("n", "n_failed", "wins", "losses", "draws", "answer_length")),
    )


def _lengths(found: dict[str, Any]) -> str:
    return f"Length: mean characters of an answer; the baseline's have {count(found['baseline_length'])}."
