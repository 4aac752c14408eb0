"""A study on a real Slurm: its runs as jobs that wait for each other, the table last: `make test-slurm`."""

import csv
import os
import re
from pathlib import Path

import pytest
from tests.conftest import write_tiny
from tests.made_study import write_broken
from tests.slurm.test_two_nodes import CLUSTER, called, state, wait

pytestmark = pytest.mark.skipif("ZEPHYR_SLURM" not in os.environ, reason="needs the Slurm of `make test-slurm`")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, tiny_tokenizer: Path) -> Path:
    folder = write_tiny(tmp_path_factory.mktemp("lab"), tiny_tokenizer)
    (folder / "nodes.yaml").write_text(f"time_limit: 0:20:00\n{CLUSTER}")
    return write_broken(folder)


def test_runs_are_jobs_that_wait_for_each_other_and_the_table_comes_last(lab: Path) -> None:
    options = ["study.yaml", "--everywhere", "launch.device=cpu"]
    said = called(lab, "run", *options, "--slurm", "nodes.yaml")
    jobs = re.findall(r"job (\d+): 1 node", said)
    assert len(jobs) == 6 and said.count("after job") == 5, said
    last = re.search(r"6 of 6 runs submitted; job (\d+) makes the table", said)
    assert last, said
    assert "Slurm job" in called(lab, "status", *options)
    directory = lab / "outputs" / lab.name / "study"
    wait(lambda: state(last[1]) == "COMPLETED", directory)
    assert sorted(state(job) for job in jobs) == [
        "CANCELLED",
        "COMPLETED",
        "COMPLETED",
        "COMPLETED",
        "COMPLETED",
        "FAILED",
    ]
    rows = {row["row"]: row["state"] for row in csv.DictReader((directory / "table.csv").open())}
    assert rows["broken"] == "failed" and rows["dSFT"] == rows["beta 0.1"] == rows["beta 0.5"] == "finished"
    assert (directory / "report.html").is_file()
    # mended, the same command submits what is missing and no more
    (lab / "empty.jsonl").write_text((lab / "chat.jsonl").read_text())
    said = called(lab, "run", *options, "--slurm", "nodes.yaml")
    last = re.search(r"2 of 6 runs submitted; job (\d+) makes the table", said)
    assert last, said
    wait(lambda: state(last[1]) == "COMPLETED", directory)
    assert "6 runs: 6 finished" in called(lab, "status", *options)


def test_a_run_of_more_epochs_waits_for_the_one_that_it_goes_on_from(lab: Path) -> None:
    (lab / "epochs.yaml").write_text(
        "stage: study\ntitle: Epochs\nrecipe: cpt.yaml\ngrid: {num_train_epochs: [2, 1]}\ncolumns: [train_loss]\n"
    )
    options = ["epochs.yaml", "--everywhere", "launch.device=cpu", "--everywhere", "lr_scheduler_type=constant"]
    said = called(lab, "run", *options, "--slurm", "nodes.yaml")
    one, two = re.findall(r"job (\d+): 1 node", said)
    assert f"job {two}: 1 node x 1 process, after job {one}" in said, said
    last = re.search(r"2 of 2 runs submitted; job (\d+) makes the table", said)
    assert last, said
    wait(lambda: state(last[1]) == "COMPLETED", lab / "outputs")
    logs = [each.read_text() for each in (lab / "outputs").rglob("log.txt") if "cpt-" in each.parent.name]
    assert sorted("continues from step" in each for each in logs) == [False, True]
