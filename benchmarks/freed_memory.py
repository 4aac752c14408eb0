"""What it gives on a CPU that freed memory is reused (`zephyr.processes`): the same run with and without, alternating.

    .venv/bin/python benchmarks/freed_memory.py RECIPE [ROUNDS] [KEY=VALUE ...]

Counted is CPU time, user and system, of the whole run, which other work on the machine disturbs least.
Last figures: benchmarks/README.md.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

WITHOUT = "import zephyr.processes as processes; processes._keep_freed_memory = lambda: None; "
RUN = "import sys; from zephyr.cli import main; sys.exit(main(sys.argv[1:]))"


def cpu_seconds(setup: str, words: list[str]) -> float:
    before = os.times()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", setup + RUN, "run", *words, f"output_dir={Path(folder) / 'run'}"]
        subprocess.run(command, check=True, capture_output=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    recipe, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3
    words = [recipe, *sys.argv[3:]]
    times: dict[str, list[float]] = {"without": [], "with": []}
    for _ in range(rounds):
        times["without"].append(cpu_seconds(WITHOUT, words))
        times["with"].append(cpu_seconds("", words))
    ratios = [a / b for a, b in zip(times["without"], times["with"], strict=True)]
    for name, seconds in times.items():
        print(f"{name:<8} {statistics.median(seconds):6.1f} CPU s, median of {rounds}")
    print(f"ratio    {statistics.median(ratios):6.2f}   from {min(ratios):.2f} to {max(ratios):.2f}")


if __name__ == "__main__":
    main()
