"""Who can be asked in a mini world: scripted teachers, each of whom can also take the user's place, and the judge.

What is wanted is read from the words of the request alone, as any language model must.
"""

import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from zephyr.data.wording import SHIPPED
from zephyr.mini.grammar import Known, Message, requests_by_text, split_of, understand
from zephyr.mini.scoring import judgment
from zephyr.mini.teacher import answer
from zephyr.mini.user import next_instruction
from zephyr.mini.world import World
from zephyr.recipe.schema import Habits

JUDGE = "judge"
_FILE = "cast.json"
_TEACHERS = TypeAdapter(dict[str, Habits])
LOST = "I do not understand."
"""What a scripted teacher says to whatever is not of its world."""


@dataclass(frozen=True, kw_only=True)
class Cast:
    """A world and those who answer in it."""

    world: World
    known: Known
    teachers: dict[str, Habits]
    user_prompt: re.Pattern[str]
    """The last message of a request to take the user's place."""

    @property
    def names(self) -> list[str]:
        """Models that can be asked."""
        return [*self.teachers, JUDGE]


def write_cast(teachers: dict[str, Habits], directory: Path) -> None:
    """Writes who can be asked in a world."""
    (directory / _FILE).write_bytes(_TEACHERS.dump_json(teachers, indent=1) + b"\n")


def load(directory: Path) -> Cast:
    """Those of a world that a `world` run wrote."""
    world = World.from_json(json.loads((directory / "facts.json").read_text()))
    teachers = _TEACHERS.validate_json((directory / _FILE).read_bytes())
    return Cast(world=world, known=requests_by_text(world), teachers=teachers, user_prompt=_user_prompt())


def reply(cast: Cast, model: str, conversation: Sequence[Message], rng: random.Random) -> str:
    """What a model of the world answers.

    Raises:
        ValueError: the judge was asked something that holds no request with answers.
    """
    if model == JUDGE:
        return judgment(cast.world, cast.known, conversation)
    if cast.user_prompt.fullmatch(conversation[-1]["content"]):
        return _as_user(cast, conversation[:-1], rng)
    asked = understand(cast.known, conversation)
    if len(asked) < sum(each["role"] == "user" for each in conversation):
        return LOST
    return answer(cast.world, split_of(cast.world, asked), asked[-1], cast.teachers[model], rng)


def _as_user(cast: Cast, conversation: Sequence[Message], rng: random.Random) -> str:
    asked = understand(cast.known, conversation)
    if not asked or conversation[-1]["role"] != "assistant":
        return LOST
    return next_instruction(cast.world, cast.known, conversation, asked, rng)


def _user_prompt() -> re.Pattern[str]:
    """The toolkit's own wording, with anything at its places."""
    import yaml

    wording = yaml.safe_load((SHIPPED / "dialogues.yaml").read_text(encoding="utf-8"))["next_turn"]
    parts = re.split(r"\{[a-z_]+\}", wording.strip())
    return re.compile(r"\s*" + ".*".join(map(re.escape, parts)) + r"\s*", re.DOTALL)
