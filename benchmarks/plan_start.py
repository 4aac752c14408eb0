"""How long a first answer takes: `zephyr plan` and `zephyr check` beside `trl sft --help`, alternating in one run.

    .venv/bin/python benchmarks/plan_start.py [RECIPE] [ROUNDS]

Last figures: see benchmarks/README.md.
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path

BIN = Path(sys.executable).parent


def seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    recipe = sys.argv[1] if len(sys.argv) > 1 else "recipes/mini/dpo.yaml"
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 7
    arms = {
        "zephyr check": [str(BIN / "zephyr"), "check", recipe],
        "zephyr plan": [str(BIN / "zephyr"), "plan", recipe],
        "trl sft --help": [str(BIN / "trl"), "sft", "--help"],
    }
    times: dict[str, list[float]] = {name: [] for name in arms}
    for _ in range(rounds + 1):  # the first round warms the file cache and is not counted
        for name, command in arms.items():
            times[name].append(seconds(command))
    base = statistics.median(times["trl sft --help"][1:])
    print(f"{'command':<16} {'median s':>8} {'min':>6} {'max':>6} {'share of trl sft --help':>24}")
    for name, all_runs in times.items():
        runs = all_runs[1:]
        median = statistics.median(runs)
        print(f"{name:<16} {median:8.2f} {min(runs):6.2f} {max(runs):6.2f} {median / base:24.2f}")


if __name__ == "__main__":
    main()
