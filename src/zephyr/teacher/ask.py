"""Asks the models of a run: `Teacher.ask` for one call, `run_rows` for many rows at once.

A call whose answer is on disk costs nothing; any other is sent, and its answer is on disk before anyone sees it.
"""

import asyncio
import logging
import os
import queue
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, Mapping
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from zephyr.errors import UserError
from zephyr.recipe.teacher import Budget, LanguageModel
from zephyr.teacher.cache import Cache
from zephyr.teacher.call import Answer, Call, Failure, request_key
from zephyr.teacher.endpoint import Endpoint, key_of
from zephyr.teacher.identity import identity
from zephyr.teacher.line import Line, Sender, Stop
from zephyr.teacher.predict import OFFLINE as OFFLINE
from zephyr.teacher.progress import Progress
from zephyr.teacher.reply import read
from zephyr.teacher.spending import Spending

log = logging.getLogger("zephyr")

Row = TypeVar("Row")
Result = TypeVar("Result")

LET_FINISH_S = 30
"""A run that is stopped waits so long for what is in flight."""
LOOK_EVERY_S = 0.2
"""Whether the run is to stop."""
MOST_AHEAD = 10_000
"""Rows that may be done and wait for an earlier one."""


class Teacher:
    """The models of one run, open: their clients, the cache, the account. Used in one event loop."""

    def __init__(self, lines: list[Line], cache: Cache, spending: Spending, *, stop: Stop, offline: bool) -> None:
        self.lines, self.spending, self.stop = lines, spending, stop
        self._cache, self._offline = cache, offline
        self._by_id = {id(each.model): each for each in lines}
        self._in_flight: dict[str, asyncio.Future[Answer | Failure]] = {}

    async def ask(self, model: LanguageModel, call: Call) -> Answer | Failure:
        """The model's answer to a call, from disk or sent; a call that fails is a Failure, never an exception.

        Equal calls at the same time are one request. `model` must be one of those that were opened.
        """
        line = self._line(model)
        key = request_key(line.identity, call)
        line.seen.n_calls += 1
        found = await self._find(line, key, call)
        if isinstance(found, Failure):
            line.seen.failed[found.reason] = line.seen.failed.get(found.reason, 0) + 1
        return found

    def note_unusable(self, model: LanguageModel, fault: str) -> None:
        """Notes that an answer could not be used: it is counted, since it was paid and comes to nothing."""
        unusable = self._line(model).seen.unusable
        unusable[fault] = unusable.get(fault, 0) + 1

    def said_of_unusable(self) -> str:
        """A line for each model of which answers could not be used, for the error that ends a run; or nothing."""
        said = ""
        for each in self.lines:
            found = Counter(each.seen.unusable) + Counter({
                reason: n for reason, n in each.seen.failed.items() if reason in ("cut", "empty")
            })  # fmt: skip
            faults = ", ".join(f"{n:,} {fault}" for fault, n in found.most_common(3))
            said += f"\n  {found.total():,} texts of {each.name} were unusable: {faults}" if found else ""
        return said

    async def _find(self, line: Line, key: str, call: Call) -> Answer | Failure:
        response = self._cache.get(key)
        if response is not None:
            line.seen.n_cached += 1
            return read(response, cached=True, n_attempts=0, may_be_cut=call.may_be_cut)
        if self._offline:
            detail = "its answer is not on disk, and the run is offline"
            return Failure(reason="not_cached", detail=detail, n_attempts=0)
        if key in self._in_flight:
            return await asyncio.shield(self._in_flight[key])
        asked = asyncio.ensure_future(line.ask(key, call))
        self._in_flight[key] = asked
        asked.add_done_callback(lambda _: self._in_flight.pop(key))
        return await asked

    def seen(self) -> dict[str, dict[str, Any]]:
        """By model: calls, how many of them were on disk, and how many failed, by reason."""
        return {
            each.name: {"calls": each.seen.n_calls, "from_disk": each.seen.n_cached, "failed": each.seen.failed}
            for each in self.lines
        }

    def _line(self, model: LanguageModel) -> Line:
        found = self._by_id.get(id(model)) or next((each for each in self.lines if each.model == model), None)
        if found is None:
            raise KeyError(f"{model.model} is not among the models that were opened")
        return found


def open_teacher(
    models: Mapping[str, LanguageModel], *, budget: Budget, folder: Path, offline: bool, stack: ExitStack
) -> Teacher:
    """Opens the models of a run; what has to be closed is put on the stack.

    Raises:
        UserError: a key is missing, or a model is not where the recipe says.
    """
    # what can be wrong is found before anything is opened
    keys = {name: None if offline else key_of(model) for name, model in models.items()}
    identities = {name: identity(model, offline=offline) for name, model in models.items()}
    cache, spending, stop = Cache(), Spending(folder, budget), Stop()
    stack.callback(cache.close)
    stack.callback(spending.close)
    worlds: dict[str, str] = {}
    lines = []
    for name, model in models.items():
        sender = _sender(model, keys[name], worlds, stack, offline=offline)
        lines.append(Line(name, model, identities[name], sender, cache=cache, spending=spending, stop=stop))
    return Teacher(lines, cache, spending, stop=stop, offline=offline)


def _sender(
    model: LanguageModel, key: str | None, worlds: dict[str, str], stack: ExitStack, *, offline: bool
) -> Sender:
    if model.base_url is not None:
        return Endpoint(model, model.base_url, key)
    if model.world is not None:
        if model.world not in worlds and not offline:
            from zephyr.mini.server import served

            worlds[model.world] = stack.enter_context(served(Path(model.world)))
        return Endpoint(model, worlds.get(model.world, "http://localhost"), None)
    from zephyr.teacher.local import Local

    return Local(model)


