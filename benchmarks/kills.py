"""Kills a run by SIGKILL at random moments, starts it again, and compares the endings with an uninterrupted run's.

    .venv/bin/python benchmarks/kills.py [KILLS] [--recipe RECIPE] [--folder DIR] [key=value ...]

Each trial is a fresh run directory: start, kill the whole process group at a random moment between the first line of
metrics and the end, start again to the end. Counted: equal `model.safetensors`; noted: the step it went on from.
"""

import argparse
import hashlib
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]


def command(recipe: str, out: Path, overrides: list[str]) -> list[str]:
    return [sys.executable, "-m", "zephyr", "run", recipe, f"output_dir={out}", *overrides]


def ending(out: Path) -> str:
    return hashlib.sha256((out / "model/model.safetensors").read_bytes()).hexdigest()[:16]


def started(words: list[str], out: Path) -> subprocess.Popen:
    """Starts a run and waits until it has logged something: by then it trains."""
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    metrics = out / "metrics.jsonl"
    while process.poll() is None and not (metrics.is_file() and metrics.stat().st_size):
        time.sleep(0.02)
    return process


def killed(seconds: float, words: list[str], out: Path) -> bool:
    """Whether the kill, so long after the first line of metrics, came before the run's own end."""
    process = started(words, out)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return process.returncode == -signal.SIGKILL


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kills", type=int, nargs="?", default=50)
    parser.add_argument("--recipe", default=str(ROOT / "recipes/mini/sft.yaml"))
    parser.add_argument("--folder", type=Path, default=Path("outputs/kills"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("overrides", nargs="*")
    given = parser.parse_intermixed_args()
    chance, endings, continued, places = random.Random(given.seed), Counter(), 0, []
    whole = started(command(given.recipe, given.folder / "whole", given.overrides), given.folder / "whole")
    start = time.monotonic()
    whole.wait()
    whole_s = time.monotonic() - start
    wanted = ending(given.folder / "whole")
    print(f"uninterrupted: {whole_s:.1f} s from the first line of metrics, {wanted}", flush=True)
    for trial in range(given.kills):
        out = given.folder / f"{given.seed}-{trial}"
        words = command(given.recipe, out, given.overrides)
        moment = chance.uniform(0, whole_s)
        hit = killed(moment, words, out)
        again = subprocess.run(words, capture_output=True, text=True)
        found = re.search(r"continues from step (\d+)", again.stderr)
        continued += found is not None
        endings[ending(out) == wanted if hit else "finished before the kill"] += 1
        places.append(int(found[1]) if found else 0)
        print(f"{trial + 1:3} killed at {moment:5.1f} s, from step {places[-1]:3}: {ending(out)}", flush=True)
    print(f"{endings[True]} of {given.kills - endings['finished before the kill']} kills ended the same; "
          f"{continued} went on from a checkpoint, steps {sorted(places)}")  # fmt: skip


if __name__ == "__main__":
    main()
