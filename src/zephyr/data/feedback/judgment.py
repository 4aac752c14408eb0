"""Reading a judgment: scores for exactly the answers that were judged, each in its range, or the fault that it has.

Nothing is made up: what can't be read, or can be read in two ways, is a fault, and the judge is asked again. Nothing
that a model wrote is evaluated (see json_in_text.py).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from zephyr.data.counts import excerpt
from zephyr.data.feedback.rubric import CRITIQUE, LABELS, OVERALL, Aspect, Rubric, has_critique
from zephyr.data.json_in_text import KeyTwice, objects_in


class Unreadable(Exception):
    """A judgment that gives no scores: a reason of few words to count by, and what was found."""

    def __init__(self, reason: str, found: object = ""):
        super().__init__(reason)
        self.reason = reason
        self.found = excerpt(found)

    def __str__(self) -> str:
        return f"{self.reason} ({self.found})" if self.found else self.reason


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What one answer got in one judgment."""

    ratings: dict[str, float | None]
    """Aspect (the overall score too, where it was asked for) -> score, None where it does not apply."""
    rationales: dict[str, str]
    """Aspect -> why."""
    critique: str


def read_judgment(text: str, rubric: Rubric, names: Sequence[str], n_answers: int) -> list[Scores]:
    """The scores of `n_answers` answers, in the order in which the judge saw them.

    Args:
        text: what the judge wrote.
        rubric: scales of what was asked.
        names: aspects that were asked for.
        n_answers: how many answers it was shown.

    Raises:
        Unreadable: there are not exactly so many scores, or one of them is missing, doubtful or out of its range.
    """
    found: list[list[Scores]] = []
    fault: Unreadable | None = None
    try:
        objects, broken = objects_in(text)
    except KeyTwice:
        raise Unreadable("a key twice", text) from None
    for each in objects:
        if isinstance(each, list) and not isinstance(each[0], dict):
            continue  # "[1]" in prose
        try:
            scores = _scores(each, rubric, names, n_answers)
        except Unreadable as error:
            fault = fault or error
            continue
        if scores not in found:
            found.append(scores)
    if len(found) == 1:
        return found[0]
    if found:
        raise Unreadable("several judgments that differ", text)
    if broken:
        raise Unreadable("broken JSON", text)
    if fault:
        raise fault
    return _scores(_from_lines(text, names, n_answers), rubric, names, n_answers)


# From an object to scores


def _scores(value: Any, rubric: Rubric, names: Sequence[str], n_answers: int) -> list[Scores]:
    by_label = _by_label(value, LABELS[:n_answers], names)
    missing = [label for label in LABELS[:n_answers] if label not in by_label]
    if missing or len(by_label) != n_answers:
        raise Unreadable(
            "wrong number of scores", f"answers judged: {', '.join(by_label) or 'none'}; {n_answers} given"
        )
    return [_one(by_label[label], rubric, names) for label in LABELS[:n_answers]]


def _by_label(value: Any, labels: str, names: Sequence[str]) -> dict[str, Any]:
    """Letter -> what was said of that answer, also from a list of objects that name their answer."""
    while isinstance(value, dict) and len(value) == 1:
        (key, inner), *_ = value.items()
        if _label(key) or _name(key) in names or not isinstance(inner, dict | list):
            break
        value = inner  # {"answers": {...}}
    if len(labels) == 1 and isinstance(value, dict) and not any(_label(key) for key in value):
        return {labels: value} if {_name(key) for key in value} & set(names) else {}
    pairs = list(value.items()) if isinstance(value, dict) else [_named(each) for each in value]
    found: dict[str, Any] = {}
    for key, each in pairs:
        label = _label(key)
        if label is None:
            raise Unreadable("something else than answers", key)
        if label in found:
            raise Unreadable("a key twice", key)
        found[label] = each
    return found


def _named(value: Any) -> tuple[Any, Any]:
    """An entry of a list: which answer it is about, and what it says."""
    if isinstance(value, dict):
        for key in ("answer", "id", "label", "answer_id"):
            if key in value and _label(value[key]):
                return value[key], {name: each for name, each in value.items() if name != key}
    raise Unreadable("something else than answers", value)


def _label(key: Any) -> str | None:
    """The letter that a key means: `A`, `Answer A`, `answer_a`."""
    found = re.fullmatch(r"(?:(?:answer|response|text)[\s_:#-]+)?\(?([a-z])\)?", str(key).strip(), re.IGNORECASE)
    return found[1].upper() if found else None


def _name(key: Any) -> str:
    return re.sub(r"\W+", "_", str(key).strip().lower())


