import itertools
import json
import random

import pytest

from zephyr.mini.questions import CATEGORIES, Request, messages, requests
from zephyr.mini.world import World

SPLITS = ("train", "eval", "heldout")


def asked_in(world: World, split: str, category: str, n: int = 100) -> list[list[Request]]:
    rng = random.Random(0)
    return [requests(world, split, rng, category=category, n_turns=3) for _ in range(n)]


@pytest.mark.parametrize("category", CATEGORIES)
def test_training_asks_only_about_training_facts(world: World, category: str) -> None:
    for turns in asked_in(world, "train", category):
        for request in turns:
            keys = [*request.asks, *request.passage] if request.passage else list(request.asks)
            assert all(world.split[key] == "train" for key in keys if key in world.split)
            assert request.about is None or world.writing[request.about] == "train"


@pytest.mark.parametrize("category", CATEGORIES)
@pytest.mark.parametrize("split", ["eval", "heldout"])
def test_a_held_out_turn_needs_something_held_out(world: World, split: str, category: str) -> None:
    for turns in asked_in(world, split, category):
        for request in turns:
            needs = {world.split[key] for key in (*request.asks, *request.passage) if key in world.split}
            needs |= {world.writing[request.about]} if request.about else set()
            assert split in needs
            assert split == "heldout" or "heldout" not in needs


def test_the_questions_of_the_splits_do_not_overlap(world: World) -> None:
    texts = {
        split: {turns[0].text for each in CATEGORIES for turns in asked_in(world, split, each)} for split in SPLITS
    }
    assert not texts["train"] & texts["heldout"]
    assert not texts["train"] & texts["eval"]
    assert not texts["eval"] & texts["heldout"]


def test_a_doubt_is_about_the_fact_before_it(world: World) -> None:
    doubts = 0
    for turns in asked_in(world, "train", "stem"):
        for before, request in itertools.pairwise(turns):
            if request.form == "doubt":
                doubts += 1
                assert (request.text, request.asks) == ("Are you sure?", before.asks)
    assert doubts > 10


def test_a_question_of_two_facts_names_both_steps(world: World) -> None:
    for request, *_ in asked_in(world, "train", "reasoning"):
        first, *second = request.asks
        value = world.value(first)
        assert [key[1] for key in second] == ([] if value is None else [value])


def test_roleplay_gives_its_role_first_and_keeps_it(world: World) -> None:
    turns = asked_in(world, "train", "roleplay")[0]
    assert len({request.role for request in turns}) == 1
    said = messages(turns, ["yes", "no"])
    assert said[0]["content"].startswith(f"You are a {turns[0].role}. ")
    assert [each["role"] for each in said] == ["user", "assistant", "user", "assistant", "user"]


def test_a_request_survives_its_file(world: World) -> None:
    for category in CATEGORIES:
        (request, *_) = asked_in(world, "heldout", category, n=1)[0]
        assert Request.from_json(json.loads(json.dumps(request.to_json()))) == request
