"""AI feedback against a real server that misbehaves: every prompt is scored or set aside, and no score is made up."""

import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.data.writing_server import deserved, writing
from tests.teacher.server import requests

from zephyr.data.asking import Guard, SetAside
from zephyr.data.feedback.judging import orders
from zephyr.data.feedback.stage import models_for, predict_feedback, read_prompts, run
from zephyr.data.ultrafeedback import from_ultrafeedback
from zephyr.errors import UserError
from zephyr.recipe import load
from zephyr.recipe.feedback import FeedbackRecipe
from zephyr.teacher.predict import announce

POOL = ("ant", "bee", "cat", "dog", "eel")
RETRIES = {"first_retry_s": 0.01, "timeout_s": 5}


def settings(base_url: str, prompts: str, **changes: Any) -> dict[str, Any]:
    model = {"base_url": base_url, **RETRIES}
    given = {
        "stage": "feedback",
        "seed": 3,
        "prompts": [{"path": prompts}],
        "pool": {name: {"model": f"model-{name}", **model} for name in POOL},
        "answers_per_prompt": 4,
        "principles": "zephyr",
        "sampling": {"temperature": 1.0, "max_tokens": 200},
        "judge": {"model": "the-judge", **model},
        "judging": {"max_tokens": 2000, "repeats": 2},
        "max_set_aside_share": 1.0,
    }
    return {**given, **changes}


def recipe(*args: Any, **changes: Any) -> FeedbackRecipe:
    return FeedbackRecipe(**settings(*args, **changes))


def rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture
def prompts(write) -> str:
    return write([{"prompt": f"What is {n}?", "source": "numbers"} for n in range(40)], "prompts.jsonl")


def check_scores(found: list[dict[str, Any]]) -> None:
    """Every score is the one that the answer deserves: from no other answer, no other model, no default."""
    for row in found:
        for each in row["completions"]:
            wanted = deserved(each["response"])
            assert each["response"].startswith(f"model-{each['model']} says")
            assert {name: one["Rating"] for name, one in each["annotations"].items()} == {
                name: str(rating) for name, rating in wanted.items() if name != "overall"
            }
            assert each["overall_score"] == wanted["overall"]
            ratings = [value for name, value in wanted.items() if name != "overall" and value != "N/A"]
            assert each["fine-grained_score"] == pytest.approx(sum(ratings) / len(ratings))


def test_rows_have_ultrafeedbacks_schema_and_scores_that_are_deserved(tmp_path, prompts):
    with writing(tmp_path / "log") as base_url:
        result = run(recipe(base_url, prompts), tmp_path)
    found = rows(tmp_path / "feedback.jsonl")
    assert len(found) == 40 and result["counts"]["set_aside"] == {} and result["numbers"]["prompts"] == 40
    check_scores(found)
    first = found[0]
    assert first["source"] == "numbers" and first["instruction"] == "What is 0?"
    assert first["prompt"] == [{"role": "user", "content": "What is 0?"}]
    assert first["correct_answers"] == first["incorrect_answers"] == ["None"]
    assert first["models"] == [each["model"] for each in first["completions"]] and len(set(first["models"])) == 4
    assert all(each["principle"] and each["custom_system_prompt"] for each in first["completions"])
    assert {each["finish_reason"] for each in first["completions"]} == {"stop"}
    scored = from_ultrafeedback(first)
    assert all(answer.mean and answer.overall and len(answer.judgments) == 2 for answer in scored.answers)
    drawn = Counter(name for row in found for name in row["models"])
    assert set(drawn) == set(POOL)
    places = result["feedback"]["by_place"]
    assert len(places) == 4 and all(each["n"] == 80 for each in places)
    agreement = result["feedback"]["aspects"]["helpfulness"]["agreement"]
    assert agreement["two_equal"]["value"] == 1.0 and agreement["n_answers"] == 160  # this judge is of one mind
    page = (tmp_path / "labels.md").read_text()
    assert page.startswith("# Label report") and "| helpfulness | " in page and "| 4 | " in page


