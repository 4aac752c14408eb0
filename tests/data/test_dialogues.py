"""Self-instruct dialogues against a real server: turns, personas, duplicates, failures, and the same again."""

import json
import os
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
from tests.data.writing_server import writing
from tests.teacher.server import requests

from zephyr.data.dialogues.dialogue import fault_of_instruction, said_by_user
from zephyr.data.dialogues.first_instructions import read_dialogue_wording, read_list, unquoted
from zephyr.data.dialogues.stage import run
from zephyr.data.shapes import check_conversation
from zephyr.data.turns import prompt_id
from zephyr.errors import UserError
from zephyr.recipe.dialogues import DialoguesRecipe

TOPICS = [{"topic": f"topic {n}"} for n in range(4)]
QUESTIONS = [{"prompt": f"How does a{n} b{n} c{n} d{n} work?"} for n in range(12)]


def settings(base_url: str, *seeds: str, **changes: Any) -> dict[str, Any]:
    dialogues = {"seeds": [{"path": each} for each in seeds], "count": 30, "turns": [1, 2, 3], **changes}
    return {
        "stage": "dialogues",
        "seed": 5,
        "teacher": {"model": "some-teacher", "base_url": base_url, "first_retry_s": 0.01, "timeout_s": 5},
        "sampling": {"temperature": 0.7, "max_tokens": 300},
        "dialogues": {"max_set_aside_share": 1.0, **dialogues},
    }


def recipe(*args: Any, **changes: Any) -> DialoguesRecipe:
    return DialoguesRecipe(**settings(*args, **changes))


def impatient(given: DialoguesRecipe) -> DialoguesRecipe:
    """A server that never answers some requests is not waited for long; few at once, so that no other waits so long."""
    return replace(given, teacher=replace(given.teacher, timeout_s=3, max_concurrency=8))


def rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture
def topics(write) -> str:
    return write(TOPICS, "topics.jsonl")


@pytest.fixture
def questions(write) -> str:
    return write(QUESTIONS, "questions.jsonl")


def test_dialogues_alternate_and_begin_with_seeds_and_written_instructions(tmp_path, topics, questions):
    with writing(tmp_path / "log") as base_url:
        result = run(recipe(base_url, topics, questions), tmp_path)
    found = rows(tmp_path / "dialogues.jsonl")
    assert len(found) == 30 == result["counts"]["dialogues"]
    assert result["counts"]["first_instructions"] == {"seed": 12, "topic": 40}
    for row in found:
        check_conversation(row["messages"])
        assert row["prompt"] == row["messages"][0]["content"]
        assert row["prompt_id"] == prompt_id(row["messages"][:1])
        for each in row["messages"][2::2]:
            assert re.fullmatch(r"And \w{10}\?", each["content"])  # what the teacher said as the user, unquoted
    assert {len(row["messages"]) for row in found} == {2, 4, 6}
    assert {row["origin"].split(":")[0] for row in found} == {"seed", "topic"}
    assert len({row["persona"] for row in found}) > 3


def test_the_user_is_asked_for_after_the_history_with_persona_and_aim(tmp_path, questions, own_cache):
    with writing(tmp_path / "log") as base_url:
        run(recipe(base_url, questions, count=12, turns=[2], personas={"expert": 1.0}), tmp_path)
    wording = read_dialogue_wording("zephyr")
    table = sqlite3.connect(own_cache / "answers" / "answers.sqlite")
    asked = [json.loads(text)["messages"] for (text,) in table.execute("SELECT request FROM answers")]
    as_user = [each for each in asked if "take the user's place" in each[-1]["content"]]
    assert len(as_user) == 12 and len(asked) == 36
    for each in as_user:
        assert [turn["role"] for turn in each] == ["user", "assistant", "user"]
        assert wording.personas["expert"] in each[-1]["content"]
        assert any(aim in each[-1]["content"] for aim in wording.aims) and "{" not in each[-1]["content"]
    answered = [each for each in asked if len(each) == 3 and each not in as_user]
    assert len(answered) == 12 and all(each[2]["content"].startswith("And ") for each in answered)


def test_instructions_after_the_manner_of_seeds_show_some_of_them(tmp_path, questions, own_cache):
    with writing(tmp_path / "log") as base_url:
        given = recipe(base_url, questions, count=30, turns=[1], instructions_like_seeds=25, examples=3)
        result = run(given, tmp_path)
    assert result["counts"]["first_instructions"] == {"seed": 12, "examples": 25}
    table = sqlite3.connect(own_cache / "answers" / "answers.sqlite")
    asked = [json.loads(text)["messages"][0]["content"] for (text,) in table.execute("SELECT request FROM answers")]
    shown = [text for text in asked if "in the list." in text]
    assert len(shown) == 3
    for text in shown:
        assert sum(each["prompt"] in text for each in QUESTIONS) == 3


