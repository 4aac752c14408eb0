"""Training on a real Slurm, two nodes on this machine, stopped in every way a cluster stops jobs: `make test-slurm`."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file
from tests.conftest import write_tiny

pytestmark = pytest.mark.skipif("ZEPHYR_SLURM" not in os.environ, reason="needs the Slurm of `make test-slurm`")
ZEPHYR = str(Path(sys.executable).with_name("zephyr"))
WAIT_S = 180
STEPS = 30
"""Optimizer steps between two stops."""
TRAINING = ["num_train_epochs=300", "launch.processes=2", "launch.strategy=zero3", "launch.device=cpu"]
CLUSTER = "partition: debug\ngpus: none\nenvironment: {OMP_NUM_THREADS: '1'}\n"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, tiny_tokenizer: Path) -> Path:
    """The tiny recipes, two clusters' files, and the run that nothing stops: two processes, no Slurm."""
    folder = write_tiny(tmp_path_factory.mktemp("lab"), tiny_tokenizer)
    (folder / "nodes.yaml").write_text(f"time_limit: 0:20:00\n{CLUSTER}")
    (folder / "short.yaml").write_text(f"time_limit: 0:02:00\nwarning_s: 60\n{CLUSTER}")
    called(folder, "run", "cpt.yaml", *TRAINING, "--outputs", "alone")
    return folder


