"""Principles: what a model is told to go by, so that several answers to a prompt differ in kind (UltraFeedback)."""

import random
from pathlib import Path

from pydantic import Field

from zephyr.data.shapes import Messages
from zephyr.data.wording import read_wording
from zephyr.errors import UserError
from zephyr.recipe.sections import section


@section
class Principle:
    """One principle in several wordings."""

    texts: list[str] = Field(min_length=1)
    """Wordings, drawn alike."""
    weight: float = Field(default=1.0, ge=0)
    """Weight with which it is drawn."""


def read_principles(file: Path) -> dict[str, Principle]:
    """Name -> principle.

    Raises:
        UserError: the file is not of the form expected, or no principle can be drawn.
    """
    principles: dict[str, Principle] = read_wording(dict[str, Principle], file)
    if not any(each.weight for each in principles.values()):
        raise UserError(f"{file}: has no principle with a `weight` above 0")
    return principles


def draw_principle(principles: dict[str, Principle], rng: random.Random) -> tuple[str, str]:
    """A principle's name and one of its texts."""
    (name,) = rng.choices(list(principles), weights=[each.weight for each in principles.values()])
    return name, rng.choice(principles[name].texts)


def under_principle(prompt: Messages, text: str) -> Messages:
    """The conversation with the principle as its system message, after the system message that it has."""
    if prompt[0]["role"] != "system":
        return [{"role": "system", "content": text}, *prompt]
    own = prompt[0]["content"]
    return [{"role": "system", "content": f"{own}\n\n{text}" if own.strip() else text}, *prompt[1:]]
