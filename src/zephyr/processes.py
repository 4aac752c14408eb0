"""The processes of a run: which of them writes, what they need before training, and how they end."""

import atexit
import ctypes
import logging
import os
import sys
from typing import NoReturn


def is_main_process() -> bool:
    """Whether this process writes: rank 0 of a launch, or the only one."""
    return os.environ.get("RANK", "0") == "0"


def world_size() -> int | None:
    """Processes that a launcher started, None when none did."""
    found = os.environ.get("WORLD_SIZE")
    return int(found) if found else None


def prepare_environment() -> None:
    """What training needs in the environment before DeepSpeed and accelerate are imported.

    Where torch finds no GPU, DeepSpeed would ask for a CUDA toolkit, and accelerate would take a mode that drops
    DeepSpeed altogether: both are told to use the CPU.
    """
    import torch

    # bitsandbytes, where it is installed, asks for kernels of the Hub; without them it computes the same
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
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


def end(status: int) -> NoReturn:
    """Ends the process; one of several that a launcher started without taking its libraries apart.

    What they registered for the end is run, and all is written. But threads of DeepSpeed's and PyTorch's libraries may
    still be there, and then a rank that is done with everything aborts now and then while C++ takes itself apart.
    """
    if (world_size() or 1) == 1:
        sys.exit(status)
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


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
