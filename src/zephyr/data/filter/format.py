"""Debris of other formats in a dialogue's text."""

import re

from zephyr.data.filter.found import Found, passage
from zephyr.data.turns import Messages
from zephyr.recipe.filter import Format

MARKERS = re.compile(
    r"<\|(?:im_start|im_end|endoftext|user|assistant|system|eot_id|start_header_id|end_header_id)\|>"
    r"|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>"
    r"|^(?:#{2,3} ?(?:Instruction|Response|Human|Assistant|User|Input):"
    r"|(?:Human|User|Assistant|ASSISTANT|USER|GPT|AI):)",
    re.MULTILINE,
)
"""Turn markers of chat templates; names of speakers only where they begin a line."""
SPECIAL = re.compile(r"<\||\[/?INST|<<|_of_turn>|#")
WRONG = re.compile(r"\ufffd|â€[™œ\x9d“”˜¦]|Ã[©¨¤¶¼±³¡]|Â[ \xa0°£]")
"""The replacement character, and what UTF-8 punctuation and accents look like when read as Windows-1252."""


def debris(messages: Messages, settings: Format) -> Found | None:
    """A turn marker or wrongly decoded text in a turn, if any."""
    for turn in messages:
        text = turn["content"]
        if settings.template_markers and (found := _marker(text, turn["role"])):
            return Found("chat-template marker", passage(text, *found.span()))
        if settings.wrong_encoding and not text.isascii() and (found := WRONG.search(text)):
            return Found("wrongly decoded text", passage(text, *found.span()))
    return None


def _marker(text: str, role: str) -> re.Match[str] | None:
    """A marker; speakers' names count only where an answer begins with one and goes on to play both sides."""
    found = [match for match in MARKERS.finditer(text) if "`" not in text[max(0, match.start() - 1) : match.start()]]
    special = [match for match in found if SPECIAL.match(match[0])]
    if special:
        return special[0]
    speakers = {match[0].casefold() for match in found}
    both = bool(speakers & {"human:", "user:"}) and bool(speakers & {"assistant:", "gpt:", "ai:"})
    return found[0] if both and role == "assistant" and text.startswith(found[0][0]) else None
