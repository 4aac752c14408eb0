import json
import shutil
from pathlib import Path

import pytest

from zephyr.errors import UserError
from zephyr.report.read import in_words, read_chain, read_run


def test_chain_has_inputs_first_and_each_once(runs):
    chain = read_chain([runs["evaluate"], runs["dpo"]])
    assert [run.stage for run in chain.runs] == ["world", "cpt", "sft", "dpo", "evaluate"]
    assert chain.notes == ()


def test_rows_are_told_apart_and_a_step_logged_twice_counts_once(runs):
    with (runs["sft"] / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 10, "loss": 99.0}) + "\n")
    run = read_run(runs["sft"])
    assert len(run.train_rows) == 750
    assert next(row["loss"] for row in run.train_rows if row["step"] == 10) == 99.0
    assert [row["step"] for row in run.eval_rows] == [0, 750]


def test_unfinished_run_is_read_as_far_as_it_got(runs):
    (runs["dpo"] / "result.json").unlink()
    metrics = runs["dpo"] / "metrics.jsonl"
    metrics.write_text(metrics.read_text()[:5000])  # ends in the middle of a row
    run = read_run(runs["dpo"])
    assert not run.finished
    assert 5 < len(run.train_rows) < 110
    assert run.name == "mini/dpo"


def test_a_broken_line_in_the_middle_is_named(runs):
    metrics = runs["dpo"] / "metrics.jsonl"
    lines = metrics.read_text().splitlines()
    metrics.write_text("\n".join([*lines[:3], '{"step": 3, "lo', *lines[3:]]))
    with pytest.raises(UserError, match=r"metrics\.jsonl:4: not readable as JSON"):
        read_run(runs["dpo"])


def test_no_run_directory_names_the_runs_below_it(runs):
    with pytest.raises(UserError, match=r"is no run directory") as refused:
        read_run(runs["dpo"].parent)
    assert f"zephyr report {runs['dpo']}" in str(refused.value)
    with pytest.raises(UserError, match="no such directory"):
        read_run(Path("/nowhere/at/all"))


def test_runs_moved_together_find_each_other(runs, tmp_path):
    shutil.move(runs["world"].parent, tmp_path / "moved")
    chain = read_chain([tmp_path / "moved" / "evaluate"])
    assert [run.stage for run in chain.runs] == ["world", "cpt", "sft", "dpo", "evaluate"]


def test_missing_and_replaced_inputs_are_said(runs):
    shutil.rmtree(runs["cpt"])
    result = json.loads((runs["sft"] / "result.json").read_text())
    (runs["sft"] / "result.json").write_text(json.dumps({**result, "run_id": "another"}))
    notes = " ".join(read_chain([runs["dpo"]]).notes)
    assert "mini/sft: its input recipes/mini/cpt.yaml is no longer there." in notes
    assert "mini/dpo: its input mini/sft has since been replaced by another run." in notes


def test_runs_of_the_same_name_are_told_apart(seeds):
    names = [run.name for run in read_chain(seeds).runs if run.stage == "dpo"]
    assert names == ["mini/dpo, seed 1", "mini/dpo, seed 2", "mini/dpo, seed 3"]


def test_paths_in_other_runs_are_shown_by_their_name(runs):
    chain = read_chain([runs["dpo"]]).runs
    assert in_words(f"{runs['sft']}/model", chain) == "mini/sft"
    assert in_words(f"{runs['world']}/pairs.jsonl", chain) == "mini/world, pairs.jsonl"
    assert in_words("mistralai/Mistral-7B-v0.1", chain) == "mistralai/Mistral-7B-v0.1"


def test_recipe_is_shown_without_what_only_the_toolkit_reads(runs):
    recipe = runs["dpo"] / "recipe.yaml"
    recipe.write_text(recipe.read_text() + "\n# Written by zephyr.\nresolved:\n  run_id: abc\n")
    shown = read_run(runs["dpo"]).shown_recipe
    assert "beta: 0.1" in shown
    assert "run_id" not in shown and "Written by" not in shown


def test_a_recipe_is_read_as_recipes_are(tmp_path):
    (tmp_path / "recipe.yaml").write_text("stage: filter\nfilters:\n  exact_duplicates: {on: dialogue}\nrate: 2e-5\n")
    run = read_run(tmp_path)
    assert run.recipe["filters"] == {"exact_duplicates": {"on": "dialogue"}}
    assert run.recipe["rate"] == 2e-5
