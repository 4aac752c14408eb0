"""Calls per second of `teacher/` beside what a server allows, CPU time per call; the same with distilabel.

    .venv/bin/python benchmarks/teacher.py [--rounds 2] [--calls 3000] [--concurrency 64] [--distilabel VENV/bin/python]

The server is a process of its own that answers after half to one and a half of `--latency` and works `--concurrency`
requests at once, so that it allows `--concurrency` / `--latency` calls per second. Sides take turns. distilabel goes
into a virtual environment of its own, with the packages of its time, since it does not work with today's:

    python -m venv V && V/bin/pip install 'distilabel[openai]==1.5.3' openai==1.59.9 datasets==3.2.0 requests
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from tests.teacher.server import requests, serving  # noqa: E402

OURS = """
import json, resource, sys, time
from pathlib import Path
from zephyr.recipe.teacher import Budget, LanguageModel
from zephyr.teacher.ask import run_rows
from zephyr.teacher.call import Answer, Call
url, n, concurrency, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
model = LanguageModel(model="m", base_url=url, max_concurrency=concurrency)
async def work(teacher, n):
    message = {"role": "user", "content": f"instruction {n} " + "of some length " * 40}
    return await teacher.ask(model, Call(messages=(message,), temperature=0.7, top_p=1.0, max_tokens=1024))
before = resource.getrusage(resource.RUSAGE_SELF)
started = time.monotonic()
found = list(run_rows(range(n), work, models={"m": model}, budget=Budget(), folder=folder, n_rows=n, label="ours"))
after = resource.getrusage(resource.RUSAGE_SELF)
assert all(isinstance(each, Answer) for _, each in found)
cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
print(json.dumps({"wall_s": time.monotonic() - started, "cpu_s": cpu, "n": len(found)}))
"""
DISTILABEL = """
import json, resource, sys, time
url, n, batch = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) * BATCHES
def cpu():
    found = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in found)
from distilabel.models.llms import OpenAILLM
from distilabel.pipeline import Pipeline
from distilabel.steps import LoadDataFromDicts
from distilabel.steps.tasks import TextGeneration
if __name__ == "__main__":
    rows = [{"instruction": f"instruction {k} " + "of some length " * 40} for k in range(n)]
    with Pipeline(name="bench") as pipeline:
        load = LoadDataFromDicts(data=rows, batch_size=batch)
        llm = OpenAILLM(model="m", base_url=url, api_key="none",
                        generation_kwargs={"temperature": 0.7, "max_new_tokens": 1024})
        load >> TextGeneration(llm=llm, input_batch_size=batch)
    before, started = cpu(), time.monotonic()
    found = pipeline.run(use_cache=False)
    wall = time.monotonic() - started
    done = [row for row in found["default"]["train"] if row["generation"]]
    print(json.dumps({"wall_s": wall, "cpu_s": cpu() - before, "n": len(done)}))
"""


def measured(command: list[str], script: str, given: argparse.Namespace, folder: Path) -> dict[str, float]:
    """One run against a fresh server: calls per second, what the server allowed, CPU time per call."""
    log = folder / "log"
    settings = {"latency_s": given.latency, "concurrency": given.concurrency, "n_words": 250}
    with serving(log, **settings) as url:
        words = [*command, "-c", script] if command[-1] != "-f" else [*command[:-1], str(_file(folder, script))]
        environment = os.environ | {"ZEPHYR_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [*words, url, str(given.calls), str(given.concurrency), str(folder / "run")],
            env=environment, capture_output=True, text=True, cwd=folder,
        )  # fmt: skip
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    found = json.loads(done.stdout.strip().splitlines()[-1])
    answered = [when for _, what, when in requests(log) if what == "answered"]
    received = [when for _, what, when in requests(log) if what == "received"]
    allowed = given.concurrency / given.latency
    between = (len(answered) - 1) / (max(answered) - min(received))
    return {
        "calls": found["n"],
        "wall_s": round(found["wall_s"], 1),
        "calls_per_s": round(found["n"] / found["wall_s"], 1),
        "first_to_last_call": round(between, 1),
        "allowed": round(allowed, 1),
        "share": round(between / allowed, 3),
        "cpu_ms_per_call": round(1000 * found["cpu_s"] / found["n"], 2),
    }


def _file(folder: Path, script: str) -> Path:
    file = folder / "script.py"
    file.write_text(script)
    return file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--calls", type=int, default=3000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--latency", type=float, default=1.0, help="mean, in seconds")
    parser.add_argument("--distilabel", help="a Python that has distilabel 1.5.3")
    given = parser.parse_args()
    sides = {"ours": ([sys.executable], OURS)}
    if given.distilabel:
        # its concurrency is its batch; the next one starts when the last call of this one is over
        for name, batches in (("distilabel", 1), ("distilabel, batches of 4 x concurrency", 4)):
            sides[name] = ([given.distilabel, "-f"], DISTILABEL.replace("BATCHES", str(batches)))
    print(time.strftime("%H:%M:%S"), os.getloadavg(), resource.getrlimit(resource.RLIMIT_NOFILE))
    for number in range(given.rounds):
        for name, (command, script) in sides.items():
            with tempfile.TemporaryDirectory() as folder:
                print(
                    f"round {number + 1} {name:10}",
                    json.dumps(measured(command, script, given, Path(folder))),
                    flush=True,
                )


if __name__ == "__main__":
    main()
