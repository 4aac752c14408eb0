"""The `evaluate` stage: several models answer the same held-out prompts, and a judge scores and compares them."""

import itertools
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from zephyr.evaluate import world as world_benchmark
from zephyr.evaluate.generate import Answerer, answer, load
from zephyr.evaluate.statistics import bootstrap_mean, paired_difference
from zephyr.evaluate.world import Prompt
from zephyr.mini.judge import Judgment
from zephyr.recipe import EvaluateRecipe

log = logging.getLogger("zephyr")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One prompt answered by one model, and judged."""

    prompt: Prompt
    conversation: list[dict[str, str]]
    n_unfinished: int
    """Answers that were cut at `max_new_tokens`."""
    judgment: Judgment


def run(recipe: EvaluateRecipe, run_dir: Path) -> dict[str, Any]:
    """Writes answers.jsonl; returns scores by model and benchmark, and the paired differences between models."""
    scores: dict[str, dict[str, Any]] = {name: {} for name in recipe.models}
    comparisons, rows, warnings = [], [], []
    for benchmark in recipe.benchmarks:
        outcomes: dict[str, list[Outcome]] = {}
        for name, model in recipe.models.items():
            outcomes[name] = _ask(recipe, model, Path(benchmark.path))
            scores[name][benchmark.name] = _summary(outcomes[name])
            rows += [_row(name, benchmark.name, each) for each in outcomes[name]]
            warnings += _warnings(name, outcomes[name])
            log.info("  %s: %.2f of 10 on %d prompts", name, scores[name][benchmark.name]["score"], len(outcomes[name]))
        comparisons += _comparisons(benchmark.name, outcomes)
    (run_dir / "answers.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return {"numbers": _numbers(scores), "scores": scores, "comparisons": comparisons, "warnings": warnings}


def _ask(recipe: EvaluateRecipe, model: str, directory: Path) -> list[Outcome]:
    """The model answers every prompt turn by turn, seeing its own earlier answers."""
    world, prompts = world_benchmark.load(directory)
    answerer = load(model, recipe.generation)
    conversations = [[{"role": "system", "content": each.system}] if each.system else [] for each in prompts]
    n_unfinished = [0] * len(prompts)
    for turn in range(max(len(each.turns) for each in prompts)):
        for conversation, each in zip(conversations, prompts, strict=True):
            conversation.append({"role": "user", "content": each.turns[turn].text})
        _answer_turn(answerer, prompts, conversations, n_unfinished, seed=recipe.seed + turn)
    return [
        Outcome(prompt=each, conversation=conversation, n_unfinished=cut,
                judgment=world_benchmark.score(world, each, _said(conversation)))
        for each, conversation, cut in zip(prompts, conversations, n_unfinished, strict=True)
    ]  # fmt: skip


def _answer_turn(
    answerer: Answerer,
    prompts: Sequence[Prompt],
    conversations: list[list[dict[str, str]]],
    n_unfinished: list[int],
    seed: int,
) -> None:
    for temperature in sorted({each.temperature for each in prompts}):
        chosen = [n for n, each in enumerate(prompts) if each.temperature == temperature]
        found = answer(answerer, [conversations[n] for n in chosen], temperature=temperature, seed=seed)
        for n, each in zip(chosen, found, strict=True):
            conversations[n].append({"role": "assistant", "content": each.text})
            n_unfinished[n] += not each.finished


def _said(conversation: list[dict[str, str]]) -> list[str]:
    return [message["content"] for message in conversation if message["role"] == "assistant"]


def _summary(outcomes: list[Outcome]) -> dict[str, Any]:
    overall = bootstrap_mean([each.judgment.score for each in outcomes])
    categories = dict.fromkeys(each.prompt.category for each in outcomes)
    return {
        "score": overall.value,
        "interval": list(overall.interval),
        "n": overall.n,
        "n_failed": 0,  # this judge is arithmetic: it has an opinion on every answer
        "n_unfinished": sum(each.n_unfinished for each in outcomes),
        "correct": mean(mean(each.judgment.correct) for each in outcomes),
        "boilerplate": mean(mean(each.judgment.boilerplate) for each in outcomes),
        "by_category": {name: _category(outcomes, name) for name in categories},
        "aspects": {
            name: mean(each.judgment.aspects[name] for each in outcomes) for name in outcomes[0].judgment.aspects
        },
    }


def _category(outcomes: list[Outcome], category: str) -> dict[str, Any]:
    inside = [each.judgment for each in outcomes if each.prompt.category == category]
    found = bootstrap_mean([each.score for each in inside])
    return {
        "score": found.value,
        "interval": list(found.interval),
        "n": found.n,
        "correct": mean(mean(each.correct) for each in inside),
    }


def _comparisons(benchmark: str, outcomes: dict[str, list[Outcome]]) -> list[dict[str, Any]]:
    """Every two models, b minus a, paired by prompt."""
    found = []
    for a, b in itertools.combinations(outcomes, 2):
        difference = paired_difference(*([each.judgment.score for each in outcomes[name]] for name in (a, b)))
        found.append({
            "benchmark": benchmark, "a": a, "b": b, "difference": difference.value,
            "interval": list(difference.interval), "n": difference.n, "separable": difference.separable,
        })  # fmt: skip
    return found


def _row(model: str, benchmark: str, outcome: Outcome) -> dict[str, Any]:
    judgment = outcome.judgment
    return {
        "model": model,
        "benchmark": benchmark,
        "id": outcome.prompt.id,
        "category": outcome.prompt.category,
        "turns": outcome.conversation,
        "score": judgment.score,
        "aspects": judgment.aspects,
        "turn_scores": list(judgment.turn_scores),
        "correct": list(judgment.correct),
    }


def _numbers(scores: dict[str, dict[str, Any]]) -> dict[str, float]:
    parts = ("score", "correct", "boilerplate")
    return {
        f"{model}/{benchmark}/{part}": found[part]
        for model, benchmarks in scores.items()
        for benchmark, found in benchmarks.items()
        for part in parts
    }


def _warnings(model: str, outcomes: list[Outcome]) -> list[str]:
    cut, n = sum(each.n_unfinished for each in outcomes), sum(len(each.prompt.turns) for each in outcomes)
    if cut <= 0.05 * n:
        return []
    return [f"{model}: {cut} of {n} answers did not end by themselves and were cut at generation.max_new_tokens"]
