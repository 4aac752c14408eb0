"""Replies in which the assistant talks of its limits instead of answering (section 4.1 of the paper).

The paper names "I don't have personal experiences", said even to "How do I clean my car?", and UltraChat-200k "I do not
have emotions" and "I don't have opinions". Their list was never published; this one is ours.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cache

from zephyr.data.filter.found import Found, passage
from zephyr.data.filter.refusal_phrases import ABOUT_ITSELF, PHRASES, WRITING
from zephyr.data.turns import Messages
from zephyr.recipe.filter import Refusals

QUOTED = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]+`|\"[^\"\n]{1,600}\"|“[^”\n]{1,600}”|«[^»\n]{1,600}»|„[^“”\n]{1,600}[“”]|「[^」\n]{1,600}」"
    r"|^>[^\n]*$",
    re.DOTALL | re.MULTILINE,
)
"""What is not in the assistant's own voice: code and quotations."""
SPEAKER = re.compile(r"^[ \t*]*[A-Z][\w .'-]{0,30}:\**(?= )[^\n]*$", re.MULTILINE)
"""A line of a dialogue, with the speaker's name in front."""
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
    lowered = text.lower()
    spoken = None
    for (language, family), phrase in patterns().items():
        if family not in families or not any(each in lowered for each in _hints(language, family)):
            continue
        if spoken is None:
            spoken = own_voice(text)
        for match in phrase.finditer(spoken):
            yield language, family, match


@cache
def patterns() -> dict[tuple[str, str], re.Pattern[str]]:
    """Language and family -> the phrases."""
    flags = re.IGNORECASE | re.MULTILINE
    return {
        (language, family): re.compile(phrase, flags)
        for language, families in PHRASES.items()
        for family, phrase in families.items()
    }


def _hints(language: str, family: str) -> tuple[str, ...]:
    return HINTS.get((language, family)) or HINTS[language, ""]


HINTS = {
    ("en", "identity"): (" ai ", " ai,", " ai.", " ai-", "a.i.", " ai\n", "artificial", "language model", "chatbot",
                         "chat bot", "virtual assistant", "machine learning", "program"),
    ("en", "lack"): ("i do not", "i don't", "i cannot", "i can't", "i lack", "i have no", "i am un", "i am not"),
    ("en", "access"): ("real-time", "real time", "internet", "browse", "latest", "up-to-date", "live ", "my knowledge",
                       "my training", "my last", "current", "external", "access"),
    ("en", "refusal"): ("sorry", "apolog", "regret", "unfortunately", "afraid", "against my", "programmed", "i can't",
                        "i cannot", "i can not", "i am un", "i am not", "i won't be",
                         "i do not have the", "i don't have"),
    ("es", ""): ("como ", "no tengo ", "no poseo ", "no puedo "),
    ("fr", ""): ("en tant qu", "je n'ai pas ", "je ne peux ", "je ne suis "),
    ("de", ""): ("als ", "ich habe keine", "habe ich keine", "ich besitze", "besitze ich", "ich kann "),
    ("it", ""): ("come ", "in quanto ", "essendo ", "non ho ", "non possiedo ", "non posso "),
    ("pt", ""): ("como ", "sendo ", "por ser ", "não "),
    ("nl", ""): ("als ", "ik heb geen ", "heb ik geen ", "ik kan "),
    ("ru", ""): ("как ", "явля", "у меня нет", "я не "),
    ("zh", ""): ("作为", "我"),
    ("ja", ""): ("として", "なので", "ですので", "であるため", "ません", "ないため", "できかねます"),
}  # fmt: skip
"""Parts of which a text must hold one to hold the phrase: cheaper to look for than the phrase."""


def own_voice(text: str) -> str:
    """The text with quotations, code and the lines of a dialogue blanked out; quotations only if they are not all."""
    blanked = QUOTED.sub(_blank, text)
    if not blanked.strip():
        blanked = text
    return SPEAKER.sub(_blank, blanked) if len(SPEAKER.findall(blanked)) > 1 else blanked


def _blank(match: re.Match[str]) -> str:
    return " " * len(match[0])


def _in_writing(text: str, match: re.Match[str], asked: str) -> bool:
    """Whether a phrase belongs to a text that the user asked for: past the reply's first sentence, or about robots."""
    if not WRITING.search(asked):
        return False
    first = re.search(r"[.!?。！？](?:\s|$)|\n", text)
    past_first = first is not None and match.start() >= first.end()
    return (past_first and "language model" not in match[0].casefold()) or bool(ROBOTS.search(asked))