def called(folder: Path, *words: str, expected: int = 0) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([ZEPHYR, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == expected, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout + done.stderr


def submitted(lab: Path, outputs: str, cluster: str = "nodes.yaml") -> str:
    """Submits the run, and says its job."""
    said = called(lab, "run", "cpt.yaml", *TRAINING, "launch.machines=2", "--outputs", outputs, "--slurm", cluster)
    job = re.search(r"job (\d+): 2 nodes x 1 process", said)
    assert job, said
    return job[1]


def slurm(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def state(job: str) -> str:
    found = re.search(r"JobState=(\w+)", slurm("scontrol", "show", "job", job))
    assert found
    return found[1]


def restarts(job: str) -> int:
    found = re.search(r"Restarts=(\d+)", slurm("scontrol", "show", "job", job))
    assert found
    return int(found[1])


def wait(until: Callable[[], bool], run: Path) -> None:
    end = time.monotonic() + WAIT_S
    while not until():
        log = "".join(each.read_text() for each in run.glob("slurm-*.out"))
        assert time.monotonic() < end, log[-6000:]
        time.sleep(0.2)


def steps(run: Path) -> int:
    return len(losses(run)) if (run / "metrics.jsonl").is_file() else 0


def losses(run: Path) -> dict[int, float]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines() if line.endswith("}")]
    return {row["step"]: row["loss"] for row in rows if "loss" in row}


def further(run: Path) -> None:
    """Waits until it has trained some more."""
    before = steps(run)
    wait(lambda: steps(run) >= before + STEPS, run)


def require_equal(run: Path, alone: Path) -> None:
    wait(lambda: (run / "result.json").is_file(), run)
    assert losses(run) == losses(alone)
    weights = [load_file(each / "model" / "model.safetensors") for each in (run, alone)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[1])


def kill_a_rank(job: str) -> None:
    for process in psutil.process_iter(["environ"]):
        environment = process.info["environ"] or {}
        if environment.get("SLURM_JOB_ID") == job and environment.get("RANK") == "1":
            process.kill()


def run_of(lab: Path, outputs: str) -> Path:
    return lab / outputs / lab.name / "cpt"


def test_two_nodes_train_as_two_processes_do(lab: Path):
    run = run_of(lab, "whole")
    job = submitted(lab, "whole")
    again = ["run", "cpt.yaml", *TRAINING, "launch.machines=2", "--outputs", "whole", "--slurm", "nodes.yaml"]
    assert f"is job {job} already" in called(lab, *again, expected=1)
    require_equal(run, run_of(lab, "alone"))
    wait(lambda: state(job) == "COMPLETED", run)
    assert restarts(job) == 0
    assert "finished before, nothing to submit" in called(lab, *again)


def test_however_it_is_stopped_it_ends_the_same(lab: Path):
    run = run_of(lab, "stopped")
    job = submitted(lab, "stopped")
    further(run)
    slurm("scancel", "--signal=USR1", job)  # what Slurm sends before the time limit
    wait(lambda: restarts(job) == 1, run)
    further(run)
    slurm("sbatch", "--partition=urgent", "--nodes=2", "--exclusive", "--output=/dev/null", "--wrap=sleep 2")
    wait(lambda: restarts(job) == 2, run)
    further(run)
    slurm("scontrol", "requeue", job)
    wait(lambda: restarts(job) == 3, run)
    further(run)
    slurm("scancel", job)
    wait(lambda: state(job) == "CANCELLED" and job not in slurm("squeue", "--noheader", "--format=%i"), run)
    log = (run / f"slurm-{job}.out").read_text()
    assert log.count("with a checkpoint; the same command continues") == 4
    assert log.count("stopped, and queued again") == 2  # Slurm itself did so once, and a cancelled job stays cancelled
    second = submitted(lab, "stopped")
    further(run)
    kill_a_rank(second)  # no time for a checkpoint
    wait(lambda: state(second) == "FAILED", run)
    submitted(lab, "stopped")
    require_equal(run, run_of(lab, "alone"))


def test_the_time_limit_ends_in_a_checkpoint_and_a_requeue(lab: Path):
    run = run_of(lab, "limit")
    job = submitted(lab, "limit", "short.yaml")
    wait(lambda: restarts(job) == 1, run)
    slurm("scontrol", "update", f"JobId={job}", "TimeLimit=20")  # else it goes on like this, which takes a while
    log = (run / f"slurm-{job}.out").read_text()
    assert log.count("with a checkpoint; the same command continues") == log.count("stopped, and queued again") == 1
    require_equal(run, run_of(lab, "alone"))


def test_told_to_stop_before_it_has_begun_it_is_queued_again(lab: Path):
    run = run_of(lab, "early")
    job = submitted(lab, "early")
    wait(lambda: (run / f"slurm-{job}.out").is_file() and state(job) == "RUNNING", run)
    time.sleep(2)  # Python is importing torch
    slurm("scancel", "--signal=TERM", job)
    wait(lambda: restarts(job) == 1, run)
    require_equal(run, run_of(lab, "alone"))


def test_inputs_are_submitted_first(lab: Path):
    options = ["launch.processes=1", "launch.device=cpu", "num_train_epochs=1"]
    everywhere = [word for each in options for word in ("--everywhere", each)]
    said = called(lab, "run", "dpo.yaml", *everywhere, "--outputs", "chain", "--with-inputs", "--slurm", "nodes.yaml")
    jobs = re.findall(r"job (\d+): 1 node", said)
    assert f"after job {jobs[0]}" in said and f"after job {jobs[1]}" in said
    run = lab / "chain" / lab.name / "dpo"
    wait(lambda: (run / "result.json").is_file(), run)
    wait(lambda: [state(job) for job in jobs] == ["COMPLETED"] * 3, run)


def test_a_failed_run_is_not_queued_again_and_takes_what_needs_it_along(lab: Path):
    (lab / "chat.jsonl").rename(lab / "chat.away")
    try:
        words = ["run", "dpo.yaml", "--outputs", "failing", "--everywhere", "launch.device=cpu", "--with-inputs"]
        jobs = re.findall(r"job (\d+): 1 node", called(lab, *words, "--slurm", "nodes.yaml"))
        wait(lambda: state(jobs[-1]) == "CANCELLED", lab / "failing" / lab.name / "sft")
        assert [state(job) for job in jobs] == ["COMPLETED", "FAILED", "CANCELLED"]
        assert restarts(jobs[1]) == 0
    finally:
        (lab / "chat.away").rename(lab / "chat.jsonl")
