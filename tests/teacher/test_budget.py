"""The budget is never exceeded: not by calls at once, not by tries, not by a run that goes on."""

import time
from pathlib import Path

import pytest

from tests.teacher.asking import ask_all, call, model_at
from tests.teacher.server import requests, serving
from zephyr.errors import UserError
from zephyr.recipe.teacher import Budget
from zephyr.teacher.call import Answer
from zephyr.teacher.spending import read

PRICES = {"price_per_million_input_tokens": 10_000, "price_per_million_output_tokens": 20_000}
"""So that a call of the tests costs about one."""


def received(log: Path) -> int:
    return sum(what == "received" for _, what, _ in requests(log))


@pytest.mark.parametrize("fails", [0.0, 0.3])
def test_requests(tmp_path: Path, fails: float):
    calls = [call(f"question {n}") for n in range(100)]
    with serving(tmp_path / "log", latency_s=0.02, fails=fails, ways=["500"]) as url:
        model = model_at(url, max_attempts=12)
        for most in (17, 40):  # the same run, gone on with
            with pytest.raises(UserError, match=rf"max_requests \({most}\) is used up"):
                list(ask_all(model, calls, tmp_path / "run", budget=Budget(max_requests=most)))
            assert received(tmp_path / "log") == most
        found = list(ask_all(model, calls, tmp_path / "run", budget=Budget(max_requests=1000)))
    assert all(isinstance(each, Answer) for _, each in found)


def test_cost(tmp_path: Path):
    calls = [call(f"question {n}", max_tokens=100) for n in range(100)]
    with serving(tmp_path / "log", latency_s=0.02, n_words=50, fails=0.3, ways=["closed", "half", "500"]) as url:
        model = model_at(url, **PRICES)
        with pytest.raises(UserError, match="max_cost"):
            list(ask_all(model, calls, tmp_path / "run", budget=Budget(max_cost=30)))
    (spent,) = read(tmp_path / "run").values()
    # a request that breaks off may have been billed: it counts at the most it can cost
    assert 30 - 6 < spent.cost <= 30
    assert spent.unknown_cost > 0
    real = sum(20_000 * 50 / 1e6 for _, what, _ in requests(tmp_path / "log") if what in ("answered", "half", "closed"))
    assert real <= 30


def test_calls_that_only_wait_for_others_to_settle_are_not_refused(tmp_path: Path):
    """One call may cost 2 and costs 1: fifteen fit into 16, though eight at once could have used it up."""
    calls = [call(f"q{n}", max_tokens=80) for n in range(15)]
    with serving(tmp_path / "log", latency_s=0.05, n_words=40) as url:
        model = model_at(url, price_per_million_input_tokens=0, price_per_million_output_tokens=25_000)
        found = list(ask_all(model, calls, tmp_path / "run", budget=Budget(max_cost=16)))
    assert all(isinstance(each, Answer) for _, each in found)


def test_what_is_on_disk_costs_nothing(tmp_path: Path):
    with serving(tmp_path / "log") as url:
        list(ask_all(model_at(url), [call("a"), call("b")], tmp_path / "run"))
        found = list(ask_all(model_at(url), [call("a"), call("b")], tmp_path / "2", budget=Budget(max_requests=1)))
    assert all(isinstance(each, Answer) and each.cached for _, each in found)


def test_a_line_torn_by_a_kill_is_passed_over(tmp_path: Path):
    with serving(tmp_path / "log") as url:
        list(ask_all(model_at(url, **PRICES), [call("a")], tmp_path / "run"))
        with (tmp_path / "run" / "requests.jsonl").open("a") as file:
            file.write('["sent", 2, "teacher", 4.0]\n["sent", 3, "tea')
        list(ask_all(model_at(url, **PRICES), [call("b")], tmp_path / "run"))
    (spent,) = read(tmp_path / "run").values()
    assert (spent.n_requests, spent.n_answered, spent.n_unknown, spent.unknown_cost) == (3, 2, 1, 4.0)


def test_a_run_that_stops_does_not_wait_for_those_whose_turn_would_come(tmp_path: Path):
    """A hundred calls at five a second, of which two are allowed: twenty seconds, if the others waited."""
    started = time.monotonic()
    with serving(tmp_path / "log") as url, pytest.raises(UserError, match="max_requests"):
        model = model_at(url, requests_per_minute=300, max_concurrency=100)
        list(ask_all(model, [call(str(n)) for n in range(100)], tmp_path, budget=Budget(max_requests=2)))
    assert received(tmp_path / "log") == 2
    assert time.monotonic() - started < 15
