"""The `evaluate` stage: models answer, a judge judges, figures with intervals; each step from the files of the last.

Out: a folder for each benchmark with answers and judgments in its authors' formats, `answers.jsonl` with what each
model said and earned, `result.json` with the figures.
"""

import json
import logging
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from zephyr.errors import Until
from zephyr.evaluate.asked import STEPS, Scored
from zephyr.evaluate.call_steps import evaluate_steps
from zephyr.recipe.evaluate import EvaluateRecipe
from zephyr.teacher.account import account
from zephyr.teacher.predict import announce, predict

log = logging.getLogger("zephyr")

BENCHMARKS = {
    "world": "zephyr.evaluate.world.run",
    "mt_bench": "zephyr.evaluate.mt_bench.run",
    "alpaca_eval": "zephyr.evaluate.alpaca_eval.run",
    "leaderboard": "zephyr.evaluate.leaderboard.run",
}
"""Benchmark -> its module, with `generate`, `judge` and `score`; imported when asked for, as some bring torch."""
SHARES = ("score", "correct", "boilerplate", "win_rate", "turn_1", "turn_2")
"""Figures of a model on a benchmark that are among the run's numbers."""


def run(recipe: EvaluateRecipe, run_dir: Path) -> dict[str, Any]:
    """Does the steps up to the recipe's `until`, and returns scores, paired differences, who judged.

    Raises:
        UserError: answers or judgments failed, more than allowed; a file is missing; the budget is used up.
        Until: the recipe asked for fewer steps; what was done is in the files.
    """
    parts = _parts(recipe)
    steps = evaluate_steps(recipe)
    predicted = predict(steps.values()) if steps and not isinstance(steps, str) else None
    warned = announce(predicted, recipe.budget) if predicted else []
    for step in STEPS[:-1]:
        for part in parts.values():
            getattr(part, step)(recipe, run_dir)
        if recipe.until == step:
            raise Until(f"`until: {step}` is done, in {run_dir}; the same command without it goes on")
    scored = {name: part.score(recipe, run_dir) for name, part in parts.items()}
    rows = [row for each in scored.values() for row in each.rows]
    (run_dir / "answers.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return _result(recipe, scored) | _asked(run_dir, predicted, warned, scored)


def _parts(recipe: EvaluateRecipe) -> dict[str, ModuleType]:
    return {
        name: import_module(module)
        for name, module in BENCHMARKS.items()
        if getattr(recipe.benchmarks, name) is not None
    }


def _result(recipe: EvaluateRecipe, scored: dict[str, Scored]) -> dict[str, Any]:
    scores: dict[str, dict[str, Any]] = {}
    for name, each in scored.items():
        for model, found in each.scores.items():
            # the Leaderboard is several benchmarks
            scores.setdefault(model, {}).update(found if name == "leaderboard" else {name: found})
    return {
        "numbers": {
            f"{model}/{benchmark}/{part}": found[part]
            for model, benchmarks in scores.items()
            for benchmark, found in benchmarks.items()
            for part in SHARES
            if found.get(part) is not None
        },
        "scores": scores,
        "comparisons": [comparison for each in scored.values() for comparison in each.comparisons],
        "judging": {name: each.judging for name, each in scored.items() if each.judging},
        "provenance": {"benchmarks": {name: each.provenance for name, each in scored.items() if each.provenance}},
    }


def _asked(run_dir: Path, predicted: Any, warned: list[str], scored: dict[str, Scored]) -> dict[str, Any]:
    warnings = [*warned, *(warning for each in scored.values() for warning in each.warnings)]
    asked = {"asked": account(run_dir, predicted)} if predicted is not None else {}
    return {"warnings": warnings, **asked}
