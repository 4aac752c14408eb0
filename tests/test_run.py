"""What a run says on the terminal and leaves in its log, whatever the stage."""

import json
import logging
from pathlib import Path

import pytest

from tests.conftest import write_rows
from zephyr import run as running
from zephyr.cli import main
from zephyr.errors import UserError
from zephyr.provenance import provenance
from zephyr.recipe import Loaded, load, resolved_yaml
from zephyr.run import execute, status

RECIPE = (
    "stage: filter\nseed: 1\noutput_dir: {out}\ndata: {{train: [{{path: {rows}}}]}}\nworkers: 1\nfilters: {filters}\n"
)


def written(folder: Path, filters: str) -> Path:
    """A filter recipe over five dialogues, four of them good."""
    turns = [[f"Which way is the {place}?", "Take the left path."] for place in ("mill", "barn", "pond", "wood")]
    rows = write_rows(
        folder / "rows.jsonl", [{"id": str(n), "data": each} for n, each in enumerate([*turns, ["Alone?"]])]
    )
    file = folder / "filter.yaml"
    file.write_text(RECIPE.format(out=folder / "run", rows=rows, filters=filters))
    return file


def test_a_filter_says_what_became_of_the_rows(tmp_path: Path, capsys: pytest.CaptureFixture):
    assert main(["run", str(written(tmp_path, "{structure: {}}"))]) == 0
    said = capsys.readouterr().err
    assert "5 rows read: 4 kept (4 in train, 0 in eval)" in said
    assert f"dropped: 1 by structure; samples: {tmp_path / 'run' / 'dropped.jsonl'}" in said
    assert said.split("\n", 1)[1].strip() in (tmp_path / "run" / "log.txt").read_text()


def test_warnings_of_the_result_are_said_once_at_the_end(tmp_path: Path, capsys: pytest.CaptureFixture):
    assert main(["run", str(written(tmp_path, "{structure: {}, subset: {rows: 9}}"))]) == 0
    said = capsys.readouterr().err
    (warning,) = json.loads((tmp_path / "run" / "result.json").read_text())["warnings"]
    assert said.rstrip().endswith(f"warning: {warning}") and said.count(warning) == 1
    assert (tmp_path / "run" / "log.txt").read_text().count(warning) == 1


def test_a_warning_that_the_stage_gave_is_not_repeated(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    def stage(recipe: object, run_dir: Path) -> dict:
        logging.getLogger("zephyr").warning("  the budget will not do")
        return {"warnings": ["the budget will not do", "and one more"]}

    monkeypatch.setattr(running, "stage_runner", lambda name: stage)
    execute(load(written(tmp_path, "{structure: {}}")))
    said = capsys.readouterr().err
    assert said.count("the budget will not do") == said.count("warning: and one more") == 1


def test_the_log_says_why_a_run_stopped(tmp_path: Path):
    loaded = load(written(tmp_path, "{structure: {}, length: {min_exchanges: 50}}"))
    with pytest.raises(UserError) as refused:
        execute(loaded)
    assert str(refused.value) in (loaded.run_dir / "log.txt").read_text()


def test_nothing_is_announced_where_the_directory_is_another_recipes(tmp_path: Path, capsys: pytest.CaptureFixture):
    recipe = str(written(tmp_path, "{structure: {}}"))
    assert main(["run", recipe]) == 0
    assert main(["run", recipe]) == 0
    assert "finished before, nothing to do" in capsys.readouterr().err
    assert main(["run", recipe, "seed=2"]) == 1
    said = capsys.readouterr().err
    assert "holds the run of another recipe" in said and "finished before" not in said


def finished(recipe: Path, outputs: Path) -> Loaded:
    """Leaves a run's directory as a finished run does, and says of what it was made."""
    loaded = load(recipe, outputs=outputs)
    loaded.run_dir.mkdir(parents=True, exist_ok=True)
    (loaded.run_dir / "recipe.yaml").write_text(resolved_yaml(loaded))
    (loaded.run_dir / "provenance.json").write_text(json.dumps(provenance(loaded)))
    (loaded.run_dir / "result.json").write_text("{}")
    return loaded


def test_a_finished_run_is_not_used_once_a_file_that_it_read_has_changed(tiny: Path) -> None:
    loaded = finished(tiny / "cpt.yaml", tiny / "outputs")
    data = tiny / "text.jsonl"
    data.touch()  # another time alone is no change
    assert status(loaded) == "finished"
    data.write_text(data.read_text() + '{"text": "one more"}\n')
    with pytest.raises(UserError, match=r"read \S+text\.jsonl, changed since[\s\S]*rm -r"):
        status(loaded)
    data.unlink()  # what is gone can't be compared
    assert status(loaded) == "finished"


def test_nor_is_what_was_made_from_it_even_when_it_was_made_anew(tiny: Path) -> None:
    runs = [finished(tiny / f"{stage}.yaml", tiny / "outputs") for stage in ("cpt", "sft", "dpo")]
    data = tiny / "chat.jsonl"
    before = data.read_text()
    data.write_text(before + before)
    assert status(runs[0]) == "finished"
    with pytest.raises(UserError) as said:
        status(runs[2])
    directories = [str(each.run_dir) for each in runs[1:]]
    assert f"rm -r {' '.join(directories)}" in str(said.value), said.value
    assert "dpo was made from what sft held then" in str(said.value)
    finished(tiny / "sft.yaml", tiny / "outputs")
    with pytest.raises(UserError, match="1 finished run was made of something else"):
        status(runs[2])
    data.write_text(before)  # as it was when dDPO began
    finished(tiny / "sft.yaml", tiny / "outputs")
    assert status(runs[2]) == "finished"
