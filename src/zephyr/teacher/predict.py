"""What asking will come to, before the first call: calls, tokens, cost and time, beside the budget."""

import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass

from zephyr.recipe.teacher import Budget, LanguageModel

log = logging.getLogger("zephyr")

OFFLINE = "ZEPHYR_OFFLINE"
"""Environment variable that `zephyr run --offline` sets, for itself and for the inputs it runs: nothing is sent."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """Sums over the steps of a run."""

    n_calls: int
    """Calls, without tries after a failure."""
    prompt_tokens: int
    completion_tokens: int
    cost: float | None
    """In the currency of the prices; None where a model behind an endpoint has no prices."""
    seconds: float | None
    """None where neither the speed of a model nor a rate limit is known."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """Equal calls to one model: how many, and how long on average."""

    model: LanguageModel
    n_calls: int
    prompt_tokens: float
    """Per call."""
    completion_tokens: float
    """Per call."""
    tokens_per_second: float | None = None
    """Of the answer to one request, while the others are worked too; None: not known."""


def predict(steps: Iterable[Step]) -> Prediction:
    """The sum of the steps.

    They overlap (while one row is judged another is answered), so the time is that of the model that is busy longest.
    """
    given = list(steps)
    by_model: dict[int, list[Step]] = {}
    for step in given:
        by_model.setdefault(id(step.model), []).append(step)
    costs = [_cost(step) for step in given]
    seconds = [_seconds(each) for each in by_model.values()]
    return Prediction(
        n_calls=sum(step.n_calls for step in given),
        prompt_tokens=round(sum(step.n_calls * step.prompt_tokens for step in given)),
        completion_tokens=round(sum(step.n_calls * step.completion_tokens for step in given)),
        cost=None if None in costs else sum(each for each in costs if each is not None),
        seconds=None if None in seconds else max((each for each in seconds if each is not None), default=0.0),
    )


def _cost(step: Step) -> float | None:
    model = step.model
    if model.price_per_million_input_tokens is None or model.price_per_million_output_tokens is None:
        return 0.0 if model.base_url is None else None
    per_call = (
        step.prompt_tokens * model.price_per_million_input_tokens
        + step.completion_tokens * model.price_per_million_output_tokens
    )
    return step.n_calls * per_call / 1e6


def _seconds(steps: list[Step]) -> float | None:
    """Of one model: what its speed, its concurrency and its rate limits allow."""
    model, n_calls = steps[0].model, sum(step.n_calls for step in steps)
    n_tokens = sum(step.n_calls * (step.prompt_tokens + step.completion_tokens) for step in steps)
    bounds = []
    if all(step.tokens_per_second for step in steps):
        busy = sum(step.n_calls * step.completion_tokens / (step.tokens_per_second or 1) for step in steps)
        bounds.append(busy / min(model.max_concurrency, max(1, n_calls)))
    if model.requests_per_minute:
        bounds.append(60 * n_calls / model.requests_per_minute)
    if model.tokens_per_minute:
        bounds.append(60 * n_tokens / model.tokens_per_minute)
    return max(bounds, default=None)


def sentence(prediction: Prediction) -> str:
    """The prediction in words."""
    parts = [
        f"{prediction.n_calls:,} calls, {_short(prediction.prompt_tokens)} tokens in,"
        f" {_short(prediction.completion_tokens)} out"
    ]
    parts += [f"cost {prediction.cost:,.2f}"] if prediction.cost else []
    parts += ["cost not reckoned (no prices)"] if prediction.cost is None else []
    parts += [duration(prediction.seconds)] if prediction.seconds is not None else []
    return ", ".join(parts)


def beyond_budget(prediction: Prediction, budget: Budget) -> list[str]:
    """What of the budget will not suffice, in words; empty where it will."""
    found = []
    if budget.max_requests is not None and prediction.n_calls > budget.max_requests:
        found.append(f"budget.max_requests is {budget.max_requests:,}, and {prediction.n_calls:,} calls are predicted")
    if budget.max_cost is not None and prediction.cost is not None and prediction.cost > budget.max_cost:
        found.append(f"budget.max_cost is {budget.max_cost:g}, and a cost of {prediction.cost:,.2f} is predicted")
    return found


def announce(prediction: Prediction, budget: Budget, *, at_most: bool = False) -> list[str]:
    """Says before the first call what is predicted, and warns of a budget that will not suffice; returns the warnings.

    It is no refusal: answers that are on disk cost nothing, and what a budget cuts off goes on with a higher one.
    An offline run sends nothing: there is no warning of its budget.

    Args:
        prediction: what was reckoned.
        budget: what it is compared with.
        at_most: whether it rests on the longest answers allowed instead of lengths that were stated.
    """
    log.info("  predicted: %s%s", sentence(prediction), " (answers at their longest)" if at_most else "")
    if os.environ.get(OFFLINE):
        return []
    warnings = [f"{each}: {ends(each, at_most=at_most)}" for each in beyond_budget(prediction, budget)]
    for each in warnings:
        log.warning("  %s", each)
    return warnings


def ends(beyond: str, *, at_most: bool) -> str:
    """What comes of a budget that the prediction exceeds; the number of calls rests on no lengths."""
    if at_most and beyond.startswith("budget.max_cost"):
        return "the run may stop there (answers are reckoned at their longest; `expect` says how long they are)"
    return "the run will stop there"


def _short(n: float) -> str:
    for size, letter in ((1e9, " G"), (1e6, " M"), (1e4, " k")):
        if n >= size:
            return f"{n / (1e3 if letter == ' k' else size):.3g}{letter}"
    return f"{n:.0f}"


def duration(seconds: float) -> str:
    """Seconds, minutes or hours."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
