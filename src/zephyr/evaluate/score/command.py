"""`zephyr score`: figures of judgments made anywhere, as tables or as JSON."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zephyr.evaluate.alpaca_eval.score import WinRate
from zephyr.evaluate.mt_bench.score import MtBenchScore
from zephyr.evaluate.score.read import Comparison, Scored, comparable, comparisons, read
from zephyr.evaluate.statistics import Difference, Mean


def score_command(files: Sequence[Path], questions: Path | None, *, as_json: bool) -> None:
    """Prints the figures of the files: tables, or a JSON list with an object per model."""
    groups = comparable(read(files, questions))
    if as_json:
        print(json.dumps([entry for group in groups for entry in entries(group)], indent=2, ensure_ascii=False))
        return
    from rich.console import Console

    from zephyr.evaluate.score.show import show

    show(groups, Console())


def entries(group: Sequence[Scored]) -> list[dict[str, Any]]:
    """The group for `--json`."""
    compared = comparisons(group)
    return [
        (_mt_bench_entry(each.figures) if isinstance(each.figures, MtBenchScore) else _alpaca_eval_entry(each.figures))
        | {"file": str(each.file), "notes": list(each.figures.notes), "compared": _compared(each.label, compared)}
        for each in group
    ]


def _mt_bench_entry(found: MtBenchScore) -> dict[str, Any]:
    return {
        "benchmark": "mt_bench",
        "model": found.model,
        "judge": found.judge,
        "score": _value(found.average),
        "turn_1": _value(found.by_turn.get(1)),
        "turn_2": _value(found.by_turn.get(2)),
        "by_category": {name: mean.value for name, mean in found.by_category.items()},
        "n": found.n,
        "n_failed": found.n_failed,
        "interval": _interval(found.average),
        "n_questions": found.n_questions,
        "turn_1_interval": _interval(found.by_turn.get(1)),
        "turn_2_interval": _interval(found.by_turn.get(2)),
        "by_category_interval": {name: _interval(mean) for name, mean in found.by_category.items()},
    }


def _alpaca_eval_entry(found: WinRate) -> dict[str, Any]:
    return {
        "benchmark": "alpaca_eval",
        "model": found.model,
        "baseline": found.baseline,
        "judge": found.annotator,
        "win_rate": _value(found.rate),
        "standard_error": found.standard_error,
        "interval": _interval(found.rate),
        "wins": found.wins,
        "losses": found.losses,
        "draws": found.draws,
        "n": found.n,
        "n_failed": found.n_failed,
        "length": found.length,
        "baseline_length": found.baseline_length,
    }


def _value(mean: Mean | None) -> float | None:
    return mean.value if mean else None


def _interval(mean: Mean | None) -> list[float] | None:
    return list(mean.bounds) if mean and mean.bounds else None


def _compared(label: str, compared: Sequence[Comparison]) -> list[dict[str, Any]]:
    """This model minus each other one."""
    found = []
    for each in compared:
        if label in (each.a, each.b) and isinstance(each.difference, Difference):
            sign = 1 if label == each.b else -1
            found.append({
                "with": each.a if label == each.b else each.b,
                "difference": sign * each.difference.value,
                "interval": sorted(sign * bound for bound in each.difference.interval),
                "n": each.difference.n,
                "separable": each.difference.separable,
            })  # fmt: skip
    return found
