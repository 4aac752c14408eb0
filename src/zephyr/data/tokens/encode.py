"""Rows become token ids, a batch at a time: documents, conversations with the tokens that carry loss, pairs.

The ids are those of transformers' `apply_chat_template` and, for pairs, of TRL 1.16's DPOTrainer; what is faster here
is that a pair's prompt is encoded once, and that texts are encoded in batches by the Rust tokenizer.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple, TypeVar

import numpy as np

from zephyr.data.shapes import Messages, Preference, answered, with_system_turn
from zephyr.data.tokens.pack import Ids
from zephyr.data.tokens.template import Template
from zephyr.data.tokens.tokenize import Tokenizer
from zephyr.data.tokens.truncate import Pair
from zephyr.errors import UserError
from zephyr.recipe.sections import ChatData, PreferenceData, TextData

NO_LOSS = -100
"""The label of a token that carries no loss (transformers' and TRL's convention)."""

T = TypeVar("T")


class Encoded(NamedTuple):
    """Ids of a text and their labels: the id where it carries loss, otherwise NO_LOSS."""

    ids: Ids
    labels: Ids


def batches(rows: Iterable[T], size: int = 1000) -> Iterator[list[T]]:
    """The rows, `size` at a time: enough for every core, little enough to hold."""
    iterator = iter(rows)
    while batch := list(islice(iterator, size)):
        yield batch


# Documents (cpt)


def encode_texts(texts: Sequence[str], data: TextData, tokenizer: Tokenizer) -> list[Encoded]:
    """Documents with the BOS and EOS the recipe asks for; every token carries loss."""
    return [_all_loss(ids) for ids in _closed(tokenizer.encode(texts), data, tokenizer)]


def _closed(rows: list[list[int]], data: TextData | ChatData | PreferenceData, tokenizer: Tokenizer) -> list[list[int]]:
    before = [tokenizer.bos_id] if data.add_bos_token else []
    after = [tokenizer.eos_id] if data.append_eos_token else []
    return [before + ids + after for ids in rows] if before or after else rows


def _all_loss(ids: list[int]) -> Encoded:
    array = np.array(ids, np.int32)
    return Encoded(array, array)


# Conversations (sft)


def encode_conversations(
    conversations: Sequence[Messages], data: ChatData, tokenizer: Tokenizer, template: Template
) -> list[Encoded]:
    """Rendered conversations with the loss on the tokens that `data.loss_on` names."""
    if data.empty_system_turn:
        conversations = [with_system_turn(messages) for messages in conversations]
    texts = [template.render(messages) for messages in conversations]
    if data.loss_on == "all":
        rows = _closed(tokenizer.encode(texts), data, tokenizer)
        for text, ids in zip(texts, rows, strict=True):
            _require_eos(text, ids[-8:], data, tokenizer, template)
        return [_all_loss(ids) for ids in rows]
    spans = [
        answer_spans(messages, text, tokenizer.eos, template, last_only=data.loss_on == "completion")
        for messages, text in zip(conversations, texts, strict=True)
    ]
    found = []
    for text, where, (ids, offsets) in zip(texts, spans, tokenizer.encode_with_offsets(texts), strict=True):
        carries = _inside(offsets, where)
        row = _closed([ids], data, tokenizer)[0]
        labels = np.full(len(row), NO_LOSS, np.int32)
        start = int(data.add_bos_token)
        labels[start : start + len(ids)][carries] = np.array(ids, np.int32)[carries]
        if data.append_eos_token:
            labels[-1] = row[-1]
        _require_eos(text, labels[labels != NO_LOSS][-1:].tolist(), data, tokenizer, template)
        found.append(Encoded(np.array(row, np.int32), labels))
    return found


def answer_spans(
    messages: Messages, text: str, eos: str, template: Template, *, last_only: bool
) -> list[tuple[int, int]]:
    """Characters (start, end) of the assistant's turns in the rendered `text`, each with its EOS.

    A turn starts where the generation prompt ends, so that the model is trained on what it will have to write.
    """
    answers = [n for n, message in enumerate(messages) if message["role"] == "assistant"]
    spans = []
    for n in answers[-1:] if last_only else answers:
        before = template.render(messages[:n], add_generation_prompt=True)
        through = text if n == len(messages) - 1 else template.render(messages[: n + 1])
        if not (through.startswith(before) and text.startswith(through)):
            raise UserError(_not_a_prefix(template, before, text))
        turn = through[len(before) :]
        end = turn.rfind(eos)
        spans.append((len(before), len(before) + (end + len(eos) if end >= 0 else len(turn.rstrip()))))
    return spans


def _inside(offsets: list[tuple[int, int]], spans: list[tuple[int, int]]) -> np.ndarray:
    """Which tokens share a character with a span."""
    where = np.array(offsets, np.int64).reshape(-1, 2)
    carries = np.zeros(len(where), bool)
    for start, end in spans:
        carries |= (where[:, 1] > start) & (where[:, 0] < end)
    return carries


# Preference pairs (dpo)


class EncodedPair(NamedTuple):
    """Ids of a pair before it is cut, and whether the prompt's end merged with an answer's start."""

    pair: Pair
    merged: bool


def encode_pairs(
    preferences: Sequence[Preference], data: PreferenceData, tokenizer: Tokenizer, template: Template
) -> list[EncodedPair]:
    """Prompts rendered with the generation prompt, and the rest of the rendered whole as chosen and rejected.

    As in TRL, the answers start where the ids of the prompt and of the whole diverge: where a tokenizer merges the
    end of the prompt with the start of an answer, that token belongs to the answers.
    """
    texts: list[str] = []
    for preference in preferences:
        texts.extend(_rendered_pair(preference, data, template))
    ids = _encode_sharing_prompts(texts, tokenizer)
    before = [tokenizer.bos_id] if data.add_bos_token else []
    after = [tokenizer.eos_id] if data.append_eos_token else []
    found = []
    for n in range(0, len(texts), 3):
        prompt, chosen, rejected = ids[n : n + 3]
        start = min(_common_prefix(prompt, chosen), _common_prefix(prompt, rejected))
        pair = Pair(before + prompt[:start], chosen[start:] + after, rejected[start:] + after)
        for text, answer in ((texts[n + 1], pair.chosen), (texts[n + 2], pair.rejected)):
            _require_eos(text, list(answer[-8:]), data, tokenizer, template)
        found.append(EncodedPair(pair, start < len(prompt)))
    return found


def _rendered_pair(preference: Preference, data: PreferenceData, template: Template) -> list[str]:
    if data.empty_system_turn:
        preference = preference._replace(prompt=with_system_turn(preference.prompt))
    prompt = template.render(preference.prompt, add_generation_prompt=True)
    whole = [template.render(answered(preference, answer)) for answer in (preference.chosen, preference.rejected)]
    for text in whole:
        if not text.startswith(prompt):
            raise UserError(_not_a_prefix(template, prompt, text))
    return [prompt, *whole]


def _encode_sharing_prompts(texts: list[str], tokenizer: Tokenizer) -> list[list[int]]:
    """Ids of (prompt, whole, whole) texts, three by three, with the common part of each three encoded once.

    The common part ends with the prompt's last EOS. That is a special token, which nothing merges across; it is
    encoded again in front of each rest, because what follows a special token can be encoded unlike a text's start.
    """
    eos, eos_id = tokenizer.eos, tokenizer.eos_id
    heads: list[str] = []
    rests: list[str] = []
    for n in range(0, len(texts), 3):
        end = texts[n].rfind(eos) + len(eos) if eos in texts[n] else 0
        heads.append(texts[n][:end])
        rests.extend((eos if end else "") + text[end:] for text in texts[n : n + 3])
    head_ids = tokenizer.encode(heads)
    rest_ids = tokenizer.encode(rests)
    ids = [
        head_ids[n // 3] + rest[1:] if head_ids[n // 3] and rest[:1] == [eos_id] else rest
        for n, rest in enumerate(rest_ids)
    ]
    if tokenizer.encode(texts[:9]) != ids[:9]:
        return tokenizer.encode(texts)  # a tokenizer for which that does not hold
    return ids


def _common_prefix(ids: list[int], other: list[int]) -> int:
    if other[: len(ids)] == ids:
        return len(ids)
    return next(n for n, (one, two) in enumerate(zip(ids, [*other, None], strict=False)) if one != two)


# What must hold of every template


def _require_eos(
    text: str, ending: list[int], data: ChatData | PreferenceData, tokenizer: Tokenizer, template: Template
) -> None:
    """UserError when an answer is trained without the token that ends it: the model would never stop."""
    if tokenizer.eos_id in ending and (data.append_eos_token or text.rstrip().endswith(tokenizer.eos)):
        return
    raise UserError(
        f"data.chat_template: {template.name} does not end an answer with the EOS token {tokenizer.eos!r} of "
        f"{tokenizer.name}, so the model would never learn to stop. A rendered conversation ends: {text[-60:]!r}\n"
        "Ways out: `append_eos_token: true`, `chat_template: zephyr`, or a tokenizer whose `eos_token` is the token "
        "that ends a turn in this template."
    )


def _not_a_prefix(template: Template, before: str, text: str) -> str:
    common = next((n for n, (one, two) in enumerate(zip(before, text, strict=False)) if one != two), len(text))
    return (
        f"data.chat_template: {template.name} renders the prompt alone unlike the start of the whole conversation, so "
        "the model would be trained on another prompt than it is given.\n"
        f"  alone: …{before[max(0, common - 20) : common + 40]!r}\n"
        f"  whole: …{text[max(0, common - 20) : common + 40]!r}\n"
        "Use `chat_template: zephyr`, or a template that renders a turn the same wherever it stands."
    )