def run_rows(
    rows: Iterable[Row],
    work: Callable[[Teacher, Row], Awaitable[Result]],
    *,
    models: Mapping[str, LanguageModel],
    budget: Budget,
    folder: Path,
    n_rows: int,
    offline: bool = False,
    label: str,
) -> Generator[tuple[int, Result]]:
    """Works many rows at once and gives back (number of the row, result) in the order of the rows.

    Args:
        rows: read as they are needed.
        work: what is done with a row; all its calls go through the teacher. An exception in it is a bug, and is raised.
        models: the models that are asked, by the name under which they are reported (`teacher`, `pool.small`).
        budget: never exceeded, not even by a run that was killed and goes on.
        folder: the run directory; the account is kept there.
        n_rows: how many rows there are, for the progress bar.
        offline: nothing is sent, answers are read back from disk. The environment variable ZEPHYR_OFFLINE means it too.
        label: what is being done, for the progress bar.

    Raises:
        UserError: the budget is used up, or a model answers nothing any more. What was answered is on disk.
    """
    offline = offline or bool(os.environ.get(OFFLINE))
    with ExitStack() as stack:
        teacher = open_teacher(models, budget=budget, folder=folder, offline=offline, stack=stack)
        stack.callback(lambda: teacher.spending.note(["asked", label, teacher.seen()]))
        progress = stack.enter_context(Progress(teacher.lines, teacher.spending, label=label, n_rows=n_rows))
        done: queue.SimpleQueue[tuple[int, Result] | BaseException | None] = queue.SimpleQueue()
        worker = _Worker(teacher, rows, work, done)
        thread = threading.Thread(target=worker.run, name="teacher", daemon=True)
        thread.start()
        stack.callback(worker.end, thread)
        while (found := done.get()) is not None:
            if isinstance(found, UserError):
                raise UserError(f"{found}{teacher.said_of_unusable()}")
            if isinstance(found, BaseException):
                raise found
            progress.advance()
            yield found
            worker.taken()


class _Worker:
    """The event loop in which the rows are worked, in a thread of its own: it goes on while results are used."""

    def __init__(
        self,
        teacher: Teacher,
        rows: Iterable[Any],
        work: Callable[[Teacher, Any], Awaitable[Any]],
        done: "queue.SimpleQueue[Any]",
    ) -> None:
        self._teacher, self._rows, self._work, self._done = teacher, rows, work, done
        # enough that each model has calls waiting whenever one of its slots falls free
        self._alive = 2 * sum(each.model.max_concurrency for each in teacher.lines) + 16
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ahead: asyncio.Semaphore | None = None
        self._main: asyncio.Task[None] | None = None

    def run(self) -> None:
        """Body of the thread."""
        try:
            asyncio.run(self._all())
        except asyncio.CancelledError:
            self._done.put(None)
        except BaseExceptionGroup as group:
            self._done.put(group.exceptions[0])
        except BaseException as error:
            self._done.put(error)
        else:
            self._done.put(self._teacher.stop.error)

    def taken(self) -> None:
        """A result was used: another row may start."""
        assert self._loop is not None and self._ahead is not None
        with suppress(RuntimeError):  # the last rows are done, and the loop is closed
            self._loop.call_soon_threadsafe(self._ahead.release)

    def end(self, thread: threading.Thread) -> None:
        """Ends the thread: nothing new is sent, and what is in flight is paid, so its answers are still taken in."""
        self._teacher.stop.because(UserError("stopped"))
        try:
            if thread.is_alive() and (n := self._n_in_flight()):
                log.info("  %d calls are in flight: their answers are still taken in (Ctrl-C: not waited for)", n)
            thread.join(LET_FINISH_S)
        finally:
            if thread.is_alive() and self._loop is not None and self._main is not None:
                with suppress(RuntimeError):  # it ended by itself just now
                    self._loop.call_soon_threadsafe(self._main.cancel)
            thread.join()

    def _n_in_flight(self) -> int:
        return sum(each.seen.n_in_flight for each in self._teacher.lines)

    async def _all(self) -> None:
        """Works the rows; once the run is to stop, only until nothing is in flight any more."""
        self._loop, self._main = asyncio.get_running_loop(), asyncio.current_task()
        self._ahead = asyncio.Semaphore(max(MOST_AHEAD, 2 * self._alive))
        async with _closing(self._teacher.lines):
            rows = asyncio.ensure_future(self._work_rows(self._ahead))
            try:
                while not rows.done():
                    await asyncio.wait({rows}, timeout=LOOK_EVERY_S)
                    if self._teacher.stop.error is not None and not self._n_in_flight():
                        rows.cancel()  # what is left waits for its turn, or for another try
            finally:
                rows.cancel()
                with suppress(asyncio.CancelledError):
                    await rows

    async def _work_rows(self, ahead: asyncio.Semaphore) -> None:
        alive = asyncio.Semaphore(self._alive)
        waiting: dict[int, Any] = {}
        upcoming = 0

        async def one(n: int, row: Any) -> None:
            nonlocal upcoming
            try:
                result = await self._work(self._teacher, row)
            finally:
                alive.release()
            if self._teacher.stop.error is not None:
                return  # it may have been stopped halfway
            waiting[n] = result
            while upcoming in waiting:
                self._done.put((upcoming, waiting.pop(upcoming)))
                upcoming += 1

        async with asyncio.TaskGroup() as group:
            for n, row in enumerate(self._rows):
                await ahead.acquire()
                await alive.acquire()
                if self._teacher.stop.error is not None:
                    return
                group.create_task(one(n, row))


@asynccontextmanager
async def _closing(lines: list[Line]) -> AsyncIterator[None]:
    try:
        yield
    finally:
        for each in lines:
            await each.sender.close()
