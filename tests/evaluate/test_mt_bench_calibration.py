import json

import pytest

from tests.evaluate.conftest import judged, judgment, lines
from zephyr.evaluate.mt_bench.calibration import calibrate, summary
from zephyr.evaluate.mt_bench.files import read_judgments


def both(tmp_path, known, ours):
    return calibrate(*(read_judgments(lines(tmp_path / name, rows)) for name, rows in (("a", known), ("b", ours))))


def by(judge, rows, change=lambda score: score):
    return [judgment(row["question_id"], row["turn"], change(row["score"]), model=row["model"],
                     judge=[judge, "single-v1"]) for row in rows]  # fmt: skip


def test_a_milder_judge_is_seen_as_such(tmp_path):
    known = [*judged("weak", 4), *judged("strong", 6)]
    found = both(tmp_path, known, by("own", known, lambda score: score / 2 + 4))
    assert (found.known_judge, found.judge) == ("gpt-4", "own")
    assert found.rank_correlation == pytest.approx(1)
    assert found.offset.value > 1 and found.offset.separable and found.offset.n == 80
    assert found.same < found.within_one < 1 and (found.n, found.n_failed) == (320, 0)
    assert [each.model for each in found.models] == ["strong", "weak"]
    assert all(each.ours == pytest.approx(each.known / 2 + 4) for each in found.models)
    json.dumps(summary(found))


def test_what_it_could_not_rate_is_counted_and_in_no_mean(tmp_path):
    known = [judgment(81, 1, 8), judgment(82, 1, 4), judgment(83, 1, 2), judgment(84, 1, -1), judgment(85, 1, 7)]
    ours = [judgment(81, 1, 9), judgment(82, 1, 5), judgment(83, 1, -1), judgment(84, 1, 10), judgment(99, 1, 1)]
    found = both(tmp_path, known, ours)
    assert (found.n, found.n_failed, found.offset.value) == (2, 1, 1)


def test_other_answers_of_the_same_name_are_others(tmp_path):
    known = [judgment(81, 1, 8), judgment(82, 1, 4), judgment(81, 1, 2, user_prompt="another answer")]
    found = both(tmp_path, known, by("own", known[:2]))
    assert found.n == 2 and found.same == 1 and found.offset.value == 0


def test_too_little_in_common_is_no_calibration(tmp_path):
    assert both(tmp_path, judged("a", 5), judged("b", 5)) is None
    assert both(tmp_path, [judgment(81, 1, 8), judgment(81, 2, 8)], [judgment(81, 1, 8), judgment(81, 2, 8)]) is None


def test_a_judge_agrees_with_itself(shared):
    stored = read_judgments(shared / "mt_bench/model_judgment/gpt-4_single.jsonl")
    found = calibrate(stored, stored)
    assert (found.n, found.offset.value, found.same, found.within_one) == (799, 0, 1, 1)
    assert found.rank_correlation == pytest.approx(1)
    assert found.n_failed == 0  # the one without a rating has none to be compared with
