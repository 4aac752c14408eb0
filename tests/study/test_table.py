"""Figures, intervals and differences of a study's table."""

import json
import random
from dataclasses import replace
from pathlib import Path
from statistics import mean

import pytest
from tests.made_study import begin, finish, made_up

from zephyr.evaluate.statistics import paired_difference
from zephyr.report.seeds import student_interval
from zephyr.study.expand import Study
from zephyr.study.report.columns import columns_of
from zephyr.study.report.compare import Compared
from zephyr.study.report.entries import entries
from zephyr.study.report.outcome import read_study
from zephyr.study.report.sentences import in_brief, saving, sentences
from zephyr.study.report.table import Tabled, column_table, main_table

ROWS = "rows: {dSFT: {recipe: sft.yaml}}\ngrid: {beta: [0.1, 0.5]}\nevaluate: evaluate.yaml\n"
ALL = ROWS + "columns: [world/score, world/win_rate, world/correct, eval_loss]\n"
SKILLS = {"dSFT": 5.5, "beta 0.1": 6.5, "beta 0.5": 5.5}


def tabled(study: Study) -> Tabled:
    outcome = read_study(study)
    columns, _ = columns_of(study, outcome.rows)
    return Tabled(outcome=outcome, columns=columns, entries=entries(outcome, columns))


def unknown(study: Study) -> str:
    return " ".join(columns_of(study, read_study(study).rows)[1])


def answers(found: Tabled, row: str) -> list[dict]:
    run = next(each for each in found.outcome.rows if each.name == row).cells[0].evaluation
    return list(run.answers)


def test_one_seed_is_compared_prompt_by_prompt(tiny: Path) -> None:
    study = made_up(tiny, ALL)
    finish(study, lambda row, seed: SKILLS[row])
    found = tabled(study)
    a, b = ([each["score"] for each in answers(found, row)] for row in ("dSFT", "beta 0.1"))
    wanted = paired_difference(a, b)
    score = found.entries["beta 0.1", "world/score"]
    assert score.figure.value == pytest.approx(mean(b)) and score.figure.n == 20
    assert score.compared.difference == pytest.approx(wanted.value)
    assert score.compared.interval == pytest.approx(wanted.interval)
    assert score.compared.verdict == "separable"
    won = [[100 if score > 5.5 else 0 for score in scores] for scores in (a, b)]
    assert found.entries["beta 0.1", "world/win_rate"].compared.difference == pytest.approx(
        paired_difference(*won).value
    )
    assert found.entries["dSFT", "world/score"].compared is None


def test_a_share_without_an_interval_gets_one_from_the_answers(tiny: Path) -> None:
    study = made_up(tiny, ALL)
    finish(study, lambda row, seed: SKILLS[row])
    figure = tabled(study).entries["dSFT", "world/correct"].figure
    low, high = figure.interval
    assert low < figure.value == 0.5 < high and figure.n == 20


def test_equal_models_are_not_separable(tiny: Path) -> None:
    study = made_up(tiny, ALL)
    finish(study, lambda row, seed: SKILLS[row])
    compared = tabled(study).entries["beta 0.5", "world/score"].compared
    assert compared.difference == 0 and compared.separable is False


def test_seeds_are_compared_seed_by_seed(tiny: Path) -> None:
    study = made_up(tiny, ALL, "seeds=[1, 2, 3]")
    finish(study, lambda row, seed: SKILLS[row] + 0.1 * seed)
    found = tabled(study)
    scores = {
        row.name: [cell.scores["world"]["score"] for cell in row.cells] for row in found.outcome.rows
    }  # fmt: skip
    entry = found.entries["beta 0.1", "world/score"]
    assert entry.figure.value == pytest.approx(mean(scores["beta 0.1"]))
    assert entry.figure.interval == pytest.approx(student_interval(scores["beta 0.1"]))
    assert entry.figure.n == 3
    differences = [b - a for a, b in zip(scores["dSFT"], scores["beta 0.1"], strict=True)]
    assert entry.compared.each == pytest.approx(differences)
    assert entry.compared.interval == pytest.approx(student_interval(differences))


