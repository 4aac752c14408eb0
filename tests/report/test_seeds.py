import pytest
import yaml

from zephyr.report.contents import contents
from zephyr.report.read import read_chain
from zephyr.report.seeds import groups_of_seeds, student_interval


def test_runs_equal_but_for_the_seed_are_summed_up(seeds):
    first, *others = contents("t", read_chain(seeds)).evaluations
    assert len(others) == 3 and all(each.one_of_seeds for each in others)
    row = [cell.text for cell in first.comparisons.rows[2]]
    # gains 0.31, 0.41, 0.51: mean 0.41, s = 0.1, t(2) = 4.303, half-width 4.303 x 0.1 / sqrt 3 = 0.248
    assert row == ["dDPO + dSFT over dSFT", "+0.41", "0.16 to 0.66", "3", "separable", "+0.31 +0.41 +0.51"]
    assert first.sentences[1] == "dDPO + dSFT is above dSFT by 0.41 (95 % interval 0.16 to 0.66, 3 seeds)."
    mean = sum(each.run.result["scores"]["dSFT"]["world"]["score"] for each in others) / 3
    assert first.scores.rows[1][1].value == pytest.approx(mean)
    assert first.paper and not any(each.paper for each in others)
    assert [each.samples is not None for each in others] == [True, False, False]


def test_another_value_anywhere_in_the_chain_is_no_seed(seeds):
    recipe = seeds[1].parent / "dpo" / "recipe.yaml"
    data = yaml.safe_load(recipe.read_text())
    data["train"]["beta"] = 0.5
    recipe.write_text(yaml.safe_dump(data))
    (group,) = groups_of_seeds(read_chain(seeds).runs)
    assert [run.recipe["seed"] for run in group] == [1, 3]


def test_a_single_run_is_not_summed_up(runs):
    assert groups_of_seeds(read_chain([runs["evaluate"]]).runs) == []


def test_student_interval_against_the_textbook():
    # mean 3, s = 1.5811, t(4) = 2.776
    assert student_interval([1, 2, 3, 4, 5]) == pytest.approx([3 - 1.963, 3 + 1.963], abs=1e-3)
    assert student_interval([1.0]) is None
