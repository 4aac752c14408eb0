"""OpenAssistant's message trees: read as the best conversation of each tree, or as prompts with ranked answers.

Its files hold one message a row (`message_id`, `parent_id`, `role`, `text`, `rank`; the Hub's table too), or one tree a
row (`*.trees.jsonl`: `prompt` with nested `replies`). Rank 0 is the reply that people liked best.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from zephyr.data.readers import Row
from zephyr.data.turns import Messages, assistant, user
from zephyr.errors import UserError

SPEAKERS = {"prompter": user, "assistant": assistant}


@dataclass
class Message:
    """A message and the replies to it."""

    role: str
    text: str
    rank: float | None
    replies: list["Message"] = field(default_factory=list)


def is_message(fields: dict[str, Any]) -> bool:
    """Whether a row is one message of a tree."""
    return {"message_id", "parent_id", "role", "text"} <= fields.keys()


def is_tree(fields: dict[str, Any]) -> bool:
    """Whether a row is a whole tree."""
    return "message_tree_id" in fields and isinstance(fields.get("prompt"), dict)


def joined(stage: str, rows: Iterator[Row], *, drawn: bool) -> Iterator[Row]:
    """The rows, or where they are messages or trees, the rows that come of them: conversations, for `binarize` prompts.

    Args:
        stage: for `binarize` each prompt with two or more ranked answers, else the best conversation of each tree.
        rows: as read from a source.
        drawn: whether they are a draw.

    Raises:
        UserError: a draw of single messages, which tears the trees apart.
    """
    first = next(rows, None)
    if first is None:
        return
    every = chain([first], rows)
    if first.fields and is_message(first.fields):
        if drawn:
            raise UserError(
                f"{first.source}: holds single messages of conversations, and `rows` or `fraction` would tear these "
                "apart; take it away, or name a file with whole trees (`*.trees.jsonl`)"
            )
        yield from _from_messages(stage, every)
    elif first.fields and is_tree(first.fields):
        for row in every:
            tree = _message(row.fields["prompt"]) if row.fields and is_tree(row.fields) else None
            yield from _rows(stage, row, tree) if tree else [row]
    else:
        yield from every


def _from_messages(stage: str, rows: Iterator[Row]) -> Iterator[Row]:
    """Builds the trees of a table of messages, in whatever order they stand."""
    found: dict[str, Message] = {}
    parents: dict[str, str] = {}
    roots: dict[str, Row] = {}
    for row in rows:
        if row.fields is None or not is_message(row.fields):
            yield row
            continue
        message = _alone(row.fields)
        if message is None:
            continue
        name, parent = str(row.fields["message_id"]), row.fields["parent_id"]
        found[name] = message
        if parent:
            parents[name] = str(parent)
        else:
            roots[name] = replace(row, fields={})
    for name, parent in parents.items():
        if parent in found:  # a reply to a deleted message goes with it
            found[parent].replies.append(found[name])
    for name, place in roots.items():
        yield from _rows(stage, place, found[name])


def _alone(fields: dict[str, Any]) -> Message | None:
    """A message without its replies; None for one that was deleted or that reviewers refused."""
    if fields.get("deleted") or fields.get("review_result") is False or fields.get("role") not in SPEAKERS:
        return None
    rank = fields.get("rank")
    return Message(fields["role"], str(fields.get("text") or ""), None if rank is None else float(rank))


def _message(fields: dict[str, Any]) -> Message | None:
    message = _alone(fields)
    if message is not None:
        replies = (_message(each) for each in fields.get("replies") or [])
        message.replies = [each for each in replies if each is not None]
    return message


def _rows(stage: str, place: Row, root: Message) -> Iterator[Row]:
    if stage == "binarize":
        for prompt, answers in _ranked(root, []):
            ranks = [{"answer": each.text, "rank": each.rank} for each in answers]
            yield replace(place, fields={"prompt": prompt, "answers": ranks})
    elif conversation := _best(root):
        yield replace(place, fields={"messages": conversation})


def _best(root: Message) -> Messages:
    """The best-ranked reply at each step, as far as the assistant's last word; empty where it never spoke."""
    messages, at = [SPEAKERS[root.role](root.text)], root
    while at.replies:
        at = min(at.replies, key=lambda each: float("inf") if each.rank is None else each.rank)
        messages.append(SPEAKERS[at.role](at.text))
    return messages if messages[-1]["role"] == "assistant" else messages[:-1]


def _ranked(message: Message, before: Messages) -> Iterator[tuple[Messages, list[Message]]]:
    """Every prompt of a tree that has two or more ranked answers."""
    turns = [*before, SPEAKERS[message.role](message.text)]
    answers = [each for each in message.replies if each.role == "assistant" and each.rank is not None]
    if len(answers) > 1:
        yield turns, answers
    for each in message.replies:
        yield from _ranked(each, turns)
