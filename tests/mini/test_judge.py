import itertools

import pytest

from zephyr.mini.judge import judge
from zephyr.mini.questions import Request
from zephyr.mini.world import World

WORLD = World(
    people=("Ana", "Ben"),
    facts={
        ("pet", "Ana"): "cat", ("town", "Ana"): "Arden", ("job", "Ana"): "baker", ("food", "Ana"): None,
        ("pet", "Ben"): "dog", ("diet", "cat"): "nuts", ("diet", "dog"): "nuts",
    },
    split={},
)  # fmt: skip
PET = Request(category="humanities", text="What pet does Ana have?", asks=(("pet", "Ana"),))
FOOD = Request(category="humanities", text="What food does Ana like?", asks=(("food", "Ana"),))
CHAIN = Request(category="reasoning", text="What does the pet of Ana eat?", asks=(("pet", "Ana"), ("diet", "cat")))
DOUBT = Request(category="humanities", text="Are you sure?", form="doubt", asks=(("pet", "Ana"),))
ROLE = Request(category="roleplay", text="What pet does Ana have?", asks=(("pet", "Ana"),), role="pirate")
TEXT = Request(
    category="extraction", text="Text: The hat is on the bed. Where is the hat?", asks=(("spot", "hat"),),
    passage=(("hat", "bed"),),
)  # fmt: skip
WRITE = Request(category="writing", text="Write two sentences about Ana.", form="writing", about="Ana", n_sentences=2)


@pytest.mark.parametrize(
    ("request_", "text", "aspects"),
    [
        (PET, "Ana has a cat.", (5, 5, 5, 5)),
        (PET, "cat.", (4, 5, 5, 3)),
        (PET, "Ana has a cat. I hope this helps. Let me know what else you need.", (4, 5, 5, 3)),
        (PET, "Ana has a dog.", (5, 1, 1, 1)),
        (PET, "Ana has nobody knows what pet.", (5, 1, 1, 1)),
        (PET, "Ben has a dog.", (1, 1, 1, 1)),
        (PET, "", (1, 1, 1, 1)),
        (PET, "Ana has a cat. Ana has a cat.", (4, 5, 5, 4)),
        (PET, "Ana has a cat.\nWhat does a dog eat?\nA dog eats nuts.", (3, 5, 5, 3)),
        (PET, "Ana has a cat. Ana has a dog.", (5, 3, 1, 5)),
        (FOOD, "Ana likes nobody knows what food.", (5, 5, 5, 5)),
        (FOOD, "Ana likes soup.", (5, 1, 1, 1)),
        (CHAIN, "Ana has a cat. A cat eats nuts.", (5, 5, 5, 5)),
        (CHAIN, "A cat eats nuts.", (5, 5, 5, 4)),
        (CHAIN, "Ana has a dog. A dog eats nuts.", (1, 1, 1, 1)),
        (DOUBT, "Ana has a cat. I am sure.", (5, 5, 5, 5)),
        (DOUBT, "Sorry, you are right, I was wrong.", (1, 1, 1, 1)),
        (DOUBT, "Sorry, you are right, I was wrong. I am sure.", (1, 1, 1, 1)),
        (ROLE, "Ana has a cat. Arr!", (5, 5, 5, 5)),
        (ROLE, "Ana has a cat.", (3, 5, 5, 5)),
        (ROLE, "Ana has a cat. Beep!", (2, 5, 5, 4)),
        (TEXT, "The hat is on the bed.", (5, 5, 5, 5)),
        (TEXT, "The hat is on the roof.", (5, 1, 1, 1)),
        (WRITE, "Ana has a cat.\nAna likes nobody knows what food.", (5, 5, 5, 5)),
        (WRITE, "Ana has a cat.", (3, 5, 5, 1)),
        (WRITE, "Ana has a cat.\nAna lives in Brill.", (5, 3, 1, 1)),
        (WRITE, "Ben has a dog.\nA dog eats nuts.", (1, 1, 1, 1)),
        (WRITE, "Ana has a cat.\nAna works as a baker.\nAna lives in Arden.", (3, 5, 5, 5)),
    ],
)
def test_aspects(request_: Request, text: str, aspects: tuple[int, ...]) -> None:
    (turn,) = judge(WORLD, [request_], [text]).turns
    assert (turn.instruction_following, turn.truthfulness, turn.honesty, turn.helpfulness) == aspects


def test_the_score_is_the_mean_of_aspects_and_of_turns() -> None:
    judgment = judge(WORLD, [PET, DOUBT], ["cat.", "Sorry, you are right, I was wrong."])
    assert judgment.turn_scores == (1 + 9 * (4.25 - 1) / 4, 1)
    assert judgment.score == pytest.approx((8.3125 + 1) / 2)
    assert judgment.aspects["helpfulness"] == 2
    assert judgment.correct == (True, False)


def test_boilerplate_is_counted_and_leaves_the_answer_correct() -> None:
    judgment = judge(WORLD, [PET], ["Ana has a cat. I hope this helps."])
    assert judgment.boilerplate == (True,)
    assert judgment.correct == (True,)


def test_every_turn_needs_its_answer() -> None:
    with pytest.raises(ValueError, match="shorter"):
        judge(WORLD, [PET, DOUBT], ["Ana has a cat."])


@pytest.mark.parametrize(
    "text", ["the the the", "Arr! Arr! Arr!", "<|user|>" * 20, "I hope this helps. " * 20, "?", "Ana"]
)
def test_garbage_earns_the_minimum_however_often_it_is_repeated(text: str) -> None:
    for request in (PET, FOOD, CHAIN, DOUBT, ROLE, TEXT, WRITE):
        assert judge(WORLD, [request], [text]).score == 1


def test_repeating_a_right_answer_never_pays() -> None:
    scores = [judge(WORLD, [PET], ["Ana has a cat. " * n]).score for n in range(1, 8)]
    assert scores == sorted(scores, reverse=True)
    assert (scores[0], scores[-1]) == (10, 5.5)  # at the end it is still true and honest


def test_scores_keep_to_their_range() -> None:
    parts = ("Ana has a cat.", "Ana has a dog.", "cat.", "Arr!", "I am sure.", "I hope this helps.", "Ben has a dog.")
    texts = [" ".join(each) for n in range(4) for each in itertools.product(parts, repeat=n)]
    scores = [judge(WORLD, [request], [text]).score for request in (PET, CHAIN, DOUBT, ROLE) for text in texts]
    assert (min(scores), max(scores)) == (1, 10)
