"""What must hold between the keys of an `evaluate` recipe."""

from collections.abc import Iterator
from typing import Any

from zephyr.recipe.problems import Parts

JUDGED = ("mt_bench", "alpaca_eval")


def evaluate_checks(data: dict[str, Any]) -> Iterator[tuple[Parts, str]]:
    """Mistakes between keys: where, and the sentence."""
    benchmarks = _given(data, "benchmarks")
    if not benchmarks:
        yield ("benchmarks",), "names no benchmark; write `mt_bench`, `alpaca_eval`, `leaderboard` or `world`"
    judged = [name for name in JUDGED if name in benchmarks]
    if judged and data.get("judge") is None:
        yield (
            ("benchmarks", judged[0]),
            "nobody judges; name a `judge`, such as `judge: {model: gpt-4, base_url: https://.../v1}`",
        )
    if "world" in benchmarks and _given(data, "generation").get("max_new_tokens") is None:
        yield ("generation",), "`max_new_tokens` is missing: the longest answer in the world's dialogues"
    yield from _alpaca_eval(_given(benchmarks, "alpaca_eval"))
    yield from _rows(data, benchmarks)


def _given(data: dict[str, Any], key: str) -> dict[str, Any]:
    found = data.get(key)
    return {name: value for name, value in found.items() if value is not None} if isinstance(found, dict) else {}


def _alpaca_eval(settings: dict[str, Any]) -> Iterator[tuple[Parts, str]]:
    if settings.get("version") != 2:
        return
    for key, what in (("prompt", "AlpacaEval's alpaca_eval_clf.txt"), ("baseline", "the outputs of gpt4_1106_preview")):
        if settings.get(key) is None:
            yield (
                ("benchmarks", "alpaca_eval"),
                f"`{key}` is missing: version 2 needs {what}; only version 1's is fetched",
            )


def _rows(data: dict[str, Any], benchmarks: dict[str, Any]) -> Iterator[tuple[Parts, str]]:
    """Each row of the tables has one model behind it."""
    models, endpoints = _given(data, "models"), _given(data, "endpoints")
    stored = {name: _given(_given(benchmarks, name), "answers") for name in JUDGED}
    if not models and not endpoints and not any(stored.values()):
        yield ("benchmarks",), "there is no model to evaluate; name some under `models` or `endpoints`"
    for name in endpoints:
        if name in models:
            yield ("endpoints", name), "a row of this name is under `models` too; give one of them another name"
    if not models and ("world" in benchmarks or "leaderboard" in benchmarks):
        which = "world" if "world" in benchmarks else "leaderboard"
        yield ("benchmarks", which), "needs models that are loaded here; name some under `models`"
