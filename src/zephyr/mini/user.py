"""The scripted teacher in the user's place: the next instruction of a dialogue, written from the answer before it.

It stays in the split of the dialogue, so that a dialogue of training never comes to ask for what is held out.
"""

import random
from collections.abc import Sequence

from zephyr.mini.grammar import Known, Message, split_of
from zephyr.mini.questions import DOUBT, Request, follow_up
from zephyr.mini.relations import RELATIONS
from zephyr.mini.world import World, read, sentences

DOUBTS, FOLLOWS = 0.3, 0.3
"""Shares of next instructions that doubt the answer, and that ask about something the answer names."""


def next_instruction(
    world: World, known: Known, conversation: Sequence[Message], asked: list[Request], rng: random.Random
) -> str:
    """What the user says next: a doubt, a question about what the answer names, or more of the same kind.

    Args:
        world: What it is about.
        known: What a user may say.
        conversation: Turns so far, the last one the assistant's.
        asked: What the user's turns so far ask; at least one.
        rng: Where chance comes from.
    """
    drawn, split, before = rng.random(), split_of(world, asked), asked[-1]
    if before.form == "question" and drawn < DOUBTS and _is_new(DOUBT, asked):
        return DOUBT
    if drawn < DOUBTS + FOLLOWS:
        about = named(conversation[-1]["content"])
        asks = [each for each in known.values() if _is_about(each, about) and _is_new(each.text, asked)]
        if fitting := [each.text for each in asks if split_of(world, [each]) == split]:
            return rng.choice(fitting)
    return _more(world, split, asked, rng)


def named(answer: str) -> set[str]:
    """What the sentences of an answer name: their subjects and values."""
    claims = [claim for each in sentences(answer) if (claim := read(each))]
    return {name for claim in claims for name in (claim.key[1], claim.value) if name}


def _is_about(request: Request, names: set[str]) -> bool:
    """Whether it asks for one fact of the world, about one of these."""
    one = request.form == "question" and len(request.asks) == 1 and not request.passage
    return one and request.asks[0][1] in names and request.category == RELATIONS[request.asks[0][0]].category


def _is_new(text: str, asked: Sequence[Request]) -> bool:
    """Whether it has not been asked yet, with whatever opener."""
    return not any(each.text.endswith(text) for each in asked)


def _more(world: World, split: str, asked: Sequence[Request], rng: random.Random) -> str:
    """More of the same kind, something new if there is anything."""
    texts = [follow_up(world, split, rng, asked[-1]).text for _ in range(10)]
    return next((text for text in texts if _is_new(text, asked)), texts[0])
