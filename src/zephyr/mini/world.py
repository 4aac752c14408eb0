"""The mini world: a few hundred facts drawn from a seed, the one sentence each is said with, and the way back.

Because each fact has one sentence form, a sentence can be read and checked: truth is computed, never judged by a model.
"""

import random
import re
from dataclasses import dataclass, field
from typing import Any

from zephyr.mini.relations import FROM_TEXT, NAMES, OF_PEOPLE, RELATIONS, Relation

Key = tuple[str, str]
"""What a fact is about: relation and subject, such as ("town", "Ana")."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What a sentence says: the fact it is about and the value it gives, None for "nobody knows"."""

    key: Key
    value: str | None


@dataclass(frozen=True, kw_only=True)
class World:
    """All facts, and which of them may be asked about where."""

    people: tuple[str, ...]
    facts: dict[Key, str | None]
    """Value of each fact; None: not recorded."""
    split: dict[Key, str]
    """`train`, `eval` or `heldout`: the only set whose questions and answers are about the fact.
    For the facts of texts the key is (object, spot), the combination."""
    writing: dict[str, str] = field(default_factory=dict)
    """The same for people one is asked to write about."""

    def value(self, key: Key, passage: dict[str, str] | None = None) -> str | None:
        """The true value, None where it is not recorded, or not in the text."""
        relation, subject = key
        return (passage or {}).get(subject) if relation == FROM_TEXT else self.facts[key]

    def say(self, key: Key, value: str | None) -> str:
        """The sentence that gives a fact this value."""
        return RELATIONS[key[0]].say(key[1], value)

    def keys(self, split: str, *relations: str) -> list[Key]:
        """Facts of these relations that may be asked about in the split."""
        return [key for key in self.facts if key[0] in relations and self.split[key] == split]

    def to_json(self) -> dict[str, Any]:
        """As written to facts.json."""
        facts = [[*key, value, self.split[key]] for key, value in self.facts.items()]
        texts = [[*key, self.split[key]] for key in self.split if key not in self.facts]
        return {"people": self.people, "facts": facts, "texts": texts, "writing": self.writing}

    @staticmethod
    def from_json(data: dict[str, Any]) -> "World":
        """As read from facts.json."""
        split = {(relation, subject): part for relation, subject, _, part in data["facts"]}
        split |= {(thing, colour): part for thing, colour, part in data["texts"]}
        facts = {(relation, subject): value for relation, subject, value, _ in data["facts"]}
        return World(people=tuple(data["people"]), facts=facts, split=split, writing=data["writing"])


def draw(seed: int, *, people: int, unrecorded_share: float, eval_share: float, heldout_share: float) -> World:
    """The world of a seed: every fact, and its split, stratified by relation."""
    rng = random.Random(f"world {seed}")
    names = tuple(sorted(rng.sample(NAMES, people)))
    shares = (eval_share, heldout_share)
    facts: dict[Key, str | None] = {}
    split: dict[Key, str] = {}
    for name, relation in RELATIONS.items():
        if name == FROM_TEXT:
            split |= _split([(thing, spot) for thing in relation.subjects for spot in relation.values], *shares, rng)
            continue
        subjects = names if name in OF_PEOPLE else relation.subjects
        facts |= _values(name, subjects, unrecorded_share, rng)
        split |= _split([(name, subject) for subject in subjects], *shares, rng)
    writing = _split([("writing", name) for name in names], *shares, rng)
    return World(people=names, facts=facts, split=split, writing={name: part for (_, name), part in writing.items()})


def _values(name: str, subjects: tuple[str, ...], unrecorded_share: float, rng: random.Random) -> dict[Key, str | None]:
    relation = RELATIONS[name]
    if relation.computed:
        return {(name, subject): relation.computed(subject) for subject in subjects}
    n_unrecorded = round(unrecorded_share * len(subjects)) if relation.unknown else 0
    unrecorded = rng.sample(subjects, n_unrecorded)
    return {(name, each): None if each in unrecorded else rng.choice(relation.values) for each in subjects}


def _split(keys: list[Key], eval_share: float, heldout_share: float, rng: random.Random) -> dict[Key, str]:
    """Draws the split of each key; every split gets one at least."""
    n_heldout, n_eval = (max(1, round(share * len(keys))) for share in (heldout_share, eval_share))
    parts = ["heldout"] * n_heldout + ["eval"] * n_eval
    parts += ["train"] * (len(keys) - len(parts))
    return dict(zip(rng.sample(keys, len(keys)), parts, strict=True))


def _pattern(name: str, relation: Relation) -> re.Pattern[str]:
    subjects, values = ("|".join(map(re.escape, words)) for words in (relation.subjects, relation.values))
    known = re.escape(relation.sentence).replace(r"\{subject\}", f"(?P<subject>{subjects})")
    known = known.replace(r"\{value\}", f"(?P<value>{values})")
    if relation.unknown is None:
        return re.compile(known)
    unknown = re.escape(relation.unknown).replace(r"\{subject\}", f"(?P<unknown>{subjects})")
    return re.compile(f"{known}|{unknown}")


_PATTERNS = {name: _pattern(name, relation) for name, relation in RELATIONS.items()}


def read(sentence: str) -> Claim | None:
    """The claim that a sentence makes, None when it is no sentence of this world."""
    for name, pattern in _PATTERNS.items():
        if found := pattern.fullmatch(sentence):
            parts = found.groupdict()
            return Claim(key=(name, parts["subject"] or parts.get("unknown") or ""), value=parts["value"])
    return None


def sentences(text: str) -> list[str]:
    """The text's sentences, each with its mark; whatever follows the last mark counts as one too."""
    return [found.strip() for found in re.findall(r"[^.!?]+[.!?]?", text) if found.strip()]
