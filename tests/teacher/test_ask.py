"""Calls against a real server over HTTP: each answer once, in order, from disk the second time."""

from pathlib import Path

from tests.teacher.asking import ask_all, call, model_at
from tests.teacher.server import requests, serving
from zephyr.teacher.call import Answer, Failure


def test_rows_come_back_in_order_and_nothing_is_asked_twice(tmp_path: Path):
    calls = [call(f"question {n}") for n in range(50)]
    with serving(tmp_path / "log", latency_s=0.02) as url:
        first = list(ask_all(model_at(url), calls, tmp_path / "run"))
        again = list(ask_all(model_at(url), calls, tmp_path / "other run"))
    assert [n for n, _ in first] == list(range(50))
    assert all(isinstance(each, Answer) and not each.cached for _, each in first)
    assert [each.text for _, each in again] == [each.text for _, each in first]
    assert len({each.text for _, each in first}) == 50
    assert all(each.cached for _, each in again)
    assert sum(what == "received" for _, what, _ in requests(tmp_path / "log")) == 50


def test_equal_calls_at_the_same_time_are_one_request_and_other_samples_are_others(tmp_path: Path):
    calls = [call("the same", sample=n % 2) for n in range(10)]
    with serving(tmp_path / "log", latency_s=0.1) as url:
        found = list(ask_all(model_at(url), calls, tmp_path / "run"))
    assert all(isinstance(each, Answer) for _, each in found)
    assert sum(what == "received" for _, what, _ in requests(tmp_path / "log")) == 2


def test_offline_reads_back_and_sends_nothing(tmp_path: Path):
    with serving(tmp_path / "log") as url:
        model = model_at(url, api_key_env="NOT_SET_HERE_1", revision="abc")
        online = model_at(url, revision="abc")
        list(ask_all(online, [call("known")], tmp_path / "run"))
        (_, known), (_, unknown) = ask_all(model, [call("known"), call("new")], tmp_path / "2", offline=True)
    assert isinstance(known, Answer) and known.cached
    assert isinstance(unknown, Failure) and unknown.reason == "not_cached"
    assert sum(what == "received" for _, what, _ in requests(tmp_path / "log")) == 1