def _one(value: Any, rubric: Rubric, names: Sequence[str]) -> Scores:
    """The scores of one answer."""
    if not isinstance(value, dict):
        if len(names) != 1:
            raise Unreadable("a score is missing", f"scores of {', '.join(names)} are wanted; it has {value}")
        value = {names[0]: value}
    said = {_name(key): each for key, each in value.items()}
    if len(said) < len(value):
        raise Unreadable("a key twice", value)
    if len(names) == 1 and names[0] not in said and "rating" in said:
        said = {names[0]: value}
    ratings, rationales = {}, {}
    for name in names:
        if name not in said:
            raise Unreadable("a score is missing", _missing(name, said))
        rating, rationale = _rated(said[name], name)
        ratings[name] = read_rating(rating, rubric.aspect(name))
        rationales[name] = rationale
    if len(names) > 1 and all(rating is None for rating in ratings.values()):
        raise Unreadable("no score at all", value)
    critique = said.get(CRITIQUE, "")
    if has_critique(rubric, names) and not isinstance(critique, str):
        raise Unreadable("the critique is no text", critique)
    return Scores(ratings=ratings, rationales=rationales, critique=str(critique).strip())


def _missing(name: str, said: dict[str, Any]) -> str:
    """Which key is not there, and which are."""
    return f"`{name}` is missing; it has {', '.join(f'`{key}`' for key in said) or 'nothing'}"


def _rated(value: Any, name: str) -> tuple[Any, str]:
    """A rating and its rationale, where it comes with one."""
    if not isinstance(value, dict):
        return value, ""
    said = {_name(key): each for key, each in value.items()}
    ratings = [said[key] for key in ("rating", "score", OVERALL) if key in said]
    if len(ratings) != 1:
        if not ratings:
            raise Unreadable("a score is missing", f"`{name}`: {_missing('rating', said)}")
        raise Unreadable("a key twice", value)
    rationale = next((said[key] for key in ("rationale", "reason", "explanation") if key in said), "")
    return ratings[0], str(rationale).strip()


NOT_APPLICABLE = {"n/a", "na", "n.a.", "not applicable", "not_applicable"}
_NUMBER = r"[+-]?\d+(?:\.\d+)?"


def read_rating(value: Any, aspect: Aspect) -> float | None:
    """A score from a number or from text such as `4`, `7/10`, `4 (good)`, `Rating: 4`, `N/A` (None).

    Raises:
        Unreadable: it is no number, not of this scale, or in doubt.
    """
    if isinstance(value, str):
        value = _number_in(value.strip().strip("*_`\"' ").strip(), aspect)
    if value is None:
        if aspect.not_applicable is None:
            raise Unreadable("not applicable where it has to apply")
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unreadable("a score that is no number", value)
    if not aspect.lowest <= value <= aspect.highest:
        raise Unreadable("a score out of range", f"{value}, where {aspect.lowest} to {aspect.highest} is expected")
    if value not in aspect.numbers():
        raise Unreadable("a score between those of the scale", value)
    return float(value)


def _number_in(text: str, aspect: Aspect) -> float | None:
    if text.lower().rstrip(".") in {each.rstrip(".") for each in NOT_APPLICABLE}:
        return None
    text = re.sub(r"^(rating|score)\s*[:=]\s*", "", text, flags=re.IGNORECASE)
    found = re.fullmatch(rf"({_NUMBER})(?:\s*(?:/|out of|of)\s*(\d+))?\s*([-–:(,;.][^\d]*)?", text, re.IGNORECASE)
    if not found:
        raise Unreadable("a score that is no number", text)
    if found[2] and int(found[2]) != aspect.highest:
        raise Unreadable("a score of another scale", text)
    return float(found[1])


# From lines


def _from_lines(text: str, names: Sequence[str], n_answers: int) -> dict[str, dict[str, str]]:
    """Scores written as lines under a heading for each answer (`Answer A`), where there is one place for each."""
    pieces = re.split(r"(?im)^[\W_]*(?:answer|response|text)[ _]+([a-z])\b[\W_]*$", text)
    if len(pieces) == 1:
        if n_answers > 1 or not text.strip():
            raise Unreadable("no judgment in it", text)
        pieces = ["", LABELS[0], text]
    blocks: dict[str, str] = {}
    for label, block in zip(pieces[1::2], pieces[2::2], strict=True):
        if label.upper() in blocks:
            raise Unreadable("a key twice", f"answer {label}")
        blocks[label.upper()] = block
    alone = len(names) == 1
    return {label: {name: _line(block, name, alone) for name in names} for label, block in blocks.items()}


def _line(block: str, name: str, alone: bool) -> str:
    """The score on the one line that is about the aspect."""
    words = r"[\s_-]+".join(map(re.escape, name.split("_")))
    words = rf"(?:{words}|rating|score)" if alone else words
    found = re.findall(rf"(?im)^[\W_]*{words}(?:[\s_]+(?:rating|score))?[*_]*\s*[:=]\s*(.+?)\s*$", block)
    if len(found) != 1:
        raise Unreadable("a score is missing" if not found else "several judgments that differ", name)
    return found[0]
