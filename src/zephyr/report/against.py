"""Ours | paper | difference | within tolerance: scores on the paper's benchmarks, and losses beside the model cards."""

import math
from dataclasses import dataclass
from typing import Any

from zephyr.report.paper import published
from zephyr.report.read import Run, anchor
from zephyr.report.run_tables import HELD_OUT
from zephyr.report.table import Cell, Column, Table, words
from zephyr.report.wording import MISSING, count, interval, number, signed

BENCHMARKS = ("mt_bench", "alpaca_eval", "arc", "hellaswag", "mmlu", "truthfulqa")
"""Benchmarks that the paper reports, in its order."""
YES, NO, NOT_COMPARED = "yes", "no", "not compared"


@dataclass(frozen=True, kw_only=True)
class Published:
    """A figure of the paper's."""

    value: float
    standard_error: float | None
    row: str
    """The paper's name of the model."""
    source: str
    """Table it is from."""


def published_score(model: str, benchmark: str) -> Published | None:
    """What the paper printed for a model, found by the names that paper.yaml lists; None where it has nothing."""
    paper, name = published(), " ".join(model.lower().split())
    known = {row["name"].lower(): row for row in paper["ablation"]["rows"]}
    known |= {alias: row for row in paper["ablation"]["rows"] for alias in row["also"]}
    if name in known:
        return _figure(known[name].get(benchmark), known[name]["name"], paper["ablation"]["source"])
    wanted = paper["names"].get(name)
    for table in (paper["chat"], paper["academic"]) if wanted else ():
        for row in table["rows"]:
            if row[:2] == wanted and benchmark in table["columns"]:
                found = _figure(
                    row[table["columns"].index(benchmark)], " ".join(filter(None, row[:2])), table["source"]
                )
                if found:
                    return found
    return None


def _figure(value: Any, row: str, source: str) -> Published | None:
    if value is None:
        return None
    mean, error = value if isinstance(value, list) else (value, None)
    return Published(value=mean, standard_error=error, row=row, source=source)


def tolerance(benchmark: str, ours: float | None, paper: float | None) -> float | None:
    """How far apart two scores may be and still be called the same, in points; from the standard errors where so said.

    Where only the paper's standard error is known, ours is taken to be as large.
    """
    rule = published()["tolerances"].get(benchmark)
    if rule is None or "points" in rule:
        return rule and rule["points"]
    if paper is None:
        return None
    return rule["standard_errors"] * math.hypot(paper, paper if ours is None else ours)


def scores_against_paper(run: Run, benchmark: str) -> Table | None:
    """The models of a run that the paper has too, on a benchmark of the paper's; None when there is none."""
    if benchmark not in BENCHMARKS:
        return None
    rows, sources, judged = [], [], []
    for model, scores in run.result["scores"].items():
        paper = published_score(model, benchmark)
        if paper is None or benchmark not in scores:
            continue
        found, verdict = scores[benchmark], _verdict(benchmark, scores[benchmark], paper)
        rows.append(_score_row(model, found, paper, verdict))
        sources.append(paper.source)
        judged.append(verdict.startswith(NOT_COMPARED))
    if not rows:
        return None
    columns = [("ours", True), ("95 % interval", True), ("n", True), ("failed", True), ("paper", True)]
    columns = [("model", False), *columns, ("difference", True), ("within tolerance", False)]
    return Table(
        id=f"against-{benchmark}-{anchor(run)}",
        title="Ours and the paper's",
        columns=tuple(Column(*each) for each in columns),
        rows=tuple(rows),
        note=_note(benchmark, tuple(dict.fromkeys(sources)), any(judged)),
    )


def _score_row(model: str, found: dict[str, Any], paper: Published, verdict: str) -> tuple[Cell, ...]:
    ours, error = found["score"], paper.standard_error
    difference = None if ours is None else ours - paper.value
    return (
        words(f"{model} ({paper.row})"),
        Cell(ours, number(ours)),
        Cell(found.get("interval"), interval(found.get("interval"))),
        Cell(found["n"], count(found["n"])),
        Cell(found["n_failed"], count(found["n_failed"])),
        Cell([paper.value, error], number(paper.value) + (f" ± {number(error)}" if error is not None else "")),
        Cell(difference, signed(difference)),
        words(verdict),
    )


def _verdict(benchmark: str, found: dict[str, Any], paper: Published) -> str:
    judge = published()["judge_names"].get(benchmark)
    if judge and found.get("judge") != judge:
        return f"{NOT_COMPARED}: judged by {found.get('judge') or 'an unnamed judge'}, the paper by {judge}"
    allowed = tolerance(benchmark, found.get("standard_error"), paper.standard_error)
    if found["score"] is None or allowed is None:
        return MISSING
    inside = abs(found["score"] - paper.value) <= allowed
    return f"{YES if inside else NO} (±{number(allowed)})"


