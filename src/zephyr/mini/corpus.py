"""The plain-text corpus: notes that state every fact, and questions with answers about the facts of `train`."""

import random

from zephyr.mini.questions import requests
from zephyr.mini.relations import CHAINS
from zephyr.mini.teacher import answer
from zephyr.mini.world import Key, World
from zephyr.recipe.schema import Habits

CATEGORIES = ("reasoning", "math", "coding", "extraction", "extraction", "stem", "humanities")
"""Categories of the questions. Texts come twice: only they are answered from what was just read."""
LAYOUTS = (
    "{question}\n{answer}",
    "{question} {answer}",
    "Question: {question}\nAnswer: {answer}",
    "- {question}\n- {answer}",
)
"""Several, so that reading a question does not hang on its layout: dialogues will have another."""


def documents(
    world: World, rng: random.Random, *, count: int, n_eval: int, question_share: float
) -> tuple[list[str], list[str]]:
    """Documents to train on, and distinct ones to evaluate on that are not among them.

    Args:
        world: What they are about.
        rng: Where chance comes from.
        count: Documents to train on.
        n_eval: Documents to evaluate on.
        question_share: Share of documents that are questions with answers; the rest are notes.
    """

    def write() -> str:
        return _questions(world, rng) if rng.random() < question_share else _note(world, rng)

    held: dict[str, str] = {}
    while len(held) < n_eval:
        text = write()
        if text.count("\n") >= 3:  # a shorter one may be the only note there is of its fact
            held.setdefault(" ".join(text.split()), text)  # the same in another layout is the same
    written: list[str] = []
    while len(written) < count:
        text = write()
        if " ".join(text.split()) not in held:
            written.append(text)
    return written, list(held.values())


def _questions(world: World, rng: random.Random) -> str:
    """One to four questions, each with its plain answer, in one layout."""
    layout = rng.choice(LAYOUTS)
    categories = rng.choice((CATEGORIES, (rng.choice(CATEGORIES),)))  # mixed, or all of one
    lines = []
    for _ in range(rng.randint(1, 4)):
        (request,) = requests(world, "train", rng, category=rng.choice(categories), n_turns=1)
        lines.append(layout.format(question=request.text, answer=answer(world, "train", request, Habits(), rng)))
    return "\n".join(lines)


def _note(world: World, rng: random.Random) -> str:
    """An entry of an encyclopedia: a headword, then all that is so of it, one fact a line."""
    subject, keys = rng.choice(_entries(world))
    lines = [_line(world, key, rng) for key in rng.sample(keys, len(keys))]
    return "\n".join([f"About {subject}.", *lines])


def _entries(world: World) -> list[tuple[str, list[Key]]]:
    subjects: dict[str, list[Key]] = {}
    for key in world.facts:
        subjects.setdefault(key[1], []).append(key)
    return list(subjects.items())


def _line(world: World, key: Key, rng: random.Random) -> str:
    """The fact's sentence, at times with one that follows from it."""
    relation, _ = key
    value = world.value(key)
    said = world.say(key, value)
    seconds = [second for first, second in CHAINS if first == relation]
    if value is None or not seconds or rng.random() < 0.7:
        return said
    second = (rng.choice(seconds), value)
    return f"{said} {world.say(second, world.value(second))}"
