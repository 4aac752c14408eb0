"""What a filter says of a dialogue that it drops."""

from typing import NamedTuple


class Found(NamedTuple):
    """Why a dialogue goes."""

    reason: str
    """A few words, the same for all dialogues of a kind: they are counted by it."""
    text: str
    """The offending passage."""


def passage(text: str, start: int, end: int, around: int = 60) -> str:
    """A passage with some text on both sides, on one line."""
    return " ".join(text[max(0, start - around) : end + around].split())
