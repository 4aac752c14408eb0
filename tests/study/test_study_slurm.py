"""A study for Slurm, before anything is submitted; tests/slurm has a real one."""

from pathlib import Path

import pytest
from tests.test_run import finished

from zephyr.cli import main
from zephyr.errors import UserError
from zephyr.recipe import load
from zephyr.study.expand import expand
from zephyr.study.slurm import submit_study


def test_runs_that_are_out_of_date_are_refused_as_they_are_here(tiny: Path) -> None:
    (tiny / "study.yaml").write_text("stage: study\ntitle: Small\nrows: {dDPO: {recipe: dpo.yaml}}\n")
    (tiny / "cluster.yaml").write_text("time_limit: 1:00:00\ngpus: none\n")
    for stage in ("cpt", "sft"):
        finished(tiny / f"{stage}.yaml", tiny / "outputs")
    (tiny / "text.jsonl").write_text('{"text": "another"}\n')
    study = expand(load(tiny / "study.yaml", outputs=tiny / "outputs"), outputs=tiny / "outputs")
    with pytest.raises(UserError, match="2 finished runs were made of something else"):
        submit_study(study, tiny / "cluster.yaml", print_only=True)


@pytest.mark.parametrize("words", [["--jobs", "2"], ["--keep-going"], ["--devices", "0"]])
def test_what_is_of_one_machine_is_refused(tiny: Path, capsys: pytest.CaptureFixture, words: list[str]) -> None:
    (tiny / "study.yaml").write_text("stage: study\ntitle: Small\nrows: {dDPO: {recipe: dpo.yaml}}\n")
    (tiny / "cluster.yaml").write_text("time_limit: 1:00:00\ngpus: none\n")
    study, cluster = str(tiny / "study.yaml"), str(tiny / "cluster.yaml")
    assert main(["run", study, "--slurm", cluster, "--print", *words]) == 1
    assert f"{words[0]} means nothing with --slurm" in capsys.readouterr().err


def test_what_would_be_submitted_is_printed_with_what_waits_for_what(tiny: Path, capsys: pytest.CaptureFixture) -> None:
    (tiny / "study.yaml").write_text("stage: study\ntitle: Small\nrecipe: dpo.yaml\ngrid: {beta: [0.1, 0.5]}\n")
    (tiny / "cluster.yaml").write_text("time_limit: 1:00:00\ngpus: none\n")
    finished(tiny / "cpt.yaml", tiny / "outputs")
    study = expand(load(tiny / "study.yaml", outputs=tiny / "outputs"), outputs=tiny / "outputs")
    submit_study(study, tiny / "cluster.yaml", print_only=True)
    said = capsys.readouterr().out
    heads = [line.split(": ")[1] for line in said.splitlines() if line.startswith("# ---- job")]
    name = tiny.name
    assert heads[0] == f"{name}/sft"
    assert [each.partition(", ")[2] for each in heads[1:]] == [
        "after job 1 (afterok)", "after job 1 (afterok)", "after all others, however they ended (afterany)",
    ]  # fmt: skip
    assert said.count("#!/bin/bash") == 4 and "zephyr report" in said.rpartition("# ---- job")[2]
    assert not study.loaded.run_dir.exists()
