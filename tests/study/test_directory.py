"""A study's directory: nothing in it is lost, and it means the same study wherever it is read."""

import csv
import json
from pathlib import Path

import pytest
from tests.made_study import write

from zephyr.cli import main
from zephyr.errors import UserError
from zephyr.recipe import load, resolved_yaml
from zephyr.run import status
from zephyr.study.directory import begin, reopen
from zephyr.study.expand import Study, expand
from zephyr.study.slurm import submit_study

TEXT = "stage: study\ntitle: Small\nrecipe: dpo.yaml\ngrid: {beta: [0.1, 0.5]}\ncolumns: [eval_loss]\n"


def study_of(file: Path, text: str = TEXT, *overrides: str, everywhere: tuple[str, ...] = (), to: str = "o") -> Study:
    """The study of a text, its runs in another root than the default one."""
    file.parent.mkdir(exist_ok=True, parents=True)
    file.write_text(text)
    outputs = file.parent / to
    return expand(load(file, overrides, outputs=outputs), everywhere=everywhere, outputs=outputs)


def finish(study: Study, *, without: str = "") -> None:
    """Makes up all its runs, but what one row alone wants."""
    for each in study.works:
        if {name for name, _ in each.wanted_by} != {without}:
            write(each.loaded, 6.0, None)


def run_whole(study: Study) -> Path:
    """Makes all its runs up and has it write its table; returns its directory."""
    begin(study)
    finish(study)
    directory = study.loaded.run_dir
    assert main(["report", str(directory)]) == 0
    return directory


def states(directory: Path) -> dict[str, str]:
    """Row -> state, as the study's table says."""
    return {row["row"]: row["state"] for row in csv.DictReader((directory / "table.csv").open())}


DONE = {"beta 0.1": "finished", "beta 0.5": "finished"}