def test_the_judge_sees_no_model_names_and_orders_that_differ(tmp_path, prompts, own_cache):
    with writing(tmp_path / "log") as base_url:
        run(recipe(base_url, prompts, principles=None), tmp_path)
    table = sqlite3.connect(own_cache / "answers" / "answers.sqlite")
    asked = [json.loads(text) for (text,) in table.execute("SELECT request FROM answers WHERE model = 'the-judge'")]
    assert len(asked) == 80
    for each in asked:
        words = each["messages"][-1]["content"].split("<answer ", 1)
        assert not any(name in words[0] for name in POOL)  # answers sign themselves here, the list of them doesn't
        assert each["response_format"]["json_schema"]["schema"]["required"] == ["A", "B", "C", "D"]
    for row in rows(tmp_path / "feedback.jsonl"):
        first, second = (each["order"] for each in row["judgments"])
        assert first != second and sorted(first) == sorted(second) == [0, 1, 2, 3]


def test_a_server_that_fails_in_every_way_leaves_no_row_unaccounted_for(tmp_path, prompts):
    with writing(tmp_path / "log", fails=0.3, bad=0.5, seed=1) as base_url:
        given = settings(base_url, prompts)
        for model in (*given["pool"].values(), given["judge"]):
            # few at once: none waits so long behind the others, on a busy machine too, that it counts as unanswered
            model |= {"timeout_s": 3, "max_concurrency": 6}
        result = run(FeedbackRecipe(**given), tmp_path)
    scored, aside = rows(tmp_path / "feedback.jsonl"), rows(tmp_path / "set_aside.jsonl")
    assert len(scored) + len(aside) == 40 and len(scored) > 10 and len(aside) > 3
    assert {row["prompt_id"] for row in scored}.isdisjoint(row["prompt_id"] for row in aside)
    check_scores(scored)
    assert all(row["reason"] and row["step"] for row in aside)
    kept = [each for row in aside for one in row["judgments"] for each in one["attempts"]]
    assert any(each["raw"] for each in kept) and all(each["fault"] for each in kept)
    assert sum(result["counts"]["set_aside"].values()) == len(aside)
    asked_again = [one for row in scored for one in row["judgments"] if one["attempts"]]
    assert len(asked_again) == result["counts"]["judgments_asked_again"] > 5
    faults = Counter(each["fault"].split(" (")[0] for one in asked_again for each in one["attempts"])
    assert {"broken JSON", "a score out of range", "wrong number of scores"} <= set(faults)
    fates = Counter(fate for _, fate, _ in requests(tmp_path / "log"))
    assert {"429", "500", "timeout", "closed", "half", "empty", "cut"} <= set(fates)


def test_a_judgment_asked_for_again_says_what_was_wrong_and_differs(tmp_path, prompts, own_cache):
    with writing(tmp_path / "log", bad=0.7) as base_url:
        run(recipe(base_url, prompts, judging={"max_tokens": 2000, "attempts": 2}), tmp_path)
    table = sqlite3.connect(own_cache / "answers" / "answers.sqlite")
    asked = [json.loads(text) for (text,) in table.execute("SELECT request FROM answers WHERE model = 'the-judge'")]
    again = [each for each in asked if each["messages"][-2]["role"] == "assistant"]
    assert len(again) > 10
    for each in again:
        assert "could not be used" in each["messages"][-1]["content"]
        assert each["temperature"] == 0.3 and each["seed"] == 4
    firsts = [each for each in asked if each not in again]
    assert {(each["temperature"], each["seed"]) for each in firsts} == {(0.0, 3)}


def test_more_set_aside_than_allowed_is_refused_and_listed(tmp_path, prompts):
    judging = {"max_tokens": 2000, "attempts": 1}
    with writing(tmp_path / "log", bad=0.7) as base_url, pytest.raises(UserError) as refused:
        run(recipe(base_url, prompts, judging=judging, max_set_aside_share=0.1), tmp_path)
    assert re.search(r"of 40 prompts .*allows 10", str(refused.value)) and "`judging.attempts=3`" in str(refused.value)
    assert not (tmp_path / "feedback.jsonl").exists()
    listed = rows(tmp_path / "set_aside.jsonl")
    assert f"{len(listed)} of 40 prompts" in str(refused.value) and str(tmp_path / "set_aside.jsonl") in str(
        refused.value
    )
    assert 4 < len(listed) < 40 and len(rows(tmp_path / ".feedback.jsonl.draft")) == 40 - len(listed)


