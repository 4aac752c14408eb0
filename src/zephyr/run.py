"""The run directory: the same for every stage, and the only thing that later stages and the report read.

`recipe.yaml` (resolved), `provenance.json`, `metrics.jsonl`, `log.txt`, `result.json`, and `model/` or `*.jsonl`.
Finished: nothing to do. Interrupted: continues. The same directory but another recipe: refused.
"""

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from zephyr.errors import Interrupted, UserError
from zephyr.log import log_to, note_end, say_warnings
from zephyr.made_of import Known, outdated
from zephyr.processes import is_main_process, leave_processes
from zephyr.provenance import now, provenance
from zephyr.recipe import Loaded, difference, load, resolved_yaml
from zephyr.recipe.problems import shown
from zephyr.stages import TRAINING, stage_runner

Status = Literal["new", "finished", "interrupted"]
INTERRUPTED = 75
"""Exit status of a run that was asked to stop and did with a checkpoint (EX_TEMPFAIL: the same command continues)."""


def status(loaded: Loaded) -> Status:
    """State of the recipe's run directory.

    Raises:
        UserError: it holds the run of another recipe, or files that are no run.
    """
    directory = loaded.run_dir
    written = directory / "recipe.yaml"
    if not directory.exists() or not any(directory.iterdir()):
        return "new"
    if not written.is_file():
        raise UserError(
            f"{directory} exists and is no run directory (it has no recipe.yaml).\n"
            f"  Choose another: zephyr run {shown(loaded.file)} output_dir=..."
        )
    before = load(written)
    if before.run_id != loaded.run_id:
        if not worth_keeping(directory):
            return "new"  # refused or broken off before it had learnt anything: the mended recipe takes its place
        raise UserError(_another_recipe(loaded, before))
    if not (directory / "result.json").is_file():
        return "interrupted"
    refuse_outdated([loaded])
    return "finished"


def refuse_outdated(runs: Iterable[Loaded]) -> None:
    """UserError where finished runs were made of something else than there is now, with all that is to be made anew."""
    known: Known = {}
    found: dict[Path, str] = {}
    for each in runs:
        found |= outdated(each, known)
    if found:
        listed = [f"    {shown(directory)} {reason}" for directory, reason in found.items()]
        if len(listed) > MOST_LISTED:
            listed[MOST_LISTED:] = [f"    and {len(listed) - MOST_LISTED} more"]
        runs_were = "1 finished run was" if len(found) == 1 else f"{len(found)} finished runs were"
        raise UserError("\n".join([
            f"{runs_were} made of something else than there is now:",
            *listed,
            f"  Make anew:  rm -r {' '.join(str(shown(each)) for each in found)}, then the same command",
            "  Keep:       put the files back as they were, and the change into another file",
        ]))  # fmt: skip


CONTINUES = "continues.json"
"""In a run's directory: the finished run of fewer epochs whose training goes on here (`study/epochs.py`)."""
MOST_LISTED = 8
"""Runs that an error lists."""
WORTH_KEEPING = ("result.json", "model", "checkpoints", "world", "mt_bench", "alpaca_eval", "leaderboard", "runs.json")
"""What a run directory may hold that took work; from `world` on an `evaluate` run's answers, and a study's runs."""


def worth_keeping(directory: Path) -> bool:
    """Whether a run directory holds a result, a model, a checkpoint, answers or a logged step."""
    metrics = directory / "metrics.jsonl"
    trained = metrics.is_file() and metrics.stat().st_size > 0
    return trained or any((directory / name).exists() for name in WORTH_KEEPING)


def _another_recipe(loaded: Loaded, before: Loaded) -> str:
    changed = [f"    {key}: {old!r} there, {new!r} now" for key, old, new in difference(before, loaded)]
    changed = changed or ["    an input of it (see its recipe.yaml)"]
    return "\n".join(
        [
            f"{shown(loaded.run_dir)} holds the run of another recipe. What differs:",
            *changed[:8],
            *([f"    and {len(changed) - 8} more"] if len(changed) > 8 else []),
            "  Ways out:",
            f"    keep both:        zephyr run {shown(loaded.file)} ... output_dir=outputs/another-name",
            f"    replace the old:  rm -r {shown(loaded.run_dir)}, then the same command",
            "    go back to the old values, and that run is used or continued",
        ]
    )


def execute(loaded: Loaded) -> dict[str, Any]:
    """Runs the recipe's stage into its run directory and returns the result; a finished run is only read back."""
    state = status(loaded) if is_main_process() else _status_seen_by_other_ranks(loaded)
    if state == "finished":
        return json.loads((loaded.run_dir / "result.json").read_text())
    missing = missing_inputs(loaded)
    if missing:
        raise UserError(missing_message(loaded, missing))
    started = time.time()
    run = stage_runner(loaded.recipe.stage)
    held = _hold(loaded.run_dir) if is_main_process() else None
    try:
        result = _execute(loaded, run, state, started)
        leave_processes()
        return result
    except Interrupted:
        leave_processes()
        raise
    finally:
        if held is not None:
            os.close(held)


def _hold(directory: Path) -> int:
    """Locks a run directory for this process, until it ends in whatever way.

    Raises:
        UserError: another process is running there.
    """
    directory.mkdir(parents=True, exist_ok=True)
    held = os.open(directory, os.O_RDONLY)
    for _ in range(HELD_PATIENCE_S):
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(1)  # the processes of a run that was just killed take a moment to end
        except OSError:
            return held  # a file system without locks
        else:
            return held
    os.close(held)
    raise UserError(f"another process is running in {shown(directory)}; wait for it, or choose another `output_dir`")


