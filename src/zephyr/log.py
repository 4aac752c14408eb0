"""What a run says: on the terminal, by the process that speaks for all, and in the run directory's `log.txt`."""

import logging
from collections.abc import Iterable
from pathlib import Path

from zephyr.errors import Interrupted, UserError
from zephyr.processes import is_main_process

log = logging.getLogger("zephyr")


def note_end(path: Path, stopped: UserError | Interrupted) -> None:
    """Writes why a run stopped behind what its `log.txt` holds; the terminal is told by the command."""
    if is_main_process() or getattr(stopped, "rank_specific", False):
        with path.open("a", encoding="utf-8") as lines:
            lines.write(f"  stopped: {stopped}\n")


def say_warnings(warnings: Iterable[str], before: list[str]) -> None:
    """Logs what a run's result warns of; what its stage warned of already is not said again."""
    if is_main_process():
        for each in warnings:
            if not any(each in said for said in before):
                log.warning("  warning: %s", each)


class _Warned(logging.Handler):
    """Keeps what was warned of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


def log_to(path: Path) -> list[str]:
    """Sends what stages say to the terminal and to the run's `log.txt`; other ranks speak only to warn.

    Returns the warnings, which grow as the run goes on.
    """
    for handler in log.handlers[:]:
        log.removeHandler(handler)
        handler.close()
    terminal = logging.StreamHandler()
    terminal.setLevel(logging.INFO if is_main_process() else logging.WARNING)
    log.addHandler(terminal)
    if is_main_process():
        log.addHandler(logging.FileHandler(path))
    warned = _Warned()
    log.addHandler(warned)
    log.setLevel(logging.INFO)
    log.propagate = False
    return warned.said
