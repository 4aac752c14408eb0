"""`transformers serve` as endpoint: real models over HTTP, and the same models in this process.

    .venv/bin/pip install 'transformers[serving]'
    .venv/bin/python benchmarks/teacher_served.py MODEL MODEL... [--calls 40]

MODELs are directories of small models with a chat template. One server has them all, as a pool. Shown: how the calls
ended, and at temperature 0 how many answers are the same as those of the model in this process.
"""

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from zephyr.recipe.teacher import Budget, LanguageModel
from zephyr.teacher.account import account
from zephyr.teacher.ask import Teacher, run_rows
from zephyr.teacher.call import Answer, Call, Failure


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def started(port: int) -> subprocess.Popen:
    words = [sys.executable, "-m", "transformers.cli.transformers", "serve", "--port", str(port), "--device", "cpu"]
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    process = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(600):
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return process
        time.sleep(0.1)
    raise SystemExit("the server did not start")


def ask(models: dict[str, LanguageModel], calls: list[Call], folder: Path) -> dict[str, list[Answer | Failure]]:
    """Every model is asked every call."""

    async def work(teacher: Teacher, row: tuple[str, Call]) -> tuple[str, Answer | Failure]:
        return row[0], await teacher.ask(models[row[0]], row[1])

    rows = [(name, call) for call in calls for name in models]
    results = run_rows(rows, work, models=models, budget=Budget(), folder=folder, n_rows=len(rows), label="asking")
    found: dict[str, list[Answer | Failure]] = {name: [] for name in models}
    for _, (name, result) in results:
        found[name].append(result)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--calls", type=int, default=40)
    given = parser.parse_args()
    port = free_port()
    schema = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    calls = [
        Call(messages=({"role": "user", "content": f"what is {n} " + "red " * (n % 7)},), temperature=n % 2 * 0.7,
             top_p=0.95, max_tokens=48, seed=n, json_schema=schema if n % 4 == 0 else None)
        for n in range(given.calls)
    ]  # fmt: skip
    here = {each.name: LanguageModel(model=str(each.resolve())) for each in given.models}
    served = {
        name: LanguageModel(model=each.model, base_url=f"http://127.0.0.1:{port}/v1", max_concurrency=4)
        for name, each in here.items()
    }
    process = started(port)
    try:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["ZEPHYR_CACHE"] = folder
            over_http = ask(served, calls, Path(folder) / "served")
            print(account(Path(folder) / "served"))
            in_process = ask(here, calls, Path(folder) / "here")
    finally:
        process.terminate()
        process.wait()
    for name in here:
        ends = Counter(each.reason if isinstance(each, Failure) else "answered" for each in over_http[name])
        greedy = [n for n, call in enumerate(calls) if call.temperature == 0]
        pairs = [(over_http[name][n], in_process[name][n]) for n in greedy]
        same = sum(getattr(a, "text", "cut").strip() == getattr(b, "text", "cut") for a, b in pairs)
        print(f"{name}: {dict(ends)}; at temperature 0 {same} of {len(pairs)} answers the same as in this process")


if __name__ == "__main__":
    main()
