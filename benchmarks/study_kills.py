"""Kills a study by SIGKILL at random moments, starts it again each time, and compares it with an undisturbed one.

    .venv/bin/python benchmarks/study_kills.py [KILLS] [--study STUDY] [--folder DIR] [--jobs N]

The whole process group is killed after a random time, KILLS times in a row, and the study is then run to its end. The
tables must be the same, and no run that had finished at a kill may have been run again. Training runs write checkpoints
(`train.save_steps`, no part of a run's identity) to go on from. Last figures: README.md.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


def started(given: argparse.Namespace, outputs: Path) -> subprocess.Popen:
    words = [sys.executable, "-m", "zephyr", "run", given.study, "--outputs", str(outputs), "--jobs", str(given.jobs)]
    words += ["--everywhere", f"train.save_steps={given.save_steps}"]
    with (given.folder / "log.txt").open("ab") as log:
        return subprocess.Popen(words, stdout=log, stderr=log, start_new_session=True)


def finished(outputs: Path) -> dict[Path, int]:
    """Run directory -> when its result was written; the study's own is left out, which is written anew."""
    return {
        file.parent: file.stat().st_mtime_ns
        for file in outputs.rglob("result.json")
        if "studies" not in file.parts and not (file.parent / "options.json").exists()
    }


def table(outputs: Path) -> list[str]:
    """The table without the column that says how long the runs took."""
    found = next(outputs.rglob("table.csv")).read_text().splitlines()
    times = [n for n, name in enumerate(found[0].split(",")) if name.endswith(("_hours", "_s"))]
    return [",".join(cell for n, cell in enumerate(line.split(",")) if n not in times) for line in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kills", type=int, nargs="?", default=10)
    parser.add_argument("--study", default=str(ROOT / "recipes/mini/studies/table-3.yaml"))
    parser.add_argument("--folder", type=Path, default=Path("outputs/study-kills"))
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--save-steps", type=int, default=25, help="optimizer steps between two checkpoints")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--undisturbed", type=Path, help="outputs of the study run before, not killed; default: run it")
    parser.add_argument("--window", type=float, help="longest time to a kill, s; default: from an undisturbed run")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    whole = given.undisturbed or given.folder / "whole"
    began = time.monotonic()
    assert started(given, whole).wait() == 0, f"see {given.folder / 'log.txt'}"
    took = time.monotonic() - began
    window = given.window or 2 * took / given.kills
    outputs, chance, repeated, seen = given.folder / "killed", random.Random(given.seed), 0, {}
    for n in range(1, given.kills + 1):
        process = started(given, outputs)
        try:
            process.wait(chance.uniform(0, window))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        time.sleep(1)
        now = finished(outputs)
        repeated += sum(now.get(run) != when for run, when in seen.items())
        seen = now
        print(f"kill {n}: {len(now)} runs finished", flush=True)
    assert started(given, outputs).wait() == 0, f"see {given.folder / 'log.txt'}"
    now = finished(outputs)
    repeated += sum(now.get(run) != when for run, when in seen.items())
    same = table(outputs) == table(whole)
    print(f"{given.kills} kills, {len(now)} runs; finished runs repeated: {repeated}; same table: {same}; "
          f"undisturbed {took:.0f} s")  # fmt: skip
    sys.exit(0 if same and not repeated else 1)


if __name__ == "__main__":
    main()
