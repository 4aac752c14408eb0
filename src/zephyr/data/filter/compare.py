"""The filters that compare a dialogue with those kept before it, in the order of the rows."""

import pickle
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from zephyr.data.filter.duplicates import Seen
from zephyr.data.filter.shards import Findings, Samples, path_of, rank
from zephyr.data.usable import hash_as_share
from zephyr.recipe.filter import FilterRecipe

DROPPED, TRAIN, EVAL = 0, 1, 2


@dataclass
class Decisions:
    """Which dialogues stay, and what is known of those that go."""

    fates: list["np.ndarray"] = field(default_factory=list)
    """Per part: DROPPED, TRAIN or EVAL of each of its dialogues."""
    n_read: Counter[str] = field(default_factory=Counter)
    dropped: Counter[tuple[str, str]] = field(default_factory=Counter)
    changed: Counter[tuple[str, str]] = field(default_factory=Counter)
    samples: Samples = field(default_factory=lambda: Samples(0))
    changes: Samples = field(default_factory=lambda: Samples(0))


def decide(recipe: FilterRecipe, folder: Path, n_parts: int) -> Decisions:
    """Goes through what all parts found out, `eval` sources first, and says which dialogues stay.

    Memory: 17 bytes per dialogue, and what `Seen` needs.
    """
    made = Decisions(samples=Samples(recipe.samples_per_reason), changes=Samples(recipe.samples_per_reason))
    seen = Seen(recipe.filters.near_duplicates)
    held_out: set[bytes] = set()
    drawn: list[np.ndarray] = []
    n_seen = 0
    for findings in read_findings(folder, n_parts):
        _count(made, findings)
        fates = np.zeros(len(findings.numbers), np.uint8)
        for n in range(len(findings.numbers)):
            reason, before = _duplicate(findings, n, seen, n_seen + n)
            if not reason and findings.split == "train" and findings.prompts[n] in held_out:
                reason = "splits: prompt is in eval too"
            if reason:
                _drop(made, findings, n, reason, before, recipe)
                continue
            fates[n] = _split(findings.split, findings.prompts[n], recipe.data.eval_share)
            if findings.split == "eval":
                held_out.add(findings.prompts[n])
        made.fates.append(fates)
        drawn.append(np.array([rank(recipe.seed, "subset", number) for number in findings.numbers], np.uint64))
        n_seen += len(findings.numbers)
    if recipe.filters.subset:
        _take(made, drawn, recipe.filters.subset.rows)
    return made


def read_findings(folder: Path, n_parts: int) -> Iterator[Findings]:
    """What the parts found out, in order."""
    for number in range(n_parts):
        yield pickle.loads(path_of(folder, number).read_bytes())


def _count(made: Decisions, findings: Findings) -> None:
    made.n_read[findings.split] += findings.n_read
    made.dropped += findings.dropped
    made.changed += findings.changed
    made.samples.merge(findings.samples)
    made.changes.merge(findings.changes)


def _duplicate(findings: Findings, n: int, seen: Seen, number: int) -> tuple[str, int]:
    if findings.keys and (before := seen.equal(findings.keys[n], number)) is not None:
        return "exact_duplicates: equal to one kept before", before
    if findings.signatures and (before := seen.similar(findings.signatures[n], number)) is not None:
        return "near_duplicates: similar to one kept before", before
    return "", -1


def _drop(made: Decisions, findings: Findings, n: int, reason: str, before: int, recipe: FilterRecipe) -> None:
    name, _, why = reason.partition(": ")
    made.dropped[name, why] += 1
    source, line, index = findings.places[n]
    place = {"source": source, "line": line, "index": index}
    record = {"filter": name, "reason": why, "kept": before, "part": len(made.fates), "row": n}
    made.samples.add(reason, rank(recipe.seed, findings.split, findings.numbers[n]), record | place)


def _split(split: str, prompt: bytes, eval_share: float) -> int:
    """Of `train`, a share goes to eval by the hash of the prompt; the recipe's seed has no part in it."""
    if split == "eval":
        return EVAL
    return EVAL if hash_as_share(prompt) < eval_share else TRAIN


def _take(made: Decisions, drawn: list[np.ndarray], rows: int) -> None:
    """Leaves so many of the dialogues of `train`: those with the lowest draws."""
    there = np.concatenate([each[fates == TRAIN] for each, fates in zip(drawn, made.fates, strict=True)])
    if len(there) <= rows:
        return
    bound = np.partition(there, rows - 1)[rows - 1]
    for each, fates in zip(drawn, made.fates, strict=True):
        fates[(fates == TRAIN) & (each > bound)] = DROPPED
    made.dropped["subset", "not drawn"] += len(there) - rows
