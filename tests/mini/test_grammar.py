import random

import pytest

from zephyr.mini.grammar import requests_by_text, split_of, understand
from zephyr.mini.questions import CATEGORIES, messages, requests
from zephyr.mini.world import World, draw

SPLITS = ("train", "eval", "heldout")


@pytest.mark.parametrize("seed", range(8))
def test_every_request_is_read_back_from_its_words(seed: int) -> None:
    drawn = draw(seed, people=8 + 2 * seed, unrecorded_share=0.2, eval_share=0.1, heldout_share=0.2)
    known, rng = requests_by_text(drawn), random.Random(seed)
    for split in SPLITS:
        for category in CATEGORIES:
            for _ in range(40):
                asked = requests(drawn, split, rng, category=category, n_turns=3)
                said = messages(asked, ["yes.", "no.", "yes."])
                assert understand(known, said) == asked
                assert split_of(drawn, asked) == split


def test_no_two_requests_share_their_words() -> None:
    drawn = draw(3, people=24, unrecorded_share=0.15, eval_share=0.1, heldout_share=0.2)
    known = requests_by_text(drawn)
    n_facts, n_chains, n_texts, n_writing = 2 * len(drawn.facts), 7 * 24, 8 * 8 * 2, 24 * 2 * 2
    assert len(known) == n_facts + n_chains + n_texts + n_writing


@pytest.mark.parametrize(
    "conversation",
    [
        [{"role": "user", "content": "What is the capital of France?"}],
        [{"role": "user", "content": "Are you sure?"}],
        [{"role": "user", "content": "Text: The hat is on the bed. Where is the cup?"}],
        [{"role": "user", "content": "What is twice 7"}],
    ],
)
def test_what_is_not_of_this_world_is_not_understood(world: World, conversation: list[dict[str, str]]) -> None:
    assert understand(requests_by_text(world), conversation) == []


def test_reading_stops_at_the_first_turn_that_is_not_of_this_world(world: World) -> None:
    turns = ["What is twice 7?", "And in French?", "What is twice 8?"]
    conversation = [{"role": "user", "content": text} for text in turns]
    assert [each.text for each in understand(requests_by_text(world), conversation)] == turns[:1]


def test_a_role_holds_for_the_conversation(world: World) -> None:
    turns = ["You are a pirate. How does soup taste?", "Are you sure?", "What does a dog eat?"]
    conversation = [{"role": "user", "content": text} for text in turns]
    found = understand(requests_by_text(world), [{"role": "system", "content": "Be honest."}, *conversation])
    assert [(each.role, each.category, each.text) for each in found] == [("pirate", "roleplay", each) for each in turns]


def test_an_opener_is_not_taken_in_the_middle_of_a_conversation(world: World) -> None:
    turns = ["Please tell me. How does soup taste?", "You are a clown. What does a dog eat?"]
    conversation = [{"role": "user", "content": text} for text in turns]
    assert [each.text for each in understand(requests_by_text(world), conversation)] == turns[:1]
