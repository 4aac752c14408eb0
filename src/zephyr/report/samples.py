"""The same held-out prompt answered by every model: some where the score rose, fell and stayed the same."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from zephyr.report.read import Run
from zephyr.report.score_tables import models

Change = Literal["rose", "fell", "same"]
PER_CHANGE = 3
"""Samples shown of each kind, as many of what fell as of what rose."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One model's answer in one turn."""

    model: str
    text: str
    score: float | None


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What was asked, and every model's answer to it (each in its own dialogue)."""

    system: str
    question: str
    answers: tuple[Answer, ...]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A held-out dialogue with every model."""

    id: str
    category: str
    change: Change
    before: float
    after: float
    turns: tuple[Turn, ...]


@dataclass(frozen=True, kw_only=True)
class Samples:
    """What is shown, of how many, and how it was picked."""

    benchmark: str
    a: str
    b: str
    how: str
    shown: tuple[Sample, ...]


def pick(run: Run, benchmark: str) -> Samples | None:
    """Samples of a benchmark; None without answers of two models.

    They compare the last paired comparison's models, are put in the order of the SHA-256 of their id, and the first
    three that rose, fell and stayed the same are shown: neither the flattering nor the typical ones.
    """
    pair = _compared(run, benchmark)
    by_id: dict[str, dict[str, dict[str, Any]]] = {}
    for row in run.answers:
        if row["benchmark"] == benchmark:
            by_id.setdefault(str(row["id"]), {})[row["model"]] = row
    if pair is None:
        return None
    a, b = pair
    groups: dict[Change, list[str]] = {"rose": [], "fell": [], "same": []}
    for id in in_order(by_id):
        change = _change(by_id[id].get(a), by_id[id].get(b))
        if change:
            groups[change].append(id)
    if not any(groups.values()):
        return None
    order = models(run, benchmark)
    shown = [_sample(by_id[id], change, a, b, order) for change, ids in groups.items() for id in ids[:PER_CHANGE]]
    return Samples(benchmark=benchmark, a=a, b=b, how=_how(a, b, groups), shown=tuple(shown))


def in_order(ids: Iterable[str]) -> list[str]:
    """Ids in an order that nobody chose: of their SHA-256."""
    return sorted(ids, key=lambda id: hashlib.sha256(id.encode()).hexdigest())


def _compared(run: Run, benchmark: str) -> tuple[str, str] | None:
    compared = [each for each in run.result.get("comparisons", []) if each["benchmark"] == benchmark]
    if compared:
        return compared[-1]["a"], compared[-1]["b"]
    names = models(run, benchmark)
    return (names[-2], names[-1]) if len(names) > 1 else None


def _change(before: dict[str, Any] | None, after: dict[str, Any] | None) -> Change | None:
    if before is None or after is None or before["score"] is None or after["score"] is None:
        return None
    if before["score"] == after["score"]:
        return "same"
    return "rose" if after["score"] > before["score"] else "fell"


def _how(a: str, b: str, groups: dict[Change, list[str]]) -> str:
    total = sum(map(len, groups.values()))
    counts = f"{len(groups['rose'])} scored higher, {len(groups['fell'])} lower and {len(groups['same'])} the same"
    return (
        f"From {a} to {b}, of {total} dialogues {counts}. Shown are the first {PER_CHANGE} of each, in the order of "
        "the SHA-256 of their id, so that nobody chose them."
    )


def _sample(rows: dict[str, dict[str, Any]], change: Change, a: str, b: str, order: tuple[str, ...]) -> Sample:
    return Sample(
        id=str(rows[b]["id"]),
        category=str(rows[b].get("category") or ""),
        change=change,
        before=rows[a]["score"],
        after=rows[b]["score"],
        turns=turns({model: rows[model] for model in order if model in rows}),
    )


def turns(rows: dict[str, dict[str, Any]]) -> tuple[Turn, ...]:
    """The dialogue turn by turn; what was asked is the same for every model, so the first model's is shown."""
    asked = _exchanges(next(iter(rows.values()))["turns"])
    answered = {model: _exchanges(row["turns"]) for model, row in rows.items()}
    found = []
    for position, (system, question, _) in enumerate(asked):
        answers = [
            Answer(model=model, text=exchanges[position][2], score=_turn_score(rows[model], position))
            for model, exchanges in answered.items()
            if position < len(exchanges)
        ]
        found.append(Turn(system=system, question=question, answers=tuple(answers)))
    return tuple(found)


def _exchanges(messages: list[dict[str, str]]) -> list[tuple[str, str, str]]:
    """Messages as (system, question, answer), one per user turn."""
    exchanges: list[tuple[str, str, str]] = []
    system = ""
    for message in messages:
        if message["role"] == "system":
            system = message["content"]
        elif message["role"] == "user":
            exchanges.append((system, message["content"], ""))
            system = ""
        elif exchanges:
            exchanges[-1] = (*exchanges[-1][:2], message["content"])
    return exchanges


def _turn_score(row: dict[str, Any], position: int) -> float | None:
    scores = row.get("turn_scores") or []
    return scores[position] if position < len(scores) else None
