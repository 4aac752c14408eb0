"""What there is of a study's runs: states with their causes, and whose time a run is."""

import fcntl
import json
import os
from pathlib import Path

from tests.made_study import begin, finish, made_up

from zephyr.study.report.outcome import Spent, read_study

BETAS = "rows: {dSFT: {recipe: sft.yaml}}\ngrid: {beta: [0.1, 0.5]}\nevaluate: evaluate.yaml\n"


def skills(row: str, seed: int | None) -> float | None:
    return {"dSFT": 6.0, "beta 0.1": 7.0, "beta 0.5": 6.5}[row]


def without(row: str):
    return lambda name, seed: None if name == row else skills(name, seed)


def test_time_is_a_rows_own_or_shared_and_counts_processes(tiny: Path) -> None:
    study = made_up(tiny, BETAS)
    finish(study, skills)
    found = read_study(study)
    dsft, first, second = found.rows
    # evaluation alone is dSFT's own: sft and cpt serve all rows, two processes for 60 s each
    assert dsft.own == Spent(cpu_s=60)
    assert dsft.shared == Spent(cpu_s=240)
    # dDPO of two processes and its evaluation of one
    assert first.own == second.own == Spent(cpu_s=180)
    total = sum((each.spent for each in found.works), Spent())
    assert total == dsft.shared + dsft.own + first.own + second.own


def test_what_gpus_computed_is_counted_apart(tiny: Path) -> None:
    study = made_up(tiny, BETAS)
    finish(study, skills)
    for work in study.works:
        (work.loaded.run_dir / "provenance.json").write_text(json.dumps({"hardware": {"gpus": ["A100"] * 2}}))
    found = read_study(study)
    assert found.rows[1].own == Spent(gpu_s=180)
    assert found.rows[1].shared == Spent(gpu_s=240)


def test_a_row_names_the_run_that_failed(tiny: Path) -> None:
    study = made_up(tiny, BETAS)
    finish(study, without("beta 0.5"))
    failed = begin(study.rows[2].cells[0].model)
    (failed / "failed.json").write_text(json.dumps({"why": "ValueError: bad rows", "status": 1}))
    row = read_study(study).rows[2]
    assert row.state == "failed"
    assert "ValueError: bad rows" in row.why and failed.name in row.why
    assert row.cells[0].scores == {} and row.cells[0].numbers == {}


def test_a_row_that_runs_says_its_step(tiny: Path) -> None:
    study = made_up(tiny, BETAS)
    finish(study, without("beta 0.5"))
    running = begin(study.rows[2].cells[0].model)
    (running / "metrics.jsonl").write_text('{"step": 3, "loss": 0.6, "time_s": 1.5}\n')
    held = os.open(running, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    try:
        found = read_study(study)
    finally:
        os.close(held)
    assert found.rows[2].state == "running" and "step 3, loss 0.6" in found.rows[2].why
    assert found.rows[2].cells[0].training.metrics[0]["loss"] == 0.6  # its curve is there already
    assert found.rows[2].own == Spent(cpu_s=1.5)


def test_a_run_whose_files_are_broken_is_a_failed_one(tiny: Path) -> None:
    study = made_up(tiny, BETAS)
    finish(study, skills)
    (study.rows[1].cells[0].evaluation.run_dir / "result.json").write_text('{"stage": ')
    found = read_study(study)
    assert found.rows[1].state == "failed" and "not readable as JSON" in found.rows[1].why
    assert found.rows[2].state == "finished"


def test_another_runs_directory_is_not_read(tiny: Path) -> None:
    study = made_up(tiny, BETAS)
    finish(study, skills)
    other = made_up(tiny, BETAS, "grid.beta=[0.1, 0.7]")
    for work in other.works:  # as if the directories held what the first study made
        recipe = work.loaded.run_dir / "recipe.yaml"
        if recipe.is_file():
            recipe.write_text(recipe.read_text().replace(work.loaded.run_id, "0" * 16))
    assert all(each.run is None for each in read_study(other).works)


def test_seeds_say_how_many_are_finished(tiny: Path) -> None:
    study = made_up(tiny, BETAS, "seeds=[1, 2, 3]")
    finish(study, lambda row, seed: None if (row, seed) == ("beta 0.1", 2) else skills(row, seed))
    row = read_study(study).rows[1]
    assert row.state == "waiting"
    assert row.why.startswith("2 of 3 seeds finished; seed 2 waiting: ")


def test_time_before_an_interruption_counts(tiny: Path) -> None:
    study = made_up(tiny, BETAS)
    finish(study, skills)
    trained = study.rows[1].cells[0].model.run_dir / "metrics.jsonl"
    rows = [{"step": step, "loss": 0.5, "time_s": time} for step, time in ((1, 4), (2, 9.5), (3, 1), (4, 2))]
    trained.write_text("".join(json.dumps(row) + "\n" for row in rows))
    # 9.5 s before it was killed after step 2, and the 60 s that its last stretch took; two processes; evaluation 60 s
    assert read_study(study).rows[1].own == Spent(cpu_s=2 * 69.5 + 60)
