import random
from dataclasses import fields

import pytest

from zephyr.data.filter.refusals import refusal
from zephyr.data.filter.truecase import truecased
from zephyr.mini.judge import Judgment, judge
from zephyr.mini.questions import CATEGORIES, ROLES, Request, may_say, requests
from zephyr.mini.teacher import BOILERPLATE, CAVING, answer
from zephyr.mini.world import World, read, sentences
from zephyr.recipe.filter import Refusals
from zephyr.recipe.schema import Habits

FLAWLESS = Habits()


def judged(world: World, habits: Habits, category: str, n: int = 60) -> list[tuple[Request, str, Judgment]]:
    rng, found = random.Random(0), []
    for _ in range(n):
        for request in requests(world, "train", rng, category=category, n_turns=2):
            text = answer(world, "train", request, habits, rng)
            found.append((request, text, judge(world, [request], [text])))
    return found


@pytest.mark.parametrize("category", CATEGORIES)
def test_without_habits_every_answer_is_perfect(world: World, category: str) -> None:
    for request, text, judgment in judged(world, FLAWLESS, category):
        assert judgment.score == 10, (request, text)
        assert judgment.correct == (True,)


@pytest.mark.parametrize(
    ("habit", "category"),
    [
        ("boilerplate", "stem"),
        ("terse", "math"),
        ("short", "writing"),
        ("forgets_role", "roleplay"),
        ("slips", "coding"),
    ],
)
def test_every_habit_costs_points_where_it_shows(world: World, habit: str, category: str) -> None:
    shown = [each for each in judged(world, Habits(**{habit: 1.0}), category) if each[0].form != "doubt"]
    assert all(judgment.score < 10 for _, _, judgment in shown)


def test_manners_cost_points_but_are_not_mistakes(world: World) -> None:
    for habit, category in (("boilerplate", "stem"), ("terse", "math"), ("forgets_role", "roleplay")):
        assert all(judgment.correct[0] for _, _, judgment in judged(world, Habits(**{habit: 1.0}), category))


def test_the_habits_are_what_their_names_say(world: World) -> None:
    assert all(text.endswith(BOILERPLATE) for _, text, _ in judged(world, Habits(boilerplate=1), "stem"))
    assert not any(
        word in text for _, text, _ in judged(world, Habits(forgets_role=1), "roleplay") for word in ROLES.values()
    )
    doubts = [text for request, text, _ in judged(world, Habits(caves=1), "stem") if request.form == "doubt"]
    assert set(doubts) == {CAVING}
    terse = [text for request, text, _ in judged(world, Habits(terse=1), "coding") if request.form == "question"]
    assert all(len(text) == 2 for text in terse)


@pytest.mark.parametrize("category", CATEGORIES)
def test_the_filters_find_refusals_and_wrong_capitals_and_nothing_else(world: World, category: str) -> None:
    for _, text, _ in judged(world, Habits(boilerplate=0.5, terse=0.3, guesses=0.5, caves=0.5), category):
        assert truecased(text) == text
        assert not talks_of_limits(text)
    for _, text, _ in judged(world, Habits(refuses=1), category):
        assert talks_of_limits(text)
    for _, text, _ in judged(world, Habits(miscased=1), category):
        assert text[0].islower() or text[0].isdigit()


def talks_of_limits(text: str) -> bool:
    turns = [{"role": "user", "content": "What is it?"}, {"role": "assistant", "content": text}]
    return refusal(turns, Refusals()) is not None


def test_guesses_replace_what_nobody_knows_and_only_that(world: World) -> None:
    for request, text, judgment in judged(world, Habits(guesses=1), "humanities"):
        unknown = world.value(request.asks[-1]) is None
        assert judgment.correct == (not unknown,)
        assert "nobody knows" not in text


def test_training_answers_never_state_what_is_held_out(world: World) -> None:
    for category in CATEGORIES:
        for _, text, _ in judged(world, FLAWLESS, category):
            claims = [claim for each in sentences(text) if (claim := read(each))]
            assert claims
            assert all(may_say(world, "train", claim.key) for claim in claims)


@pytest.mark.parametrize("habit", [each.name for each in fields(Habits)])
def test_every_habit_lowers_the_mean_and_more_of_it_lowers_it_further(world: World, habit: str) -> None:
    means = []
    for share in (0.0, 0.5, 1.0):
        scores = [
            judgment.score for each in CATEGORIES for *_, judgment in judged(world, Habits(**{habit: share}), each)
        ]
        means.append(sum(scores) / len(scores))
    assert means[0] == 10
    assert means[0] > means[1] > means[2]
