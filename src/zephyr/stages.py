"""Which module runs a stage: `stage: dpo` in a recipe is `run` in src/zephyr/train/dpo.py."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from zephyr.train.device import prepare_environment

STAGES = {
    "world": "zephyr.mini.stage",
    "cpt": "zephyr.train.cpt",
    "sft": "zephyr.train.sft",
    "dpo": "zephyr.train.dpo",
    "evaluate": "zephyr.evaluate.evaluate",
    "report": "zephyr.report.stage",
}
TRAINING = ("cpt", "sft", "dpo")
"""Stages that update weights: they have `data`, `train` and `launch` sections and can run on many processes."""


def stage_runner(stage: str) -> Callable[[Any, Path], dict[str, Any]]:
    """The stage's entry, `run(recipe, run_dir) -> result`; imported only now, since it may bring torch."""
    if stage in TRAINING:
        prepare_environment()
    return import_module(STAGES[stage]).run
