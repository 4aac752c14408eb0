"""A study, really run: every run once, failures by name, a kill, a stop."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.conftest import write_tiny
from tests.made_study import write_broken

from zephyr.recipe import load
from zephyr.study.state import is_held


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, tiny_tokenizer: Path) -> Path:
    """The tiny recipes, and one whose rows can't be trained on, which only its run finds out."""
    folder = write_tiny(tmp_path_factory.mktemp("lab"), tiny_tokenizer)
    return write_broken(folder)


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "zephyr", *words]


def called(folder: Path, *words: str, status: int = 0) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "120"}
    done = subprocess.run(command(*words), cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == status, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout + done.stderr


def results(folder: Path) -> dict[str, int]:
    """Every finished run of the lab but the study itself, and when it ended."""
    found = {str(file.parent): file.stat().st_mtime_ns for file in (folder / "outputs").rglob("result.json")}
    return {run: when for run, when in found.items() if not run.endswith("/study")}


def test_a_study_from_its_first_run_to_its_table(lab: Path) -> None:
    """One story, since each part of it needs the runs of the one before."""
    # the first failure ends it; what was there stays
    said = called(lab, "run", "study.yaml", "--only", "broken", "--only", "dSFT", status=1)
    assert "data.train: 8 of 8 rows (100.00%) cannot be used" in said and "output.txt" in said, said
    assert "Ways out: mend the data" in said, said
    assert "Once what failed is mended, the same command goes on" in said, said
    assert said.partition("is missing: ")[2].splitlines()[0] == "zephyr run study.yaml --only broken --only dSFT"
    # with --keep-going the rest goes on, and what hangs on the failure is named
    before = results(lab)
    said = called(lab, "run", "study.yaml", "--keep-going", "--jobs", "2", status=1)
    assert "not run" in said and "broken failed" in said, said
    assert "is missing: zephyr run study.yaml --keep-going --jobs 2\n" in said, said
    rows = {row["row"]: row for row in csv.DictReader((lab / f"outputs/{lab.name}/study/table.csv").open())}
    assert rows["broken"]["state"] == "failed" and not rows["broken"]["value"]
    assert rows["on broken"]["state"] == "failed"
    assert rows["dSFT"]["state"] == rows["beta 0.1"]["state"] == rows["beta 0.5"]["state"] == "finished"
    result = json.loads((lab / f"outputs/{lab.name}/study/result.json").read_text())
    assert result["status"] == "failed" and result["numbers"] == {"rows": 5, "runs": 6, "runs_finished": 4}
    after = results(lab)
    assert {run: when for run, when in after.items() if run in before} == before  # none was run again
    # status says the same, in a glance
    said = called(lab, "status", "study.yaml")
    assert "4 finished" in said and "1 failed" in said and "rows (100.00%)" in said, said
    # mended, it goes on with that alone
    (lab / "empty.jsonl").write_text((lab / "chat.jsonl").read_text())
    called(lab, "run", "study.yaml", "--jobs", "2")
    table = results(lab)
    assert {run: when for run, when in table.items() if run in after} == after
    assert "6 runs: 6 finished" in called(lab, "status", "study.yaml")
    assert "6 runs, 6 finished before, 0 to do" in called(lab, "run", "study.yaml")
    # the table can be made again from the directories alone
    page = lab / f"outputs/{lab.name}/study/report.html"
    page.unlink()
    called(lab, "report", f"outputs/{lab.name}/study")
    assert page.is_file()


def test_killed_in_the_middle_of_a_run_it_ends_with_that_run_going_on(lab: Path) -> None:
    words = command("run", "study.yaml", "--outputs", "killed", "--only", "beta 0.1", "--everywhere", "save_steps=1")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(words, cwd=lab, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _wait_for(lambda: any((lab / "killed").rglob("checkpoints/*/trainer_state.json")), process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    said = called(lab, *words[3:])
    assert "3 of 3 runs finished" in said


def test_killed_its_run_stops_with_a_checkpoint_and_trains_on_for_nobody(lab: Path) -> None:
    (lab / "long.yaml").write_text("stage: study\ntitle: Long\nrows: {long: {recipe: cpt.yaml}}\n")
    words = command("run", "long.yaml", "--outputs", "long", "--everywhere", "num_train_epochs=2000")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(words, cwd=lab, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _wait_for(lambda: any(each.stat().st_size for each in (lab / "long").rglob("metrics.jsonl")), process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    run = next((lab / "long").rglob("metrics.jsonl")).parent
    until = time.monotonic() + 60
    while is_held(run):
        assert time.monotonic() < until
        time.sleep(0.1)
    assert not (run / "result.json").exists() and any((run / "checkpoints").glob("checkpoint-*"))


def test_asked_to_stop_it_says_how_to_go_on(lab: Path) -> None:
    words = command("run", "study.yaml", "--outputs", "stopped", "--only", "dSFT")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(words, cwd=lab, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                               text=True)  # fmt: skip
    _wait_for(lambda: any((lab / "stopped").rglob("metrics.jsonl")), process)
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 75 and "The same command goes on" in said, said


def test_with_a_constant_rate_more_epochs_go_on_from_fewer_bit_for_bit(lab: Path) -> None:
    (lab / "epochs.yaml").write_text(
        "stage: study\ntitle: Epochs\nrecipe: dpo.yaml\ngrid: {num_train_epochs: [3, 1]}\n"
        "columns: [eval_loss, train_loss]\n"
    )
    settings = ("lr_scheduler_type=constant", "global_batch_size=5", "micro_batch_size=1", "eval_steps=2")
    steady = [word for each in settings for word in ("--everywhere", each)]
    said = called(lab, "run", "epochs.yaml", "--outputs", "together", *steady, "--jobs", "2")
    assert "4 of 4 runs finished" in said
    called(lab, "run", "dpo.yaml", "num_train_epochs=3", "--with-inputs", "--outputs", "apart", *steady)
    together, apart = (
        next(each for each in sorted((lab / root).rglob("result.json")) if _epochs(each) == 3).parent
        for root in ("together", "apart")
    )
    log = (together / "log.txt").read_text()
    assert "continues from step 7" in log and log.count("step 21/21") == 1
    assert "continues" not in (apart / "log.txt").read_text()
    went_on = json.loads((together / "provenance.json").read_text())["went_on_from"]
    assert went_on["step"] == 7 and Path(went_on["run"]).is_dir()
    weights = [(each / "model/model.safetensors").read_bytes() for each in (together, apart)]
    assert weights[0] == weights[1]


def _epochs(result: Path) -> float | None:
    recipe = load(result.parent).recipe
    return recipe.train.num_train_epochs if recipe.stage == "dpo" else None


def _wait_for(happened: "callable", process: subprocess.Popen) -> None:  # type: ignore[valid-type]
    until = time.monotonic() + 120
    while not happened():
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.05)
