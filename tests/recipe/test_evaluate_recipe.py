"""Recipes of `evaluate`: what is refused before anything loads, and what does not change a run."""

import re
from pathlib import Path

import pytest

from zephyr.plan.plan import as_json, make_plan
from zephyr.recipe import load
from zephyr.recipe.problems import RecipeError

WHOLE = """\
stage: evaluate
seed: 0
models: {ours: org/model}
judge: {model: j, base_url: "http://localhost:1/v1",
        price_per_million_input_tokens: 1, price_per_million_output_tokens: 2}
benchmarks:
  mt_bench: {}
  alpaca_eval: {}
  leaderboard: {tasks: [arc]}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "evaluate.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("judge: {model", "endpoints: {j: {model", "nobody judges; name a `judge`"),
        ("mt_bench: {}", "world: {path: outputs/w}", "`max_new_tokens` is missing"),
        ("alpaca_eval: {}", "alpaca_eval: {version: 2}", "`prompt` is missing: version 2 needs"),
        ("alpaca_eval: {}", "alpaca_eval: {version: 2, prompt: p.txt}", "`baseline` is missing: version 2 needs"),
        ("models: {ours: org/model}\n", "", "there is no model to evaluate"),
        ("models:", "endpoints: {ours: {model: m}}\nmodels:", "a row of this name is under `models` too"),
        ("models: {ours: org/model}", "endpoints: {ours: {model: m}}", "needs models that are loaded here"),
        ("leaderboard: {tasks", "leaderboard: {task", "tasks"),
    ],
)  # fmt: skip
def test_mistakes_are_said_before_anything_loads(tmp_path, old, new, said):
    assert old in WHOLE
    changed = WHOLE.replace(old, new)
    if "j: {model" in new:
        changed = changed.replace("tokens: 2}", "tokens: 2}}")
    with pytest.raises(RecipeError) as refused:
        load(write(tmp_path, changed))
    assert said in str(refused.value)


def test_no_benchmark_is_a_mistake(tmp_path):
    with pytest.raises(RecipeError, match="names no benchmark"):
        load(write(tmp_path, "stage: evaluate\nseed: 0\nmodels: {ours: org/model}\nbenchmarks: {}\n"))


def test_steps_shares_and_how_a_judge_is_asked_are_no_science(tmp_path):
    path = write(tmp_path, WHOLE)
    run_id = load(path).run_id
    for same in ("until=judge", "benchmarks.mt_bench.max_failed_share=0.1", "judge.max_concurrency=2",
                 "budget.max_cost=3", "benchmarks.leaderboard.batch_size=1"):  # fmt: skip
        assert load(path, [same]).run_id == run_id, same
    for other in ("seed=1", "benchmarks.mt_bench.repeats=2", "judge.model=k", "benchmarks.leaderboard.limit=5"):
        assert load(path, [other]).run_id != run_id, other


def test_the_plan_says_calls_tokens_and_cost(tmp_path):
    found = as_json(make_plan(load(write(tmp_path, WHOLE))))
    steps = found["calls"]["steps"]
    assert steps["MT-Bench: answers of ours"]["calls"] == 160 and steps["MT-Bench: judgments"]["calls"] == 160
    assert steps["AlpacaEval: answers of ours"]["calls"] == steps["AlpacaEval: judgments"]["calls"] == 805
    judged = [steps[name] for name in ("MT-Bench: judgments", "AlpacaEval: judgments")]
    cost = sum(each["prompt_tokens"] + 2 * each["completion_tokens"] for each in judged) / 1e6
    assert found["cost"] == pytest.approx(cost, rel=1e-3)
    assert "to be fetched" in found["calls"]["basis"]


def test_stored_answers_are_not_asked_for_and_files_that_lack_are_named(tmp_path):
    text = WHOLE.replace(
        "mt_bench: {}", "mt_bench: {answers: {ours: ./absent.jsonl, theirs: ./other.jsonl}, repeats: 3}"
    )
    found = as_json(make_plan(load(write(tmp_path, text))))["calls"]
    assert "MT-Bench: answers of ours" not in found["steps"]
    assert found["steps"]["MT-Bench: judgments"]["calls"] == 2 * 160 * 3
    assert "absent.jsonl" in found["basis"]


def test_a_multiple_choice_recipe_plans_no_calls(tmp_path):
    text = WHOLE.replace("  mt_bench: {}\n  alpaca_eval: {}\n", "")
    assert "calls" not in as_json(make_plan(load(write(tmp_path, text))))


def test_the_recipe_in_the_documentation_is_right(tmp_path):
    root = Path(__file__).parents[2]
    (text,) = re.findall(r"```yaml\n(.*?)```", (root / "docs" / "evaluation.md").read_text(), re.DOTALL)
    loaded = load(write(tmp_path, text.replace("sft.yaml", "org/sft").replace("dpo.yaml", "org/dpo")))
    assert list(loaded.recipe.models) == ["dSFT", "zephyr-7b-beta"]