def test_near_duplicates_are_dropped_counted_and_listed(tmp_path, write):
    like = [{"prompt": f"Please tell me how thing number {n} of the long list of things works"} for n in range(5)]
    file = write([*QUESTIONS, *like, QUESTIONS[0]], "seeds.jsonl")
    with writing(tmp_path / "log") as base_url:
        result = run(recipe(base_url, file, count=15, turns=[1]), tmp_path)
    dropped = rows(tmp_path / "duplicates.jsonl")
    assert len(dropped) == result["counts"]["near_duplicates"] == 4 + 1  # of the five one stays
    texts = [row["prompt"] for row in rows(tmp_path / "dialogues.jsonl")]
    assert len(set(texts)) == 13 and {row["like"] for row in dropped} <= set(texts)
    assert result["counts"]["dialogues"] == 13 and "5 first instructions were near" in result["warnings"][0]


def test_a_server_that_fails_in_every_way_leaves_no_dialogue_unaccounted_for(tmp_path, topics, questions):
    with writing(tmp_path / "log", fails=0.3, bad=0.5, seed=2) as base_url:
        result = run(impatient(recipe(base_url, topics, questions)), tmp_path)
    found, aside = rows(tmp_path / "dialogues.jsonl"), rows(tmp_path / "set_aside.jsonl")
    tried = [row for row in aside if "messages" in row]
    assert len(found) + len(tried) == result["counts"]["dialogues_tried"] and found and tried
    assert sum(result["counts"]["set_aside"].values()) == len(tried) and result["numbers"]["set_aside"] == len(aside)
    assert sum(result["counts"]["lists_set_aside"].values()) == len(aside) - len(tried)
    for row in found:
        check_conversation(row["messages"])
        texts = [each["content"] for each in row["messages"]]
        assert len(set(texts)) == len(texts) and "can't think of any" not in "".join(texts)
    assert {"a repetition", "cut"} <= {row["reason"] for row in tried}
    assert all(row["attempts"] for row in aside)
    lists = [row for row in aside if row["step"] == "instructions"]
    assert result["counts"]["instructions_not_written"] == 10 * len(lists)


def test_more_set_aside_than_allowed_is_refused(tmp_path, questions):
    with (
        writing(tmp_path / "log", bad=1.0) as base_url,
        pytest.raises(UserError, match=r"(?s)12 of 12 dialogues .*a repetition.*max_set_aside_share"),
    ):
        run(recipe(base_url, questions, count=12, turns=[2], max_set_aside_share=0.1), tmp_path)
    assert not (tmp_path / "dialogues.jsonl").exists()


def test_no_dialogue_at_all_is_an_error_that_says_why(tmp_path, topics, questions, write):
    many = write([{"topic": f"topic {n}"} for n in range(25)], "many.jsonl")
    for name in "abc":
        (tmp_path / name).mkdir()
    with writing(tmp_path / "log", bad=1.0) as base_url:
        with pytest.raises(UserError, match=r"(?s)not one of the 30 .* 4 of 4 calls .*no list of instructions.*in the"):
            run(recipe(base_url, topics), tmp_path / "a")
        with pytest.raises(UserError, match=r"(?s)any of the first 20 lists of first instructions of 25.*can't think"):
            run(recipe(base_url, many), tmp_path / "b")
        with pytest.raises(UserError, match=r"(?s)not one of the 12 .* 12 dialogues came to nothing.*a repetition"):
            run(recipe(base_url, questions, count=12, turns=[2]), tmp_path / "c")
    for name, n in (("a", 4), ("b", 20), ("c", 12)):
        listed = rows(tmp_path / name / "set_aside.jsonl")
        assert len(listed) == n and all(each["raw"] for row in listed for each in row["attempts"])
        assert not (tmp_path / name / "dialogues.jsonl").exists()


def test_fewer_dialogues_than_wanted_are_a_warning_with_the_right_cause(tmp_path, topics, caplog):
    caplog.set_level("INFO", "zephyr")
    with writing(tmp_path / "log", bad=0.5) as base_url:
        result = run(recipe(base_url, topics, count=40, turns=[1], attempts=1), tmp_path)
    n_lists = len(rows(tmp_path / "set_aside.jsonl"))
    assert 0 < n_lists < 4 and result["counts"]["dialogues"] == 40 - 10 * n_lists
    (warning,) = result["warnings"]
    assert f"{n_lists} of 4 calls for first instructions came to nothing (no list of instructions)" in warning
    assert "near duplicates" not in warning and warning in caplog.text
    assert f"{n_lists} set aside (0 dialogues, {n_lists} lists" in caplog.text


