"""Trackers: refused before anything loads if missing, pointed at the run directory, read back for real."""

import json
from pathlib import Path

import pytest
import torch
from transformers import Trainer, TrainingArguments

from zephyr.recipe import load
from zephyr.run import execute
from zephyr.train import trackers
from zephyr.train.trackers import missing_trackers, point_trackers, tracker_arguments

VARIABLES = (
    "TENSORBOARD_LOGGING_DIR", "WANDB_PROJECT", "WANDB_DIR", "WANDB_MODE", "MLFLOW_EXPERIMENT_NAME", "HF_HUB_OFFLINE",
)  # fmt: skip


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch):
    for variable in VARIABLES:
        monkeypatch.setenv(variable, "")  # so that it is put back at the end
        monkeypatch.delenv(variable)
    monkeypatch.setattr(trackers, "_ours", {})


def test_a_missing_tracker_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(trackers, "find_spec", lambda name: None if name == "wandb" else name)
    assert missing_trackers(["tensorboard", "wandb"]) == [
        "`train.report_to` names wandb, which is not installed: pip install wandb, or train.report_to=[]"
    ]
    assert missing_trackers(["tensorboard"]) == missing_trackers([]) == []


def test_what_the_environment_says_is_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", "/logs")
    point_trackers(["wandb", "tensorboard"], tmp_path)
    found = {variable: trackers.os.environ.get(variable) for variable in VARIABLES}
    assert (found["WANDB_PROJECT"], found["WANDB_MODE"], found["TENSORBOARD_LOGGING_DIR"]) == (
        "mine",
        "online",
        "/logs",
    )
    assert found["WANDB_DIR"] == str(tmp_path) and found["MLFLOW_EXPERIMENT_NAME"] is None


def test_without_a_network_wandb_stays_on_this_machine(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    point_trackers(["wandb"], tmp_path)
    assert trackers.os.environ["WANDB_MODE"] == "offline"


def test_nothing_is_set_where_no_tracker_is_asked_for(tmp_path):
    point_trackers([], tmp_path)
    assert not any(variable in trackers.os.environ for variable in VARIABLES)
    assert tracker_arguments([], tmp_path, "a", {}) == {}
    assert set(tracker_arguments(["trackio"], tmp_path, "a", {"project": "mine"})) == {"run_name"}


def test_two_runs_in_one_process_write_apart(tmp_path):
    for name in ("first", "second"):
        point_trackers(["tensorboard"], tmp_path / name)
        assert trackers.os.environ["TENSORBOARD_LOGGING_DIR"] == str(tmp_path / name / "tensorboard")


class Line(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x, y):
        return {"loss": ((self.weight * x - y) ** 2).mean()}


def test_tensorboard_gets_the_losses(tmp_path: Path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run_dir = tmp_path / "line" / "sft"
    point_trackers(["tensorboard"], run_dir)
    arguments = TrainingArguments(
        output_dir=str(run_dir / "checkpoints"), report_to=["tensorboard"], max_steps=3, logging_steps=1, use_cpu=True,
        learning_rate=0.1, save_strategy="no", disable_tqdm=True, per_device_train_batch_size=2,
        **tracker_arguments(["tensorboard"], run_dir, None, {}),
    )  # fmt: skip
    assert arguments.run_name == "line/sft"
    rows = [{"x": torch.tensor([float(n)]), "y": torch.tensor([2.0 * n])} for n in range(1, 7)]
    trainer = Trainer(model=Line(), args=arguments, train_dataset=rows)
    trainer.train()
    logged = {row["step"]: row["loss"] for row in trainer.state.log_history if "loss" in row}
    events = EventAccumulator(str(run_dir / "tensorboard"))
    events.Reload()
    read = {event.step: event.value for event in events.Scalars("train/loss")}
    assert sorted(read) == sorted(logged) == [1, 2, 3]
    assert all(read[step] == pytest.approx(logged[step]) for step in read)
    assert not (run_dir / "checkpoints" / "runs").exists()


def test_a_run_tells_tensorboard_what_it_writes_into_metrics(tiny: Path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    loaded = load(tiny / "cpt.yaml", ["num_train_epochs=1", "report_to=[tensorboard]"], outputs=tiny / "outputs")
    execute(loaded)
    rows = [json.loads(line) for line in (loaded.run_dir / "metrics.jsonl").read_text().splitlines()]
    losses = {row["step"]: row["loss"] for row in rows if "loss" in row}
    events = EventAccumulator(str(loaded.run_dir / "tensorboard"))
    events.Reload()
    assert {event.step: pytest.approx(event.value) for event in events.Scalars("train/loss")} == losses
    assert events.Scalars("eval/loss")
