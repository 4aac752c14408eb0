import json
from collections import Counter

import pytest

from zephyr.mini.relations import FROM_TEXT, OF_PEOPLE, RELATIONS
from zephyr.mini.world import Claim, World, draw, read, sentences


def drawn(seed: int) -> World:
    return draw(seed, people=12, unrecorded_share=0.2, eval_share=0.1, heldout_share=0.2)


def test_a_seed_gives_the_same_world_and_another_seed_another() -> None:
    assert drawn(1) == drawn(1)
    assert drawn(1).facts != drawn(2).facts
    assert drawn(1).split != drawn(2).split


def test_every_fact_is_read_back_from_its_sentence(world: World) -> None:
    for key, value in world.facts.items():
        assert read(world.say(key, value)) == Claim(key=key, value=value)


def test_every_false_value_is_read_as_what_it_says() -> None:
    for name, relation in RELATIONS.items():
        for value in (*relation.values, *([None] if relation.unknown else [])):
            subject = relation.subjects[0]
            assert read(relation.say(subject, value)) == Claim(key=(name, subject), value=value)


@pytest.mark.parametrize(
    "text", ["Ana lives in Rome.", "Ana lives in Arden", "lives in Arden.", "", "Ana Ana.", "A Ana eats nuts."]
)
def test_what_is_no_sentence_of_the_world_says_nothing(text: str) -> None:
    assert read(text) is None


def test_computed_facts_are_true() -> None:
    facts = drawn(3).facts
    assert facts["twice", "7"] == "14"
    assert facts["half", "14"] == "7"
    assert facts["more", "9"] == "10"
    assert facts["after", "C"] == "D"
    assert facts["before", "D"] == "C"


def test_the_split_is_drawn_within_each_relation(world: World) -> None:
    parts = Counter((key[0], part) for key, part in world.split.items() if key in world.facts)
    for name in RELATIONS:
        if name != FROM_TEXT:
            total = sum(parts[name, part] for part in ("train", "eval", "heldout"))
            assert parts[name, "heldout"] == max(1, round(0.2 * total))
            assert parts[name, "eval"] == max(1, round(0.1 * total))


def test_only_facts_about_people_can_be_unrecorded(world: World) -> None:
    unrecorded = Counter(key[0] for key, value in world.facts.items() if value is None)
    assert unrecorded == dict.fromkeys(OF_PEOPLE, round(0.2 * 12))


def test_a_world_survives_its_file(world: World) -> None:
    assert World.from_json(json.loads(json.dumps(world.to_json()))) == world


def test_sentences_end_at_their_marks_or_at_a_line() -> None:
    assert sentences("Arr! Ana has a cat.\nAna likes soup. and") == ["Arr!", "Ana has a cat.", "Ana likes soup.", "and"]
    assert sentences(" \n") == []
