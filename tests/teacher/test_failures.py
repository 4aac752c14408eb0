"""A server that fails in every way: what can be tried again is, nothing is made up, one failed call fails one row."""

import time
from collections import Counter
from pathlib import Path

import pytest

from tests.teacher.asking import ask_all, call, model_at
from tests.teacher.server import FAILURES, requests, serving
from zephyr.errors import UserError
from zephyr.teacher.call import Answer, Failure
from zephyr.teacher.spending import read


def received(log: Path) -> int:
    return sum(what == "received" for _, what, _ in requests(log))


def test_every_row_ends_as_an_answer_or_as_a_failure_with_its_reason(tmp_path: Path):
    calls = [call(f"question {n}") for n in range(300)]
    with serving(tmp_path / "log", fails=0.3) as url:
        model = model_at(url, timeout_s=1.5, max_attempts=4)
        found = [each for _, each in ask_all(model, calls, tmp_path / "run")]
    ends = Counter(each.reason if isinstance(each, Failure) else "answered" for each in found)
    assert len(found) == 300
    # a cut answer is not tried again; the rest fails only if it fails four times
    assert ends["answered"] >= 250 and 1 <= ends["cut"] <= 35
    done = Counter(what for _, what, _ in requests(tmp_path / "log"))
    assert all(done[way] > 0 for way in (*FAILURES, "answered"))
    texts = {each.text for each in found if isinstance(each, Answer)}
    assert len(texts) == ends["answered"]  # each answer is its own request's
    (spent,) = read(tmp_path / "run").values()
    assert spent.n_requests >= received(tmp_path / "log")  # a busy machine may time out before a request is out
    assert spent.n_answered == ends["answered"]


@pytest.mark.parametrize(
    ("fate", "reason", "n_sent"),
    [
        ("429", "rate_limited", 3), ("500", "server_error", 3), ("503", "server_error", 3), ("timeout", "timeout", 3),
        ("closed", "broken", 3), ("half", "broken", 3), ("empty", "empty", 3), ("silent", "empty", 1),
        ("cut", "cut", 1), ("401", "refused", 1),
        ("404", "refused", 1), ("400", "refused", 1),
    ],
)  # fmt: skip
def test_what_is_tried_again(tmp_path: Path, fate: str, reason: str, n_sent: int):
    with serving(tmp_path / "log", always=fate) as url:
        model = model_at(url, timeout_s=0.2, max_attempts=3)
        ((_, found),) = ask_all(model, [call("hello")], tmp_path / "run")
    assert isinstance(found, Failure)
    assert (found.reason, found.n_attempts, received(tmp_path / "log")) == (reason, n_sent, n_sent)


@pytest.mark.parametrize(("fate", "reason"), [("cut", "cut"), ("silent", "empty")])
def test_a_cut_or_empty_answer_was_paid_and_is_not_asked_again(tmp_path: Path, fate: str, reason: str):
    with serving(tmp_path / "log", always=fate) as url:
        for folder in ("run", "again"):
            ((_, found),) = ask_all(model_at(url), [call("hello")], tmp_path / folder)
            assert isinstance(found, Failure) and found.reason == reason
    assert received(tmp_path / "log") == 1


@pytest.mark.parametrize("fate", ["empty", "500"])
def test_other_failures_are_no_results_and_are_asked_again_by_the_next_run(tmp_path: Path, fate: str):
    with serving(tmp_path / "log", always=fate) as url:
        for folder in ("run", "again"):
            ((_, found),) = ask_all(model_at(url, max_attempts=1), [call("hello")], tmp_path / folder)
            assert isinstance(found, Failure)
    assert received(tmp_path / "log") == 2


def test_a_server_that_asks_to_wait_is_given_the_time(tmp_path: Path):
    started = time.monotonic()
    with serving(tmp_path / "log", always="429") as url:
        list(ask_all(model_at(url, max_attempts=4), [call("hello")], tmp_path / "run"))
    assert time.monotonic() - started > 3 * 0.2


@pytest.mark.parametrize(("concurrency", "n_sent"), [(1, 21), (8, 28)])
def test_a_server_that_knows_no_schema_is_asked_without(tmp_path: Path, concurrency: int, n_sent: int):
    schema = {"type": "object", "properties": {}, "additionalProperties": False, "required": []}
    with serving(tmp_path / "log", no_schema=True, latency_s=0.05) as url:
        calls = [call(f"hello {n}", json_schema=schema) for n in range(20)]
        found = list(ask_all(model_at(url, max_concurrency=concurrency), calls, tmp_path / "run"))
    assert all(isinstance(each, Answer) for _, each in found)
    assert received(tmp_path / "log") <= n_sent  # those at once, and each call


@pytest.mark.parametrize(("fate", "n_at_most", "said"), [("401", 8 + 4, "is the key right"), ("500", 20 + 4, "500")])
def test_an_endpoint_that_answers_nothing_stops_the_run(tmp_path: Path, fate: str, n_at_most: int, said: str):
    with (
        serving(tmp_path / "log", always=fate) as url,
        pytest.raises(UserError, match=r"calls in a row") as error,
    ):
        list(ask_all(model_at(url, max_attempts=1, max_concurrency=4), [call(str(n)) for n in range(1000)], tmp_path))
    assert received(tmp_path / "log") <= n_at_most
    assert said in str(error.value) or "key" in str(error.value)


def test_a_server_that_is_not_there(tmp_path: Path):
    with serving(tmp_path / "log") as url:
        pass
    with pytest.raises(UserError, match="is the server running"):
        list(ask_all(model_at(url, max_attempts=1), [call(str(n)) for n in range(100)], tmp_path))


def test_an_exception_in_the_work_of_a_row_is_a_bug_and_comes_out(tmp_path: Path):
    from zephyr.recipe.teacher import Budget
    from zephyr.teacher.ask import run_rows

    async def work(teacher, row: int) -> float:
        return 1 / row

    with pytest.raises(ZeroDivisionError):
        list(run_rows([2, 1, 0], work, models={}, budget=Budget(), folder=tmp_path, n_rows=3, label="x"))