@pytest.fixture
def elsewhere(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another working directory, without a word on where runs live."""
    folder = tiny / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("ZEPHYR_OUTPUTS", raising=False)
    return folder


@pytest.mark.parametrize("given", [True, False])
def test_every_command_finds_the_runs_of_a_directory_from_anywhere(
    tiny: Path, elsewhere: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch, given: bool
) -> None:
    study = study_of(tiny / "study.yaml")
    if not given:  # the root came from the environment, or was where the command was typed
        monkeypatch.setenv("ZEPHYR_OUTPUTS", str(tiny / "o"))
        study = expand(load(tiny / "study.yaml"))
    directory = run_whole(study)
    monkeypatch.delenv("ZEPHYR_OUTPUTS", raising=False)
    for words in (["report"], ["run"], ["report"]):
        assert main([*words, str(directory)]) == 0
        assert states(directory) == DONE
    assert "4 finished before, 0 to do" in capsys.readouterr().err
    assert main(["status", str(directory)]) == 0
    assert "4 runs: 4 finished" in capsys.readouterr().out
    assert main(["plan", str(directory), "--json"]) == 0
    assert str(tiny / "o") in capsys.readouterr().out
    assert not any(elsewhere.iterdir())


def test_beside_a_directory_only_the_place_of_its_runs_may_be_said(
    tiny: Path, elsewhere: Path, capsys: pytest.CaptureFixture
) -> None:
    directory = run_whole(study_of(tiny / "study.yaml"))
    for command in ("run", "status", "plan", "report"):
        assert main([command, str(directory), "title=Another"]) == 1
        assert "found `title=Another` beside" in capsys.readouterr().err
        assert main([command, str(directory), "--everywhere", "beta=0.3"]) == 1
        capsys.readouterr()
    (tiny / "o").rename(tiny / "moved")
    directory = tiny / "moved" / directory.relative_to(tiny / "o")
    assert main(["report", str(directory)]) == 1
    assert "which is not there; --outputs DIR says where they are now" in capsys.readouterr().err
    assert main(["report", str(directory), "--outputs", str(tiny / "moved")]) == 0
    assert states(directory) == DONE


def test_a_study_writes_over_no_run_and_no_study_of_another_file(tiny: Path) -> None:
    alone = load(tiny / "sft.yaml", ["output_dir=" + str(tiny / "o/x/study")])
    alone.run_dir.mkdir(parents=True)
    (alone.run_dir / "recipe.yaml").write_text(resolved_yaml(alone))
    (alone.run_dir / "result.json").write_text("{}")
    text = TEXT.replace("dpo.yaml", str(tiny / "dpo.yaml")) + f"output_dir: {tiny}/o/x/study\n"
    before = {file: file.read_text() for file in alone.run_dir.iterdir()}
    study = study_of(tiny / "a/study.yaml", text)
    with pytest.raises(UserError, match=r"holds a run \(stage sft\) of \S+sft.yaml[\s\S]*output_dir=[\s\S]*rm -r"):
        begin(study)
    assert main(["run", str(tiny / "a/study.yaml")]) == 1
    for command in ("plan", "status", "report"):
        assert main([command, str(tiny / "a/study.yaml")]) == 1
    assert {file: file.read_text() for file in alone.run_dir.iterdir()} == before
    (tiny / "cluster.yaml").write_text("time_limit: 1:00:00\ngpus: none\n")
    with pytest.raises(UserError, match="holds a run"):
        submit_study(study, tiny / "cluster.yaml", print_only=True)


def test_two_files_of_one_name_keep_their_studies_apart(tiny: Path) -> None:
    text = TEXT.replace("dpo.yaml", str(tiny / "dpo.yaml")) + f"output_dir: {tiny}/o/shared\n"
    first = study_of(tiny / "a/study.yaml", text)
    run_whole(first)
    begin(study_of(tiny / "moved/study.yaml", text))  # the same rows and runs: nothing is lost
    begin(first)
    text = text.replace("0.5", "0.7")
    with pytest.raises(UserError, match=r"holds the study of \S+a/study.yaml, and \S+b/study.yaml would write over it"):
        begin(study_of(tiny / "b/study.yaml", text))
    begin(study_of(tiny / "a/study.yaml", text.replace("Small", "Edited")))  # one file's own edits are welcome
    (tiny / "dpo.yaml").rename(tiny / "other.yaml")  # and what it named before may be gone
    begin(study_of(tiny / "a/study.yaml", text.replace("dpo.yaml", "other.yaml")))
    again = study_of(tiny / "b/study.yaml", text.replace("dpo.yaml", "other.yaml"), f"output_dir={tiny}/o/second")
    assert again.loaded.run_dir == tiny / "o/second"  # the way out leads where it says
    begin(again)


def test_a_run_writes_over_no_study_that_is_being_run(tiny: Path) -> None:
    study = study_of(tiny / "study.yaml")
    begin(study)
    with pytest.raises(UserError, match=r"holds the run of another recipe[\s\S]*rm -r"):
        status(load(tiny / "sft.yaml", [f"output_dir={study.loaded.run_dir}"]))


def test_a_study_is_in_no_directory_of_its_own_runs(tiny: Path) -> None:
    text = TEXT.replace("dpo.yaml", str(tiny / "dpo.yaml"))
    study = study_of(tiny / "x.yaml", text + f"output_dir: {tiny}/o/{tiny.name}/sft\n")
    with pytest.raises(UserError, match=r"would write to .*sft, and so would its run of"):
        begin(study)


def test_what_is_said_everywhere_makes_another_study_where_it_changes_figures(tiny: Path) -> None:
    file = tiny / "study.yaml"
    plain = study_of(file)
    decay = study_of(file, everywhere=("train.weight_decay=0.2",))
    assert decay.loaded.run_dir != plain.loaded.run_dir
    assert decay.loaded.run_dir.name.startswith("study-")
    assert study_of(file, everywhere=("weight_decay=0.3",)).loaded.run_dir not in (
        plain.loaded.run_dir, decay.loaded.run_dir,
    )  # fmt: skip
    faster = study_of(file, everywhere=("launch.micro_batch_size=1", "save_steps=5"))
    assert faster.loaded.run_dir == plain.loaded.run_dir
    both = study_of(file, everywhere=("launch.micro_batch_size=1", "train.weight_decay=0.2"))
    assert both.loaded.run_dir == decay.loaded.run_dir
    begin(decay)
    finish(decay)
    assert reopen(decay.loaded.run_dir).loaded.run_dir == decay.loaded.run_dir
    assert [each.loaded.run_id for each in reopen(decay.loaded.run_dir).works] == [
        each.loaded.run_id for each in decay.works
    ]


def test_a_report_is_kept_when_its_recipes_mean_other_runs_now(tiny: Path, capsys: pytest.CaptureFixture) -> None:
    directory = run_whole(study_of(tiny / "study.yaml"))
    table, recipe = (directory / "table.csv").read_text(), (tiny / "sft.yaml").read_text()
    (tiny / "sft.yaml").write_text(recipe.replace("num_train_epochs: 2", "num_train_epochs: 3"))
    capsys.readouterr()
    assert main(["report", str(directory)]) == 1
    said = capsys.readouterr().err
    assert f"beta 0.1: {tiny}/sft.yaml\n" in said and f"beta 0.5: {tiny}/sft.yaml\n" in said  # not dpo.yaml above it
    assert "put back" in said and f"zephyr run {directory}" in said
    assert main(["report", str(tiny / "study.yaml"), "--outputs", str(tiny / "o")]) == 1
    assert (directory / "table.csv").read_text() == table
    capsys.readouterr()
    assert main(["status", str(directory)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "2 finished rows mean other runs than when the study was last begun, since" in said
    (tiny / "sft.yaml").write_text(recipe)
    assert main(["report", str(directory)]) == 0
    assert states(directory) == DONE


def test_a_row_that_was_never_finished_keeps_no_report_back(tiny: Path) -> None:
    study = study_of(tiny / "study.yaml")
    begin(study)
    finish(study, without="beta 0.5")
    (tiny / "study.yaml").write_text(TEXT.replace("[0.1, 0.5]", "[0.1]") + "rows: {beta 0.5: {set: {beta: 0.6}}}\n")
    assert main(["report", str(tiny / "study.yaml"), "--outputs", str(tiny / "o")]) == 0
    assert states(study.loaded.run_dir) == {"beta 0.1": "finished", "beta 0.5": "waiting"}


def test_a_file_is_reported_as_it_is_now_and_a_directory_as_it_was_run(tiny: Path) -> None:
    directory = run_whole(study_of(tiny / "study.yaml"))
    (tiny / "study.yaml").write_text(TEXT + "labels: {beta: strength}\n")
    assert main(["report", str(tiny / "study.yaml"), "--outputs", str(tiny / "o")]) == 0
    assert states(directory) == {"strength 0.1": "finished", "strength 0.5": "finished"}
    assert main(["report", str(directory)]) == 0
    assert states(directory) == DONE


def test_a_file_s_report_reads_the_options_of_its_last_run(tiny: Path) -> None:
    directory = run_whole(study_of(tiny / "study.yaml", TEXT + f"output_dir: {tiny}/mine\n"))
    assert main(["report", str(tiny / "study.yaml")]) == 0  # its runs are in o/, which only the directory says
    assert states(directory) == DONE


def test_a_study_that_never_ran_has_no_report(tiny: Path, elsewhere: Path, capsys: pytest.CaptureFixture) -> None:
    (tiny / "study.yaml").write_text(TEXT)
    assert main(["report", str(tiny / "study.yaml"), "--outputs", "o2"]) == 1
    assert f"not run yet: zephyr run {tiny / 'study.yaml'} --outputs o2" in capsys.readouterr().err
    assert main(["report", str(tiny / "sft.yaml"), "seed=3"]) == 1
    assert f"not run yet: zephyr run {tiny / 'sft.yaml'} seed=3" in capsys.readouterr().err
    assert not any(elsewhere.iterdir())


def test_with_overrides_a_report_is_that_of_the_study_with_them(tiny: Path) -> None:
    plain = run_whole(study_of(tiny / "study.yaml"))
    seeded = run_whole(study_of(tiny / "study.yaml", TEXT, "seeds=[7]"))
    assert plain != seeded
    page = (plain / "report.html").read_text()
    (seeded / "table.csv").unlink()
    assert main(["report", str(tiny / "study.yaml"), "seeds=[7]", "--outputs", str(tiny / "o")]) == 0
    assert states(seeded) == DONE
    assert (plain / "report.html").read_text() == page
    assert json.loads((seeded / "options.json").read_text())["outputs"] == str(tiny / "o")


def test_settings_that_change_place_leave_no_row_unfinished_and_so_no_report_refused(tiny: Path) -> None:
    text = "stage: study\ntitle: Small\nrecipe: dpo.yaml\nrows: {low: {set: {beta: 0.1}}, high: {set: {beta: 0.5}}}\n"
    directory = run_whole(study_of(tiny / "study.yaml", text))
    (tiny / "study.yaml").write_text(text.replace("0.1", "0.9").replace("0.5", "0.1").replace("0.9", "0.5"))
    assert main(["report", str(tiny / "study.yaml"), "--outputs", str(tiny / "o")]) == 0
    assert states(directory) == {"low": "finished", "high": "finished"}


def test_what_is_said_everywhere_of_a_key_that_every_row_sets_is_refused(tiny: Path) -> None:
    with pytest.raises(UserError, match=r"beta: changes nothing: every row that has this key sets it itself"):
        study_of(tiny / "study.yaml", everywhere=("beta=0.3",))
    study_of(tiny / "study.yaml", everywhere=("learning_rate=0.1", "learning_rate=0.2"))  # the last counts


def test_a_file_is_no_place_for_runs(tiny: Path, capsys: pytest.CaptureFixture) -> None:
    study_of(tiny / "study.yaml")
    for command in ("plan", "run"):
        assert main([command, str(tiny / "study.yaml"), "--outputs", str(tiny / "dpo.yaml")]) == 1
        assert "is a file; a directory is expected" in capsys.readouterr().err
