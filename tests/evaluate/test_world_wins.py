"""Win rates in the mini world against answers whose scores are known."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from zephyr.errors import UserError
from zephyr.evaluate.stage import run
from zephyr.evaluate.world.judging import Outcome, load
from zephyr.evaluate.world.wins import against, answered, comparisons, habits_of, preference, summary
from zephyr.recipe import Benchmarks, EvaluateRecipe, Generation, WorldBenchmark
from zephyr.recipe.schema import Habits

torch = pytest.importorskip("torch")


def recipe(world_dir: Path, model_dir: Path, baseline: str | None) -> EvaluateRecipe:
    return EvaluateRecipe(
        stage="evaluate",
        seed=1,
        models={"a": str(model_dir), "b": str(model_dir)},
        benchmarks=Benchmarks(world=WorldBenchmark(path=str(world_dir), baseline=baseline)),
        generation=Generation(max_new_tokens=4, batch_size=8, chat_template="zephyr"),
    )


def outcomes(world_dir: Path, name: str, habits: Habits) -> list[Outcome]:
    world, prompts = load(world_dir)
    return answered(world, prompts, name, habits)


def test_the_higher_score_wins_and_equal_ones_are_a_draw(world_dir: Path) -> None:
    """Every pair counted by hand from the judge's scores."""
    others = outcomes(world_dir, "teacher", habits_of(world_dir, "teacher"))
    careful, hasty = (outcomes(world_dir, name, habits_of(world_dir, name)) for name in ("careful", "hasty"))
    found = against("teacher", others, {"hasty": hasty, "careful": careful})
    assert list(found) == ["hasty", "careful"]
    for name, own in (("hasty", hasty), ("careful", careful)):
        scores = [(a.judgment.score, b.judgment.score) for a, b in zip(others, own, strict=True)]
        wins, losses = sum(b > a for a, b in scores), sum(b < a for a, b in scores)
        shown = summary(found[name])
        assert (shown["wins"], shown["losses"], shown["draws"]) == (wins, losses, 16 - wins - losses)
        assert shown["win_rate"] == pytest.approx(100 * (wins + (16 - wins - losses) / 2) / 16)
        low, high = shown["win_rate_interval"]
        assert low <= shown["win_rate"] <= high
    assert summary(found["careful"])["losses"] == 0  # it is always right and has no bad habit
    (difference,) = comparisons(found)
    rates = [summary(each)["win_rate"] for each in found.values()]
    assert difference["difference"] == pytest.approx(rates[1] - rates[0])
    assert (difference["benchmark"], difference["a"], difference["b"]) == ("world_win_rate", "hasty", "careful")


def test_nobody_wins_against_himself(world_dir: Path) -> None:
    same = outcomes(world_dir, "hasty", habits_of(world_dir, "hasty"))
    shown = summary(against("hasty", same, {"hasty": same})["hasty"])
    assert (shown["win_rate"], shown["draws"], shown["win_rate_standard_error"]) == (50, 16, 0)


def test_the_baseline_says_the_same_in_every_run_whoever_else_is_asked(world_dir: Path) -> None:
    world, prompts = load(world_dir)
    habits = habits_of(world_dir, "teacher")
    first = [each.said for each in answered(world, prompts, "teacher", habits)]
    random.seed(5)
    assert [each.said for each in answered(world, prompts[::-1], "teacher", habits)] == first[::-1]


def test_scores_that_differ_in_rounding_alone_are_a_draw() -> None:
    assert preference(0.1 + 0.2, 0.3) == 1.5
    assert (preference(7.0, 7.1), preference(7.1, 7.0)) == (2, 1)


def test_the_stage_has_the_win_rate_beside_the_score(world_dir: Path, model_dir: Path, tmp_path: Path) -> None:
    result = run(recipe(world_dir, model_dir, "careful"), tmp_path)
    found = result["scores"]["a"]["world"]
    assert (found["baseline"], found["losses"], found["win_rate"]) == ("careful", 16, 0)  # an untrained model
    assert result["numbers"]["a/world/win_rate"] == 0
    assert [each["benchmark"] for each in result["comparisons"]] == ["world", "world_win_rate"]
    rows = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert len(rows) == 32
    assert all(len(row["baseline"]["answers"]) == 2 and row["baseline"]["score"] == 10 for row in rows)


def test_without_a_baseline_there_is_no_win_rate(world_dir: Path, model_dir: Path, tmp_path: Path) -> None:
    result = run(recipe(world_dir, model_dir, None), tmp_path)
    assert "win_rate" not in result["scores"]["a"]["world"]
    assert [each["benchmark"] for each in result["comparisons"]] == ["world"]


def test_a_baseline_that_the_world_does_not_have(world_dir: Path, model_dir: Path, tmp_path: Path) -> None:
    settings = replace(recipe(world_dir, model_dir, "nobody"), models={"a": "no model is loaded before this is found"})
    with pytest.raises(UserError, match=r"no `nobody` answers in the world .*; who does: teacher, careful, hasty"):
        run(settings, tmp_path)
