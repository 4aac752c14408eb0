"""What models are asked to answer: prompts for `feedback`; topics and first instructions for `dialogues`."""

from dataclasses import dataclass
from typing import Any

from zephyr.data.turns import Messages, Unusable, dialogue, is_transcript, prompt_id, prompt_turns, text_of, turns, user


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """A prompt to be answered by several models."""

    messages: Messages
    """The conversation so far; the user's turn is the last."""
    prompt_id: str
    """Hash of the conversation: a row's draws depend on it and not on where the row stands."""
    source: str = ""
    """Where the prompt is from, as its row says."""
    correct_answers: tuple[str, ...] = ()
    """Answers known to be right."""
    incorrect_answers: tuple[str, ...] = ()
    """Answers known to be wrong."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Seed:
    """What dialogues begin with: a first instruction, or a topic about which the teacher writes some."""

    prompt: str = ""
    topic: str = ""


# Rows that `feedback` reads


def prompt_from_messages(fields: dict[str, Any]) -> Prompt:
    """A conversation; an answer at its end is left out."""
    value = fields["messages"]
    messages = dialogue(value) if is_transcript(value) else turns(value)
    return _prompt(fields, messages[:-1] if messages and messages[-1]["role"] == "assistant" else messages)


def prompt_from_prompt(fields: dict[str, Any]) -> Prompt:
    """A prompt given as text, turns or a transcript."""
    return _prompt(fields, prompt_turns(fields["prompt"]))


def prompt_from_instruction(fields: dict[str, Any]) -> Prompt:
    """UltraFeedback's `instruction`, or Alpaca's with its input in the same turn."""
    parts = filter(None, (text_of(fields["instruction"]), text_of(fields.get("input") or "")))
    return _prompt(fields, [user("\n".join(parts))])


def _prompt(fields: dict[str, Any], messages: Messages) -> Prompt:
    system = fields.get("system")
    if system and not (messages and messages[0]["role"] == "system"):
        messages = [{"role": "system", "content": text_of(system)}, *messages]
    return Prompt(
        messages=messages,
        prompt_id=prompt_id(messages),
        source=str(fields.get("source") or ""),
        correct_answers=_known(fields.get("correct_answers")),
        incorrect_answers=_known(fields.get("incorrect_answers")),
    )


def _known(value: Any) -> tuple[str, ...]:
    """Answers that a row knows; UltraFeedback says ["None"] where it knows none."""
    if not isinstance(value, list):
        return ()
    return tuple(str(each) for each in value if each not in (None, "", "None"))


def check_prompt(prompt: Prompt) -> None:
    """Raise Unusable unless user and assistant alternate after an optional system turn, and the user ends."""
    spoken = prompt.messages[1:] if prompt.messages[:1] and prompt.messages[0]["role"] == "system" else prompt.messages
    if not spoken or spoken[-1]["role"] != "user":
        raise Unusable("the prompt's last turn is not the user's", spoken[-1]["content"] if spoken else "")
    for number, turn in enumerate(spoken):
        if turn["role"] != ("user", "assistant")[number % 2]:
            raise Unusable("user and assistant do not alternate", turn["content"])
        if not turn["content"].strip():
            raise Unusable("empty prompt" if turn["role"] == "user" else "empty answer", spoken[number - 1]["content"])


# Rows that `dialogues` reads


def seed_from_prompt(fields: dict[str, Any]) -> Seed:
    """A first instruction; of a conversation, its first user turn."""
    messages = prompt_turns(fields["prompt"])
    return Seed(prompt=next((turn["content"] for turn in messages if turn["role"] == "user"), "").strip())


def seed_from_instruction(fields: dict[str, Any]) -> Seed:
    """A first instruction in Alpaca's spelling, its input in the same turn."""
    return Seed(prompt=prompt_from_instruction(fields).messages[-1]["content"].strip())


def seed_from_topic(fields: dict[str, Any]) -> Seed:
    """A topic."""
    return Seed(topic=text_of(fields["topic"]).strip())


def check_seed(seed: Seed) -> None:
    """Raise Unusable for a seed that says nothing."""
    if not seed.prompt and not seed.topic:
        raise Unusable("empty prompt or topic")
