"""The mini world's benchmark in an `evaluate` run: its held-out dialogues answered, judged by the facts, compared."""

import itertools
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from zephyr.evaluate.asked import Scored, comparison, file_of
from zephyr.evaluate.generate import Answerer, answer, load
from zephyr.evaluate.statistics import bootstrap_mean, paired_difference
from zephyr.evaluate.world import judging as world_benchmark
from zephyr.evaluate.world import wins as world_wins
from zephyr.evaluate.world.judging import Outcome, Prompt
from zephyr.mini.world import World
from zephyr.recipe.evaluate import EvaluateRecipe

log = logging.getLogger("zephyr")


def generate(recipe: EvaluateRecipe, run_dir: Path) -> None:
    """Every model answers; a model whose file is there is not asked. UserError: the world has no such baseline."""
    directory, baseline = _directory(recipe), _baseline(recipe)
    if baseline:
        world_wins.habits_of(directory, baseline)
    for name, model in recipe.models.items():
        path = file_of(run_dir / "world", name, ".jsonl")
        if path.is_file():
            continue
        said = _ask(recipe, model, directory)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"{path.name}.draft")
        draft.write_text("".join(json.dumps(each, ensure_ascii=False) + "\n" for each in said))
        draft.replace(path)


def judge(recipe: EvaluateRecipe, run_dir: Path) -> None:
    """Nothing: this judge is arithmetic, part of the figures."""


def score(recipe: EvaluateRecipe, run_dir: Path) -> Scored:
    """Figures from the files alone; the baseline's answers are made again, the same ones each time."""
    world, prompts = world_benchmark.load(_directory(recipe))
    outcomes = {name: _outcomes(world, prompts, file_of(run_dir / "world", name, ".jsonl")) for name in recipe.models}
    scores = {name: _summary(each) for name, each in outcomes.items()}
    for name, found in scores.items():
        log.info("  %s: %.2f of 10 on %d prompts", name, found["score"], found["n"])
    scored = Scored(
        scores=scores,
        comparisons=_comparisons("world", outcomes),
        rows=[_row(name, "world", each) for name, found in outcomes.items() for each in found],
        warnings=[warning for name, found in outcomes.items() for warning in _warnings(name, found)],
    )
    if baseline := _baseline(recipe):
        habits = world_wins.habits_of(_directory(recipe), baseline)
        _set_against(scored, baseline, world_wins.answered(world, prompts, baseline, habits), outcomes)
    return scored


def _set_against(scored: Scored, baseline: str, others: list[Outcome], outcomes: dict[str, list[Outcome]]) -> None:
    """Adds each model's win rate, the differences between them, and what the baseline said."""
    rates = world_wins.against(baseline, others, outcomes)
    for name, rate in rates.items():
        scored.scores[name] |= world_wins.summary(rate)
        log.info("  %s: won %.1f %% against %s", name, scored.scores[name]["win_rate"], baseline)
    scored.comparisons.extend(world_wins.comparisons(rates))
    for row, other in zip(scored.rows, others * len(outcomes), strict=True):
        row["baseline"] = {"answers": other.said, "score": other.judgment.score}


def _outcomes(world: World, prompts: Sequence[Prompt], path: Path) -> list[Outcome]:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [_outcome(world, each, row) for each, row in zip(prompts, rows, strict=True)]


def _outcome(world: World, prompt: Prompt, row: dict[str, Any]) -> Outcome:
    said = [message["content"] for message in row["conversation"] if message["role"] == "assistant"]
    return Outcome(
        prompt=prompt, conversation=row["conversation"], n_unfinished=row["n_unfinished"],
        judgment=world_benchmark.score(world, prompt, said),
    )  # fmt: skip


def _directory(recipe: EvaluateRecipe) -> Path:
    assert recipe.benchmarks.world is not None
    return Path(recipe.benchmarks.world.path)


def _baseline(recipe: EvaluateRecipe) -> str | None:
    assert recipe.benchmarks.world is not None
    return recipe.benchmarks.world.baseline


def _ask(recipe: EvaluateRecipe, model: str, directory: Path) -> list[dict[str, Any]]:
    """The model answers every prompt turn by turn, seeing its own earlier answers."""
    _, prompts = world_benchmark.load(directory)
    answerer = load(model, recipe.generation)
    conversations = [[{"role": "system", "content": each.system}] if each.system else [] for each in prompts]
    n_unfinished = [0] * len(prompts)
    for turn in range(max(len(each.turns) for each in prompts)):
        for conversation, each in zip(conversations, prompts, strict=True):
            conversation.append({"role": "user", "content": each.turns[turn].text})
        _answer_turn(answerer, prompts, conversations, n_unfinished, seed=recipe.seed + turn)
    return [
        {"id": each.id, "conversation": conversation, "n_unfinished": cut}
        for each, conversation, cut in zip(prompts, conversations, n_unfinished, strict=True)
    ]


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
        found.append(comparison(benchmark, a, b, difference))
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


def _warnings(model: str, outcomes: list[Outcome]) -> list[str]:
    cut, n = sum(each.n_unfinished for each in outcomes), sum(len(each.prompt.turns) for each in outcomes)
    if cut <= 0.05 * n:
        return []
    return [f"{model}: {cut} of {n} answers did not end by themselves and were cut at generation.max_new_tokens"]
