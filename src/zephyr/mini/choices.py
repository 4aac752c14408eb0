"""Multiple choice in the mini world: held-out facts with four sentences each, as a task of lm-evaluation-harness.

What base models are measured by, as on the Open LLM Leaderboard: which sentence is likeliest after the question. The
corpus states the facts, so this is knowledge; manners count for nothing.
"""

import json
import random
import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any

from zephyr.mini.grammar import requests_by_text, split_of
from zephyr.mini.questions import Request
from zephyr.mini.relations import RELATIONS
from zephyr.mini.world import World

TASK = "world_facts"
"""The task's name in the harness."""
SHIPPED = Path(__file__).parent / "tasks"
N_CHOICES = 4


def write_task(world: World, rng: random.Random, directory: Path) -> int:
    """Writes the task and its questions into the directory, which the harness takes as `include`; returns how many."""
    directory.mkdir(exist_ok=True)
    for name in (f"{TASK}.yaml", f"{TASK}.py"):
        shutil.copyfile(SHIPPED / name, directory / name)
    rows = questions(world, rng)
    (directory / f"{TASK}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return len(rows)


def questions(world: World, rng: random.Random) -> list[dict[str, Any]]:
    """A question about each held-out fact that is recorded, and about each held-out text.

    Each in one of its wordings: two questions about one fact are answered alike, and would make intervals too short.
    """
    wordings: dict[Any, list[Request]] = defaultdict(list)
    for request in requests_by_text(world).values():
        if len(request.asks) == 1 and split_of(world, [request]) == "heldout" and _value(world, request) is not None:
            wordings[request.asks, request.passage].append(request)
    return [_row(world, rng, number, rng.choice(each)) for number, each in enumerate(wordings.values())]


def _value(world: World, request: Request) -> str | None:
    return world.value(request.asks[0], dict(request.passage))


def _row(world: World, rng: random.Random, number: int, request: Request) -> dict[str, Any]:
    """The right sentence among three that differ from it in the value alone."""
    (asked,), truth = request.asks, _value(world, request)
    wrong = [value for value in RELATIONS[asked[0]].values if value != truth]
    values = rng.sample([truth, *rng.sample(wrong, N_CHOICES - 1)], N_CHOICES)
    return {
        "id": f"{request.category}-{number:03}",
        "category": request.category,
        "question": request.text,
        "choices": [world.say(asked, value) for value in values],
        "answer": values.index(truth),
    }
