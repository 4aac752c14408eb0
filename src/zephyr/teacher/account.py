"""What asking the models of a run came to, for `result.json`: over all restarts, beside what was predicted."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from zephyr.teacher.predict import Prediction
from zephyr.teacher.spending import Spent, lines, read


def account(folder: Path, predicted: Prediction | None = None) -> dict[str, Any]:
    """Calls, requests, tokens, cost and seconds of a run, in all and by model.

    `calls` are what the stage asked when it last ran each of its steps, `from_disk` those of them whose answer was
    there already (from another run, or from this one before it was interrupted). `requests` are those sent, tries
    included, over all restarts. `cost_at_most` is the part of the cost that is not known: requests that timed out,
    broke off or were in flight at a kill, reckoned at the most they can have cost.
    """
    # the last time of each step
    asked: dict[str, Any] = {line[1]: line[2] for line in lines(folder) if line[0] == "asked"}
    spent = read(folder)
    names = dict.fromkeys([*(name for step in asked.values() for name in step), *spent])
    by_model = {
        name: _model(spent.get(name, Spent()), [step[name] for step in asked.values() if name in step])
        for name in names
    }
    found = _sum(list(by_model.values())) | {"seconds": _seconds(lines(folder))}
    if predicted is not None:
        found["predicted"] = asdict(predicted)
    return found | {"models": by_model}


def _model(spent: Spent, asked: list[dict[str, Any]]) -> dict[str, Any]:
    failed_calls: Counter[str] = Counter()
    for step in asked:
        failed_calls.update(step["failed"])
    return {
        "calls": sum(step["calls"] for step in asked),
        "from_disk": sum(step["from_disk"] for step in asked),
        "failed_calls": dict(failed_calls),
        "requests": spent.n_requests,
        "failed_requests": dict(spent.failed),
        "prompt_tokens": spent.prompt_tokens,
        "completion_tokens": spent.completion_tokens,
        "cost": round(spent.cost, 6),
        "cost_at_most": round(spent.unknown_cost, 6),
    }


def _sum(models: list[dict[str, Any]]) -> dict[str, Any]:
    total: dict[str, Any] = {}
    for each in models:
        for name, value in each.items():
            if isinstance(value, dict):
                total[name] = dict(Counter(total.get(name, {})) + Counter(value))
            else:
                total[name] = total.get(name, 0) + value
    return total


def _seconds(noted: Iterable[list[Any]]) -> float:
    """Time spent asking, over all restarts: of each, from its beginning to the last request that came back."""
    total, began, last = 0.0, 0.0, 0.0
    for line in noted:
        if line[0] == "began":
            total += last - began
            began = last = line[1]
        elif line[0] == "over":
            last = line[6]
    return round(total + last - began, 1)
