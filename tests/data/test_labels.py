import json
import math
import random
import statistics

import pytest
from tests.data.scored import completion, row

from zephyr.cli import main
from zephyr.data.labels.agreement import agreement
from zephyr.data.labels.command import collect
from zephyr.data.labels.figures import EMPTY, IDENTICAL, TRUNCATED, Labels, share, spearman
from zephyr.data.sources import read
from zephyr.data.ultrafeedback import from_ultrafeedback
from zephyr.recipe.sections import Source


def test_pairs_in_figures():
    labels = Labels()
    labels.add_pair("a" * 10, "b" * 5, (8, 6))  # the longer wins
    labels.add_pair("a" * 10, "b" * 20, (8, 7.5))  # the shorter
    labels.add_pair("a" * 10, "b" * 5, (5, 5))  # a tie, whose longer is chosen
    labels.add_pair("a" * 10, "b" * 10, (9, 1))  # of equal length
    found = labels.figures()["pairs"]
    assert (found["longer_wins"]["value"], found["longer_wins"]["n"]) == (0.5, 2)
    assert (found["longer_is_chosen"]["value"], found["longer_is_chosen"]["n"]) == (2 / 3, 3)
    assert (found["ties"]["value"], found["ties"]["n"]) == (0.25, 4)
    assert found["gap"]["mean"] == 10.5 / 4
    assert found["gaps"] == {
        "0": 1,
        "up to 0.5": 1,
        "up to 1": 0,
        "up to 2": 1,
        "up to 3": 0,
        "up to 5": 0,
        "above 5": 1,
    }
    assert found["chosen_characters"]["mean"] == 10 and found["rejected_characters"]["mean"] == 10
    assert found["inverted"] == 0


def test_pairs_without_scores_have_no_ties():
    labels = Labels()
    labels.add_pair("long", "s")
    labels.add_pair("s", "long", (1, 2))
    found = labels.figures()["pairs"]
    assert found["n_scored"] == 1 and found["inverted"] == 1 and found["ties"]["value"] == 0
    assert found["longer_wins"]["value"] == 0.5


def test_suspicious_values_are_counted():
    labels = Labels()
    labels.add_pair("same", "same ", (5, 5))
    labels.add_pair("", "x", (5, 4))
    cut = completion("cut", 5, (3,)) | {"finish_reason": "length"}
    labels.add_prompt(from_ultrafeedback(row("q", cut, completion("", 2, (3,)), completion("cut", 2, (3,)))), "mean")
    assert labels.figures()["suspicious"] == {
        IDENTICAL: 1, f"pair with an {EMPTY}": 1, TRUNCATED: 1, EMPTY: 1, "prompts with two equal answers": 1,
    }  # fmt: skip


def test_wilsons_interval():
    """Ten of twenty, by hand, and the edges."""
    assert share(10, 20) == pytest.approx({"value": 0.5, "low": 0.2993, "high": 0.7007, "n": 20}, abs=1e-4)
    assert share(0, 10)["low"] == 0 and share(10, 10)["high"] == pytest.approx(1)
    assert share(0, 0) == {"n": 0}


def test_spearman_with_ties_and_without_variation():
    assert spearman([(1, 10), (2, 20), (3, 30)]) == 1
    assert spearman([(1, 3), (2, 2), (3, 1)]) == -1
    assert spearman([(1, 1), (2, 1), (2, 3), (4, 2)]) == pytest.approx(0.5, abs=1e-9)  # mean ranks, by hand
    assert spearman([(1, 1), (1, 2)]) is None


def test_score_and_length_over_all_and_within_prompts():
    """Longer prompts' answers score lower here, and within each prompt the longer scores higher."""
    labels = Labels()
    for n in range(10):
        answers = [completion("x" * (10 * n + k + 1), None, (30 - 3 * n + k,)) for k in range(3)]
        labels.add_prompt(from_ultrafeedback(row("q", *answers)), "mean")
    found = labels.figures()["answers"]
    assert found["score_length_spearman"]["value"] < -0.9
    assert found["score_length_spearman"]["low"] < found["score_length_spearman"]["value"]
    assert found["score_length_spearman_within_prompts"]["value"] == pytest.approx(1)
    assert found["score_length_spearman_within_prompts"]["n"] == 10


def test_agreement_of_a_judge_that_always_says_the_same_and_of_one_that_rolls_dice():
    steady = agreement([[(5, 5, 5), (3, 3, 3), (1, 1, 1)]] * 20)
    assert steady["reliability"] == 1 and steady["same_order"]["value"] == 1 and steady["same_best"]["value"] == 1
    assert steady["all_equal"]["value"] == 1 and steady["mean_difference"] == 0
    dice = random.Random(0)
    rolled = agreement([[tuple(dice.randint(1, 6) for _ in range(3)) for _ in range(4)] for _ in range(400)])
    assert abs(rolled["reliability"]) < 0.1
    assert 0.45 < rolled["same_order"]["value"] < 0.55 and 0.15 < rolled["same_best"]["value"] < 0.35
    assert rolled["two_equal"]["value"] == pytest.approx(1 / 6, abs=0.02)


def test_agreement_counts_ties_apart():
    found = agreement([[(5, 5), (5, 3), (1, 1)]])
    assert found["same_order"] == {"value": 1, "n": 2} and found["order_undecided"] == {"value": 1 / 3, "n": 3}
    assert found["best_undecided"]["value"] == 1


