"""What a study's runs warned of, alike warnings once with the rows they are true of."""

import re
from collections import Counter
from dataclasses import dataclass

from zephyr.study.expand import MODEL
from zephyr.study.report.outcome import StudyOutcome, WorkOutcome

NUMBER = re.compile(r"(?<![\w.,-])\d+(?:,\d{3})*(?:\.\d+)?(?!\w)")
"""A number that stands by itself: none of a name such as `sft-2` or `max_new_tokens`."""


@dataclass(frozen=True, kw_only=True)
class Warned:
    """A warning of one run, or of several that differ in its numbers."""

    text: str
    """Where numbers differ, the least and the greatest of each."""
    whom: str
    """The rows it is true of; with several seeds, of how many."""
    rows: tuple[str, ...]
    said: tuple[tuple[WorkOutcome, str], ...]
    """Each run with its own words."""


def warned(outcome: StudyOutcome) -> tuple[Warned, ...]:
    """Every warning of the study's finished runs, in their order."""
    found: dict[str, list[tuple[WorkOutcome, str]]] = {}
    for work in outcome.works:
        for text in (work.run.result.get("warnings") or ()) if work.run else ():
            own = text.removeprefix(f"{MODEL}: ")  # what every row's model is called in its evaluation
            found.setdefault(NUMBER.sub("#", own), []).append((work, own))
    return tuple(_warned(outcome, said) for said in found.values())


def _warned(outcome: StudyOutcome, said: list[tuple[WorkOutcome, str]]) -> Warned:
    cells = dict.fromkeys(each for work, _ in said for each in work.work.wanted_by)
    seeds = Counter(row for row, _ in cells)
    rows = tuple(row.name for row in outcome.rows if row.name in seeds)
    return Warned(
        text=one_text([text for _, text in said]), whom=_whom(outcome, rows, seeds), rows=rows, said=tuple(said)
    )


def _whom(outcome: StudyOutcome, rows: tuple[str, ...], seeds: Counter[str]) -> str:
    everywhere = len(outcome.rows[0].cells)
    if len(rows) == len(outcome.rows) > 1 and all(seeds[row] == everywhere for row in rows):
        return "every row"
    told = (row if seeds[row] == everywhere else f"{row} ({seeds[row]} of {everywhere} seeds)" for row in rows)
    return ", ".join(told)


def one_text(texts: list[str]) -> str:
    """Texts that differ in numbers alone as one, with `6.28 to 7.1` where they do."""
    each = [NUMBER.findall(text) for text in texts]
    ranges = iter([_range(found) for found in zip(*each, strict=True)])
    return NUMBER.sub(lambda _: next(ranges), texts[0])


def _range(found: tuple[str, ...]) -> str:
    ordered = sorted(found, key=lambda text: float(text.replace(",", "")))
    low, high = ordered[0], ordered[-1]
    return low if low == high else f"{low} to {high}"
