"""Replies in which the assistant talks of its limits instead of answering (section 4.1 of the paper).

The paper names "I don't have personal experiences", said even to "How do I clean my car?", and UltraChat-200k "I do not
have emotions" and "I don't have opinions". Their list was never published; this one is ours.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cache

from zephyr.data.filters.found import Found, passage
from zephyr.data.filters.refusal_phrases import ABOUT_ITSELF, PHRASES, WRITING
from zephyr.data.turns import Messages
from zephyr.recipe.filter import Refusals

QUOTED = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]+`|\"[^\"\n]{1,600}\"|“[^”\n]{1,600}”|«[^»\n]{1,600}»|„[^“”\n]{1,600}[“”]|「[^」\n]{1,600}」"
    r"|^>.*$|^[ \t]*[\w .'-]{1,30}:(?= )(?=.*\b[Ii]\b).*$",
    re.DOTALL | re.MULTILINE,
)
"""What is not in the assistant's own voice: code, quotations, lines of a dialogue with the speaker's name in front."""
ROBOTS = re.compile(r"\b(?:robots?|androids?|chatbots?|ai|a\.i\.|artificial intelligence|sentient|cyborg)\b", re.I)


def refusal(messages: Messages, settings: Refusals) -> Found | None:
    """The first reply in which the assistant talks of its limits, unless the user gave it reason to."""
    asked = ""
    for turn in messages:
        if turn["role"] == "user":
            asked = turn["content"]
        elif turn["role"] == "assistant":
            found = _in_reply(turn["content"], asked, settings)
            if found is not None:
                return found
    return None


def _in_reply(reply: str, asked: str, settings: Refusals) -> Found | None:
    text = reply.replace("’", "'")
    for language, family, match in _matches(text, settings.families):
        if settings.allow_when_asked and family != "refusal" and ABOUT_ITSELF.search(asked):
            continue
        if settings.allow_in_writing and _in_writing(text, match, asked):
            continue
        return Found(f"{family} ({language})", passage(text, *match.span()))
    return None


def _matches(text: str, families: Sequence[str]) -> Iterator[tuple[str, str, re.Match[str]]]:
    """What a reply says of its limits in its own voice: language, family, place."""
    spoken = None
    for language, family, phrase, literal in patterns():
        if family not in families or (literal and not literal.search(text)):
            continue
        if spoken is None:
            spoken = own_voice(text)
        for match in phrase.finditer(spoken):
            yield language, family, match


@cache
def patterns() -> list[tuple[str, str, re.Pattern[str], re.Pattern[str] | None]]:
    """Language, family, phrase, and a quick test whether a text can hold it at all."""
    flags = re.IGNORECASE | re.MULTILINE
    found = []
    for language, families in PHRASES.items():
        for family, phrase in families.items():
            quick = QUICK.get((language, family)) or QUICK.get((language, ""))
            found.append((language, family, re.compile(phrase, flags), re.compile(quick, flags) if quick else None))
    return found


QUICK = {
    ("en", "identity"): r" an? (?:ai\b|a\.i|artif|large|virtual|digital|text|computer|neural|machine|lang|chat|soft)",
    ("en", "lack"): r"\bi (?:do not|don't|cann?o?'?t|lack|have no|am (?:un|not))",
    ("en", "access"): r"real[- ]time|internet|\bmy (?:knowledge|training|last)|up-to-date|latest|brows|live|current",
    ("en", "refusal"): r"sorry|apolog|regret|unfortunately|afraid|^i |against my|programmed",
    ("es", ""): r"\bno (?:tengo|poseo|puedo)|\bcomo ",
    ("fr", ""): r"\bje n|\ben tant qu",
    ("de", ""): r"\bals |\bhabe |\bkann |\bbesitze ",
    ("it", ""): r"\bnon |\bcome |in quanto|essendo",
    ("pt", ""): r"\bnão |\bcomo |sendo|por ser",
    ("nl", ""): r"\bik (?:heb|kan)|\bheb ik|\bals ",
    ("ru", ""): r"[а-я]",
    ("zh", ""): r"[\u4e00-\u9fff]",
    ("ja", ""): r"[\u3040-\u30ff]",
}  # fmt: skip
"""Words without which a phrase can't be there: cheaper to look for than the phrase."""


def own_voice(text: str) -> str:
    """The text with quotations, code and speakers' lines blanked out, unless they are all of it."""
    blanked = QUOTED.sub(lambda match: " " * len(match[0]), text)
    return blanked if blanked.strip() else text


def _in_writing(text: str, match: re.Match[str], asked: str) -> bool:
    """Whether a phrase belongs to a text that the user asked for: past the reply's first sentence, or about robots."""
    if not WRITING.search(asked):
        return False
    first = re.search(r"[.!?。！？\n](?:\s|$)", text)
    past_first = first is not None and match.start() >= first.end()
    return (past_first and "language model" not in match[0].casefold()) or bool(ROBOTS.search(asked))
