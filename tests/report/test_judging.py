"""Who judged and how the judge relates to a known one, on the page of an `evaluate` run."""

import pytest
from tests.report.conftest import write_run

from zephyr.report.judging import calibration_table, judge_table
from zephyr.report.read import read_run
from zephyr.report.stage import report_directory

SCORE = {"score": 6.5, "interval": [6.0, 7.0], "n": 158, "n_failed": 2, "judge": "open-judge"}
JUDGING = {
    "model": "open-judge", "base_url": "http://localhost:8000/v1", "served": {"open-judge-72b": 158},
    "from": "2026-11-20T10:00:00+00:00", "to": "2026-11-21T09:00:00+00:00",
    "failed": [{"reason": "cut"}, {"reason": "no rating in it"}],
    "calibration": {
        "known_judge": "gpt-4", "judge": "open-judge", "offset": 0.42, "interval": [0.3, 0.5], "n": 799,
        "rank_correlation": 0.71, "same": 0.4, "within_one": 0.9, "n_failed": 1,
        "models": [{"model": "a", "known": 7.17, "ours": 7.6}],
    },
}  # fmt: skip


@pytest.fixture
def evaluated(tmp_path):
    recipe = {"stage": "evaluate", "seed": 1, "models": {"ours": "org/model"},
              "benchmarks": {"mt_bench": {"answers": {"stored": "theirs.jsonl"}}}}  # fmt: skip
    scores = {"ours": {"mt_bench": SCORE}, "stored": {"mt_bench": SCORE}}
    return write_run(tmp_path / "evaluate", recipe, numbers={}, scores=scores, comparisons=[], warnings=[],
                     judging={"mt_bench": JUDGING})  # fmt: skip


def test_judge_dates_endpoint_and_failures_are_told(evaluated):
    told = {row[0].text: row[1].text for row in judge_table(read_run(evaluated), "mt_bench").rows}
    assert told == {
        "judge": "open-judge", "endpoint": "http://localhost:8000/v1", "served": "open-judge-72b (158)",
        "judged": "2026-11-20 to 2026-11-21", "failed": "1 cut, 1 no rating in it",
    }  # fmt: skip


def test_the_calibration_stands_beside_it(evaluated):
    table = calibration_table(read_run(evaluated), "mt_bench")
    assert [cell.text for cell in table.rows[0]] == [
        "open-judge beside gpt-4", "+0.42", "0.30 to 0.50", "0.71", "40 %", "799", "1"
    ]  # fmt: skip
    assert "a 7.17 known, 7.60 ours" in table.note


def test_other_benchmarks_have_neither(evaluated):
    assert judge_table(read_run(evaluated), "arc") is None and calibration_table(read_run(evaluated), "arc") is None


def test_both_are_on_the_page_with_what_is_counted_and_whose_answers(evaluated):
    report_directory(evaluated)
    page = (evaluated / "report.md").read_text()
    assert "open-judge beside gpt-4" in page and "n: ratings of a turn with a score" in page
    assert "theirs.jsonl" in page and "org/model" in page
