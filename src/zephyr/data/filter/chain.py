"""What each dialogue goes through by itself: first what mends it, then what judges it. Order: see recipe/filter.py."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from zephyr.data.filter.decontaminate import contaminated
from zephyr.data.filter.format import debris
from zephyr.data.filter.found import Found, passage
from zephyr.data.filter.helpfulness import unhelpful
from zephyr.data.filter.language import foreign
from zephyr.data.filter.length import out_of_bounds
from zephyr.data.filter.questions import Index
from zephyr.data.filter.refusals import refusal
from zephyr.data.filter.structure import broken, cut_unanswered
from zephyr.data.filter.thanks import without_thanks
from zephyr.data.filter.truecase import truecase
from zephyr.data.turns import Messages
from zephyr.recipe.filter import Filters


class Change(NamedTuple):
    """What a filter mended in a dialogue."""

    filter: str
    turns: int
    """Turns cut off or rewritten."""
    text: str
    """The first of them, and what became of it."""


class Verdict(NamedTuple):
    """What became of a dialogue."""

    messages: Messages
    """As mended."""
    changes: list[Change]
    filter: str = ""
    """The filter that dropped it; empty: kept."""
    found: Found | None = None


def judge(messages: Messages, filters: Filters, index: Index | None) -> Verdict:
    """Passes a dialogue through the filters that look at it alone.

    Args:
        messages: turns in our shape, not yet checked.
        filters: those that are on, with their settings.
        index: the benchmarks' questions, where `decontaminate` is on.
    """
    changes: list[Change] = []
    for name, mend in _mending(filters):
        before, messages = messages, mend(messages)
        if not messages and before:
            return Verdict(messages, changes, name, Found("nothing else", before[0]["content"][:200]))
        if messages != before:
            changes.append(_change(name, before, messages))
    for name, look in _judging(filters, index):
        found = look(messages)
        if found is not None:
            return Verdict(messages, changes, name, found)
    return Verdict(messages, changes)


def _mending(filters: Filters) -> Iterator[tuple[str, Callable[[Messages], Messages]]]:
    if structure := filters.structure:
        yield "structure", lambda messages: cut_unanswered(messages, structure)
    if thanks := filters.thanks:
        yield "thanks", lambda messages: without_thanks(messages, thanks)
    if case := filters.truecase:
        yield "truecase", lambda messages: truecase(messages, case.roles)


def _judging(filters: Filters, index: Index | None) -> Iterator[tuple[str, Callable[[Messages], Found | None]]]:
    yield "structure", broken
    if debris_settings := filters.format:
        yield "format", lambda messages: debris(messages, debris_settings)
    if language := filters.language:
        yield "language", lambda messages: foreign(messages, language)
    if refusals := filters.refusals:
        yield "refusals", lambda messages: refusal(messages, refusals)
    if helpfulness := filters.helpfulness:
        yield "helpfulness", lambda messages: unhelpful(messages, helpfulness)
    if length := filters.length:
        yield "length", lambda messages: out_of_bounds(messages, length)
    if (questions := filters.decontaminate) and index is not None:
        yield "decontaminate", lambda messages: contaminated(messages, questions, index)


def _change(name: str, before: Messages, after: Messages) -> Change:
    if len(after) < len(before):
        return Change(name, len(before) - len(after), before[len(after)]["content"])
    changed = [(old["content"], new["content"]) for old, new in zip(before, after, strict=True) if old != new]
    old, new = changed[0]
    place = next(n for n, (a, b) in enumerate(zip(old, new, strict=True)) if a != b)
    return Change(name, len(changed), passage(new, place, place + 1))