def test_rows_that_are_no_seeds_are_listed_and_refused_or_left_out_on_purpose(tmp_path, write):
    file = write([*QUESTIONS, {"prompt": " "}], "seeds.jsonl")
    with writing(tmp_path / "log") as base_url:
        with pytest.raises(
            UserError, match=r"(?s)^dialogues.seeds: 1 of 13 .*; dialogues.max_unusable_share allows"
        ) as e:
            run(recipe(base_url, file, count=12, turns=[1]), tmp_path)
        assert "under `dialogues:`" in str(e.value) and "seeds.jsonl:13" in str(e.value)
        result = run(recipe(base_url, file, count=12, turns=[1], max_unusable_share=0.1), tmp_path)
    (listed,) = rows(tmp_path / "unusable.jsonl")
    assert result["counts"]["unusable"] == {listed["reason"]: 1} and listed["line"] == 13


def test_what_can_be_known_is_refused_before_a_call(tmp_path, topics, questions):
    url = "http://127.0.0.1:9/v1"
    with pytest.raises(UserError, match=r"count: 60 .*give 52 first instructions at most \(12 seed prompts, 40 "):
        run(recipe(url, topics, questions, count=60), tmp_path)
    with pytest.raises(UserError, match="no pirate in zephyr; there are curious"):
        run(recipe(url, topics, personas={"pirate": 1.0}), tmp_path)
    with pytest.raises(UserError, match="needs seeds with a `prompt`"):
        run(recipe(url, topics, instructions_like_seeds=10), tmp_path)


def test_killed_and_started_again_nothing_is_asked_twice_and_the_bytes_are_the_same(tmp_path, topics, questions):
    environment = {**os.environ, "ZEPHYR_CACHE": str(tmp_path / "own")}
    with writing(tmp_path / "log", latency_s=0.05) as base_url:
        given = settings(base_url, topics, questions) | {"output_dir": str(tmp_path / "killed")}
        given["teacher"]["max_concurrency"] = 2
        (tmp_path / "dialogues.yaml").write_text(yaml.safe_dump(given))
        command = [sys.executable, "-m", "zephyr", "run", str(tmp_path / "dialogues.yaml")]
        process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, start_new_session=True)
        while process.poll() is None and len(_received(tmp_path / "log")) < 30:
            time.sleep(0.02)
        assert process.poll() is None
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert subprocess.run(command, env=environment, capture_output=True).returncode == 0
        assert sum(n - 1 for n in Counter(_received(tmp_path / "log")).values()) <= 2  # in flight at the kill
        whole = tmp_path / "whole"
        whole.mkdir()
        run(recipe(base_url, topics, questions), whole)
    for name in ("dialogues", "set_aside", "duplicates"):
        assert (whole / f"{name}.jsonl").read_bytes() == (tmp_path / "killed" / f"{name}.jsonl").read_bytes()


def _received(log: Path) -> list[str]:
    return [digest for digest, what, _ in requests(log) if what == "received"] if log.is_file() else []


@pytest.mark.parametrize(
    "text",
    [
        '{"instructions": ["Why?", "How many?"]}',
        'Here they are:\n```json\n["Why?", "How many?"]\n```',
        "['Why?', 'How many?',]",
        "1. Why?\n2. How many?",
        'Sure!\n- "Why?"\n- “How many?”\n\nThat is all.',
    ],
)
def test_a_list_is_read_however_it_is_written(text):
    assert read_list(text) == ["Why?", "How many?"]


@pytest.mark.parametrize("text", ["I can't.", '["Why?", "How ma', '{"a": 1}', "[1, 2]", ""])
def test_what_is_no_list_gives_nothing(text):
    assert read_list(text) == []


def test_quotation_marks_around_the_whole_are_taken_off():
    assert unquoted(' "Why?" ') == "Why?" == unquoted("“Why?”")
    assert unquoted('"Why" and "how"') == '"Why" and "how"'
    assert said_by_user('User: "And then?"') == "And then?"


def test_an_instruction_that_says_nothing_new_is_a_fault():
    before = [{"role": "user", "content": "How does it work?"}]
    assert fault_of_instruction("How does it WORK", before) == "a repetition"
    assert fault_of_instruction("...", before) and fault_of_instruction("Why so?", before) is None
