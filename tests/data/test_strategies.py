import random
from collections import Counter

import pytest
from tests.data.scored import scored

from zephyr.data.binarize.strategies import (
    MARGIN,
    NO_LOWER,
    STRATEGIES,
    TIED_BEST,
    TOO_FEW,
    Dropped,
    make_pairs,
)
from zephyr.data.ultrafeedback import Answer, ScoredPrompt


def texts(row, strategy, seed=1, **rules):
    return [(pair.chosen.text, pair.rejected.text) for pair in make_pairs(row, strategy, seed, **rules)]


def seen(strategy, *scores, **rules):
    """How often each pair comes of 300 rows with these scores."""
    return Counter(pair for n in range(300) for pair in texts(scored(*scores, prompt_id=str(n)), strategy, **rules))


def test_paper_best_mean_and_a_random_one_of_the_strictly_lower():
    found = seen("zephyr_paper", 3, 5, 1, 2)
    assert found.keys() == {("1", "0"), ("1", "2"), ("1", "3")}
    assert min(found.values()) > 70  # each about 100


def test_paper_an_answer_as_good_as_the_chosen_is_never_rejected():
    assert seen("zephyr_paper", 5, 5, 1, 5).keys() == {("0", "2"), ("1", "2"), ("3", "2")}
    with pytest.raises(Dropped, match=NO_LOWER):
        texts(scored(4, 4, 4), "zephyr_paper")


def test_release_rejects_any_other_also_one_with_the_same_score():
    found = seen("h4_release", 5, 5, 1, 2)
    assert found.keys() == {("0", "1"), ("0", "2"), ("0", "3")}  # the first of the best, as `max` takes it
    assert min(found.values()) > 70


def published_script(scores):
    """What the script of the first release did with one row: the seed was set in it."""
    tuples = [(score, str(n), f"m{n}") for n, score in enumerate(scores)]
    random.seed(42)
    chosen = max(tuples, key=lambda each: each[0])
    rejected = random.choice(tuples)
    while rejected == chosen:
        rejected = random.choice(tuples)
    return chosen[1], rejected[1]


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_first_release_is_reproduced_exactly(n):
    generator = random.Random(n)
    for _ in range(200):
        scores = [generator.choice([1, 5, 7.5, 8, 10]) for _ in range(n)]
        assert texts(scored(*scores), "h4_v1") == [published_script(scores)]


def test_first_release_never_rejects_the_second_or_fourth():
    """Whatever the seed: the first answer, or the third where the first is chosen."""
    assert seen("h4_v1", 1, 2, 3, 9) == {("3", "0"): 300}
    assert seen("h4_v1", 9, 2, 3, 1) == {("0", "2"): 300}


def test_notus_takes_the_mean_of_the_aspects_and_drops_ties():
    answers = (
        Answer(text="a", mean=4.0, overall=10),
        Answer(text="b", mean=4.5, overall=3),
        Answer(text="c", mean=1, overall=3),
    )
    row = ScoredPrompt(prompt=[{"role": "user", "content": "q"}], prompt_id="x", answers=answers)
    assert {texts(row, "argilla_mean", seed)[0] for seed in range(30)} == {("b", "a"), ("b", "c")}
    assert texts(row, "h4_release")[0][0] == "a"
    assert texts(row, "argilla_mean", score="overall") in ([("a", "b")], [("a", "c")])
    with pytest.raises(Dropped, match=NO_LOWER):
        texts(scored(4, 4), "argilla_mean")


def test_best_worst_and_all_pairs():
    assert texts(scored(3, 5, 1, 2), "best_worst") == [("1", "2")]
    assert texts(scored(3, 5, 5), "all_pairs") == [("1", "0"), ("2", "0")]
    with pytest.raises(Dropped, match=NO_LOWER):
        texts(scored(3, 3), "all_pairs")


def test_ties_of_the_best_as_the_recipe_says():
    assert seen("zephyr_paper", 5, 5, 1, ties="first") == {("0", "2"): 300}
    assert seen("zephyr_paper", 5, 5, 1, ties="random").keys() == {("0", "2"), ("1", "2")}
    with pytest.raises(Dropped, match=TIED_BEST):
        texts(scored(5, 5, 1), "best_worst", ties="drop")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_no_pair_is_closer_than_the_margin(strategy):
    for n in range(50):
        try:
            pairs = make_pairs(scored(5, 4.5, 3, 1, prompt_id=str(n)), strategy, 1, min_margin=2)
        except Dropped as reason:
            assert str(reason) == MARGIN and strategy.startswith("h4")  # these draw first
        else:
            assert all(pair.score_chosen - pair.score_rejected >= 2 for pair in pairs)
    with pytest.raises(Dropped, match=MARGIN):
        make_pairs(scored(5, 4.5), strategy, 1, min_margin=2)


def test_means_that_differ_in_their_last_bits_are_equal():
    with pytest.raises(Dropped, match=NO_LOWER):
        texts(scored(0.1 + 0.2, 0.3), "zephyr_paper")


def test_answers_without_a_score_do_not_count():
    assert texts(scored(None, 5, 1), "best_worst") == [("1", "2")]
    with pytest.raises(Dropped, match=TOO_FEW):
        texts(scored(None, 5), "zephyr_paper")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_pair_depends_on_its_row_and_the_seed_alone(strategy):
    rows = [scored(3, 5, 1, 5, 2, prompt_id=str(n)) for n in range(40)]
    there = [texts(row, strategy, 7) for row in rows]
    random.seed(0)
    assert [texts(row, strategy, 7) for row in reversed(rows)][::-1] == there
    fixed = strategy in ("h4_v1", "all_pairs", "best_worst")
    assert fixed or [texts(row, strategy, 8) for row in rows] != there
