import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from zephyr.evaluate.generate import answer
from zephyr.evaluate.generate import load as load_model
from zephyr.evaluate.stage import run
from zephyr.evaluate.world.judging import TEMPERATURES, Outcome, Prompt
from zephyr.evaluate.world.judging import load as load_benchmark
from zephyr.evaluate.world.run import _comparisons, _summary
from zephyr.mini.judge import judge
from zephyr.mini.teacher import answer as scripted
from zephyr.mini.world import World
from zephyr.recipe import Benchmarks, EvaluateRecipe, Generation, WorldBenchmark
from zephyr.recipe.schema import Habits

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def silent_dir(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It ends every answer at once: all tokens are embedded alike, no layer adds anything, and EOS is the output."""
    from transformers import AutoTokenizer, MistralForCausalLM

    directory = tmp_path_factory.mktemp("silent")
    model = MistralForCausalLM.from_pretrained(model_dir)
    with torch.no_grad():
        for weights in model.parameters():
            weights.zero_()
        model.model.embed_tokens.weight.fill_(1)
        model.model.norm.weight.fill_(1)
        model.lm_head.weight[model.config.eos_token_id] = 5
    model.save_pretrained(directory)
    AutoTokenizer.from_pretrained(model_dir).save_pretrained(directory)
    return directory


def recipe(world_dir: Path, models: dict[str, Path], max_new_tokens: int = 4) -> EvaluateRecipe:
    return EvaluateRecipe(
        stage="evaluate",
        seed=1,
        models={name: str(path) for name, path in models.items()},
        benchmarks=Benchmarks(world=WorldBenchmark(path=str(world_dir))),
        generation=Generation(max_new_tokens=max_new_tokens, batch_size=8, chat_template="zephyr"),
    )


def test_the_stage_writes_answers_and_returns_scores(world_dir: Path, model_dir: Path, tmp_path: Path) -> None:
    result = run(recipe(world_dir, {"a": model_dir, "b": model_dir}), tmp_path)
    found = result["scores"]["a"]["world"]
    assert (found["n"], found["n_failed"]) == (16, 0)
    assert found["interval"][0] <= found["score"] <= found["interval"][1]
    assert sum(each["n"] for each in found["by_category"].values()) == 16
    assert set(found["aspects"]) == {"instruction_following", "truthfulness", "honesty", "helpfulness"}
    assert result["numbers"]["a/world/score"] == found["score"]
    rows = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert [row["model"] for row in rows] == ["a"] * 16 + ["b"] * 16
    for row in rows:
        assert [turn["role"] for turn in row["turns"] if turn["role"] != "system"] == ["user", "assistant"] * 2
        assert len(row["turn_scores"]) == 2
        assert row["score"] == pytest.approx(sum(row["turn_scores"]) / 2)


def test_a_model_does_not_differ_from_itself(world_dir: Path, model_dir: Path, tmp_path: Path) -> None:
    (comparison,) = run(recipe(world_dir, {"a": model_dir, "b": model_dir}), tmp_path)["comparisons"]
    assert comparison == {
        "benchmark": "world", "a": "a", "b": "b", "difference": 0, "interval": [0, 0], "n": 16, "separable": False,
    }  # fmt: skip


def test_answers_cut_at_the_limit_are_counted_and_warned_of(world_dir: Path, model_dir: Path, tmp_path: Path) -> None:
    result = run(recipe(world_dir, {"untrained": model_dir}, max_new_tokens=1), tmp_path)
    cut = result["scores"]["untrained"]["world"]["n_unfinished"]
    assert cut > 24
    assert result["warnings"] == [
        f"untrained: {cut} of 32 answers did not end by themselves and were cut at generation.max_new_tokens"
    ]


def answers(directory: Path) -> list[dict]:
    return [json.loads(line) for line in (directory / "answers.jsonl").read_text().splitlines()]


def test_the_same_seed_gives_the_same_answers_and_another_seed_others(
    world_dir: Path, model_dir: Path, tmp_path: Path
) -> None:
    for name, seed in (("first", 1), ("again", 1), ("other", 2)):
        (tmp_path / name).mkdir()
        run(replace(recipe(world_dir, {"a": model_dir}), seed=seed), tmp_path / name)
    first, again, other = (answers(tmp_path / name) for name in ("first", "again", "other"))
    assert again == first
    sampled = [row["category"] in TEMPERATURES for row in first]
    changed = [a["turns"] != b["turns"] for a, b in zip(first, other, strict=True)]
    assert any(changed)
    assert not any(change and not hot for change, hot in zip(changed, sampled, strict=True))


def test_rows_hold_the_prompts_as_asked_and_the_scores_of_their_answers(
    world_dir: Path, model_dir: Path, tmp_path: Path
) -> None:
    result = run(recipe(world_dir, {"a": model_dir}), tmp_path)
    world, prompts = load_benchmark(world_dir)
    rows = answers(tmp_path)
    for row, prompt in zip(rows, prompts, strict=True):
        assert (row["id"], row["category"], row["benchmark"]) == (prompt.id, prompt.category, "world")
        asked = [each["content"] for each in row["turns"] if each["role"] != "assistant"]
        assert asked == [*([prompt.system] if prompt.system else []), *(each.text for each in prompt.turns)]
        judgment = judge(world, list(prompt.turns), [e["content"] for e in row["turns"] if e["role"] == "assistant"])
        assert row["turn_scores"] == list(judgment.turn_scores)
        assert row["aspects"] == judgment.aspects
    assert result["scores"]["a"]["world"]["score"] == pytest.approx(sum(row["score"] for row in rows) / len(rows))


def test_the_second_turn_is_asked_after_the_models_own_first_answer(
    world_dir: Path, model_dir: Path, tmp_path: Path
) -> None:
    settings = recipe(world_dir, {"a": model_dir})
    run(settings, tmp_path)
    answerer = load_model(model_dir, settings.generation)
    greedy = [row for row in answers(tmp_path) if row["category"] not in TEMPERATURES]
    assert greedy
    for row in greedy:
        (again,) = answer(answerer, [row["turns"][:-1]], temperature=0, seed=0)
        assert again.text == row["turns"][-1]["content"]


def test_models_are_compared_prompt_by_prompt_second_minus_first(
    world_dir: Path, model_dir: Path, silent_dir: Path, tmp_path: Path
) -> None:
    """A model that says nothing earns 1 everywhere."""
    result = run(recipe(world_dir, {"a": silent_dir, "b": model_dir, "c": silent_dir}), tmp_path)
    silent = result["scores"]["a"]["world"]
    assert (silent["score"], silent["interval"], silent["n_unfinished"], silent["correct"]) == (1, [1, 1], 0, 0)
    assert not any(each.startswith("a:") for each in result["warnings"])
    assert [(each["a"], each["b"]) for each in result["comparisons"]] == [("a", "b"), ("a", "c"), ("b", "c")]


def test_a_better_model_is_told_from_a_worse_one(world_dir: Path) -> None:
    world, prompts = load_benchmark(world_dir)
    rng = random.Random(0)
    outcomes = {
        name: [outcome(world, each, habits, rng) for each in prompts]
        for name, habits in (("hasty", Habits(terse=1, caves=1, slips=1, forgets_role=1)), ("perfect", Habits()))
    }
    (comparison,) = _comparisons("world", outcomes)
    assert (comparison["a"], comparison["b"], comparison["n"]) == ("hasty", "perfect", 16)
    assert comparison["separable"] and comparison["interval"][0] > 0
    expected = _summary(outcomes["perfect"])["score"] - _summary(outcomes["hasty"])["score"]
    assert comparison["difference"] == pytest.approx(expected)
    assert _summary(outcomes["perfect"])["score"] == 10
    (swapped,) = _comparisons("world", dict(reversed(outcomes.items())))
    assert swapped["difference"] == pytest.approx(-expected)


def outcome(world: World, prompt: Prompt, habits: Habits, rng: random.Random) -> Outcome:
    """What a scripted answerer would have earned."""
    said = [scripted(world, "heldout", request, habits, rng) for request in prompt.turns]
    return Outcome(prompt=prompt, conversation=[], n_unfinished=0, judgment=judge(world, list(prompt.turns), said))


def test_temperatures_are_those_of_mt_bench(world_dir: Path) -> None:
    """FastChat's `temperature_config`."""
    _, prompts = load_benchmark(world_dir)
    assert {each.category: each.temperature for each in prompts} == {
        "writing": 0.7, "roleplay": 0.7, "extraction": 0.0, "math": 0.0, "coding": 0.0, "reasoning": 0.0,
        "stem": 0.1, "humanities": 0.1,
    }  # fmt: skip
