"""The radar in the paper's layout."""

import re

import pytest

pytest.importorskip("matplotlib", reason="the extra `report` is not installed")

from tests.report.conftest import write_run

from zephyr.report.paper import published
from zephyr.report.radar import radar_picture
from zephyr.report.read import read_run

CATEGORIES = tuple(published()["by_category"]["mt_bench"])


def radar(tmp_path, *models, left_out=()):
    scores = {
        model: {"mt_bench": {"score": 6.0, "n": 160, "n_failed": 0, "judge": "gpt-4", "by_category": {
            category: {"score": 6.0 + at, "interval": [5.0 + at, 7.0 + at], "n": 20}
            for category in CATEGORIES if category not in left_out
        }}} for at, model in enumerate(models)
    }  # fmt: skip
    recipe = {"stage": "evaluate", "seed": 1, "models": {name: name for name in scores}}
    run = write_run(tmp_path / "evaluate", recipe, numbers={}, scores=scores, comparisons=[], warnings=[])
    return radar_picture(read_run(run), "mt_bench")


def test_it_has_the_papers_axes_its_points_and_ours(tmp_path):
    found = radar(tmp_path, "ours")
    for label in ("Writing", "Roleplay", "Reasoning", "Math", "Coding", "Extraction", "STEM", "Humanities"):
        assert f">{label}<" in found.svg
    assert [key.label for key in found.keys] == [
        "ours", "paper: Zephyr 7B (dashed, digitised)", "paper: GPT-4 (dotted, digitised)"
    ]  # fmt: skip
    assert found.svg.count("stroke-dasharray") == 2
    intervals = re.findall(r'opacity: 0\.4[;"]', found.svg)
    assert len(intervals) == len(CATEGORIES)
    assert "digitised" in found.note and "n = 20" in found.note


def test_few_models_are_drawn_and_the_others_named(tmp_path):
    found = radar(tmp_path, "a", "b", "c", "d")
    assert [key.label for key in found.keys][:-2] == ["a", "b", "c"]
    assert "Not drawn: d." in found.note


def test_a_model_without_all_categories_is_not_drawn(tmp_path):
    assert radar(tmp_path, "ours", left_out=("stem",)) is None


def test_other_benchmarks_have_none(runs):
    assert radar_picture(read_run(runs["evaluate"]), "world") is None
