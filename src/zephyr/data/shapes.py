"""The shapes data sets come in, and their conversion to ours.

Ours: a conversation is a list of `{"role", "content"}` turns, a preference is the turns of its prompt with a chosen and
a rejected answer, a document is a string. The prompt is everything before the last assistant turn.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from zephyr.data.prompts import (
    prompt_from_instruction,
    prompt_from_messages,
    prompt_from_prompt,
    seed_from_instruction,
    seed_from_prompt,
    seed_from_topic,
)
from zephyr.data.turns import Messages, Unusable, assistant, dialogue, is_transcript, text_of, turns, user
from zephyr.data.ultrafeedback import from_ranked, from_ultrafeedback
from zephyr.errors import UserError

__all__ = [
    "SHAPES", "Messages", "Preference", "Shape", "Unusable", "answered", "check_conversation", "check_preference",
    "check_text", "recognise", "turns", "with_system_turn",
]  # fmt: skip


class Preference(NamedTuple):
    """A prompt with a better and a worse answer."""

    prompt: Messages
    chosen: str
    rejected: str


class Shape(NamedTuple):
    """Columns by which a shape is recognised, and how such a row becomes ours."""

    needs: tuple[str, ...]
    convert: Callable[[dict[str, Any]], Any]
    written: str
    """How an error message spells it."""
    may_have: tuple[str, ...] = ()
    """Columns it also understands."""


def _system(fields: dict[str, Any]) -> Messages:
    """The turn of a `system` column, if there is one and it says something."""
    return [{"role": "system", "content": fields["system"]}] if fields.get("system") else []


def _with_system(fields: dict[str, Any], messages: Messages) -> Messages:
    return messages if messages and messages[0]["role"] == "system" else _system(fields) + messages


# Conversations


def _from_messages(fields: dict[str, Any]) -> Messages:
    """Turns; or a transcript, where `columns:` says that another column holds the messages (HH-RLHF's `chosen`)."""
    messages = fields["messages"]
    return _with_system(fields, dialogue(messages) if is_transcript(messages) else turns(messages))


def _from_conversations(fields: dict[str, Any]) -> Messages:
    return _with_system(fields, turns(fields["conversations"]))


def _from_alternating(fields: dict[str, Any]) -> Messages:
    """UltraChat's raw files: texts of user and assistant in turn, the user's first."""
    said = fields["data"]
    if not isinstance(said, list):
        raise Unusable("not a list of texts", said)
    return _with_system(fields, [(user, assistant)[n % 2](text_of(text)) for n, text in enumerate(said)])


def _from_exchanges(fields: dict[str, Any]) -> Messages:
    """Capybara's: a list of `{input, output}`."""
    exchanges = fields["conversation"]
    if not isinstance(exchanges, list) or not all(isinstance(each, dict) for each in exchanges):
        raise Unusable("not a list of turns", exchanges)
    if exchanges and not {"input", "output"} <= exchanges[0].keys():
        return _with_system(fields, turns(exchanges))
    said = [(text_of(each.get("input")), text_of(each.get("output"))) for each in exchanges]
    return _with_system(fields, [turn for asked, answer in said for turn in (user(asked), assistant(answer))])


def _from_instruction(fields: dict[str, Any]) -> Messages:
    """Alpaca's: the input follows the instruction in the same turn; `history` holds earlier [question, answer]."""
    earlier = [turn for asked, said in fields.get("history") or [] for turn in (user(asked), assistant(said))]
    return _with_system(fields, [*earlier, user(_instruction(fields)), assistant(text_of(fields["output"]))])


def _instruction(fields: dict[str, Any]) -> str:
    return "\n".join(filter(None, (text_of(fields["instruction"]), text_of(fields.get("input") or ""))))


def _from_prompt_completion(fields: dict[str, Any]) -> Messages:
    return [*_prompt(fields), assistant(_answer(fields["completion"]))]


def _prompt(fields: dict[str, Any]) -> Messages:
    prompt = fields["prompt"]
    return _with_system(fields, [user(prompt)] if isinstance(prompt, str) else turns(prompt))


def _answer(value: Any) -> str:
    """An answer given as text, as a turn, or as a list of one turn."""
    if isinstance(value, str):
        return value
    messages = turns([value] if isinstance(value, dict) else value)
    if len(messages) != 1 or messages[0]["role"] != "assistant":
        raise Unusable("the answer is not one assistant turn", value)
    return messages[0]["content"]


# Preferences


def _from_pair(fields: dict[str, Any]) -> Preference:
    """Prompt, chosen and rejected; an answer given as turns may repeat the prompt before itself."""
    chosen, rejected = fields["chosen"], fields["rejected"]
    if not any(isinstance(answer, list) and len(answer) > 1 for answer in (chosen, rejected)):
        return Preference(_prompt(fields), _answer(chosen), _answer(rejected))
    return _from_dialogues(fields)


def _from_dialogues(fields: dict[str, Any]) -> Preference:
    """Two whole conversations that differ in their last turn only."""
    chosen, rejected = dialogue(fields["chosen"]), dialogue(fields["rejected"])
    if not chosen or not rejected:
        raise Unusable("empty answer", fields["chosen"] or fields["rejected"])
    if chosen[:-1] != rejected[:-1]:
        raise Unusable("chosen and rejected answer different prompts", rejected)
    for answer in (chosen[-1], rejected[-1]):
        if answer["role"] != "assistant":
            raise Unusable("the last turn is not the assistant's", answer)
    return Preference(_with_system(fields, chosen[:-1]), chosen[-1]["content"], rejected[-1]["content"])


def _from_sharegpt_pair(fields: dict[str, Any]) -> Preference:
    prompt = _with_system(fields, turns(fields["conversations"]))
    return Preference(prompt, _answer(fields["chosen"]), _answer(fields["rejected"]))


def _from_instruction_pair(fields: dict[str, Any]) -> Preference:
    prompt = _with_system(fields, [user(_instruction(fields))])
    return Preference(prompt, _answer(fields["chosen"]), _answer(fields["rejected"]))


# Which shapes a stage takes, the first that fits wins

_BESIDE_A_PROMPT = ("system", "source", "correct_answers", "incorrect_answers")
SHAPES: dict[str, tuple[Shape, ...]] = {
    "cpt": (Shape(("text",), lambda fields: text_of(fields["text"]), "text"),),
    "sft": (
        Shape(("messages",), _from_messages, "messages [{role, content}, ...]", ("system",)),
        Shape(("conversations",), _from_conversations, "conversations [{from, value}, ...]", ("system",)),
        Shape(("prompt", "completion"), _from_prompt_completion, "prompt + completion", ("system",)),
        Shape(
            ("instruction", "output"), _from_instruction, "instruction (+ input) + output",
            ("input", "system", "history"),
        ),
        Shape(("conversation",), _from_exchanges, "conversation [{input, output}, ...]", ("system",)),
        Shape(("data",), _from_alternating, "data [user's text, assistant's text, ...]", ("system",)),
    ),
    "dpo": (
        Shape(("prompt", "chosen", "rejected"), _from_pair, "prompt + chosen + rejected (text or turns)", ("system",)),
        Shape(
            ("conversations", "chosen", "rejected"), _from_sharegpt_pair,
            "conversations + chosen + rejected ({from, value})", ("system",),
        ),
        Shape(
            ("instruction", "chosen", "rejected"), _from_instruction_pair,
            "instruction (+ input) + chosen + rejected", ("input", "system"),
        ),
        Shape(("chosen", "rejected"), _from_dialogues, "chosen + rejected (whole conversations)", ("system",)),
    ),
    "binarize": (
        Shape(
            ("instruction", "completions"), from_ultrafeedback, "instruction + completions (UltraFeedback)",
            ("prompt", "prompt_id", "source"),
        ),
        Shape(
            ("prompt", "completions"), from_ultrafeedback, "prompt + completions (UltraFeedback)",
            ("prompt_id", "source"),
        ),
        Shape(
            ("prompt", "answers"), from_ranked, "prompt + answers [{answer, model, rank}, ...] (Nectar)", ("source",),
        ),
    ),
    "feedback": (
        Shape(("prompt",), prompt_from_prompt, "prompt (text or turns)", _BESIDE_A_PROMPT),
        Shape(("messages",), prompt_from_messages, "messages [{role, content}, ...]", _BESIDE_A_PROMPT),
        Shape(("instruction",), prompt_from_instruction, "instruction (+ input)", ("input", *_BESIDE_A_PROMPT)),
    ),
    "dialogues": (
        Shape(("topic",), seed_from_topic, "topic"),
        Shape(("prompt",), seed_from_prompt, "prompt (text or turns)"),
        Shape(("instruction",), seed_from_instruction, "instruction (+ input)", ("input",)),
    ),
}  # fmt: skip


def recognise(stage: str, columns: Iterable[str], mapped: Iterable[str] = (), source: str = "") -> Shape:
    """The shape of rows with these columns; a shape that uses the columns mapped by the recipe goes first.

    Raises UserError, naming what was found and what is accepted, when none fits.
    """
    columns, mapped = list(columns), set(mapped)
    known = {name for shape in SHAPES[stage] for name in shape.needs + shape.may_have}
    if mapped - known:
        raise UserError(
            f"{source}: `columns:` sets {', '.join(sorted(mapped - known))}, which a {stage} recipe does not read.\n"
            f"It reads: {', '.join(sorted(known))}."
        )
    fitting = [shape for shape in SHAPES[stage] if set(shape.needs) <= set(columns)]
    if fitting:
        return max(fitting, key=lambda shape: len(mapped & set(shape.needs)))
    accepted = "\n".join(f"  {shape.written}" for shape in SHAPES[stage])
    scored = stage == "dpo" and any(set(shape.needs) <= set(columns) for shape in SHAPES["binarize"])
    way_out = (
        "These are scored answers; a recipe of `stage: binarize` makes pairs of them, and can be named here."
        if scored
        else "If the data are there under other names, say so at the source: "
        f"`columns: {{{SHAPES[stage][-1].needs[0]}: {columns[0] if columns else '...'}}}` (our name: theirs)."
    )
    raise UserError(
        f"{source}: these columns are not a shape that a {stage} recipe reads: {', '.join(columns)}.\n"
        f"It reads:\n{accepted}\n{way_out}"
    )


# What cannot be trained on


def check_conversation(messages: Messages) -> None:
    """Raise Unusable unless user and assistant alternate after an optional system turn, and the assistant ends."""
    if not messages:
        raise Unusable("empty conversation")
    spoken = messages[1:] if messages[0]["role"] == "system" else messages
    if not spoken or spoken[0]["role"] != "user":
        raise Unusable("the first turn is not the user's", spoken[0]["content"] if spoken else messages[0]["content"])
    for number, turn in enumerate(spoken):
        if turn["role"] == "system":
            raise Unusable("a system turn that is not the first", turn["content"])
        if turn["role"] != ("user", "assistant")[number % 2]:
            raise Unusable(f"two {turn['role']} turns in a row", turn["content"])
        if not turn["content"].strip():
            raise Unusable("empty prompt" if turn["role"] == "user" else "empty answer", spoken[number - 1]["content"])
    if spoken[-1]["role"] != "assistant":
        raise Unusable("the last turn is not the assistant's", spoken[-1]["content"])


def check_preference(preference: Preference) -> None:
    """Raise Unusable unless both answers continue the prompt and differ."""
    for answer in (preference.chosen, preference.rejected):
        check_conversation([*preference.prompt, assistant(answer)])
    if preference.chosen.strip() == preference.rejected.strip():
        raise Unusable("chosen equal to rejected", preference.chosen)


def check_text(text: str) -> None:
    """Raise Unusable for a document that says nothing."""
    if not text.strip():
        raise Unusable("empty text", text)


def answered(preference: Preference, answer: str) -> Messages:
    """The conversation of a prompt with one of its answers."""
    return [*preference.prompt, assistant(answer)]


def with_system_turn(messages: Messages) -> Messages:
    """The conversation with an empty system turn in front, unless it has a system turn (Zephyr's training data)."""
    return messages if messages[0]["role"] == "system" else [{"role": "system", "content": ""}, *messages]