HELD_PATIENCE_S = 10
"""Seconds to wait for another process to leave the run directory."""


def _execute(loaded: Loaded, run: Callable[..., dict[str, Any]], state: Status, started: float) -> dict[str, Any]:
    if is_main_process():
        _begin(loaded, state)
    warned = log_to(loaded.run_dir / "log.txt")
    try:
        outcome = run(loaded.recipe, loaded.run_dir)
    except (UserError, Interrupted) as stopped:
        note_end(loaded.run_dir / "log.txt", stopped)
        raise
    if loaded.recipe.stage != "report":  # which shows those of all its runs, in its own way
        say_warnings(outcome.get("warnings", ()), warned)
    result = {
        "stage": loaded.recipe.stage,
        "name": run_name(loaded),
        "status": "finished",
        "run_id": loaded.run_id,
        "wall_s": round(time.time() - started, 1),
        **outcome,
    }
    if is_main_process():
        _end(loaded, result)
    return result


def _status_seen_by_other_ranks(loaded: Loaded) -> Status:
    # rank 0 may be creating the directory at this moment; it alone judges what it holds
    return "finished" if (loaded.run_dir / "result.json").is_file() else "new"


def missing_inputs(loaded: Loaded) -> list[Loaded]:
    """Recipes that must run before this one can, deepest first, each once."""
    missing: dict[Path, Loaded] = {}
    for item in loaded.inputs:
        if status(item.loaded) != "finished":
            missing.update({each.run_dir: each for each in missing_inputs(item.loaded)})
            missing[item.loaded.run_dir] = item.loaded
    return list(missing.values())


def run_inputs(
    loaded: Loaded, *, with_inputs: bool, everywhere: Sequence[str] = (), outputs: Path | None = None
) -> None:
    """Runs what a recipe needs first: each in a process of its own, as it would be by hand.

    Raises:
        UserError: something is missing and `with_inputs` is not given, it failed, or one of them or the recipe itself
            would stop for want of a file or of an endpoint's key; then nothing was run.
    """
    missing = missing_inputs(loaded)
    if missing and not with_inputs:
        raise UserError(missing_message(loaded, missing))
    if missing:
        _refuse_lacking([*missing, loaded])
    for each in missing:
        command = [sys.executable, "-m", "zephyr", "run", str(each.file)]
        command += [word for pair in everywhere for word in ("--everywhere", pair)]
        command += ["--outputs", str(outputs)] if outputs else []
        if subprocess.run(command).returncode != 0:
            raise UserError(f"{shown(each.file)} failed (see above), so {shown(loaded.file)} was not started")


def _refuse_lacking(runs: Sequence[Loaded]) -> None:
    from zephyr.plan.needs import lacking, refuse_missing  # here: it imports this module
    from zephyr.teacher.predict import OFFLINE

    refuse_missing(*runs)
    whole = [each for each in runs if getattr(each.recipe, "until", "score") == "score"]  # a part may need no key
    lacks = dict.fromkeys(text for each in whole for text in lacking(each))
    if lacks and not os.environ.get(OFFLINE):
        raise UserError("\n".join(["Nothing was started, since not all of it could run here:", *lacks]))


def announce(loaded: Loaded) -> None:
    """One line on the terminal: which stage goes where.

    Raises:
        UserError: the run directory is another recipe's, or none; then nothing was said.
    """
    if is_main_process():
        finished = status(loaded) == "finished"
        state = "finished before, nothing to do" if finished else shown(loaded.run_dir)
        print(f"{run_name(loaded)}  {state}", file=sys.stderr, flush=True)


def missing_message(loaded: Loaded, missing: list[Loaded]) -> str:
    """What to type for the inputs that aren't there yet."""
    lines = [f"{shown(loaded.file)} needs the output of {len(missing)} recipe(s) that have not been run:"]
    lines += [f"    zephyr run {shown(each.file)}" for each in missing]
    return "\n".join([*lines, f"  or all of it at once: zephyr run {shown(loaded.file)} --with-inputs"])


def run_name(loaded: Loaded) -> str:
    """Name of a run in reports: the recipe's own, or its folder and file name."""
    return loaded.recipe.name or f"{loaded.file.parent.name}/{loaded.file.stem}"


def _begin(loaded: Loaded, state: Status) -> None:
    loaded.run_dir.mkdir(parents=True, exist_ok=True)
    write_atomically(loaded.run_dir / "recipe.yaml", resolved_yaml(loaded))
    write_json(loaded.run_dir / "provenance.json", provenance(loaded))
    if state == "new" and loaded.recipe.stage in TRAINING:
        (loaded.run_dir / "metrics.jsonl").touch()


def _end(loaded: Loaded, result: dict[str, Any]) -> None:
    record = json.loads((loaded.run_dir / "provenance.json").read_text())
    record["finished"] = now()
    record.update(result.pop("provenance", {}))
    write_json(loaded.run_dir / "provenance.json", record)
    if loaded.recipe.stage in TRAINING:
        from zephyr.report.model_card import model_card
        from zephyr.report.read import read_run

        card = model_card(replace(read_run(loaded.run_dir), result=result))
        write_atomically(loaded.run_dir / "model" / "README.md", card)
    write_json(loaded.run_dir / "result.json", result)


def write_json(path: Path, data: Any) -> None:
    """Writes JSON whole or not at all."""
    write_atomically(path, json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def write_atomically(path: Path, text: str) -> None:
    """Writes text whole or not at all: a kill leaves the old file."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text)
    draft.replace(path)