@pytest.mark.parametrize("max_concurrency", [4, 32])
def test_a_judge_that_is_never_usable_is_not_asked_to_the_end(tmp_path, write, max_concurrency):
    file = write([{"prompt": f"What is {n}?"} for n in range(200)], "many.jsonl")
    given = settings("", file, judging={"max_tokens": 2000})
    for name in "abc":
        (tmp_path / name).mkdir()
    with writing(tmp_path / "log", bad=1.0) as base_url:
        for model in (*given["pool"].values(), given["judge"]):
            model |= {"base_url": base_url, "max_concurrency": max_concurrency}
        with pytest.raises(UserError) as stopped:
            run(FeedbackRecipe(**given), tmp_path / "a")
        with pytest.raises(UserError) as again:
            run(FeedbackRecipe(**given), tmp_path / "b")
        given["judging"] |= {"attempts": 5}
        with pytest.raises(UserError, match="first 20 prompts"):
            run(FeedbackRecipe(**given), tmp_path / "c")
    said = str(stopped.value)
    assert "any of the first 20 prompts of 200" in said and "judgment: " in said and "`judging.attempts=5`" in said
    assert str(again.value) == said.replace(str(tmp_path / "a"), str(tmp_path / "b"))
    for folder, attempts in (("a", 3), ("b", 3), ("c", 5)):
        listed = rows(tmp_path / folder / "set_aside.jsonl")
        assert [row["prompt"][0]["content"] for row in listed] == [f"What is {n}?" for n in range(20)]
        assert all(len(one["attempts"]) == attempts for row in listed for one in row["judgments"])
        assert all(each["raw"] for row in listed for one in row["judgments"] for each in one["attempts"])
    e_g = next(line for line in said.splitlines() if "in the text: " in line).split("in the text: ")[1][:40]
    raws = [" ".join(each["raw"].split()) for row in listed for one in row["judgments"] for each in one["attempts"]]
    assert any(raw.startswith(e_g) for raw in raws)
    judged = [json.loads(line) for line in (tmp_path / "a" / "requests.jsonl").read_text().splitlines()]
    assert sum(line[0] == "sent" and line[2] == "judge" for line in judged) < 150 < 200 * 3
    # what is on disk is not asked again, unusable or not
    asked = Counter(digest for digest, what, _ in requests(tmp_path / "log") if what == "received")
    assert set(asked.values()) == {1}


def test_nothing_is_stopped_once_something_was_usable():
    def aside(reason: str, raw: str | None) -> SetAside:
        return SetAside(step="judgment", reason=reason, detail="", attempts=({"raw": raw, "fault": reason},))

    def guard() -> Guard:
        return Guard(what="prompts", n_rows=500, listed=Path("set_aside.jsonl"), again="`attempts=5`")

    found = guard()
    for _ in range(19):
        found.see(aside("broken JSON", "{"), reason="broken JSON")
    found.see(None)
    for _ in range(100):
        found.see(aside("broken JSON", "{"), reason="broken JSON")
    found = guard()
    for _ in range(100):  # the line to the model has a guard of its own
        found.see(aside("timeout", None), reason="timeout")
    found = guard()
    for n in range(100):
        found.see(aside("broken JSON", "{"), reason="broken JSON", any_usable=n == 5)
    found = guard()
    with pytest.raises(UserError, match=r"(?s)first 20 prompts of 500.*20  judgment: cut"):
        for _ in range(20):
            found.see(aside("cut", None), reason="judgment: cut")


def test_a_budget_that_ends_says_how_many_texts_were_unusable(tmp_path, prompts, monkeypatch, caplog):
    monkeypatch.setattr("zephyr.teacher.progress.LINE_EVERY_S", 0.05)
    caplog.set_level("INFO", "zephyr")
    with writing(tmp_path / "log", bad=1.0, latency_s=0.02) as base_url, pytest.raises(UserError) as stopped:
        run(recipe(base_url, prompts, budget={"max_requests": 200}), tmp_path)
    assert "max_requests (200) is used up" in str(stopped.value)
    assert re.search(r"\d+ texts of judge were unusable: \d+ ", str(stopped.value))
    assert re.search(r"calls answered.*, \d+ unusable", caplog.text)
    assert "the run will stop there" in caplog.text


