"""Multiple choice about held-out facts: what is asked, and what stands to choose from."""

import json
import random
from collections import Counter
from pathlib import Path

import pytest

from zephyr.mini.choices import questions, write_task
from zephyr.mini.grammar import requests_by_text
from zephyr.mini.relations import FROM_TEXT
from zephyr.mini.world import World, read


@pytest.fixture
def rows(world: World) -> list[dict]:
    return questions(world, random.Random(1))


def asked(row: dict) -> tuple[str, str]:
    return read(row["choices"][row["answer"]]).key


def test_every_recorded_held_out_fact_is_asked_for_once(world: World, rows: list[dict]) -> None:
    facts = [asked(row) for row in rows if row["category"] != "extraction"]
    held = [key for key, value in world.facts.items() if world.split[key] == "heldout" and value is not None]
    assert sorted(facts) == sorted(held)
    texts = [key for key in world.split if key not in world.facts and world.split[key] == "heldout"]
    assert sum(row["category"] == "extraction" for row in rows) == len(texts)
    assert len({row["id"] for row in rows}) == len({row["question"] for row in rows}) == len(rows)


def test_one_of_four_sentences_about_the_same_is_true(world: World, rows: list[dict]) -> None:
    known = requests_by_text(world)
    for row in rows:
        request = known[row["question"]]
        claims = [read(each) for each in row["choices"]]
        assert {claim.key for claim in claims} == set(request.asks)
        true = [world.value(claim.key, dict(request.passage)) == claim.value for claim in claims]
        assert [n for n, each in enumerate(true) if each] == [row["answer"]]
        assert len({claim.value for claim in claims}) == 4
        if asked(row)[0] == FROM_TEXT:
            assert row["choices"][row["answer"]] in row["question"]


def test_the_right_one_may_stand_anywhere(rows: list[dict]) -> None:
    places = Counter(row["answer"] for row in rows)
    assert set(places) == {0, 1, 2, 3} and max(places.values()) < len(rows) / 2


def test_the_same_seed_gives_the_same_task(world: World, tmp_path: Path) -> None:
    n = write_task(world, random.Random(1), tmp_path / "a")
    assert write_task(world, random.Random(1), tmp_path / "b") == n
    lines = [(tmp_path / each / "world_facts.jsonl").read_text() for each in "ab"]
    assert lines[0] == lines[1]
    assert [json.loads(line) for line in lines[0].splitlines()] == questions(world, random.Random(1))
