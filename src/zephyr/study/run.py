"""`zephyr run STUDY`: what is missing is run, each run in a process of its own, and the table is made."""

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from zephyr.errors import UserError
from zephyr.plan.needs import lacking, refuse_missing
from zephyr.recipe import Loaded, resolved_yaml
from zephyr.recipe.problems import shown
from zephyr.run import CONTINUES, INTERRUPTED, refuse_outdated, write_atomically, write_json
from zephyr.study.command import command_of
from zephyr.study.directory import begin, finish, refuse_taken
from zephyr.study.expand import Study, Work
from zephyr.study.process import Process, start
from zephyr.study.slots import Slots, devices_needed, refuse_too_few
from zephyr.study.state import FAILED, OUTPUT, is_held, note_failure, state_of, states_of
from zephyr.study.status import show_status
from zephyr.study.watch import Watch
from zephyr.teacher.predict import OFFLINE

POLL_S = 0.1


@dataclass
class _Started:
    """A run that is going on."""

    work: Work
    process: Process | None
    """None: another command is running it, and is waited for."""
    devices: tuple[str, ...]
    since: float


@dataclass
class Queue:
    """The runs of a study while they are worked off."""

    waiting: list[Work]
    """In the order they are tried."""
    finished: set[Path]
    """Run directories."""
    going: list[_Started] = field(default_factory=list)
    failed: dict[Path, str] = field(default_factory=dict)
    """Run directory -> why; for what was not started since it needs one of them too."""
    stopping: bool = False
    """Nothing is started any more."""


def run_study(
    study: Study, having: Slots, *, only: Sequence[str] = (), keep_going: bool = False, command: str = ""
) -> int:
    """Runs what is missing, and writes and shows the table; returns the exit status.

    Args:
        study: the study.
        having: what runs may run on.
        only: names of rows; runs that only other rows need are left out. Default: all rows.
        keep_going: after a failure go on with what does not hang on it.
        command: what goes on with it after a stop, as typed. Default: without options.

    Returns:
        0: every row is there; 1: a run failed; 75: it was asked to stop, and the same command goes on.

    Raises:
        UserError: a run needs more GPUs than there are, or the study's directory holds something else.
    """
    refuse_taken(study)
    works = wanted_works(study, only)
    states = states_of(each.loaded for each in works)
    refuse_lacking([each.loaded for each in works if states[each.loaded.run_dir].state != "finished"], having)
    refuse_outdated(each.loaded for each in works if states[each.loaded.run_dir].state == "finished")
    begin(study)
    finished = {run_dir for run_dir, each in states.items() if each.state == "finished"}
    queue = Queue(waiting=[each for each in works if each.loaded.run_dir not in finished], finished=finished)
    from zephyr.study.report import show, write_report

    console = Console(stderr=True)
    watch = Watch(study, works, finished, console, command or command_of(study))
    watch.begin()
    with _signals(queue), watch.live():
        _work_off(queue, having, watch, keep_going=keep_going)
    status = INTERRUPTED if queue.stopping and not queue.failed else 1 if queue.failed else 0
    watch.end(status)
    finish(study, failed=status == 1)
    write_report(study)
    (show_status if status == INTERRUPTED else show)(study, Console())
    return status


def refuse_lacking(runs: Sequence[Loaded], having: Slots) -> None:
    """Refuses a study of which a run would stop for want of something that can be known now.

    Raises:
        UserError: a file, an endpoint's key, or GPUs are missing here; with all that is.
    """
    said: dict[str, None] = {}
    for each in runs:
        try:
            refuse_too_few(each, having)
            refuse_missing(each)
        except UserError as error:
            said |= dict.fromkeys([str(error)])
        if not os.environ.get(OFFLINE):
            said |= dict.fromkeys(lacking(each))
    if said:
        raise UserError("\n".join(["Nothing was started, since not all of it could run here:", *said]))


def wanted_works(study: Study, only: Sequence[str]) -> tuple[Work, ...]:
    """The runs that some of the rows take. UserError for a name that no row has."""
    study.refuse_unknown(only)
    return tuple(each for each in study.works if not only or any(row in only for row, _ in each.wanted_by))


