"""Trackers that get a run's metrics too: TensorBoard, Weights & Biases, MLflow, Trackio. None unless the recipe asks.

TRL hands the numbers over; here is what must be known before anything loads, and where they go. What the environment
says already is left alone, so `WANDB_MODE=offline`, a project or a tracking server of one's own are kept.
"""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

PROJECT = "zephyr-recipes"
"""Project or experiment that runs are filed under, where the environment names none."""
TRUE = ("1", "true", "yes", "on")
_ours: dict[str, str] = {}
"""What an earlier run of this process put into the environment, so that the next may replace it."""


def missing_trackers(names: list[str]) -> list[str]:
    """One sentence for each tracker that can't be used here, with what mends it; empty if all can."""
    return [
        f"`train.report_to` names {name}, which is not installed: pip install {name}, or train.report_to=[]"
        for name in names
        if find_spec(name) is None
    ]


def point_trackers(names: list[str], run_dir: Path) -> None:
    """Tells the trackers where to write, by the environment they read; before the trainer is made.

    TensorBoard writes into `RUN_DIR/tensorboard`, W&B keeps its files in `RUN_DIR/wandb`; MLflow and Trackio have
    stores of their own for all runs. Without a network (`HF_HUB_OFFLINE`) W&B stays on this machine; `wandb sync`
    uploads it later.
    """
    wanted: dict[str, str] = {}
    if "tensorboard" in names:
        wanted["TENSORBOARD_LOGGING_DIR"] = str(run_dir / "tensorboard")
    if "wandb" in names:
        wanted |= {"WANDB_PROJECT": PROJECT, "WANDB_DIR": str(run_dir)}
        if os.environ.get("HF_HUB_OFFLINE", "").lower() in TRUE:
            wanted["WANDB_MODE"] = "offline"
    if "mlflow" in names:
        wanted["MLFLOW_EXPERIMENT_NAME"] = PROJECT
    for variable, value in wanted.items():
        if os.environ.get(variable) in (None, _ours.get(variable)):
            os.environ[variable] = _ours[variable] = value


def tracker_arguments(names: list[str], run_dir: Path, name: str | None, given: dict[str, Any]) -> dict[str, Any]:
    """Arguments for transformers' TrainingArguments: the run's name, and Trackio's project, which has no variable.

    Args:
        names: the recipe's `train.report_to`.
        run_dir: names the run where the recipe doesn't.
        name: the recipe's `name`.
        given: the recipe's `trl`; what it says itself is left to it.
    """
    if not names:
        return {}
    wanted = {"run_name": name or f"{run_dir.parent.name}/{run_dir.name}", "project": PROJECT}
    return {key: value for key, value in wanted.items() if key not in given}
