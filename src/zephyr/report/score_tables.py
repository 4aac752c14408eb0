"""Tables of an `evaluate` run: scores with n, failures and intervals, paired differences, categories."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from zephyr.report.read import Run, anchor, in_words
from zephyr.report.scales import (
    HOW_TO_READ,
    HOW_TO_READ_DIFFERENCES,
    HOW_TO_READ_LENGTH,
    HOW_TO_READ_SEED_DIFFERENCES,
    HOW_TO_READ_SEEDS,
    SHARES,
    counted,
    name_of,
    scale_of,
)
from zephyr.report.table import Cell, Column, Table, words
from zephyr.report.wording import MISSING, count, interval, number, percent, signed, times


def benchmarks(run: Run) -> tuple[str, ...]:
    """Benchmarks that the run scored, in the order met."""
    return tuple(dict.fromkeys(name for scores in run.result.get("scores", {}).values() for name in scores))


def models(run: Run, benchmark: str) -> tuple[str, ...]:
    """Models that have a score on the benchmark, in the recipe's order."""
    return tuple(name for name, scores in run.result["scores"].items() if benchmark in scores)


def verdict(comparison: dict[str, Any]) -> str:
    """Whether a paired difference is one."""
    return "separable" if comparison["separable"] else "not separable"


def scores(run: Run, benchmark: str, others: Sequence[Run] = ()) -> Table:
    """Score of each model with n, failures, its interval, and which of the other runs made the model."""
    rows = []
    shares = _shares(run, benchmark)
    with_length = any("length" in run.result["scores"][model][benchmark] for model in models(run, benchmark))
    for model in models(run, benchmark):
        found = run.result["scores"][model][benchmark]
        made_by = _made_by(run, model, benchmark)
        rows.append(
            (
                words(model),
                Cell(found["score"], number(found["score"])),
                Cell(found.get("interval"), interval(found.get("interval"))),
                Cell(found["n"], count(found["n"])),
                Cell(found["n_failed"], count(found["n_failed"])),
                *(Cell(found.get(key), percent(found.get(key))) for key in shares),
                *([Cell(found.get("length"), count(found.get("length")))] if with_length else []),
                *([] if "seeds" in run.result else [words(in_words(made_by, others))]),
            )
        )
    columns = (
        Column("model"),
        Column("score", True),
        Column("95 % interval", True),
        Column("n", True),
        Column("failed", True),
        *(Column(SHARES[key][0], True) for key in shares),
        *([Column("length", True)] if with_length else []),
        *([] if "seeds" in run.result else [Column("made by")]),
    )
    explained = [
        HOW_TO_READ_SEEDS if "seeds" in run.result else counted(HOW_TO_READ, benchmark),
        *(SHARES[key][1] for key in shares),
    ]
    explained += [HOW_TO_READ_LENGTH] if with_length else []
    return Table(
        id=f"scores-{benchmark}-{anchor(run)}",
        title=f"Score on {name_of(benchmark)}",
        columns=columns,
        rows=tuple(rows),
        note=" ".join(explained),
    )


def _made_by(run: Run, model: str, benchmark: str) -> str:
    """The recipe's model of a row, loaded or asked; the file of answers that were there already."""
    benchmarks = run.recipe.get("benchmarks")
    settings = benchmarks.get(benchmark) if isinstance(benchmarks, dict) else None
    stored = ((settings or {}).get("answers") or {}).get(model)
    asked = ((run.recipe.get("endpoints") or {}).get(model) or {}).get("model")
    return str(stored or (run.recipe.get("models") or {}).get(model) or asked or MISSING)


def _shares(run: Run, benchmark: str) -> list[str]:
    """The shares that the benchmark counts beside the score."""
    found = [run.result["scores"][model][benchmark] for model in models(run, benchmark)]
    return [key for key in SHARES if any(each.get(key) is not None for each in found)]


