"""Which module runs a stage: `stage: dpo` in a recipe is `run` in src/zephyr/train/dpo.py.

A stage that has a folder of its own has it in that folder's stage.py: `feedback` in src/zephyr/data/feedback/stage.py.
"""

import ctypes
import logging
import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from zephyr.errors import UserError

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


def prepare_environment() -> None:
    """What training needs in the environment before DeepSpeed and accelerate are imported.

    Where torch finds no GPU, DeepSpeed would ask for a CUDA toolkit, and accelerate would take a mode that drops
    DeepSpeed altogether: both are told to use the CPU.
    """
    import torch

    # bitsandbytes, where it is installed, asks for kernels of the Hub; without them it computes the same
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # ranks fork data workers; the store is already tokenised
    if torch.accelerator.is_available():
        return
    _keep_freed_memory()
    os.environ.setdefault("DS_ACCELERATOR", "cpu")
    if os.environ.get("ACCELERATE_USE_DEEPSPEED") == "true":
        os.environ.setdefault("ACCELERATE_TORCH_DEVICE", "cpu")


def leave_processes() -> None:
    """Ends the group of processes that trained together, once all of them have come to this point.

    A process that ends within one may abort (its threads still ask for Python when there is none any more), and the
    launcher then kills the others, whatever they are writing.
    """
    torch = sys.modules.get("torch")
    if torch is None or not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return
    from accelerate import PartialState

    state = PartialState()
    state.wait_for_everyone()
    state.destroy_process_group()


def _keep_freed_memory() -> None:
    """Tells glibc to reuse freed blocks instead of handing them back to the kernel.

    On a CPU each step frees and asks again for the same large tensors; the page faults of that are up to a third of
    the CPU time (benchmarks/README.md). Other C libraries are left as they are.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(M_TOP_PAD, 2**26)


M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
"""Numbers of glibc's malloc.h."""
