from pathlib import Path

import pytest

from tests.teacher.asking import ask_all, call, model_at
from tests.teacher.server import serving
from zephyr.recipe.teacher import Budget, LanguageModel
from zephyr.teacher.account import account
from zephyr.teacher.predict import Step, beyond_budget, predict, sentence

PRICED = {"price_per_million_input_tokens": 2.0, "price_per_million_output_tokens": 8.0}


def test_what_was_asked_is_summed_over_restarts(tmp_path: Path):
    first, second = [call(f"question {n}") for n in range(20)], [call(f"question {n}") for n in range(30)]
    with serving(tmp_path / "log", n_words=50) as url:
        model = model_at(url, **PRICED)
        list(ask_all(model, first, tmp_path / "run"))
        list(ask_all(model, second, tmp_path / "run"))
    predicted = predict([Step(model=model, n_calls=30, prompt_tokens=2.5, completion_tokens=50)])
    found = account(tmp_path / "run", predicted)
    assert (found["calls"], found["from_disk"], found["requests"]) == (30, 20, 30)
    assert found["completion_tokens"] == 30 * 50 == found["predicted"]["completion_tokens"]
    assert found["cost"] == pytest.approx(found["predicted"]["cost"], rel=0.1)
    assert found["models"]["teacher"]["requests"] == 30


def test_the_busiest_model_decides_the_time():
    fast = LanguageModel(model="fast", base_url="http://x/v1", max_concurrency=10)
    slow = LanguageModel(model="slow", base_url="http://x/v1", max_concurrency=10, requests_per_minute=60)
    steps = [
        Step(model=fast, n_calls=1000, prompt_tokens=100, completion_tokens=100, tokens_per_second=50),
        Step(model=slow, n_calls=300, prompt_tokens=100, completion_tokens=100, tokens_per_second=50),
        Step(model=slow, n_calls=300, prompt_tokens=100, completion_tokens=100, tokens_per_second=50),
    ]
    assert predict(steps[:1]).seconds == 1000 * 2 / 10
    assert predict(steps).seconds == 600


def test_cost_is_not_reckoned_where_a_price_is_missing():
    priced = LanguageModel(model="a", base_url="http://x/v1", **PRICED)
    steps = [Step(model=priced, n_calls=1000, prompt_tokens=1000, completion_tokens=500)]
    assert predict(steps).cost == pytest.approx(1000 * (1000 * 2 + 500 * 8) / 1e6)
    unpriced = LanguageModel(model="b", base_url="http://x/v1")
    steps.append(Step(model=unpriced, n_calls=1, prompt_tokens=1, completion_tokens=1))
    assert predict(steps).cost is None and "not reckoned" in sentence(predict(steps))
    here = [Step(model=LanguageModel(model="c"), n_calls=1, prompt_tokens=1, completion_tokens=1)]
    assert predict(here).cost == 0


def test_a_budget_that_will_not_suffice_is_named():
    priced = LanguageModel(model="a", base_url="http://x/v1", **PRICED)
    found = predict([Step(model=priced, n_calls=1000, prompt_tokens=1000, completion_tokens=500)])
    assert beyond_budget(found, Budget(max_requests=1000, max_cost=6)) == []
    assert len(beyond_budget(found, Budget(max_requests=999, max_cost=5.9))) == 2
