"""The plain texts: notes that state every fact, questions that ask only about facts of `train`."""

import random

import pytest

from zephyr.mini.corpus import documents
from zephyr.mini.relations import FROM_TEXT
from zephyr.mini.world import World, read, sentences


def written(world: World, question_share: float, count: int = 600) -> tuple[list[str], list[str]]:
    return documents(world, random.Random(0), count=count, n_eval=30, question_share=question_share)


def test_notes_state_every_fact_with_the_value_that_the_judge_knows(world: World) -> None:
    notes, _ = written(world, question_share=0.0, count=1500)
    claims = {claim.key: claim.value for note in notes for each in sentences(note) if (claim := read(each))}
    assert claims == world.facts  # each of 101 subjects is drawn 15 times on average


def test_what_the_notes_state_is_what_the_judge_knows(world: World) -> None:
    notes, held = written(world, question_share=0.0)
    claims = [claim for note in (*notes, *held) for each in sentences(note) if (claim := read(each))]
    assert len({claim.key for claim in claims}) > 0.9 * len(world.facts)
    assert [claim for claim in claims if world.facts[claim.key] != claim.value] == []


def test_a_note_names_its_subject_then_all_that_is_so_of_it(world: World) -> None:
    notes, _ = written(world, question_share=0.0)
    ana = next(note for note in notes if note.startswith(f"About {world.people[0]}."))
    first = {claim.key for line in ana.splitlines()[1:] if (claim := read(sentences(line)[0]))}
    assert first == {key for key in world.facts if key[1] == world.people[0]}


def test_questions_are_answered_in_full_and_from_train_alone(world: World) -> None:
    texts, held = written(world, question_share=1.0)
    for text in (*texts, *held):
        body = [each.removeprefix("Question: ").removeprefix("Answer: ").removeprefix("- ") for each in sentences(text)]
        claims = [claim for each in body if (claim := read(each.removeprefix("Text: ")))]
        assert claims
        known = [claim for claim in claims if claim.key[0] != FROM_TEXT]
        assert all(world.split[claim.key] == "train" and world.facts[claim.key] == claim.value for claim in known)


def test_held_out_documents_are_distinct_and_not_trained_on(world: World) -> None:
    texts, held = written(world, question_share=0.5, count=2000)
    plain = [" ".join(text.split()) for text in held]
    assert len(set(plain)) == len(held) == 30
    assert not set(plain) & {" ".join(text.split()) for text in texts}
    assert len(texts) == 2000


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_share_of_questions_is_the_recipes(world: World, share: float) -> None:
    texts, _ = written(world, share, count=1000)
    assert sum(not text.startswith("About ") for text in texts) / 1000 == pytest.approx(share, abs=0.05)
