"""SIGKILL at random moments: what was answered is never asked again, the account holds, the end is the same."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

from tests.served import ROOT
from tests.teacher.server import requests, serving
from zephyr.teacher.spending import read

N_ROWS, N_CALLS, CONCURRENCY = 50, 4, 16


def started(url: str, folder: Path, cache: Path, timeout_s: float = 1.0) -> subprocess.Popen:
    words = [sys.executable, "-m", "tests.teacher.killed", url, str(N_ROWS), str(N_CALLS), str(folder)]
    model = {"max_concurrency": CONCURRENCY, "timeout_s": timeout_s, "max_attempts": 8}
    environment = os.environ | {"ZEPHYR_CACHE": str(cache), "MODEL": json.dumps(model)}
    # a shell's background job ignores SIGINT, and so would all it starts
    return subprocess.Popen(
        words, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def on_disk(cache: Path) -> set[str]:
    """The last message of every call whose answer is kept."""
    file = cache / "answers" / "answers.sqlite"
    if not file.is_file():
        return set()
    with closing(sqlite3.connect(file)) as connection:
        found = connection.execute("SELECT request FROM answers").fetchall()
    return {json.loads(request)["messages"][-1]["content"] for (request,) in found}


def killed(process: subprocess.Popen, log: Path, n_more: int) -> None:
    """Kills the run as soon as the server has had so many more requests."""
    before = len(requests(log)) if log.is_file() else 0
    while process.poll() is None and (len(requests(log)) if log.is_file() else 0) < before + n_more:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_five_kills(tmp_path: Path):
    log, folder, cache, chance = tmp_path / "log", tmp_path / "run", tmp_path / "cache", random.Random(1)
    answered_before: list[tuple[float, set[str]]] = []
    ways = ["429", "500", "timeout", "closed", "half", "empty"]
    with serving(log, latency_s=0.05, fails=0.3, ways=ways) as url:
        for _ in range(5):
            process = started(url, folder, cache)
            killed(process, log, chance.randint(30, 90))
            assert process.returncode == -signal.SIGKILL
            time.sleep(0.2)  # what was in flight reaches its end at the server
            answered_before.append((time.time(), on_disk(cache)))
        assert started(url, folder, cache).wait(60) == 0
    seen = requests(log)
    for moment, kept in answered_before:
        again = {name for name, what, when in seen if what == "received" and when > moment} & kept
        assert not again
    # the server's own count: only what was in flight at one of the five kills can have been answered twice
    n_answered = Counter(name for name, what, _ in seen if what == "answered")
    assert len(n_answered) == N_ROWS * N_CALLS
    assert n_answered.total() - N_ROWS * N_CALLS <= 5 * CONCURRENCY
    (spent,) = read(folder).values()
    assert spent.n_requests >= sum(what == "received" for _, what, _ in seen)
    assert spent.n_requests - sum(what == "received" for _, what, _ in seen) <= 5 * CONCURRENCY
    results = json.loads((folder / "results.json").read_text())
    assert all(results) and len({text for row in results for text in row}) == N_ROWS * N_CALLS


def test_ctrl_c_takes_in_what_is_in_flight(tmp_path: Path):
    log, folder, cache = tmp_path / "log", tmp_path / "run", tmp_path / "cache"
    with serving(log, latency_s=0.6) as url:
        process = started(url, folder, cache, timeout_s=5)
        while not log.is_file() or len(requests(log)) < 8:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) != 0
    seen = Counter(what for _, what, _ in requests(log))
    assert seen["received"] == seen["answered"] == len(on_disk(cache)) <= CONCURRENCY
    (spent,) = read(folder).values()
    assert spent.n_answered == spent.n_requests == seen["received"]