def test_the_interval_of_agreement_is_over_prompts():
    """Copies of a prompt's answers add no prompts, so they make no interval narrower."""
    dice = random.Random(0)
    prompts = [[tuple(dice.randint(1, 6) for _ in range(2)) for _ in range(2)] for _ in range(50)]
    once, copied = (agreement([prompt * times for prompt in prompts])["two_equal"] for times in (1, 9))
    assert copied["n"] == 9 * once["n"]
    assert (copied["low"], copied["high"]) == pytest.approx((once["low"], once["high"]))
    values = [sum(a == b for a, b in prompt) / 2 for prompt in prompts]
    assert once["high"] - once["value"] == pytest.approx(1.96 * statistics.stdev(values) / 50**0.5, rel=1e-3)


def figures(path, score="mean", **settings):
    source = Source(path=path, **settings)
    return collect(((each, source) for each in read(source, 0)), score).figures()


@pytest.mark.parametrize(
    ("rows", "gap"),
    [
        ([{"prompt": "q", "chosen": "abc", "rejected": "d", "score_chosen": 8, "score_rejected": 6.5}], 1.5),
        ([{"prompt": "q", "chosen": "abc", "rejected": "d", "metadata": {"score_chosen": 8, "score_rejected": 6}}], 2),
        ([{"instruction": "q", "chosen": "abc", "rejected": "d", "chosen-rating": 4.5, "rejected-rating": 2}], 2.5),
        ([{"chosen": "\n\nHuman: q\n\nAssistant: abc", "rejected": "\n\nHuman: q\n\nAssistant: d"}], math.nan),
    ],
)
def test_any_pairs_that_dpo_reads(write, rows, gap):
    found = figures(write(rows))["pairs"]
    assert (found["chosen_characters"]["mean"], found["rejected_characters"]["mean"]) == (3, 1)
    assert ("gap" not in found) if math.isnan(gap) else found["gap"]["mean"] == gap


def annotation(first, second, preference):
    return {"instruction": "q", "output_1": first, "output_2": second, "generator_1": "base", "generator_2": "new",
            "preference": preference}  # fmt: skip


def test_annotations_of_alpaca_eval(write):
    rows = [annotation("a", "long", 2), annotation("a", "long", 1), annotation("a", "long", 2.0),
            annotation("x", "yy", 1.5), annotation("x", "yy", 0), annotation("x", "yy", None)]  # fmt: skip
    found = figures(write(rows))
    assert (found["pairs"]["longer_wins"]["value"], found["pairs"]["longer_wins"]["n"]) == (2 / 3, 3)
    assert found["pairs"]["ties"]["value"] == 0.4
    assert found["models"]["new"]["chosen"] == 2
    assert found["suspicious"] == {"annotation without a preference": 1}


def test_scored_answers_and_rows_that_cannot_be_read(write):
    rows = [row("q", completion("a", 8, (5, 4)), completion("b", 2, (1, 1))), {"instruction": "q", "completions": 3}]
    found = figures(write(rows), "overall")
    assert found["answers"]["score"]["mean"] == 5 and found["suspicious"] == {"not a list of completions": 1}


def test_the_command_prints_and_writes(write, tmp_path, capsys):
    path = write([{"question": "q", "better": "abc", "rejected": "d"}])
    assert main(["labels", path, "prompt=question", "chosen=better", "-o", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.strip() == (tmp_path / "out/labels.md").read_text().strip()
    assert json.loads((tmp_path / "out/labels.json").read_text())["pairs"]["n"] == 1


def test_the_command_reads_what_a_recipe_trains_on(write, tmp_path, capsys):
    rows = [{"prompt": "q", "chosen": "abc", "rejected": "d"}] * 3
    recipe = tmp_path / "binarize.yaml"
    data = f"data: {{train: [{{path: {write(rows)}}}]}}\n"
    recipe.write_text(f"stage: binarize\nseed: 1\n{data}binarize: {{strategy: best_worst}}\n")
    assert main(["labels", str(recipe)]) == 1
    assert "was not run yet" in capsys.readouterr().err
    assert main(["labels", write(rows)]) == 0
    assert "| pairs | 3 |" in capsys.readouterr().out


def test_no_labels_at_all_is_an_error(write, capsys):
    assert main(["labels", write([{"prompt": "q", "chosen": None, "rejected": "d"}])]) == 1
    assert "no pair and no scored answer in it (1 x not a list of turns)" in capsys.readouterr().err


def test_real_labels(shared):
    """Figures known of these files: 11.1 % equal scores; in AlpacaEval the longer answer wins far more often."""
    found = figures(str(shared / "ultrafeedback/train.jsonl"))
    assert found["pairs"]["ties"]["value"] == 0.111 and found["suspicious"][IDENTICAL] == 4
    zephyr = figures(str(shared / "alpaca_eval/zephyr-7b-beta/annotations.json"))
    assert zephyr["models"]["zephyr-7b-beta"]["chosen"] == pytest.approx(727, abs=1)  # 90.60 % of 803
    assert zephyr["pairs"]["longer_wins"]["value"] > 0.85 > 0.6 > found["pairs"]["longer_wins"]["value"]