def test_a_missing_seed_leaves_its_pair_out(tiny: Path) -> None:
    study = made_up(tiny, ALL, "seeds=[1, 2]")
    finish(study, lambda row, seed: None if (row, seed) == ("beta 0.1", 2) else SKILLS[row])
    entry = tabled(study).entries["beta 0.1", "world/score"]
    assert entry.figure.n == 1 and entry.figure.interval is None
    assert entry.compared.n == 1 and entry.compared.interval is None and entry.compared.separable is None


def test_a_figure_of_training_is_not_compared_with_another_stages(tiny: Path) -> None:
    study = made_up(tiny, ALL)
    finish(study, lambda row, seed: SKILLS[row])
    found = tabled(study)
    assert found.entries["beta 0.1", "eval_loss"].compared == "not compared: another stage's figure"
    assert found.entries["beta 0.1", "eval_loss"].figure.n == 40
    same = made_up(tiny, ROWS + "columns: [eval_rewards/accuracies]\ncompare_with: beta 0.1\n")
    compared = tabled(same).entries["beta 0.5", "eval_rewards/accuracies"].compared
    assert isinstance(compared, Compared) and compared.interval is None and compared.why == "one training run each"


def test_losses_of_other_objectives_have_no_difference_and_say_why(tiny: Path) -> None:
    study = made_up(tiny, "grid: {loss_type: [sigmoid, ipo]}\ncolumns: [eval_loss, eval_rewards/accuracies]\n")
    finish(study, lambda row, seed: 6.0)
    found = tabled(study)
    assert found.entries["loss_type ipo", "eval_loss"].compared == "not compared: another loss_type (sigmoid, ipo)"
    assert isinstance(found.entries["loss_type ipo", "eval_rewards/accuracies"].compared, Compared)
    cells = [cell.text for cell in main_table(found, " ").rows[1]]
    assert "– (not compared: another loss_type (sigmoid, ipo))" in cells


def test_rows_that_are_one_run_are_said_to_be_that(tiny: Path) -> None:
    study = made_up(tiny, "rows: {a: {}, b: {set: {micro_batch_size: 1}}}\nevaluate: evaluate.yaml\n")
    finish(study, lambda row, seed: 6.0)
    found = tabled(study)
    compared = found.entries["b", "world/score"].compared
    assert (compared.difference, compared.interval, compared.why) == (0.0, None, "the same run")
    assert sentences(found, found.columns[0]) == (
        "b is the same run as a: what they set differently changes no figure.",
    )
    assert in_brief(found, found.columns[0]) == ("The same run as a: b.",)
    assert main_table(found).rows[1][2].text == "+0.00\nthe same run"
    assert column_table(found, found.columns[0]).rows[1][-1].text == "the same run"


def test_without_a_figure_of_the_base_row_the_others_say_so(tiny: Path) -> None:
    study = made_up(tiny, ALL)
    finish(study, lambda row, seed: None if row == "dSFT" else SKILLS[row])
    base = study.rows[0].cells[0].evaluation
    (begin(base) / "failed.json").write_text(json.dumps({"why": "ValueError", "status": 1}))
    found = tabled(study)
    assert found.entries["beta 0.1", "world/score"].compared == "not compared: dSFT has failed"
    assert column_table(found, found.columns[0]).rows[1][5].text == "not compared: dSFT has failed"
    assert main_table(found).rows[1][2].text == "–\nnot compared\ndSFT has failed"


def test_intervals_are_spoken_of_only_where_there_are_any(tiny: Path) -> None:
    text = "grid: {learning_rate: [1e-3, 1e-4]}\ncolumns: [eval_loss]\n"
    study = made_up(tiny, text)
    finish(study, lambda row, seed: 6.0)
    note = main_table(tabled(study)).note
    assert "Figures are of one training run each, without intervals" in note
    assert "95 %" not in note and "Separable" not in note and "question" not in note
    several = made_up(tiny, text, "seeds=[1, 2]")
    finish(several, lambda row, seed: 6.0 + 0.1 * seed)
    assert "Intervals are 95 % by Student's t over seeds." in main_table(tabled(several)).note


def test_every_score_is_the_default_and_an_unknown_column_is_told_with_the_nearest(tiny: Path) -> None:
    study = made_up(tiny, ROWS)
    assert [each.key for each in tabled(study).columns] == ["world/score"]  # known before anything ran
    finish(study, lambda row, seed: SKILLS[row])
    columns = ["world/scroe", "eval_los", "world/score"]
    other = replace(study, recipe=replace(study.recipe, columns=columns))
    assert [each.key for each in tabled(other).columns] == ["world/score"]
    said = unknown(other)
    assert "no run has `world/scroe`; did you mean `world/score`" in said
    assert "no run has `eval_los`; did you mean `eval_loss`" in said


