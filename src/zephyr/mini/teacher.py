"""Scripted teachers, who answer as a hosted model would.

All know the world. They differ in their habits alone, which the recipe states. That is the mini world's assumption: the
teacher has bad habits, as the paper found in UltraChat (section 4.1). `filter` takes out refusals and wrong capitals;
what dDPO can gain is to unlearn the rest.
"""

import random
import re

from zephyr.mini.questions import ROLES, Request, told_of
from zephyr.mini.relations import FROM_TEXT, RELATIONS
from zephyr.mini.world import Key, World
from zephyr.recipe.schema import Habits

BOILERPLATE = ("I hope this helps.", "Let me know what else you need.")
REFUSAL = "As an AI language model, I do not have personal experiences."
CAVING = "Sorry, you are right, I was wrong."
SURE = "I am sure."
_SENTENCE_START = re.compile(r"(?:^|(?<=[.!?]\s))[A-Z]")


def answer(world: World, split: str, request: Request, habits: Habits, rng: random.Random) -> str:
    """An answer to the request by someone with these habits, who says nothing that the split withholds."""
    parts = [REFUSAL] if rng.random() < habits.refuses else []
    parts.append(_body(world, split, request, habits, rng))
    if request.role and rng.random() >= habits.forgets_role:
        parts.append(ROLES[request.role])
    if rng.random() < habits.boilerplate:
        parts += BOILERPLATE if rng.random() < 0.5 else rng.sample(BOILERPLATE, 1)
    text = " ".join(parts)
    return _SENTENCE_START.sub(lambda found: found[0].lower(), text) if rng.random() < habits.miscased else text


def _body(world: World, split: str, request: Request, habits: Habits, rng: random.Random) -> str:
    if request.form == "writing":
        return _writing(world, split, request, habits, rng)
    if request.form == "doubt" and rng.random() < habits.caves:
        return CAVING
    stated = _stated(world, request, habits, rng)
    value = stated[-1][1]
    if request.form == "question" and value is not None and rng.random() < habits.terse:
        return f"{value[0].upper()}{value[1:]}."
    said = [world.say(*each) for each in stated]
    return f"{said[-1]} {SURE}" if request.form == "doubt" else " ".join(said)


def _stated(world: World, request: Request, habits: Habits, rng: random.Random) -> list[tuple[Key, str | None]]:
    """The facts asked for with the values that the answerer gives: the truth, but for the last a guess or a slip."""
    passage = dict(request.passage)
    *steps, asked = request.asks
    return [
        *((key, world.value(key, passage)) for key in steps),
        (asked, _given(world, world.value(asked, passage), asked, habits, rng)),
    ]


def _given(world: World, truth: str | None, key: Key, habits: Habits, rng: random.Random) -> str | None:
    if rng.random() >= (habits.guesses if truth is None else habits.slips):
        return truth
    wrong = [value for value in RELATIONS[key[0]].values if value != truth]
    if key[0] == FROM_TEXT:  # a wrong place must not be a held-out combination
        wrong = [value for value in wrong if world.split[key[1], value] == "train"]
    return rng.choice(wrong)


def _writing(world: World, split: str, request: Request, habits: Habits, rng: random.Random) -> str:
    assert request.about is not None
    n = max(1, request.n_sentences - 1) if rng.random() < habits.short else request.n_sentences
    keys = rng.sample(told_of(world, split, request.about), n)
    return "\n".join(world.say(key, _given(world, world.value(key), key, habits, rng)) for key in keys)
