"""A run of `teacher/` killed by SIGKILL, against a server that fails 30 % of the time: is anything asked again?

    .venv/bin/python benchmarks/teacher_kills.py [--rows 400] [--turns 5] [--kills 5]

Rows are dialogues: each call needs the answer before it. After each kill the answers on disk are noted; whatever the
server receives of them afterwards was asked again. What it answered twice was in flight at a kill.
"""

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.teacher import test_kills
from tests.teacher.server import requests, serving

from zephyr.teacher.account import account

WAYS = ["429", "500", "timeout", "closed", "half", "empty"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--concurrency", type=int, default=32)
    given = parser.parse_args()
    test_kills.N_ROWS, test_kills.N_CALLS, test_kills.CONCURRENCY = given.rows, given.turns, given.concurrency
    chance, kept = random.Random(7), []
    with tempfile.TemporaryDirectory() as name:
        log, folder, cache = Path(name) / "log", Path(name) / "run", Path(name) / "cache"
        with serving(log, latency_s=0.1, fails=0.3, ways=WAYS, n_words=100) as url:
            for number in range(given.kills):
                process = test_kills.started(url, folder, cache)
                test_kills.killed(process, log, chance.randint(300, 1000))
                time.sleep(0.5)  # what was in flight comes to its end at the server
                kept.append((time.time(), test_kills.on_disk(cache)))
                print(f"kill {number + 1}: status {process.returncode}, {len(kept[-1][1])} answers on disk", flush=True)
            print("the end: status", test_kills.started(url, folder, cache).wait())
        seen = requests(log)
        for number, (moment, answers) in enumerate(kept):
            again = {what for what, fate, when in seen if fate == "received" and when > moment} & answers
            print(f"asked again after kill {number + 1} though on disk: {len(again)} of {len(answers)}")
        answered = Counter(what for what, fate, _ in seen if fate == "answered")
        print("what the server did:", dict(Counter(fate for _, fate, _ in seen)))
        print(f"calls answered: {len(answered)}; answered twice: {answered.total() - len(answered)}")
        found = account(folder)
        print({name: found[name] for name in ("calls", "from_disk", "failed_calls", "requests", "failed_requests")})


if __name__ == "__main__":
    main()
