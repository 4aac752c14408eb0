"""Calls, tokens and cost of making data, against published counts and against what a run really asked."""

import json
from typing import Any

import pytest
from tests.data.writing_server import writing

from zephyr.data.call_steps import dialogue_steps, feedback_steps
from zephyr.data.feedback.stage import run as run_feedback
from zephyr.plan.calls import Calls, as_json, calls_of
from zephyr.plan.plan import as_json as plan_as_json
from zephyr.plan.plan import make_plan
from zephyr.recipe import load
from zephyr.recipe.dialogues import DialoguesRecipe
from zephyr.recipe.feedback import FeedbackRecipe
from zephyr.recipe.shipped import shipped_recipes
from zephyr.teacher.predict import predict

MODEL = {"model": "m", "base_url": "http://127.0.0.1:9/v1"}
PRICED = {**MODEL, "price_per_million_input_tokens": 2, "price_per_million_output_tokens": 2}


def feedback(**changes: Any) -> FeedbackRecipe:
    given = {
        "stage": "feedback", "seed": 1, "prompts": [{"path": "org/data"}], "principles": "zephyr",
        "pool": {f"m{n}": {**MODEL, "model": f"m{n}"} for n in range(17)},
        "sampling": {"temperature": 1, "max_tokens": 1024}, "judge": PRICED, "judging": {"max_tokens": 4096},
        "expect": {"prompts": 63967, "prompt_tokens": 165, "answer_tokens": 290, "tokens_per_score": 40},
    }  # fmt: skip
    return FeedbackRecipe(**{**given, **changes})


def test_ultrafeedbacks_published_count_of_answers():
    steps = feedback_steps(feedback(), n_prompts=63967)
    assert sum(step.n_calls for label, step in steps.items() if label.startswith("answers")) == 255_868
    assert steps["judgments"].n_calls == 63_967
    assert 1900 < steps["judgments"].prompt_tokens < 2300  # 165 + 4 x 290, and a rubric of about 800


def test_aspects_apart_send_the_answers_again_each_time():
    apart = feedback(judging={"max_tokens": 4096, "aspects": "apart"})
    steps = feedback_steps(apart, n_prompts=63967)
    judged = [step for label, step in steps.items() if label.startswith("judgments")]
    together = feedback_steps(feedback(), n_prompts=63967)["judgments"]
    assert [step.n_calls for step in judged] == [63_967] * 5
    ratio = sum(step.prompt_tokens for step in judged) / together.prompt_tokens
    assert 3.4 < ratio < 4.5
    assert sum(step.completion_tokens for step in judged) == together.completion_tokens


def test_ultrachats_published_size_is_met():
    """9.7 M calls, 7.1 G tokens in, 1.9 G out, about 18,000 dollars at 2 a million, for 1,467 tokens in 3.8 rounds."""
    recipe = DialoguesRecipe(
        stage="dialogues", seed=1, teacher=PRICED, sampling={"temperature": 1, "max_tokens": 1024},
        dialogues={"seeds": [{"path": "x"}], "count": 1_468_348, "turns": [3, 4, 4, 4, 4]},
        expect={"instruction_tokens": 36, "answer_tokens": 350},
    )  # fmt: skip
    found = predict(dialogue_steps(recipe, n_topics=0, n_dialogues=1_468_348).values())
    assert found.n_calls == pytest.approx(9.7e6, rel=0.02)
    # theirs takes all turns as equally long; ours has short instructions and long answers, and the words of the role
    assert found.prompt_tokens == pytest.approx(7.1e9, rel=0.1)
    assert found.completion_tokens == pytest.approx(1.9e9, rel=0.15)
    assert found.cost == pytest.approx(18_000, rel=0.1)


@pytest.mark.parametrize("name", ["dialogues", "feedback", "self-hosted/dialogues", "self-hosted/feedback"])
def test_the_shipped_recipes_are_planned(name, tmp_path):
    loaded = load(shipped_recipes() / f"zephyr-7b-beta/{name}.yaml", outputs=tmp_path)
    found = calls_of(loaded)
    assert isinstance(found, Calls) and found.beyond_budget == ()
    shown = as_json(found)
    assert shown["hours"] > 1 and (shown["cost"] > 100) == ("self-hosted" not in name)
    assert json.loads(json.dumps(plan_as_json(make_plan(loaded))))["calls"] == shown["calls"]
    assert sum(each["calls"] for each in shown["calls"]["steps"].values()) == found.total.n_calls


def test_the_plan_is_what_the_run_then_asks(tmp_path, monkeypatch):
    monkeypatch.setenv("ZEPHYR_CACHE", str(tmp_path / "cache"))
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text("".join(f'{{"prompt": "What is {n}?"}}\n' for n in range(12)))
    with writing(tmp_path / "log") as base_url:
        model = {"model": "m", "base_url": base_url}
        recipe = feedback(
            prompts=[{"path": str(prompts)}], pool={f"m{n}": {**model, "model": f"m{n}"} for n in range(4)},
            judge=model, judging={"max_tokens": 4000, "aspects": "apart", "repeats": 2, "mode": "pointwise"},
        )  # fmt: skip
        asked = run_feedback(recipe, tmp_path)["asked"]
    assert asked["calls"] == asked["predicted"]["n_calls"] == 12 * 4 + 12 * 4 * 5 * 2
    assert asked["models"]["judge"]["calls"] == 480 and asked["requests"] == asked["calls"]
