"""Turns as data sets spell them, read as ours: `{"role", "content"}`, and transcripts taken apart into turns."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from zephyr.data.counts import excerpt

Messages = list[dict[str, str]]

ROLES = {
    "system": "system", "user": "user", "assistant": "assistant",  # OpenAI's names
    "human": "user", "gpt": "assistant",  # ShareGPT's
    "prompter": "user",  # OpenAssistant's
}  # fmt: skip
"""A data set's name of a role -> ours."""


class Unusable(Exception):
    """A row that cannot be used: the reason, and what was found."""

    def __init__(self, reason: str, found: object = ""):
        super().__init__(reason)
        self.reason = reason
        self.found = excerpt(found)


def turns(value: Any) -> Messages:
    """A list of turns in OpenAI's or ShareGPT's spelling; JSON text of such a list is not one."""
    if not isinstance(value, list) or not all(isinstance(turn, dict) for turn in value):
        raise Unusable("not a list of turns", value)
    return [_turn(turn) for turn in value]


def _turn(turn: Mapping[str, Any]) -> dict[str, str]:
    role = turn.get("role") or turn.get("from")
    if role not in ROLES:
        raise Unusable(f"unknown role {excerpt(role, 20)!r}", turn)
    content = turn["content"] if "content" in turn else turn.get("value")
    return {"role": ROLES[role], "content": text_of(content)}


def text_of(content: Any) -> str:
    """The text of a turn, also where it is given in parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list) and all(isinstance(part, dict) and part.get("type") == "text" for part in content):
        return "".join(text_of(part.get("text")) for part in content)
    raise Unusable("a turn without text", content)


def user(text: str) -> dict[str, str]:
    """A turn of the user."""
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, str]:
    """A turn of the assistant."""
    return {"role": "assistant", "content": text}


_TRANSCRIPT = re.compile(r"(?:^|\n\n)(Human|Assistant):")


def dialogue(value: Any) -> Messages:
    """Turns, or a transcript as in HH-RLHF: `\\n\\nHuman: ...\\n\\nAssistant: ...`."""
    if not isinstance(value, str):
        return turns(value)
    before, *pieces = _TRANSCRIPT.split(value)
    if before.strip() or not pieces:
        raise Unusable("an answer without its prompt", value)
    names = {"Human": user, "Assistant": assistant}
    return [names[name](text.strip()) for name, text in zip(pieces[::2], pieces[1::2], strict=True)]


def is_transcript(value: Any) -> bool:
    """Whether a text is a transcript as in HH-RLHF and Nectar."""
    return isinstance(value, str) and value.startswith("\n\nHuman:")


def prompt_turns(value: Any) -> Messages:
    """A prompt given as text, as turns, or as a transcript that ends in `\\n\\nAssistant:` (Nectar)."""
    if not is_transcript(value):
        return [user(value)] if isinstance(value, str) else turns(value)
    messages = dialogue(value)
    return messages[:-1] if messages[-1] == assistant("") else messages


def prompt_id(prompt: Messages) -> str:
    """SHA-256 of a prompt, in hexadecimal: of its text where it is one user turn (as in ultrafeedback_binarized)."""
    single = len(prompt) == 1 and prompt[0]["role"] == "user"
    text = prompt[0]["content"] if single else json.dumps(prompt, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
