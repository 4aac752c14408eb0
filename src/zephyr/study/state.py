"""How far the runs of a study are, from their directories alone."""

import fcntl
import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from zephyr.recipe import Loaded
from zephyr.recipe.problems import shown
from zephyr.recipe.variant import run_id_in
from zephyr.run import worth_keeping, write_json

FAILED = "failed.json"
"""In a run's directory, while its last try failed: what was said, and where all of it is."""
OUTPUT = "output.txt"
"""In a run's directory: all that a run started by a study said on its terminal."""
State = Literal["finished", "running", "failed", "interrupted", "waiting"]
LAST_LINES = 12


@dataclass(frozen=True, kw_only=True)
class RunState:
    """Where a run is."""

    state: State
    """`interrupted`: it goes on from what is there; `waiting`: not begun."""
    why: str = ""
    """What to say beside it: the step it is at, what failed."""


def state_of(loaded: Loaded, jobs: Mapping[str, str] | None = None) -> RunState:
    """Where a run is.

    Args:
        loaded: its recipe.
        jobs: Slurm's jobs that are queued or running: number -> state. Default: Slurm is asked.
    """
    directory = loaded.run_dir
    if run_id_in(directory) != loaded.run_id:
        return RunState(state="waiting")
    if has_result(directory, loaded.run_id):
        return RunState(state="finished")
    if is_held(directory):
        return RunState(state="running", why=at_step(directory))
    job = _job(directory)
    if job is not None:
        queued = (jobs if jobs is not None else slurm_jobs([job])).get(job)
        if queued is not None:
            return RunState(state="running" if queued == "running" else "waiting", why=f"Slurm job {job}, {queued}")
    failed = directory / FAILED
    if failed.is_file():
        return RunState(state="failed", why=json.loads(failed.read_text())["why"])
    if job is not None:
        log = shown(directory / f"slurm-{job}.out")
        return RunState(state="failed", why=f"Slurm job {job} ended without a result; see {log}")
    return RunState(state="interrupted" if worth_keeping(directory) else "waiting", why=at_step(directory))


def has_result(directory: Path, run_id: str) -> bool:
    """Whether a directory holds this very run, finished."""
    return (directory / "result.json").is_file() and run_id_in(directory) == run_id


def states_of(runs: Iterable[Loaded]) -> dict[Path, RunState]:
    """Where many runs are: run directory -> state; Slurm is asked once."""
    runs = list(runs)
    numbers = [number for each in runs if (number := _job(each.run_dir)) is not None]
    jobs = slurm_jobs(numbers) if numbers else {}
    return {each.run_dir: state_of(each, jobs) for each in runs}


def is_held(directory: Path) -> bool:
    """Whether a process is running in a run directory (`run.execute` locks it)."""
    try:
        opened = os.open(directory, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # a file system without locks
    else:
        return False
    finally:
        os.close(opened)


def at_step(directory: Path) -> str:
    """What a training run last logged, as `step 120, loss 0.52`; empty where it has logged nothing."""
    for line in reversed(_last_lines(directory / "metrics.jsonl")):
        try:
            row: dict[str, Any] = json.loads(line)
        except json.JSONDecodeError:
            continue  # half a line: it is being written
        if "loss" in row:
            return f"step {row['step']}, loss {row['loss']:.3g}"
    return ""


def note_failure(directory: Path, status: int) -> str:
    """Writes down that a run ended without a result; returns why, as far as its output says so."""
    said = [line.rstrip() for line in _last_lines(directory / OUTPUT) if line.strip()]
    ended = f"killed by signal {-status}" if status < 0 else f"ended with status {status}"
    why = _refusal(directory) or _reason(said) or ended
    if status < 0 and "signal" not in why:
        why = f"killed by signal {-status}; it last said: {why}"
    write_json(directory / FAILED, {"why": why, "status": status, "said": said[-LAST_LINES:]})
    return why


def refusal_of(directory: Path) -> Path:
    """The file in a run's directory into which it writes why it gave up (`errors.REFUSED`)."""
    return directory / "refused.txt"


def refusal_text(directory: Path) -> str:
    """All that a run said when it gave up, with the ways out; empty where it did not."""
    file = refusal_of(directory)
    return file.read_text() if file.is_file() else ""


def _refusal(directory: Path) -> str:
    """What a run said when it gave up, in one line."""
    lines = [line.strip() for line in refusal_text(directory).splitlines() if line.strip()]
    first = next((n for n, line in enumerate(lines) if not line.endswith(":")), 0)
    return " ".join(lines[: first + 1])[:300]


def _reason(said: list[str]) -> str:
    """The line of an output that says what went wrong: an exception's own, else the last one."""
    for line in reversed(said):
        if any(word in line for word in ("Error:", "error:", "Exception:", "Killed")) and not line.startswith(" "):
            return line[:300]
    return said[-1].strip()[:300] if said else ""


def _last_lines(file: Path) -> list[str]:
    """Lines of the last few kilobytes of a file; none where it is not there."""
    try:
        with file.open("rb") as opened:
            opened.seek(max(opened.seek(0, os.SEEK_END) - 8192, 0))
            return opened.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return []


def _job(directory: Path) -> str | None:
    """The Slurm job that a run was last submitted as."""
    record = directory / "slurm.json"
    return str(json.loads(record.read_text())["job"]) if record.is_file() else None


def slurm_jobs(numbers: Iterable[str]) -> dict[str, str]:
    """Slurm's jobs that are queued or running: number -> state in lower case."""
    try:
        done = subprocess.run(["squeue", "--noheader", "--me", "--format=%i %T"], capture_output=True, text=True)
    except FileNotFoundError:
        return {}
    found = dict(line.split()[:2] for line in done.stdout.splitlines() if line.strip())
    return {number: found[number].lower() for number in numbers if number in found}