def test_a_budget_below_the_longest_answers_may_be_enough(prompts, tmp_path, monkeypatch, caplog):
    prices = {"price_per_million_input_tokens": 1.0, "price_per_million_output_tokens": 1.0}
    with writing(tmp_path / "log") as base_url:
        given = settings(base_url, prompts, budget={"max_cost": 0.2})
        for model in (*given["pool"].values(), given["judge"]):
            model |= prices
        found = FeedbackRecipe(**given)
        predicted = predict_feedback(found, read_prompts(found, tmp_path).usable)
    assert [each.split(": ")[1][:22] for each in announce(predicted, found.budget, at_most=True)] == [
        "the run may stop there"
    ]
    assert announce(predicted, found.budget)[0].endswith("the run will stop there")
    monkeypatch.setenv("ZEPHYR_OFFLINE", "1")
    assert announce(predicted, found.budget) == []


def test_a_pool_too_small_is_found_before_a_run(tmp_path, prompts):
    file = tmp_path / "feedback.yaml"
    file.write_text(yaml.safe_dump(settings("http://x/v1", prompts, answers_per_prompt=6), sort_keys=False))
    line = 1 + file.read_text().splitlines().index("answers_per_prompt: 6")
    with pytest.raises(UserError, match=rf"feedback.yaml:{line}: answers_per_prompt: .*`pool` has 5"):
        load(file)
    file.write_text(yaml.safe_dump(settings("http://x/v1", prompts, answers_per_prompt=3, min_answers=4)))
    with pytest.raises(UserError, match=r"feedback.yaml:\d+: min_answers: found 4; 3 or less"):
        load(file)
    given = settings("http://x/v1", prompts)
    del given["answers_per_prompt"], given["pool"]["eel"], given["pool"]["dog"]
    file.write_text(yaml.safe_dump(given))
    with pytest.raises(UserError, match=r"feedback.yaml:\d+: pool: `answers_per_prompt`: 4 .*`pool` has 3"):
        load(file)


@pytest.mark.parametrize(
    "judging", [{"mode": "pointwise"}, {"aspects": "apart"}, {"mode": "pointwise", "aspects": "apart"}]
)
def test_every_mode_gives_the_same_scores(tmp_path, prompts, judging):
    with writing(tmp_path / "log") as base_url:
        run(recipe(base_url, prompts, judging={"max_tokens": 2000, **judging}), tmp_path)
    found = rows(tmp_path / "feedback.jsonl")
    check_scores(found)
    n_calls = (5 if "aspects" in judging else 1) * (4 if "mode" in judging else 1)
    assert {len(row["judgments"]) for row in found} == {n_calls}


def test_the_order_of_the_prompts_changes_no_row(tmp_path, write):
    texts = [{"prompt": f"What is {n}?"} for n in range(12)]
    shuffled = random.Random(1).sample(texts, 12)
    with writing(tmp_path / "log") as base_url:
        for name, each in (("a", texts), ("b", shuffled)):
            (tmp_path / name).mkdir()
            run(recipe(base_url, write([*each, each[0]], f"{name}.jsonl")), tmp_path / name)
    a, b = ((tmp_path / name / "feedback.jsonl").read_text().splitlines() for name in "ab")
    assert sorted(a) == sorted(b) and a != b and len(a) == 12


def test_an_answer_that_fails_may_be_done_without(tmp_path, prompts):
    with writing(tmp_path / "log") as base_url, writing(tmp_path / "other", always="cut") as broken:
        pool = {name: {"model": f"model-{name}", "base_url": base_url, **RETRIES} for name in POOL[:3]}
        pool["cut"] = {"model": "cut", "base_url": broken, **RETRIES}
        run(recipe(base_url, prompts, pool=pool, min_answers=3), tmp_path)
        with pytest.raises(UserError, match="answer of cut: cut"):
            (tmp_path / "again").mkdir()
            run(recipe(base_url, prompts, pool=pool, max_set_aside_share=0.5), tmp_path / "again")
    found = rows(tmp_path / "feedback.jsonl")
    assert all(len(row["completions"]) == 3 and row["failed"][0]["model"] == "cut" for row in found)
    assert rows(tmp_path / "again" / "set_aside.jsonl")[0]["completions"]


