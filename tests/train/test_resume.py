"""Killed at any moment, the same command gives the same weights, bit for bit."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from zephyr.errors import UserError
from zephyr.recipe import load
from zephyr.run import INTERRUPTED, execute
from zephyr.train.checkpoints import newest

KILLED = """
import os, signal, sys
import torch
from zephyr.cli import main
from zephyr.train.progress import Progress

when, step, recipe = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
begin, save = Progress.on_step_begin, torch.save

def begin_or_die(self, args, state, control, **rest):
    if state.global_step == step and when in ("step", "asked"):
        os.kill(os.getpid(), signal.SIGKILL if when == "step" else signal.SIGTERM)
    begin(self, args, state, control, **rest)

def save_and_die(what, where, *rest, **named):
    save(what, where, *rest, **named)
    if when == "write" and f"checkpoint-{step}" in str(where) and "optimizer" in str(where):
        os.kill(os.getpid(), signal.SIGKILL)  # weights and optimizer are there, scheduler and random states are not

Progress.on_step_begin, torch.save = begin_or_die, save_and_die
sys.exit(main(["run", *recipe]))
"""
"""Runs a recipe and kills itself: at the begin of a step, in the middle of writing a checkpoint, or politely."""


@pytest.fixture
def recipe(tiny: Path) -> Path:
    """Two and a half epochs with dropout, so that data position and random states matter; the last step is smaller."""
    text = (tiny / "cpt.yaml").read_text()
    text = text.replace("max_position_embeddings: 128", "max_position_embeddings: 128, attention_dropout: 0.2")
    text = text.replace("num_train_epochs: 6", "num_train_epochs: 2.5, save_steps: 4, save_total_limit: 2")
    text = text.replace("max_length: 32", "max_length: 9")
    (tiny / "cpt.yaml").write_text(text)
    return tiny / "cpt.yaml"


def run(recipe: Path, name: str) -> tuple[dict, Path]:
    loaded = load(recipe, [f"output_dir={recipe.parent / name}"])
    return execute(loaded), loaded.run_dir


def killed(recipe: Path, name: str, when: str, step: int) -> int:
    words = [when, str(step), str(recipe), f"output_dir={recipe.parent / name}"]
    return subprocess.run([sys.executable, "-c", KILLED, *words], capture_output=True, timeout=300).returncode


def rows(run_dir: Path) -> list[dict]:
    kept = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    timed = ("time_s", "tokens_per_second", "eval_runtime", "eval_samples_per_second", "eval_steps_per_second")
    return [{key: row[key] for key in row if key not in timed and not key.startswith("time/")} for row in kept]


@pytest.mark.parametrize(
    ("when", "step", "status", "left"),
    [("step", 14, -signal.SIGKILL, 12), ("write", 12, -signal.SIGKILL, 8), ("asked", 13, INTERRUPTED, 14)],
)
def test_the_same_command_gives_the_same_weights(recipe: Path, when: str, step: int, status: int, left: int):
    whole, alone = run(recipe, "alone")
    assert killed(recipe, "broken", when, step) == status
    checkpoint = newest(recipe.parent / "broken" / "checkpoints")
    assert checkpoint is not None and checkpoint.name == f"checkpoint-{left}"
    result, broken = run(recipe, "broken")
    assert (alone / "model/model.safetensors").read_bytes() == (broken / "model/model.safetensors").read_bytes()
    timed = {"training_s", "tokens_per_second", "time/data", "time/evaluation", "time/saving"}
    assert {key: value for key, value in result["numbers"].items() if key not in timed} == {
        key: value for key, value in whole["numbers"].items() if key not in timed
    }
    assert rows(broken) == rows(alone)
    steps = whole["batch"]["steps"]
    kept = sorted(each.name for each in (broken / "checkpoints").iterdir())
    assert kept == sorted(f"checkpoint-{each}" for each in range(4, steps + 1, 4)[-2:])


def test_other_data_are_refused_and_nothing_is_lost(recipe: Path):
    killed(recipe, "broken", "step", 9)
    text = recipe.parent / "text.jsonl"
    text.write_text(text.read_text().replace(" is ", " does "))
    with pytest.raises(UserError, match=r"(?s)checkpoint-8 can't be continued.*the data.*Ways out"):
        run(recipe, "broken")
    assert newest(recipe.parent / "broken" / "checkpoints") is not None
