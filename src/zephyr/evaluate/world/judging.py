"""The benchmark of the mini world: held-out dialogues of two turns, judged against the world's facts."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zephyr.mini.judge import Judgment, judge
from zephyr.mini.questions import Request
from zephyr.mini.world import World

TEMPERATURES = {"writing": 0.7, "roleplay": 0.7, "stem": 0.1, "humanities": 0.1}
"""MT-Bench's (FastChat's `temperature_config`); the other categories are answered at temperature 0."""


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """One held-out dialogue: what the user says, and what is needed to judge the answers."""

    id: str
    category: str
    system: str | None
    turns: tuple[Request, ...]

    @property
    def temperature(self) -> float:
        """Temperature of the answers."""
        return TEMPERATURES.get(self.category, 0.0)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One prompt answered by one model, and judged."""

    prompt: Prompt
    conversation: list[dict[str, str]]
    n_unfinished: int
    """Answers that were cut at `max_new_tokens`."""
    judgment: Judgment

    @property
    def said(self) -> list[str]:
        """The answers, a text per turn."""
        return [message["content"] for message in self.conversation if message["role"] == "assistant"]


def load(directory: Path) -> tuple[World, list[Prompt]]:
    """The facts and the held-out prompts that a `world` run wrote."""
    world = World.from_json(json.loads((directory / "facts.json").read_text()))
    rows = [json.loads(line) for line in (directory / "heldout.jsonl").read_text().splitlines()]
    return world, [_prompt(row) for row in rows]


def _prompt(row: dict[str, Any]) -> Prompt:
    turns = tuple(Request.from_json(each) for each in row["turns"])
    return Prompt(id=row["id"], category=row["category"], system=row["system"], turns=turns)


def score(world: World, prompt: Prompt, answers: list[str]) -> Judgment:
    """The judge's view of the answers to one prompt, a text per turn."""
    return judge(world, list(prompt.turns), answers)