def _note(benchmark: str, sources: tuple[str, ...], other_judge: bool) -> str:
    paper = published()
    parts = [f"Source: {'; '.join(sources)}."]
    if rule := paper["tolerances"].get(benchmark):
        size = f"{rule['points']} points" if "points" in rule else f"{rule['standard_errors']} standard errors"
        parts.append(f"Tolerance: {size}, since {rule['why']}.")
    if benchmark in paper["judges"]:
        parts.append(f"The paper's judge: {paper['judges'][benchmark]}.")
    if other_judge:
        parts.append("Scores by another judge are on another scale: the difference says nothing until calibrated.")
    parts += [
        f"Conflict: {each['what']} is {each['paper'][benchmark]} in the paper, {each['elsewhere'][benchmark]} "
        f"elsewhere ({each['source']})."
        for each in paper["headline"]["conflicts"]
        if isinstance(each["paper"], dict) and benchmark in each["paper"]
    ]
    return " ".join(parts)


def training_against_card(run: Run) -> Table | None:
    """A finished training run beside the model card of what its shipped recipe reproduces; None for other recipes."""
    card = _card(run)
    ours = run.result.get("numbers") or {}
    if card is None or not ours:
        return None
    names = [key for key in (*card["numbers"], *card.get("within", {})) if key in ours]
    rows = tuple(_training_row(key, ours[key], card) for key in dict.fromkeys(names))
    if not rows:
        return None
    columns = (
        Column("training"),
        Column("ours", True),
        Column("published", True),
        Column("difference", True),
        Column("within tolerance"),
    )
    parts = [f"{card['model']}: {card['source']}."]
    parts += [f"Tolerance: {card['why']}."] if "why" in card else []
    parts += [f"Conflict: {card['conflicts']}."] if "conflicts" in card else []
    title = "Ours and the model card's"
    return Table(id=f"{anchor(run)}-card", title=title, columns=columns, rows=rows, note=" ".join(parts))


def _card(run: Run) -> dict[str, Any] | None:
    """By the recipe's file, as only the shipped recipe itself reproduces it."""
    file = str(run.provenance.get("recipe_file") or "")
    return next((card for card in published()["training"] if file.endswith(f"/{card['recipe']}.yaml")), None)


def _training_row(key: str, ours: float, card: dict[str, Any]) -> tuple[Cell, ...]:
    paper, bounds = card["numbers"].get(key), card.get("within", {}).get(key)
    difference = None if paper is None else ours - paper
    verdict = MISSING
    if bounds:
        verdict = f"{YES if bounds[0] <= ours <= bounds[1] else NO} ({interval(bounds, 3)})"
    told = {"eval_loss": "held-out loss", "train_loss": "training loss, mean"}
    return (
        words(told.get(key) or HELD_OUT.get(key.removeprefix("eval_"), key)),
        Cell(ours, number(ours, 4)),
        Cell(paper, number(paper, 4)),
        Cell(difference, signed(difference, 4)),
        words(verdict),
    )


def paper_tables() -> tuple[Table, ...]:
    """The paper's Tables 1, 2 and 3 and its radar as they were printed, each with its source and notes."""
    paper = published()
    return _printed("chat", paper["chat"]), _printed("academic", paper["academic"]), _ablation(), _radar()


def _printed(name: str, table: dict[str, Any]) -> Table:
    columns = tuple(Column(each.replace("_", " "), each in BENCHMARKS) for each in table["columns"])
    rows = tuple(tuple(_printed_cell(value) for value in row) for row in table["rows"])
    note = f"Source: {table['source']}. {table['note']}"
    return Table(id=f"paper-{name}", title=_title(table), columns=columns, rows=rows, note=note)


def _title(table: dict[str, Any]) -> str:
    return str(table["source"]).split(", ", 1)[1]


def _printed_cell(value: Any) -> Cell:
    if value is None or isinstance(value, str):
        return Cell(value, value or MISSING)
    mean, error = value if isinstance(value, list) else (value, None)
    return Cell(value, number(mean) + (f" ± {number(error)}" if error is not None else ""))


def _ablation() -> Table:
    table = published()["ablation"]
    keys = ("name", "is", "mt_bench", "alpaca_eval")
    rows = tuple(tuple(_printed_cell(row[key]) for key in keys) for row in table["rows"])
    columns = (Column("row"), Column("what it is"), Column("mt bench", True), Column("alpaca eval", True))
    note = f"Source: {table['source']}. {table['note']}"
    return Table(id="paper-ablation", title=_title(table), columns=columns, rows=rows, note=note)


def _radar() -> Table:
    table = published()["by_category"]
    series = {"Zephyr": table["mt_bench"], **table["others"]}
    rows = tuple(
        (words(category), *(_printed_cell(values.get(category)) for values in series.values()))
        for category in table["mt_bench"]
    )
    columns = (Column("category"), *(Column(name, True) for name in series))
    note = f"Source: {table['source']}. {table['note']}"
    return Table(id="paper-radar", title="MT-Bench by category, digitised", columns=columns, rows=rows, note=note)
