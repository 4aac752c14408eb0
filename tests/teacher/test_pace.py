import asyncio
import time
from email.utils import formatdate
from pathlib import Path

import pytest

from tests.teacher.asking import ask_all, call, model_at
from tests.teacher.server import requests, serving
from zephyr.teacher.call import Answer
from zephyr.teacher.endpoint import retry_after_s
from zephyr.teacher.pace import LONGEST_WAIT_S, Pace, wait_s


def starts(pace: Pace, n: int, n_tokens: int = 0, back: int = 0) -> list[float]:
    """Seconds at which requests start that were asked for at once."""

    async def one(began: float, found: list[float]) -> None:
        await pace.start(n_tokens)
        found.append(time.monotonic() - began)
        pace.give_back(back)

    async def every() -> list[float]:
        found: list[float] = []
        await asyncio.gather(*(one(time.monotonic(), found) for _ in range(n)))
        return found

    return asyncio.run(every())


def test_requests_are_spread_evenly():
    found = starts(Pace(1200, None), 10)  # one each 50 ms
    assert all(found[n] >= 0.05 * n - 0.01 for n in range(10))


def test_tokens_are_spread_evenly_too():
    found = starts(Pace(None, 60_000), 5, n_tokens=50)  # a thousand tokens a second
    assert found[-1] >= 4 * 0.05 - 0.01


def test_a_rate_is_kept_against_a_server(tmp_path: Path):
    with serving(tmp_path / "log") as url:
        calls = [call(str(n)) for n in range(12)]
        found = list(ask_all(model_at(url, requests_per_minute=600), calls, tmp_path / "run"))
    assert all(isinstance(each, Answer) for _, each in found)
    times = [when for _, what, when in requests(tmp_path / "log") if what == "received"]
    assert times[-1] - times[0] >= 11 * 0.1 - 0.1


def test_waits_grow_are_drawn_and_respect_the_server():
    drawn = [wait_s(3, first_s=1, asked_s=None) for _ in range(200)]
    assert 2 <= min(drawn) < max(drawn) <= 4 and len(set(drawn)) > 100
    assert wait_s(50, first_s=1, asked_s=None) <= LONGEST_WAIT_S
    assert all(wait_s(1, first_s=1, asked_s=90) >= 90 for _ in range(20))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({"retry-after": "7"}, 7), ({"retry-after-ms": "250", "retry-after": "1"}, 0.25), ({"retry-after": "soon"}, None),
     ({}, None), ({"retry-after": formatdate(1000 + 30, usegmt=True)}, 30)],
)  # fmt: skip
def test_how_long_a_server_asks_to_wait(headers: dict, seconds: float | None):
    assert retry_after_s(headers, 1000) == seconds
