"""What is asked in the mini world: the eight categories of MT-Bench, first turns and the turns that follow them.

Hold-out is by content. A question about a held-out fact is asked only in held-out prompts, whatever its words, its role
or its turn; "Are you sure?" asks about the fact of the turn before.
"""

import random
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from zephyr.mini.relations import CHAINS, FROM_TEXT, OBJECTS, OF_PEOPLE, RELATIONS
from zephyr.mini.world import Key, World

CATEGORIES = ("writing", "roleplay", "reasoning", "math", "coding", "extraction", "stem", "humanities")
ROLES = {"pirate": "Arr!", "robot": "Beep!", "knight": "Hail!", "clown": "Ha!"}
"""Roles that a first message may give, and the word that an answer in that role has after what it says."""
COUNTS = {2: "two", 3: "three"}
WRITING = ("Write {count} sentences about {person}.", "Tell me about {person} in {count} sentences.")
DOUBT = "Are you sure?"
OPENERS = ("", "Please tell me. ", "I have a question. ", "Help me with this. ")
"""What a conversation may start with, before what is asked; in roleplay it is the role instead."""
Form = Literal["question", "doubt", "writing"]


@dataclass(frozen=True, kw_only=True)
class Request:
    """One user turn, and all that is needed to judge an answer to it."""

    category: str
    text: str
    """The user's message."""
    form: Form = "question"
    """`doubt`: the user doubts the answer before; `writing`: sentences about a person are wanted."""
    asks: tuple[Key, ...] = ()
    """Facts the answer needs, the one asked for last. Empty for writing."""
    about: str | None = None
    """Person to write about."""
    n_sentences: int = 1
    """Sentences wanted, in writing."""
    role: str | None = None
    """Role that the conversation's first message gave."""
    passage: tuple[tuple[str, str], ...] = ()
    """(object, spot) of the text in the prompt."""

    def to_json(self) -> dict[str, Any]:
        """As written to heldout.jsonl."""
        return asdict(self)

    @staticmethod
    def from_json(row: dict[str, Any]) -> "Request":
        """As read from heldout.jsonl."""
        asks = tuple((relation, subject) for relation, subject in row["asks"])
        passage = tuple((thing, colour) for thing, colour in row["passage"])
        return Request(**{**row, "asks": asks, "passage": passage})


def requests(world: World, split: str, rng: random.Random, *, category: str, n_turns: int) -> list[Request]:
    """The user turns of one conversation of a category, all about facts of the split."""
    role = rng.choice(sorted(ROLES)) if category == "roleplay" else None
    first = _first(world, split, rng, category, role)
    asked = [replace(first, text=(given(role) if role else rng.choice(OPENERS)) + first.text)]
    while len(asked) < n_turns:
        asked.append(follow_up(world, split, rng, asked[-1]))
    return asked


def messages(asked: list[Request], answers: list[str]) -> list[dict[str, str]]:
    """The conversation as messages, user and assistant in turn."""
    out = []
    for i, request in enumerate(asked):
        out.append({"role": "user", "content": request.text})
        out += [{"role": "assistant", "content": answers[i]}] if i < len(answers) else []
    return out


def given(role: str) -> str:
    """The opener that gives a role."""
    return f"You are a {role}. "


def _first(world: World, split: str, rng: random.Random, category: str, role: str | None) -> Request:
    if category == "writing":
        return _write(world, split, rng)
    if category == "reasoning":
        return _chain(world, split, rng)
    if category == "extraction":
        return _extract(world, split, rng)
    return _ask(world, split, rng, category, role)


def _ask(world: World, split: str, rng: random.Random, category: str, role: str | None) -> Request:
    topics = ("humanities", "stem") if category == "roleplay" else (category,)
    relation = rng.choice([name for name, each in RELATIONS.items() if each.category in topics])
    key = rng.choice(world.keys(split, relation))
    text = rng.choice(RELATIONS[relation].questions).format(subject=key[1])
    return Request(category=category, text=text, asks=(key,), role=role)


def _chain(world: World, split: str, rng: random.Random) -> Request:
    """A question that takes two facts; its split is that of the more held-out of the two."""
    choices = []
    for relation, second in CHAINS:
        for person in world.people:
            first = (relation, person)
            value = world.value(first)
            asks = (first,) if value is None else (first, (second, value))
            if most_held_out({world.split[key] for key in asks}) == split:
                choices.append((CHAINS[relation, second].format(subject=person), asks))
    text, asks = rng.choice(choices)
    return Request(category="reasoning", text=text, asks=asks)


def most_held_out(splits: set[str]) -> str:
    """Of several splits the one that is kept furthest from training."""
    return next(split for split in ("heldout", "eval", "train") if split in splits)


def _extract(world: World, split: str, rng: random.Random) -> Request:
    """A text of one sentence and a question about it."""
    thing, spot = rng.choice([key for key in world.split if key[0] in OBJECTS and world.split[key] == split])
    question = rng.choice(RELATIONS[FROM_TEXT].questions).format(subject=thing)
    text = f"Text: {world.say((FROM_TEXT, thing), spot)} {question}"
    return Request(category="extraction", text=text, asks=((FROM_TEXT, thing),), passage=((thing, spot),))


def _write(world: World, split: str, rng: random.Random) -> Request:
    people = [name for name, part in world.writing.items() if part == split and len(told_of(world, split, name)) >= 2]
    person = rng.choice(people)
    count = rng.choice([n for n in COUNTS if n <= len(told_of(world, split, person))])
    text = rng.choice(WRITING).format(count=COUNTS[count], person=person)
    return Request(category="writing", text=text, form="writing", about=person, n_sentences=count)


def follow_up(world: World, split: str, rng: random.Random, before: Request) -> Request:
    """The next user turn: the same kind of question about another fact, or a doubt about the answer."""
    if before.form == "question" and rng.random() < 0.3:
        return replace(before, text=DOUBT, form="doubt")
    return _first(world, split, rng, before.category, before.role)


def may_say(world: World, split: str, key: Key) -> bool:
    """Whether an answer of the split may state the fact: training never says what is held out."""
    order = ("train", "eval", "heldout")
    return key[0] == FROM_TEXT or order.index(world.split[key]) <= order.index(split)


def told_of(world: World, split: str, person: str) -> list[Key]:
    """Facts about a person that an answer of the split may state."""
    return [(relation, person) for relation in OF_PEOPLE if may_say(world, split, (relation, person))]
