import pytest

from tests.evaluate.conftest import judged, judgment, lines
from zephyr.evaluate.mt_bench.files import read_judgments
from zephyr.evaluate.mt_bench.score import compare, scores
from zephyr.evaluate.statistics import bootstrap_mean


def score(tmp_path, rows, categories=None):
    (found,) = scores(read_judgments(lines(tmp_path / "judgments.jsonl", rows)), categories)
    return found


def test_the_average_is_over_ratings_and_failures_are_in_no_mean(tmp_path):
    found = score(tmp_path, [judgment(81, 1, 9), judgment(81, 2, -1), judgment(111, 1, 2), judgment(111, 2, 4)])
    assert found.average.value == 5  # (9 + 2 + 4) / 3: FastChat's, not the mean of turns
    assert (found.n, found.n_failed, found.n_questions) == (3, 1, 2)
    assert {turn: mean.value for turn, mean in found.by_turn.items()} == {1: 5.5, 2: 4}
    assert {name: mean.value for name, mean in found.by_category.items()} == {"writing": 9, "math": 3}


def test_nothing_rated_is_no_score(tmp_path):
    found = score(tmp_path, [judgment(81, 1, -1), judgment(81, 2, -1, judgment="$ERROR$")])
    assert found.average is None and found.n == 0 and found.n_failed == 2
    assert "1 failed judgments are calls that failed" in found.notes


def test_turns_go_together_in_the_interval(tmp_path):
    found = score(tmp_path, judged("ours", 6))
    naive = bootstrap_mean([float(row["score"]) for row in judged("ours", 6)])
    assert found.average.value == pytest.approx(naive.value)
    wide, narrow = (high - low for low, high in (found.average.interval, naive.interval))
    assert wide > 1.2 * narrow


def test_every_rating_counts_where_a_turn_has_several(tmp_path):
    rows = [judgment(81, 1, 9), judgment(81, 1, 5, tstamp=2), judgment(82, 1, 1), judgment(82, 1, 1, tstamp=2)]
    found = score(tmp_path, rows)
    assert found.average.value == 4 and found.n == 4
    assert any("every turn 2 times; all ratings count" in note for note in found.notes)
    other = [{**row, "user_prompt": f"{row['tstamp']}"} for row in rows]
    assert any("for different answers under this one name" in note for note in score(tmp_path, other).notes)


def test_the_same_line_twice_is_one_and_said(tmp_path):
    found = score(tmp_path, [judgment(81, 1, 9), judgment(81, 1, 9), judgment(82, 1, 1)])
    assert found.average.value == 5 and "1 lines of the file repeat another one and were left out" in found.notes


def test_what_a_reader_must_know_is_noted(tmp_path):
    notes = score(tmp_path, judged("ours", 6)[:150]).notes
    assert notes == ("incomplete: 10 of MT-Bench's 160 turns were not judged",)
    strange = score(tmp_path, [judgment(1, 1, 9), judgment(1, 2, 11), judgment(2, 1, 3, judgment="[[4]]")])
    assert strange.by_category == {}
    assert [note.split()[:3] for note in strange.notes] == [
        ["2", "questions", "are"], ["1", "ratings", "lie"], ["1", "stored", "scores"]
    ]  # fmt: skip


def test_categories_of_own_questions(tmp_path):
    found = score(tmp_path, [judgment(1, 1, 9), judgment(2, 1, 3)], {1: "cooking", 2: "math"})
    assert {name: mean.value for name, mean in found.by_category.items()} == {"math": 3, "cooking": 9}
    assert found.notes == ()


def test_models_are_compared_question_by_question(tmp_path):
    rows = [*judged("weak", 5.7), *judged("strong", 6), *judged("twin", 6, seed=1)]
    found = {each.model: each for each in scores(read_judgments(lines(tmp_path / "j.jsonl", rows)), None)}
    gain = compare(found["weak"], found["strong"])
    overlap = found["weak"].average.interval[1] > found["strong"].average.interval[0]
    assert overlap and gain.separable  # what the spread of questions hides
    assert gain.value == pytest.approx(found["strong"].average.value - found["weak"].average.value)
    assert gain.n == 80
    assert not compare(found["strong"], found["twin"]).separable


def test_only_common_turns_are_compared(tmp_path):
    rows = [judgment(81, 1, 4), judgment(81, 2, 4), judgment(82, 1, 4), judgment(83, 1, 10)]
    others = [judgment(81, 1, 6, model="b"), judgment(82, 1, 6, model="b"), judgment(84, 1, 1, model="b")]
    a, b = scores(read_judgments(lines(tmp_path / "j.jsonl", [*rows, *others])), None)
    assert (compare(a, b).value, compare(a, b).n) == (2, 2)


def test_what_cannot_be_compared_says_why(tmp_path):
    other_judge = [judgment(81, 1, 6, judge=["other", "single-v1"]), judgment(82, 1, 6, judge=["other", "single-v1"])]
    elsewhere = [judgment(91, 1, 6, model="b"), judgment(92, 1, 6, model="b")]
    rows = [judgment(81, 1, 4), judgment(82, 1, 4), *other_judge, *elsewhere]
    found = {(each.model, each.judge): each for each in scores(read_judgments(lines(tmp_path / "j", rows)), None)}
    ours = found["ours", "gpt-4"]
    assert compare(ours, found["ours", "other"]) == "other judges (gpt-4, other)"
    assert compare(ours, found["b", "gpt-4"]) == "no two questions in common"


def test_stored_judgments_give_their_means(shared):
    found = scores(read_judgments(shared / "mt_bench/model_judgment/gpt-4_single.jsonl"), None)
    assert [(each.model, round(each.average.value, 4), each.n, each.n_failed) for each in found] == [
        ("mistral-orpo-trl", 7.1656, 160, 0),
        ("mistral-orpo-capybara", 6.8187, 160, 0),
        ("mistral-orpo-mix", 6.0031, 160, 0),
        ("mistral-orpo", 5.8589, 319, 1),
    ]
    half = [(each.average.interval[1] - each.average.interval[0]) / 2 for each in found]
    assert all(0.6 < each < 0.72 for each in half)  # clustered standard errors of 0.31 to 0.36
    assert not compare(found[1], found[0]).separable
    assert compare(found[2], found[0]).separable
