"""Runs that differ only in their seed, summed up: means and intervals over seeds, so that luck in training shows."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import mean, stdev
from typing import Any

from zephyr.recipe.schema import NOT_SCIENCE
from zephyr.report.read import Run, lineage
from zephyr.report.scales import SHARES

# 97.5 % quantiles of Student's t for 1 to 30 degrees of freedom
STUDENT_T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip


def groups_of_seeds(runs: Sequence[Run]) -> list[list[Run]]:
    """Finished `evaluate` runs that are equal but for the seeds of them and of what they were made from."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        if run.finished and run.result.get("scores"):
            groups.setdefault(_science(run, runs), []).append(run)
    return [group for group in groups.values() if len({_seeds(run, runs) for run in group}) == len(group) > 1]


def over_seeds(group: Sequence[Run]) -> Run:
    """One run in place of several: every score and paired difference is the mean over seeds, its n their number."""
    results = [run.result for run in group]
    first = results[0]
    scores = {
        model: {benchmark: _score([result["scores"][model][benchmark] for result in results]) for benchmark in found}
        for model, found in first["scores"].items()
    }
    comparisons = [
        _comparison([each for result in results for each in result["comparisons"] if _same(each, wanted)])
        for wanted in first.get("comparisons", [])
    ]
    seeds = [run.recipe.get("seed") for run in group]
    result = {**first, "scores": scores, "comparisons": comparisons, "seeds": seeds, "warnings": []}
    return replace(group[0], label=f"{first['name']} over {len(group)} seeds", result=result, answers=())


def student_interval(values: Sequence[float]) -> list[float] | None:
    """95 % interval of the mean by Student's t; None for fewer than two values."""
    if len(values) < 2:
        return None
    freedom = len(values) - 1
    quantile = STUDENT_T[freedom - 1] if freedom <= len(STUDENT_T) else 1.96 + 2.4 / freedom
    half = quantile * stdev(values) / math.sqrt(len(values))
    return [mean(values) - half, mean(values) + half]


def _score(found: list[dict[str, Any]]) -> dict[str, Any]:
    values = [each["score"] for each in found if each["score"] is not None]
    categories = {
        name: [each["by_category"][name]["score"] for each in found] for name in found[0].get("by_category") or {}
    }
    aspects = {name: [each["aspects"][name] for each in found] for name in found[0].get("aspects") or {}}
    return {
        "score": mean(values) if values else None,
        "interval": student_interval(values),
        "n": len(values),
        "n_failed": sum(each["n_failed"] for each in found),
        **{key: mean(each[key] for each in found) for key in SHARES if all(key in each for each in found)},
        **_wins(found),
        "by_category": {
            name: {"score": mean(each), "interval": student_interval(each), "n": len(each)}
            for name, each in categories.items()
            if None not in each
        },
        "aspects": {name: mean(each) for name, each in aspects.items() if None not in each},
    }


def _wins(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Against a baseline, where there is one."""
    if not all("win_rate" in each for each in found):
        return {}
    rates = [each["win_rate"] for each in found]
    return {
        "baseline": found[0]["baseline"],
        "win_rate": mean(rates),
        "win_rate_interval": student_interval(rates),
        "win_rate_standard_error": stdev(rates) / math.sqrt(len(rates)) if len(rates) > 1 else None,
        **{key: sum(each[key] for each in found) for key in ("wins", "losses", "draws")},
        **{key: mean(each[key] for each in found) for key in ("answer_length", "baseline_length")},
    }


def _comparison(found: list[dict[str, Any]]) -> dict[str, Any]:
    values = [each["difference"] for each in found]
    low, high = student_interval(values) or (-math.inf, math.inf)
    return {
        **found[0],
        "difference": mean(values),
        "interval": [low, high],
        "n": len(values),
        "separable": low > 0 or high < 0,
        "each": values,
    }


def _same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return all(a[key] == b[key] for key in ("benchmark", "a", "b"))


def _seeds(run: Run, runs: Sequence[Run]) -> tuple[Any, ...]:
    return tuple(each.recipe.get("seed") for each in lineage(run, runs))


def _science(run: Run, runs: Sequence[Run]) -> str:
    """All that the run and what it was made from compute, but for seeds, as text to compare."""
    return json.dumps([_without_seed(each.recipe, (), runs) for each in lineage(run, runs)], sort_keys=True)


def _without_seed(value: Any, keys: tuple[str, ...], runs: Sequence[Run]) -> Any:
    """A recipe without seeds and what is no science; a path into a run becomes the run's stage."""
    if isinstance(value, dict):
        left_out = {"seed", "resolved"} if not keys else set()
        kept = {key: inner for key, inner in value.items() if key not in left_out}
        kept = {key: inner for key, inner in kept.items() if ".".join((*keys, key)) not in NOT_SCIENCE}
        return {key: _without_seed(inner, (*keys, str(key)), runs) for key, inner in kept.items()}
    if isinstance(value, list):
        return [_without_seed(inner, keys, runs) for inner in value]
    if isinstance(value, str):
        for run in runs:
            if value == str(run.directory) or value.startswith(f"{run.directory}/"):
                return run.stage + value.removeprefix(str(run.directory))
    return value
