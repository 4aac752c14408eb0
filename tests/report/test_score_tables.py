import pytest

from zephyr.report.contents import contents
from zephyr.report.read import read_chain, read_run
from zephyr.report.score_tables import (
    categories,
    category_interval,
    comparisons,
    mean_interval,
    scores,
    sentences,
)


def texts(table):
    return [[cell.text for cell in row] for row in table.rows]


def test_scores_have_n_failures_interval_and_the_run_that_made_the_model(runs):
    chain = read_chain([runs["evaluate"]])
    run = chain.runs[-1]
    found = run.result["scores"]["dSFT"]["world"]
    low, high = found["interval"]
    row = texts(scores(run, "world", chain.runs))[1]
    assert row == ["dSFT", f"{found['score']:.2f}", f"{low:.2f} to {high:.2f}", "40", "0", "62 %", "31 %", "mini/sft"]


def test_comparisons_say_separable_or_not(runs):
    run = read_run(runs["evaluate"])
    assert texts(comparisons(run, "world")) == [
        ["dSFT over base", "+4.70", "4.20 to 5.20", "40", "separable"],
        ["dDPO + dSFT over base", "+5.00", "4.50 to 5.50", "40", "separable"],
        ["dDPO + dSFT over dSFT", "+0.31", "−0.05 to 0.67", "40", "not separable"],
    ]
    assert [each.replace("\u00a0", " ") for each in sentences(run, "world")] == [  # one model after the other
        "dSFT is above base by 4.70 (95 % interval 4.20 to 5.20, n = 40).",
        "dDPO + dSFT and dSFT are not separable: +0.31 (95 % interval −0.05 to 0.67, n = 40).",
    ]


def test_categories_have_their_n_and_a_column_per_model(runs):
    table = categories(read_run(runs["evaluate"]), "world")
    assert [column.title for column in table.columns] == ["category", "n", "base", "dSFT", "dDPO + dSFT"]
    assert [row[:2] for row in texts(table)] == [["writing", "10"], ["roleplay", "10"], ["math", "10"], ["stem", "10"]]


def test_category_interval_comes_from_the_answers_of_that_model_and_category(runs):
    run = read_run(runs["evaluate"])
    values = [row["score"] for row in run.answers if row["model"] == "dSFT" and row["category"] == "math"]
    assert len(values) == 10
    assert category_interval(run, "dSFT", "world", "math") == mean_interval(values)
    assert mean_interval([1.0, 3.0]) == pytest.approx((2 - 1.96, 2 + 1.96))
    assert mean_interval([5.0]) is None


def test_what_ddpo_gains_is_said_beside_the_world_scores(runs):
    (evaluation,) = contents("t", read_chain([runs["evaluate"]])).evaluations
    assert "behaviour that the world put in, not knowledge" in evaluation.caution
