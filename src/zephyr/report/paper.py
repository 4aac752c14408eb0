"""The paper's numbers (paper.yaml), and its ablation table set beside ours."""

from functools import cache
from importlib import resources
from typing import Any

import yaml

from zephyr.report.read import Run, anchor
from zephyr.report.table import Cell, Column, Table, words
from zephyr.report.wording import MISSING, interval, number, signed


@cache
def published() -> dict[str, Any]:
    """paper.yaml: every number with its table in the paper, and where sources disagree."""
    return yaml.safe_load((resources.files("zephyr.report") / "paper.yaml").read_text())


def matching(run: Run, benchmark: str) -> dict[str, str]:
    """The paper's row name -> our row name, where both have the same model; only by the names listed in paper.yaml."""
    found: dict[str, str] = {}
    for name, scores in run.result["scores"].items():
        row = ablation_row(name)
        if row and benchmark in scores:
            found.setdefault(row["name"], name)
    return {row["name"]: found[row["name"]] for row in published()["ablation"]["rows"] if row["name"] in found}


def ablation_row(name: str) -> dict[str, Any] | None:
    """The row of the paper's Table 3 that a row of ours is called like; None where there is none."""
    wanted = " ".join(name.lower().split())
    return next((row for row in published()["ablation"]["rows"] if wanted in row["also"]), None)


def beside_the_paper(run: Run, benchmark: str) -> tuple[Table, Table] | None:
    """The paper's Table 3 and its differences with ours beside them; None when fewer than two of its rows are here."""
    ours = matching(run, benchmark)
    if len(ours) < 2:
        return None
    return _scores(run, benchmark, ours), _differences(run, benchmark, ours)


def _scores(run: Run, benchmark: str, ours: dict[str, str]) -> Table:
    ablation = published()["ablation"]
    rows = []
    for row in ablation["rows"]:
        mean, error = row["alpaca_eval"]
        here = run.result["scores"][ours[row["name"]]][benchmark]["score"] if row["name"] in ours else None
        rows.append(
            (
                words(row["name"]),
                words(row["is"]),
                Cell(row["mt_bench"], number(row["mt_bench"])),
                Cell([mean, error], f"{number(mean)} ± {number(error)}"),
                Cell(here, number(here)),
            )
        )
    columns = (
        Column("paper's row"),
        Column("what it is"),
        Column("paper: MT-Bench, 1 to 10", True),
        Column("paper: AlpacaEval, % ± SE", True),
        Column(f"here: {benchmark}", True),
    )
    title = "The paper's ablation, ours beside it"
    note = f"Source: {ablation['source']}. {ablation['note']}"
    return Table(id=f"paper-{benchmark}-{anchor(run)}", title=title, columns=columns, rows=tuple(rows), note=note)


def _differences(run: Run, benchmark: str, ours: dict[str, str]) -> Table:
    ablation = published()["ablation"]
    paper = {row["name"]: row for row in ablation["rows"]}
    rows = []
    for pair in ablation["differences"]:
        a, b = paper[pair["a"]], paper[pair["b"]]
        if pair["a"] not in ours or pair["b"] not in ours:
            continue
        here = _our_difference(run, benchmark, ours[pair["a"]], ours[pair["b"]])
        mt_bench, alpaca_eval = b["mt_bench"] - a["mt_bench"], b["alpaca_eval"][0] - a["alpaca_eval"][0]
        rows.append(
            (
                words(f"{pair['b']} over {pair['a']}"),
                Cell(round(mt_bench, 2), signed(mt_bench)),
                Cell(round(alpaca_eval, 2), signed(alpaca_eval)),
                here,
            )
        )
    columns = (
        Column("difference"),
        Column("paper: MT-Bench", True),
        Column("paper: AlpacaEval, points", True),
        Column(f"here: {benchmark}", True),
    )
    title = "Its differences, and ours"
    return Table(id=f"paper-differences-{benchmark}-{anchor(run)}", title=title, columns=columns, rows=tuple(rows))


def _our_difference(run: Run, benchmark: str, a: str, b: str) -> Cell:
    """Our paired difference with its interval when it was compared, else the plain difference."""
    for each in run.result.get("comparisons", []):
        if each["benchmark"] == benchmark and {each["a"], each["b"]} == {a, b}:
            sign = 1 if each["b"] == b else -1
            bounds = sorted(sign * bound for bound in each["interval"])
            return Cell(sign * each["difference"], f"{signed(sign * each['difference'])} ({interval(bounds)})")
    scores = run.result["scores"]
    first, second = (scores[name][benchmark]["score"] for name in (a, b))
    if first is None or second is None:
        return Cell(None, MISSING)
    return Cell(second - first, signed(second - first))
