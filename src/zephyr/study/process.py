"""A run of a study as a process of its own, and how it is started, watched and told to stop.

On a GPU it is `zephyr run RUN_DIR`. On a CPU, where runs are short, importing torch and TRL takes as long as some runs
themselves: there one server imports them once and forks a process for each run, which does the same from there on.
"""

import ctypes
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from zephyr.errors import REFUSED
from zephyr.study.slots import Slots
from zephyr.study.state import refusal_of

PR_SET_PDEATHSIG = 1
"""Number of Linux's prctl.h."""


@dataclass(frozen=True, kw_only=True)
class Process:
    """A run that was started."""

    handle: "subprocess.Popen[bytes] | ForkServerProcess"

    def status(self) -> int | None:
        """Its exit status, minus the signal where one killed it; None while it runs."""
        return self.handle.poll() if isinstance(self.handle, subprocess.Popen) else self.handle.exitcode

    def stop(self) -> None:
        """Asks it to stop; a training run writes a checkpoint first."""
        if self.status() is None:
            self.handle.terminate()


def start(directory: Path, output: Path, devices: tuple[str, ...], having: Slots) -> Process:
    """Starts the run whose resolved recipe is in a run directory.

    Args:
        directory: the run directory.
        output: file to which goes all that the run says.
        devices: GPUs it may use.
        having: what the study has to run on.
    """
    refusal_of(directory).unlink(missing_ok=True)
    if having.devices:
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ",".join(devices), REFUSED: str(refusal_of(directory))}
        words = [sys.executable, "-m", "zephyr", "run", str(directory)]
        with output.open("ab") as opened:
            handle = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=opened, stderr=opened, env=environment,
                                      preexec_fn=_end_with_parent)  # fmt: skip
        return Process(handle=handle)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["zephyr.study.imported"])
    process = context.Process(target=_run, args=(str(directory), str(output)), name=directory.name)
    with _threads(having.threads):
        process.start()
    return Process(handle=process)


@contextmanager
def _threads(number: int | None) -> Iterator[None]:
    """Has a server that starts within, which reads it when it imports torch, compute with so many threads."""
    if not number or "OMP_NUM_THREADS" in os.environ:
        yield
        return
    os.environ["OMP_NUM_THREADS"] = str(number)
    try:
        yield
    finally:
        del os.environ["OMP_NUM_THREADS"]


def _run(directory: str, output: str) -> None:
    """What a forked process does: `python -m zephyr run`, its output in a file."""
    _end_with_parent()
    _let_the_server_end()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    nothing, said = os.open(os.devnull, os.O_RDONLY), os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for source, target in ((nothing, 0), (said, 1), (said, 2)):
        os.dup2(source, target)
    sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w", buffering=1), os.fdopen(2, "w", buffering=1)
    os.environ[REFUSED] = str(refusal_of(Path(directory)))
    sys.argv = ["zephyr", "run", directory]
    runpy.run_module("zephyr", run_name="__main__")


def _let_the_server_end() -> None:
    """Closes the pipe by which the server knows that someone needs it: a run must not be what keeps it alive.

    It ends with the study then, even one that is killed, and the runs are told to stop as it ends.
    """
    server: Any = vars(forkserver)["_forkserver"]
    alive = getattr(server, "_forkserver_alive_fd", None)
    if alive is not None:
        os.close(alive)
        server._forkserver_alive_fd = None


def _end_with_parent() -> None:
    """Has a run told to stop (with a checkpoint) when the study is killed: nothing goes on unseen."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
