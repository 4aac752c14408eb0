"""What a study says while it runs: a line for each run that ends, and one that shows what is going on."""

import contextlib
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.status import Status

from zephyr.recipe.problems import shown
from zephyr.run import run_name
from zephyr.study.expand import Study, Work
from zephyr.study.state import at_step, refusal_text

TICK_S = 0.5


class Watch:
    """The terminal of a study."""

    def __init__(
        self, study: Study, works: Sequence[Work], finished: set[Path], console: Console, command: str
    ) -> None:
        self.study, self.console, self.command = study, console, command
        self.n_works, self.n_done = len(works), len(finished)
        self.labels = labels(works)
        self.width = max(map(len, self.labels.values()), default=0)
        self.began, self.ticked = time.monotonic(), 0.0
        self.status: Status | None = None

    def begin(self) -> None:
        """Says what there is to do."""
        todo = self.n_works - self.n_done
        done = f", {self.n_done} finished before" if self.n_done else ""
        self.console.print(
            f"[bold]{escape(self.study.recipe.title)}[/]  {len(self.study.rows)} rows, {self.n_works} runs{done}, "
            f"{todo} to do",
            highlight=False,
        )

    @contextlib.contextmanager
    def live(self) -> Iterator[None]:
        """While it lasts, a terminal's last line shows what is running."""
        if not self.console.is_terminal:
            yield
            return
        with self.console.status("") as self.status:
            yield
        self.status = None

    def tick(self, going: Sequence[Work]) -> None:
        """Refreshes the line."""
        if self.status is None or time.monotonic() - self.ticked < TICK_S:
            return
        self.ticked = time.monotonic()
        parts = [f"{self.labels[each.loaded.run_dir]} {at_step(each.loaded.run_dir)}".rstrip() for each in going]
        self.status.update(escape("   ".join(parts)))

    def started(self, work: Work, *, elsewhere: bool) -> None:
        """A run begins; `elsewhere`: another command has begun it."""
        if elsewhere:
            self._line(work, "", "waiting for another command, which is running it")
        elif self.status is None:
            self._line(work, "", "started")

    def finished(self, work: Work, seconds: float) -> None:
        """A run has its result."""
        self.n_done += 1
        self._line(work, f"{seconds:.0f} s", "", ended=True)

    def failed(self, work: Work, seconds: float, why: str) -> None:
        """A run ended without."""
        self._line(work, f"{seconds:.0f} s", "[red]failed[/]")
        for line in (refusal_text(work.loaded.run_dir) or why).splitlines():
            self.console.print(f"         {escape(line)}", highlight=False, soft_wrap=True)
        self.console.print(f"         all it said: {shown(work.loaded.run_dir / 'output.txt')}", highlight=False,
                           soft_wrap=True)  # fmt: skip

    def not_run(self, work: Work, cause: Path) -> None:
        """A run can't be, since one that it needs failed."""
        self._line(work, "", f"[yellow]not run[/]: {escape(self.labels.get(cause, str(shown(cause))))} failed")

    def stopped(self, work: Work) -> None:
        """A run was asked to stop, and did."""
        self._line(work, "", "stopped; it goes on from there")

    def end(self, status: int) -> None:
        """Says how it ended."""
        took = time.monotonic() - self.began
        self.console.print(f"{self.n_done} of {self.n_works} runs finished, {took:.0f} s", highlight=False)
        if status:
            mended = "Once what failed is mended, the" if status == 1 else "The"
            text = f"{mended} same command goes on with what is missing: {self.command}"
            self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _line(self, work: Work, time_taken: str, what: str, *, ended: bool = False) -> None:
        """`3/21  mini/dpo, beta 0.1   24 s`: the first number is how many are finished."""
        label, digits = self.labels[work.loaded.run_dir], len(str(self.n_works))
        place = f"{self.n_done:>{digits}}/{self.n_works}" if ended else " " * (2 * digits + 1)
        line = f"  {place}  {escape(label):<{self.width}} {time_taken:>6}  {what}".rstrip()
        self.console.print(line, highlight=False, soft_wrap=True)


def labels(works: Sequence[Work]) -> dict[Path, str]:
    """What each run is called: its recipe, and where a study has several of that, the rows and the seed it is for."""
    names = {each.loaded.run_dir: run_name(each.loaded) for each in works}
    several = Counter(names.values())
    return {
        each.loaded.run_dir: name + (f", {_whose(each)}" if several[name] > 1 else "")
        for each, name in zip(works, names.values(), strict=True)
    }


def _whose(work: Work) -> str:
    rows = list(dict.fromkeys(row for row, _ in work.wanted_by))
    seeds = {seed for _, seed in work.wanted_by} - {None}
    seed = f", seed {seeds.pop()}" if len(seeds) == 1 else ""
    return (rows[0] if len(rows) == 1 else f"{rows[0]} and {len(rows) - 1} more") + seed