def test_what_can_be_known_is_refused_before_a_call(tmp_path, prompts, write):
    url = "http://127.0.0.1:9/v1"
    with pytest.raises(UserError, match="`pool` has 5"):
        run(recipe(url, prompts, answers_per_prompt=6), tmp_path)
    empty = write([{"prompt": ""}, {"prompt": "Hi"}], "empty.jsonl")
    with pytest.raises(UserError, match=r"1 of 2 rows .*\n.*empty prompt"):
        run(recipe(url, empty), tmp_path)
    rubric = tmp_path / "rubric.yaml"
    rubric.write_text("prompt: '{request} {answers} {scales} {form} {question}'\nagain: '{fault}'\naspects: {}\n")
    with pytest.raises(UserError, match="neither `aspects` nor `overall`"):
        run(recipe(url, prompts, judging={"max_tokens": 9, "rubric": str(rubric)}), tmp_path)
    rubric.write_text(rubric.read_text().replace("{}", "{good: {question: good, scale: {1: bad, 5: good}}}"))
    with pytest.raises(UserError, match=r"nothing is known to put at \{question\}"):
        run(recipe(url, prompts, judging={"max_tokens": 9, "rubric": str(rubric)}), tmp_path)


def test_offline_everything_comes_from_disk_and_what_is_not_there_is_refused(tmp_path, prompts, monkeypatch):
    for name in "abc":
        (tmp_path / name).mkdir()
    with writing(tmp_path / "log", bad=0.3) as base_url:
        given = recipe(base_url, prompts)
        run(given, tmp_path / "a")
    monkeypatch.setenv("ZEPHYR_OFFLINE", "1")
    assert run(given, tmp_path / "b")["asked"]["requests"] == 0
    assert (tmp_path / "a" / "feedback.jsonl").read_bytes() == (tmp_path / "b" / "feedback.jsonl").read_bytes()
    with pytest.raises(UserError, match="40 of 40 prompts need answers that are not on disk"):
        run(replace(given, seed=4), tmp_path / "c")


def test_draws_depend_on_the_prompt_alone_and_are_even():
    given = recipe("http://x/v1", "p.jsonl")
    drawn = [tuple(models_for(given, str(n))) for n in range(2000)]
    share = Counter(name for each in drawn for name in each)
    assert all(len(set(each)) == 4 for each in drawn) and all(abs(share[name] / 2000 - 0.8) < 0.04 for name in POOL)
    assert len({each[0] for each in drawn}) == 5
    for repeats in (1, 6, 8):
        found = orders(1, "id", 3, repeats)
        assert len(found) == repeats and len(set(found)) == min(repeats, 6)
    firsts = Counter(orders(1, str(n), 4, 1)[0] for n in range(2400))
    assert len(firsts) == 24 and min(firsts.values()) > 50


def test_a_judge_that_is_in_the_pool_is_flagged(tmp_path, prompts):
    with writing(tmp_path / "log") as base_url:
        judge = {"model": "model-cat", "base_url": base_url}
        result = run(recipe(base_url, prompts, judge=judge), tmp_path)
    assert result["judge_in_pool"] == ["cat"] and "scores its own answers" in result["warnings"][0]


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="kills a process group")
def test_killed_and_started_again_nothing_is_asked_twice_and_the_bytes_are_the_same(tmp_path, prompts, monkeypatch):
    environment = {**os.environ, "ZEPHYR_CACHE": str(tmp_path / "own"), "PYTHONUNBUFFERED": "1"}
    with writing(tmp_path / "log", latency_s=0.05, bad=0.3) as base_url:
        file = tmp_path / "feedback.yaml"
        given = settings(base_url, prompts, output_dir=str(tmp_path / "killed"))
        for model in (*given["pool"].values(), given["judge"]):
            model["max_concurrency"] = 2
        file.write_text(yaml.safe_dump(given))
        command = [sys.executable, "-m", "zephyr", "run", str(file)]
        kills = 0
        for wait_s in (0.6, 0.8):
            before = _n_answered(tmp_path / "log")
            process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, start_new_session=True)
            while process.poll() is None and _n_answered(tmp_path / "log") == before:
                time.sleep(0.05)
            time.sleep(wait_s)
            kills += process.poll() is None
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        assert kills == 2
        assert subprocess.run(command, env=environment, capture_output=True).returncode == 0
        n_asked = Counter(digest for digest, what, _ in requests(tmp_path / "log") if what == "received")
        twice = sum(n - 1 for n in n_asked.values())
        assert twice <= 2 * 12  # what was in flight at a kill: nobody has the answer
        whole = tmp_path / "whole"
        whole.mkdir()
        run(recipe(base_url, prompts), whole)
    for name in ("feedback.jsonl", "set_aside.jsonl"):
        assert (whole / name).read_bytes() == (tmp_path / "killed" / name).read_bytes()


def _n_answered(log: Path) -> int:
    return sum(what == "answered" for _, what, _ in requests(log)) if log.is_file() else 0