def _work_off(queue: Queue, having: Slots, watch: Watch, *, keep_going: bool) -> None:
    """Starts runs as their inputs and devices come free, until nothing is left that can be."""
    free = list(having.devices)
    while queue.waiting or queue.going:
        _give_up(queue, watch)
        while not queue.stopping and len(queue.going) < having.at_once:
            work = next_work(queue, free, having)
            if work is None:
                break
            queue.waiting.remove(work)
            taken = tuple(free[: devices_needed(work.loaded)] if having.devices else ())
            free = free[len(taken) :]
            queue.going.append(_start(work, taken, having))
            watch.started(work, elsewhere=queue.going[-1].process is None)
        if not queue.going:
            return
        time.sleep(POLL_S)
        watch.tick([each.work for each in queue.going])
        for each in [each for each in queue.going if _ended(each)]:
            queue.going.remove(each)
            free += each.devices
            _note(each, queue, watch, keep_going=keep_going)


def _give_up(queue: Queue, watch: Watch) -> None:
    """Takes out what needs a run that failed."""
    for each in list(queue.waiting):
        cause = next((run_dir for run_dir in each.needs if run_dir in queue.failed), None)
        if cause is not None:
            queue.waiting.remove(each)
            queue.failed[each.loaded.run_dir] = f"not run: {shown(cause)} failed"
            watch.not_run(each, cause)


def next_work(queue: Queue, free: list[str], having: Slots) -> Work | None:
    """The first run whose inputs are there, and for which enough devices are free."""
    for each in queue.waiting:
        fits = not having.devices or devices_needed(each.loaded) <= len(free)
        if fits and queue.finished.issuperset(each.needs):
            return each
    return None


def _start(work: Work, devices: tuple[str, ...], having: Slots) -> _Started:
    """Starts a run as `zephyr run RUN_DIR`, from the recipe written there; one that is running elsewhere is awaited."""
    directory = work.loaded.run_dir
    if is_held(directory):
        return _Started(work=work, process=None, devices=devices, since=time.monotonic())
    directory.mkdir(parents=True, exist_ok=True)
    write_atomically(directory / "recipe.yaml", resolved_yaml(work.loaded))
    note_what_it_continues(work)
    (directory / FAILED).unlink(missing_ok=True)
    process = start(directory, directory / OUTPUT, devices, having)
    return _Started(work=work, process=process, devices=devices, since=time.monotonic())


def note_what_it_continues(work: Work) -> None:
    """Writes into a run's directory which other run's training goes on in it; once it does, that stays."""
    note = work.loaded.run_dir / CONTINUES
    if work.continues is not None and (not note.is_file() or "step" not in json.loads(note.read_text())):
        write_json(note, {"run": str(work.continues)})


def _ended(started: _Started) -> bool:
    if started.process is None:
        return not is_held(started.work.loaded.run_dir)
    return started.process.status() is not None


def _note(started: _Started, queue: Queue, watch: Watch, *, keep_going: bool) -> None:
    """What became of a run that ended."""
    work, seconds = started.work, time.monotonic() - started.since
    directory = work.loaded.run_dir
    status = (started.process.status() if started.process else None) or 0
    if state_of(work.loaded).state == "finished":
        queue.finished.add(directory)
        watch.finished(work, seconds)
    elif started.process is None:
        queue.waiting.insert(0, work)  # the other command stopped half way
    elif queue.stopping or status == INTERRUPTED:
        queue.stopping = True
        watch.stopped(work)
    else:
        queue.failed[directory] = note_failure(directory, status)
        watch.failed(work, seconds, queue.failed[directory])
        if not keep_going:
            queue.stopping = True


@contextlib.contextmanager
def _signals(queue: Queue) -> Iterator[None]:
    """Ctrl-C, SIGTERM: nothing more is started, and what is running is told to stop with a checkpoint."""

    def stop(number: int, frame: object) -> None:
        again = queue.stopping
        queue.stopping = True
        for each in queue.going:
            if each.process and (number != signal.SIGINT or again):
                each.process.stop()  # Ctrl-C reaches the processes of the terminal by itself

    before = {each: signal.signal(each, stop) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
