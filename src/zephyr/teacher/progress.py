"""How far a run is: a bar on a terminal, elsewhere a line now and then."""

import logging
import sys
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from zephyr.teacher.line import Line
from zephyr.teacher.predict import duration
from zephyr.teacher.spending import Spending

log = logging.getLogger("zephyr")

LINE_EVERY_S = 60
"""Where there is no terminal."""
REFRESH_S = 0.5
TELLING = 0.02
"""Share of the rows that must be done before the time left is reckoned: the first may all be done at once, and late."""


class Progress:
    """Shows rows done, calls per second, cost, failures and the time left."""

    def __init__(self, lines: Sequence[Line], spending: Spending, *, label: str, n_rows: int) -> None:
        self._lines, self._spending, self._label, self._n_rows = lines, spending, label, n_rows
        self._n_done = 0
        self._started = time.monotonic()
        self._bar: Any = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._show, name="progress", daemon=True)

    def __enter__(self) -> "Progress":
        if sys.stderr.isatty():
            self._bar = _bar()
            self._bar.start()
            self._task = self._bar.add_task(self._label, total=self._n_rows, said="")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        if self._bar is not None:
            self._bar.update(self._task, completed=self._n_done, said=self.said())
            self._bar.stop()
        log.info("  %s: %s", self._label, self._so_far())

    def advance(self) -> None:
        """A row is done."""
        self._n_done += 1

    def _show(self) -> None:
        while not self._over.wait(REFRESH_S if self._bar is not None else LINE_EVERY_S):
            if self._bar is not None:
                self._bar.update(self._task, completed=self._n_done, said=self.said() + self._left())
            else:
                log.info("  %s: %s%s", self._label, self._so_far(), self._left())

    def _so_far(self) -> str:
        return f"{self._n_done:,} of {self._n_rows:,} rows, {self.said()}"

    def _left(self) -> str:
        if self._n_done <= TELLING * self._n_rows:
            return ""
        seconds = (time.monotonic() - self._started) / self._n_done * (self._n_rows - self._n_done)
        return f", {duration(seconds)} left"

    def said(self) -> str:
        """Calls, rate, cost and failures, in words."""
        seen = [each.seen for each in self._lines]
        n_cached = sum(each.n_cached for each in seen)
        n_failed = sum(sum(each.failed.values()) for each in seen)
        n_unusable = sum(sum(each.unusable.values()) for each in seen)
        sent = sum(each.n_answered for each in self._spending.models.values())
        sent -= sum(each.n_answered for each in self._spending.before.values())
        seconds = max(time.monotonic() - self._started, 1e-6)
        parts = [f"{sent + n_cached:,} calls answered"]
        parts += [f"{sent / seconds:.1f}/s"] if sent else []
        parts += [f"{n_cached:,} from disk"] if n_cached else []
        parts += [f"{n_failed:,} failed"] if n_failed else []
        parts += [f"{n_unusable:,} unusable"] if n_unusable else []
        parts += [f"cost {self._spending.cost:.2f}"] if self._spending.cost else []
        return ", ".join(parts)


def _bar() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bar

    return Bar(
        TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(),
        TextColumn("{task.fields[said]}"), console=Console(stderr=True),
    )  # fmt: skip
