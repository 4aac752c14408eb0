import json
import re

import pytest

pytest.importorskip("matplotlib", reason="the extra `report` is not installed")

from zephyr.report.figures import category_picture, curves, points, running_mean, score_picture, thinned
from zephyr.report.read import read_run


def test_curves_of_dpo_and_sft(runs):
    assert [picture.title for picture in curves(read_run(runs["sft"]))] == ["Loss", "Learning rate", "Gradient norm"]
    dpo = {picture.title: picture for picture in curves(read_run(runs["dpo"]))}
    assert list(dpo) == [
        "Loss", "Preference accuracy", "Reward margin", "Rewards", "Log-probabilities", "Learning rate",
        "Gradient norm",
    ]  # fmt: skip
    assert [key.label for key in dpo["Rewards"].keys] == ["chosen", "rejected"]
    assert "held-out: from 0.693 at step 0 to 0.570 at step 110." in dpo["Loss"].svg


def test_pictures_are_the_same_bytes_every_time_and_carry_no_date(runs):
    run = read_run(runs["dpo"])
    first, second = curves(run), curves(run)
    assert first == second
    assert not any(re.search(r"<metadata|20\d\d-\d\d", picture.svg) for picture in first)


def test_colours_and_typeface_are_the_pages(runs):
    evaluate = read_run(runs["evaluate"])
    drawn = [*curves(read_run(runs["dpo"])), score_picture(evaluate, "world"), category_picture(evaluate, "world")]
    for picture in drawn:
        assert "var(--series-1)" in picture.svg
        assert not re.search(r"#[0-9a-f]{6}\b", picture.svg.replace("#000000", ""))
        assert "font-family" not in picture.svg


def test_ids_of_different_pictures_do_not_meet(runs):
    drawn = [picture.svg for stage in ("sft", "dpo") for picture in curves(read_run(runs[stage]))]
    found = [id for svg in drawn for id in re.findall(r' id="([^"]+)"', svg)]
    assert found and len(found) == len(set(found))


def test_values_that_are_no_numbers_are_gaps(runs):
    metrics = runs["sft"] / "metrics.jsonl"
    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    rows[5]["loss"], rows[6]["loss"], rows[7]["grad_norm"] = float("nan"), None, float("inf")
    metrics.write_text("\n".join(map(json.dumps, rows)))
    assert len(curves(read_run(runs["sft"]))) == 3


def test_a_model_named_like_a_formula_or_markup_is_shown_as_it_is(runs):
    run = read_run(runs["evaluate"])
    run.result["scores"] = {"$\\beta$ <b>": run.result["scores"]["dSFT"]}
    assert "$\\beta$ &lt;b&gt;" in score_picture(run, "world").svg


def test_long_curves_are_thinned_to_their_last_point():
    line = [(float(step), 1.0) for step in range(5801)]
    drawn = thinned(line)
    assert len(drawn) <= 401
    assert (drawn[0], drawn[-1]) == (line[0], line[-1])


def test_running_mean_is_centred():
    line = [(float(step), float(step)) for step in range(100)]
    assert running_mean(line)[50] == (50.0, 50.0)


def test_points_skip_rows_without_the_metric():
    assert points([{"step": 1, "loss": 2.0}, {"step": 2, "other": 1}], "loss") == [(1, 2.0)]
