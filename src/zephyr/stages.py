"""Which module runs a stage: `stage: dpo` in a recipe is `run` in src/zephyr/train/dpo.py.

A stage that has a folder of its own has it in that folder's stage.py: `feedback` in src/zephyr/data/feedback/stage.py.
"""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from zephyr.errors import UserError
from zephyr.processes import prepare_environment

STAGES = {
    "world": "zephyr.mini.stage",
    "cpt": "zephyr.train.cpt",
    "dialogues": "zephyr.data.dialogues.stage",
    "filter": "zephyr.data.filter.stage",
    "sft": "zephyr.train.sft",
    "feedback": "zephyr.data.feedback.stage",
    "binarize": "zephyr.data.binarize.stage",
    "dpo": "zephyr.train.dpo",
    "evaluate": "zephyr.evaluate.stage",
    "report": "zephyr.report.stage",
}
TRAINING = ("cpt", "sft", "dpo")
"""Stages that update weights: they have `data`, `train` and `launch` sections and can run on many processes."""


def stage_runner(stage: str) -> Callable[[Any, Path], dict[str, Any]]:
    """The stage's entry, `run(recipe, run_dir) -> result`; imported only now, since it may bring torch.

    Raises:
        UserError: a package that the stage needs is not installed.
    """
    try:
        if stage in TRAINING:
            prepare_environment()
        return import_module(STAGES[stage]).run
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("zephyr"):
            raise
        raise UserError(
            f"`stage: {stage}` needs the package {error.name}, which is not installed here.\n"
            "  Install it: pip install 'zephyr-recipes[train,data,report]', or `make demo` in a checkout"
        ) from None
