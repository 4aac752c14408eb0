"""Servers that tests talk to, each in a process of its own."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]


@contextmanager
def served(module: str, *words: str) -> Iterator[str]:
    """Runs `python -m module words`, which prints its base URL and serves until its input ends; yields that URL."""
    started = [sys.executable, "-m", module, *words]
    process = subprocess.Popen(started, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin and process.stdout
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.terminate()
        process.wait()
