"""What the plan of a data stage says of inputs that are not here, and of rows that are."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from tests.conftest import write_rows
from tests.data.scored import completion, row

from zephyr.cli import main
from zephyr.plan.plan import as_json, make_plan
from zephyr.plan.show import show
from zephyr.recipe import load
from zephyr.recipe.problems import RecipeError

SERVED = "{model: m, base_url: 'http://127.0.0.1:9/v1', api_key_env: SOME_KEY}"
SAMPLING = "sampling: {temperature: 1, max_tokens: 64}"
RECIPES = {
    "dialogues": f"teacher: {SERVED}\n{SAMPLING}\ndialogues: {{seeds: [{{path: rows.jsonl}}], count: 3, turns: [1]}}",
    "feedback": f"prompts: [{{path: rows.jsonl}}]\npool: {{a: {SERVED}, b: {SERVED}}}\n{SAMPLING}\njudge: {SERVED}\n"
    "judging: {max_tokens: 64}\nanswers_per_prompt: 2",
    "filter": "data: {train: [{path: rows.jsonl}]}\nfilters: {truecase: {}}",
    "binarize": "data: {train: [{path: rows.jsonl}]}\nbinarize: {strategy: zephyr_paper}",
    "evaluate": "models: {ours: ./there/model}\nbenchmarks: {world: {path: ./there}}\ngeneration: {max_new_tokens: 9}",
}


def written(folder: Path, stage: str, more: str = "") -> Path:
    """A recipe of that stage over rows.jsonl, which is not there."""
    file = folder / f"{stage}.yaml"
    file.write_text(f"stage: {stage}\nseed: 1\n{RECIPES[stage]}\n{more}")
    return file


def page(file: Path) -> str:
    """What `zephyr plan` prints."""
    console = Console(file=StringIO(), width=200)
    show(make_plan(load(file)), console)
    return console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize("stage", ["dialogues", "feedback", "filter", "binarize"])
def test_a_file_that_is_missing_is_named_with_its_line(tmp_path: Path, stage: str):
    with pytest.raises(RecipeError) as refused:
        make_plan(load(written(tmp_path, stage)))
    (problem,) = refused.value.problems
    assert problem.origin.line and str(tmp_path / "rows.jsonl") in problem.text


def test_models_and_a_world_that_are_missing_are_named_together(tmp_path: Path):
    with pytest.raises(RecipeError) as refused:
        make_plan(load(written(tmp_path, "evaluate")))
    assert [each.key for each in refused.value.problems] == ["models.ours", "benchmarks.world.path"]


def test_rows_of_the_hub_and_of_recipes_to_run_are_not_missing(tmp_path: Path):
    file = written(tmp_path, "filter")
    file.write_text(file.read_text().replace("rows.jsonl", "someone/dialogues"))
    assert make_plan(load(file)).lacks == []
    after = tmp_path / "after.yaml"
    after.write_text("stage: binarize\nseed: 1\nbinarize: {strategy: zephyr_paper}\ndata: {train: [{path: made.yaml}]}")
    (tmp_path / "made.yaml").write_text(f"stage: feedback\nseed: 1\n{RECIPES['feedback']}".replace("rows.jsonl", "a/b"))
    assert len(make_plan(load(after)).missing) == 1


def test_files_that_any_recipe_to_run_first_lacks_are_named_before_anything_runs(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    for name in ("chat", "pairs"):
        (tiny / f"{name}.jsonl").unlink()
    with pytest.raises(RecipeError) as refused:
        make_plan(load(tiny / "dpo.yaml"))
    assert {each.text.rpartition("/")[2] for each in refused.value.problems} == {"chat.jsonl", "pairs.jsonl"}
    monkeypatch.chdir(tiny)
    assert main(["run", "dpo.yaml", "--with-inputs"]) == 1
    said = capsys.readouterr().err
    assert "sft.yaml:" in said and "chat.jsonl" in said and "dpo.yaml:" in said and "pairs.jsonl" in said
    assert not (tiny / "outputs").exists()


def test_keys_that_a_recipe_to_run_first_lacks_are_named_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.delenv("SOME_KEY", raising=False)
    monkeypatch.chdir(tmp_path)
    file = written(tmp_path, "feedback")
    file.write_text(file.read_text().replace("rows.jsonl", "first.yaml, name: train"))
    first = "stage: filter\nseed: 1\ndata: {train: [{path: rows.jsonl}]}\nfilters: {truecase: {}}\n"
    (tmp_path / "first.yaml").write_text(first)
    write_rows(tmp_path / "rows.jsonl", [{"data": ["Hi", "Hello"]}])
    (tmp_path / "last.yaml").write_text("stage: binarize\nseed: 1\nbinarize: {strategy: zephyr_paper}\n"
                                        "data: {train: [{path: feedback.yaml}]}\n")  # fmt: skip
    assert len(as_json(make_plan(load(tmp_path / "last.yaml")))["lacks"]) == 1
    assert main(["run", "last.yaml", "--with-inputs"]) == 1
    said = capsys.readouterr().err
    assert "Nothing was started" in said and "variable SOME_KEY is not set here" in said
    assert not (tmp_path / "outputs").exists()


def test_a_key_that_is_not_set_is_a_line_of_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = written(tmp_path, "feedback")
    write_rows(tmp_path / "rows.jsonl", [{"prompt": "Which way is the mill?"}])
    monkeypatch.delenv("SOME_KEY", raising=False)
    assert "environment variable SOME_KEY is not set here; `run` needs it for m" in page(file)
    assert len(as_json(make_plan(load(file)))["lacks"]) == 1
    monkeypatch.setenv("SOME_KEY", "not-a-real-key")
    assert "SOME_KEY is not set" not in page(file)


def test_binarize_says_what_it_reads_and_makes(tmp_path: Path):
    file = written(tmp_path, "binarize")
    write_rows(
        tmp_path / "rows.jsonl", [row(f"Question {n}", completion("Yes.", 9), completion("No.", 2)) for n in range(7)]
    )
    text = page(file)
    assert "7 rows of rows.jsonl" in text and "zephyr_paper on mean scores" in text and "train.jsonl, and" in text


def test_only_training_goes_on_from_a_checkpoint(tmp_path: Path):
    file = written(tmp_path, "filter", f"output_dir: {tmp_path / 'run'}\n")
    write_rows(tmp_path / "rows.jsonl", [{"data": ["Hi", "Hello"]}])
    from zephyr.recipe import resolved_yaml

    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.yaml").write_text(resolved_yaml(load(file)))
    text = page(file)
    assert "interrupted: goes on with what is there" in text and "checkpoint" not in text
