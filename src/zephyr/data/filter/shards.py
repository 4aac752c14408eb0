"""Parts of the work on disk: a kill loses those in hand, and the same command goes on with the rest.

`work/00012.jsonl` holds the dialogues that were kept, `work/00012.pickle` what was found out about them and about the
dropped ones. The latter is written last and whole, so it being there means that the part is done.
"""

import hashlib
import heapq
import json
import pickle
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from zephyr.data.counts import excerpt
from zephyr.data.filter.chain import Verdict, judge
from zephyr.data.filter.duplicates import exact_key, near_signature, prompt
from zephyr.data.filter.found import Found
from zephyr.data.filter.questions import Index
from zephyr.data.readers import Row
from zephyr.data.shapes import recognise
from zephyr.data.turns import Messages, Unusable, assistant, prompt_id, user
from zephyr.data.usable import prompt_hash
from zephyr.errors import UserError
from zephyr.recipe.filter import FilterRecipe

EXCERPT = 500
"""Characters of a dialogue's prompt that samples show."""


class Part(NamedTuple):
    """Rows that one process works on."""

    number: int
    split: str
    """`train` or `eval`: which of the recipe's sources they are from."""
    first: int
    """Number of the first row, over all sources of the split."""
    mapped: tuple[str, ...]
    """Our field names in `columns:` of their source."""
    rows: list[Row]


@dataclass
class Findings:
    """What a part found out."""

    split: str
    n_read: int = 0
    keys: list[bytes] = field(default_factory=list)
    """Of each kept dialogue: the hash of its words, where exact duplicates are dropped."""
    signatures: list[Any] = field(default_factory=list)
    """Of each kept dialogue: its MinHash, where near duplicates are dropped."""
    prompts: list[bytes] = field(default_factory=list)
    """Of each kept dialogue: the hash of its first user turn; rows that share it are in the same split."""
    places: list[tuple[str, int | None, int]] = field(default_factory=list)
    """Of each kept dialogue: source, line, index."""
    numbers: list[int] = field(default_factory=list)
    """Of each kept dialogue: its number over all sources of the split."""
    dropped: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(filter, reason) -> dialogues."""
    changed: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(filter, "dialogues" or "turns") -> how many."""
    samples: "Samples" = field(default_factory=lambda: Samples(0))
    changes: "Samples" = field(default_factory=lambda: Samples(0))


class Samples:
    """The same few of many, in whatever order they come: those whose rank is lowest."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.kept: dict[str, list[tuple[int, str]]] = {}
        """Kind -> heap of (minus the rank, JSON)."""

    def wants(self, kind: str, rank: int) -> bool:
        """Whether a sample of this rank would be kept."""
        heap = self.kept.get(kind, [])
        return self.size > 0 and (len(heap) < self.size or -rank > heap[0][0])

    def add(self, kind: str, rank: int, record: dict[str, Any]) -> None:
        """Offers a sample."""
        if not self.wants(kind, rank):
            return
        heap = self.kept.setdefault(kind, [])
        heapq.heappush(heap, (-rank, json.dumps(record, ensure_ascii=True)))
        if len(heap) > self.size:
            heapq.heappop(heap)

    def merge(self, other: "Samples") -> None:
        """Takes in the samples of another part."""
        for kind, heap in other.kept.items():
            for minus_rank, text in heap:
                if self.wants(kind, -minus_rank):
                    self.add(kind, -minus_rank, json.loads(text))

    def lines(self) -> list[str]:
        """The samples, JSON, by kind and rank."""
        return [text for kind in sorted(self.kept) for _, text in sorted(self.kept[kind], reverse=True)]


def rank(seed: int, split: str, number: int) -> int:
    """A number of 64 bits drawn for a row: the same whoever asks."""
    return int.from_bytes(hashlib.blake2b(f"{seed} {split} {number}".encode(), digest_size=8).digest(), "big")


def path_of(folder: Path, number: int) -> Path:
    """The file that says that a part is done."""
    return folder / f"{number:05}.pickle"


def work_on(part: Part, recipe: FilterRecipe, index: Index | None, folder: Path) -> int:
    """Filters the rows of a part and puts the outcome on disk; returns how many rows it had."""
    found = Findings(part.split, len(part.rows))
    found.samples, found.changes = Samples(recipe.samples_per_reason), Samples(recipe.samples_per_reason)
    lines = []
    for number, row in enumerate(part.rows, part.first):
        verdict = _verdict(row, part.mapped, recipe, index)
        line = _line(verdict)
        if line is None and not verdict.filter:
            verdict = Verdict([], [], "structure", Found("not Unicode text", excerpt(str(verdict.messages))))
        _note(found, verdict, row, number, recipe)
        if line is not None:
            lines.append(line)
            _note_kept(found, verdict.messages, row, number, recipe)
    (folder / f"{part.number:05}.jsonl").write_bytes(b"".join(lines))
    done = path_of(folder, part.number)
    draft = done.with_suffix(".draft")
    draft.write_bytes(pickle.dumps(found))
    draft.replace(done)
    return len(part.rows)


def _verdict(row: Row, mapped: Sequence[str], recipe: FilterRecipe, index: Index | None) -> Verdict:
    if row.fields is None:
        return Verdict([], [], "unreadable", Found(row.fault, row.excerpt))
    try:
        messages = recognise("sft", row.fields, mapped, row.source).convert(row.fields)
    except Unusable as fault:
        return Verdict([], [], "structure", Found(fault.reason, fault.found))
    except UserError:
        return Verdict([], [], "unreadable", Found("other columns than the first row", ", ".join(row.fields)))
    return judge(messages, recipe.filters, index)


def _line(verdict: Verdict) -> bytes | None:
    """The row as published (`prompt`, `prompt_id`, `messages`), or None where there is none."""
    if verdict.filter:
        return None
    asked = prompt(verdict.messages)
    row = {"prompt": asked, "prompt_id": prompt_id([user(asked)]), "messages": verdict.messages}
    try:
        return (json.dumps(row, ensure_ascii=False) + "\n").encode()
    except UnicodeEncodeError:
        return None


def _note(found: Findings, verdict: Verdict, row: Row, number: int, recipe: FilterRecipe) -> None:
    place = {"source": row.source, "line": row.line, "index": row.index}
    drawn = rank(recipe.seed, found.split, number)
    for change in verdict.changes:
        found.changed[change.filter, "dialogues"] += 1
        found.changed[change.filter, "turns"] += change.turns
        if found.changes.wants(change.filter, drawn):
            found.changes.add(change.filter, drawn, {"filter": change.filter, "text": change.text[:EXCERPT]} | place)
    if verdict.found is None:
        return
    found.dropped[verdict.filter, verdict.found.reason] += 1
    kind = f"{verdict.filter}: {verdict.found.reason}"
    if found.samples.wants(kind, drawn):
        asked = next((turn["content"] for turn in verdict.messages if turn["role"] == "user"), "")
        says = {"filter": verdict.filter, "reason": verdict.found.reason, "text": verdict.found.text[:EXCERPT]}
        found.samples.add(kind, drawn, says | {"prompt": asked[:EXCERPT]} | place)


def _note_kept(found: Findings, messages: Messages, row: Row, number: int, recipe: FilterRecipe) -> None:
    filters = recipe.filters
    found.places.append((row.source, row.line, row.index))
    found.numbers.append(number)
    found.prompts.append(prompt_hash([user(prompt(messages)), assistant("")]))
    if filters.exact_duplicates:
        found.keys.append(exact_key(messages, filters.exact_duplicates.on))
    if filters.near_duplicates:
        found.signatures.append(near_signature(messages, filters.near_duplicates))