def test_without_evaluation_training_speaks(tiny: Path) -> None:
    study = made_up(tiny, "grid: {beta: [0.1, 0.5]}\n")
    finish(study, lambda row, seed: SKILLS[row])
    found = tabled(study)
    assert [each.title for each in found.columns] == ["held-out preference accuracy", "held-out loss", "train loss"]


def test_what_is_missing_is_a_dash_and_a_state(tiny: Path) -> None:
    study = made_up(tiny, ALL)
    finish(study, lambda row, seed: None if row == "beta 0.5" else SKILLS[row])
    found = tabled(study)
    row = main_table(found).rows[2]
    assert [cell.text for cell in row[:3]] == ["beta 0.5", "–", "–"] and row[-1].text == "waiting"
    line = column_table(found, found.columns[0]).rows[2]
    assert [cell.text for cell in line] == ["beta 0.5", "–", "–", "–", "–", "waiting"]


def test_what_all_cells_share_stands_once(tiny: Path) -> None:
    study = made_up(tiny, ROWS + "columns: [world/score, world/win_rate]\n")
    finish(study, lambda row, seed: SKILLS[row])
    table = main_table(tabled(study))
    assert [each.title for each in table.columns] == [
        "row", "world score, 1 to 10", "over dSFT", "world win rate, %", "over dSFT", "own time", "shared",
    ]  # fmt: skip
    assert "Of every figure n = 20, failed 0." in table.note
    result = study.rows[1].cells[0].evaluation.run_dir / "result.json"
    figures = json.loads(result.read_text())
    figures["scores"]["model"]["world"] |= {"n": 18, "n_failed": 2}
    result.write_text(json.dumps(figures))
    table = main_table(tabled(study))
    assert [each.title for each in table.columns][-4:] == ["n", "failed", "own time", "shared"]
    assert [cell.text for cell in table.rows[1][-4:-2]] == ["18", "2"] and "Of every figure" not in table.note


def test_words_of_the_differences(tiny: Path) -> None:
    study = made_up(tiny, ALL)
    finish(study, lambda row, seed: {"dSFT": 6.0, "beta 0.1": 7.0, "beta 0.5": 5.0}[row])
    found = tabled(study)
    above, below = sentences(found, found.columns[0])
    assert above.startswith("beta 0.1 is above dSFT by 0.") and below.startswith("beta 0.5 is below dSFT by 0.")
    low, high = below.partition("interval ")[2].partition(",")[0].split(" to ")
    assert 0 < float(low) < float(high)  # of the size, as the sentence says "below"
    assert in_brief(found, found.columns[0]) == ("Above dSFT: beta 0.1.", "Below dSFT: beta 0.5.")


def test_what_sharing_saves(tiny: Path) -> None:
    study = made_up(tiny, ALL)
    finish(study, lambda row, seed: SKILLS[row])
    # cpt and sft of 120 s each once instead of three times: 660 s instead of 1140 s
    assert saving(read_study(study)) == (
        "7 runs took 11 min 00 s; each row by itself, 19 min 00 s: sharing saves 42 %."
    )  # fmt: skip


def test_what_sharing_saves_is_not_told_half_way(tiny: Path) -> None:
    study = made_up(tiny, ALL)
    finish(study, lambda row, seed: SKILLS[row] if row != "beta 0.5" else None)
    assert saving(read_study(study)) == "5 of 7 runs are begun and took 8 min 00 s so far."


def test_random_figures_never_break_a_table(tiny: Path) -> None:
    """Any subset of rows and seeds may be there."""
    dice = random.Random(1)
    for attempt in range(4):
        study = made_up(tiny, ALL, f"seeds=[{attempt}1, {attempt}2, {attempt}3]")
        finish(study, lambda row, seed: SKILLS[row] if dice.random() < 0.6 else None)
        found = tabled(study)
        assert len(main_table(found).rows) == 3
        assert len({len(row) for row in main_table(found, " ").rows}) == 1