def comparisons(run: Run, benchmark: str) -> Table | None:
    """Paired differences with their intervals and verdicts; None when the run compared nothing."""
    found = [each for each in run.result.get("comparisons", []) if each["benchmark"] == benchmark]
    if not found:
        return None
    rows = [
        (
            words(f"{each['b']} over {each['a']}"),
            Cell(each["difference"], signed(each["difference"])),
            Cell(each["interval"], interval(each["interval"])),
            Cell(each["n"], count(each["n"])),
            words(verdict(each)),
            *([Cell(each["each"], " ".join(map(signed, each["each"])))] if "each" in each else []),
        )
        for each in found
    ]
    columns = (
        Column("difference"),
        Column("points", True),
        Column("95 % interval", True),
        Column("n", True),
        Column("verdict"),
        *([Column("seed by seed")] if "seeds" in run.result else []),
    )
    return Table(
        id=f"differences-{benchmark}-{anchor(run)}",
        title="Paired differences",
        columns=columns,
        rows=tuple(rows),
        note=HOW_TO_READ_SEED_DIFFERENCES if "seeds" in run.result else counted(HOW_TO_READ_DIFFERENCES, benchmark),
    )


def categories(run: Run, benchmark: str) -> Table | None:
    """Score by category, a column per model; None when the benchmark has no categories."""
    return _breakdown(run, benchmark, "by_category", "category", "Score by category")


def aspects(run: Run, benchmark: str) -> Table | None:
    """The judge's aspects, a column per model; None when the judge has none."""
    scale = scale_of(benchmark)
    return _breakdown(
        run, benchmark, "aspects", "aspect", "What the judge looks at", note=scale.aspects if scale else ""
    )


def _breakdown(run: Run, benchmark: str, part: str, heading: str, title: str, note: str = "") -> Table | None:
    by_model = {model: run.result["scores"][model][benchmark].get(part) or {} for model in models(run, benchmark)}
    names = tuple(dict.fromkeys(name for found in by_model.values() for name in found))
    if not names:
        return None
    sizes = {name: max(_n(found.get(name)) or 0 for found in by_model.values()) for name in names}
    with_n = any(sizes.values())
    rows = []
    for name in names:
        values = [_value(found.get(name)) for found in by_model.values()]
        cells = [Cell(value, number(value)) for value in values]
        size = [Cell(sizes[name], count(sizes[name]))] if with_n else []
        rows.append((words(name.replace("_", " ")), *size, *cells))
    columns = (Column(heading), *([Column("n", True)] if with_n else []), *(Column(model, True) for model in by_model))
    return Table(id=f"{heading}-{benchmark}-{anchor(run)}", title=title, columns=columns, rows=tuple(rows), note=note)


def _value(found: Any) -> float | None:
    return found.get("score") if isinstance(found, dict) else found


def _n(found: Any) -> int | None:
    return found.get("n") if isinstance(found, dict) else None


def category_interval(run: Run, model: str, benchmark: str, category: str) -> tuple[float, float] | None:
    """95 % interval of a category's score: the result's own, else from the answers (mean +- 1.96 standard errors)."""
    found = run.result["scores"][model][benchmark]["by_category"].get(category) or {}
    if found.get("interval"):
        return tuple(found["interval"])
    return mean_interval(
        [
            row["score"]
            for row in run.answers
            if (row["model"], row["benchmark"], row["category"]) == (model, benchmark, category)
            and row["score"] is not None
        ]
    )


def mean_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Mean +- 1.96 standard errors; None for fewer than two values."""
    if len(values) < 2:
        return None
    mean = sum(values) / len(values)
    variance = sum((value - mean) ** 2 for value in values) / (len(values) - 1)
    half = 1.96 * math.sqrt(variance / len(values))
    return mean - half, mean + half


def sentences(run: Run, benchmark: str) -> tuple[str, ...]:
    """The differences between each model and the one before it, in words; all of them where none is such."""
    compared = [each for each in run.result.get("comparisons", []) if each["benchmark"] == benchmark]
    names = models(run, benchmark)
    steps = list(pairwise(names))
    chosen = [each for each in compared if (each["a"], each["b"]) in steps] or compared
    return tuple(in_one_line(run, each) for each in chosen)


def in_one_line(run: Run, comparison: dict[str, Any]) -> str:
    """A paired difference as a sentence."""
    size = times(comparison["n"], "seed") if "seeds" in run.result else f"n = {count(comparison['n'])}"
    bounds = f"95 % interval {interval(comparison['interval'])}, {size}"
    if not comparison["separable"]:
        return (
            f"{comparison['b']} and {comparison['a']} are not separable: {signed(comparison['difference'])} ({bounds})."
        )
    side = "above" if comparison["difference"] > 0 else "below"
    return f"{comparison['b']} is {side} {comparison['a']} by {number(abs(comparison['difference']))} ({bounds})."
