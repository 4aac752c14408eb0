"""What a judge is asked about answers: aspects with scales and anchors, and the words around them."""

import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from zephyr.data.shapes import Messages
from zephyr.data.wording import check_places, fill, read_wording
from zephyr.errors import UserError
from zephyr.recipe.sections import section

LABELS = string.ascii_uppercase
"""What answers are called before the judge, who is not told which model wrote them."""
OVERALL = "overall"
CRITIQUE = "critique"


@section
class Aspect:
    """One thing that is scored."""

    question: str
    """What is asked about an answer."""
    scale: dict[int, str] = Field(min_length=2)
    """Number -> what it means; the lowest and the highest are the range, those between may be left out."""
    weight: float = Field(default=1.0, gt=0)
    """Its weight in the mean of the aspects."""
    not_applicable: str | None = None
    """When an answer has no score here. Default: it always has."""
    halves: bool = False
    """Whether half numbers are scores too."""

    @property
    def lowest(self) -> int:
        """Lowest score."""
        return min(self.scale)

    @property
    def highest(self) -> int:
        """Highest score."""
        return max(self.scale)

    def numbers(self) -> list[float]:
        """Every score that there is."""
        step = 2 if self.halves else 1
        return [n / step if self.halves else n for n in range(self.lowest * step, self.highest * step + 1)]


@section
class Rubric:
    """Aspects, an overall score and a critique, and how they are asked for."""

    prompt: str
    """What the judge is asked."""
    again: str
    """What is said to a judge whose judgment could not be used."""
    aspects: dict[str, Aspect]
    """Name -> aspect; their weighted mean is an answer's fine-grained score."""
    system: str | None = None
    """System message of the judge."""
    reference: str = ""
    """Put before the answers where the row says what is known to be right or wrong."""
    overall: Aspect | None = None
    """An overall score of each answer, beside the mean of the aspects. Default: none is asked for."""
    critique: str | None = None
    """What the critique of each answer is to say. Default: none is asked for."""

    def aspect(self, name: str) -> Aspect:
        """An aspect by its name, the overall score included."""
        if name != OVERALL:
            return self.aspects[name]
        assert self.overall is not None
        return self.overall

    def groups(self, *, together: bool) -> list[tuple[str, ...]]:
        """What is asked for in one call: everything, or one aspect a call and the overall score with the last."""
        overall = (OVERALL,) if self.overall else ()
        if together:
            return [(*self.aspects, *overall)]
        return [*((each,) for each in self.aspects), *([overall] if overall else [])]


def read_rubric(file: Path) -> Rubric:
    """The rubric of a file.

    Raises:
        UserError: it is not of the form expected, or nothing in it gives a score.
    """
    rubric: Rubric = read_wording(Rubric, file)
    if not rubric.aspects and rubric.overall is None:
        raise UserError(f"{file}: has neither `aspects` nor `overall`, so nothing would be scored")
    wrong = {OVERALL, CRITIQUE} & set(rubric.aspects)
    if wrong:
        raise UserError(f"{file}: an aspect can't be called {' or '.join(sorted(wrong))}, which has a key of its own")
    needed = {"request", "answers", "scales", "form"}
    check_places(rubric.prompt, needed=needed, allowed={"reference", "judged"}, where=f"{file}: prompt")
    check_places(rubric.again, needed={"fault"}, allowed={"labels"}, where=f"{file}: again")
    check_places(rubric.reference, needed=set(), allowed={"known"}, where=f"{file}: reference")
    return rubric


def has_critique(rubric: Rubric, names: Sequence[str]) -> bool:
    """Whether a call about these scores asks for the critique: the one with the overall score, or the only one."""
    return rubric.critique is not None and (OVERALL in names or set(names) >= set(rubric.aspects))


def judge_messages(
    rubric: Rubric, names: Sequence[str], prompt: Messages, answers: Sequence[str], known: str | None = None
) -> Messages:
    """What the judge is asked about answers to a prompt, in the order given.

    Args:
        rubric: the wording.
        names: aspects to score in this call.
        prompt: the conversation that was answered.
        answers: texts, called A, B, C, ...
        known: what is known about the right answer.
    """
    labels = LABELS[: len(answers)]
    tagged = [f'<answer id="{label}">\n{text}\n</answer>' for label, text in zip(labels, answers, strict=True)]
    asked = fill(
        rubric.prompt,
        request=_request(prompt),
        reference=f"{fill(rubric.reference, known=known)}\n\n" if known else "",
        answers="\n\n".join(tagged),
        judged="the answer above" if len(answers) == 1 else f"each of the {len(answers)} answers above",
        scales=_scales(rubric, names),
        form=_form(rubric, names, labels),
    )
    system = [{"role": "system", "content": rubric.system}] if rubric.system else []
    return [*system, {"role": "user", "content": asked}]


def _request(prompt: Messages) -> str:
    """The prompt as the judge sees it; what went before the last message is marked as such."""
    system = [each["content"] for each in prompt if each["role"] == "system" and each["content"].strip()]
    spoken = [each for each in prompt if each["role"] != "system"]
    parts = [f"<system>\n{text}\n</system>" for text in system]
    if len(spoken) > 1:
        earlier = "\n\n".join(f"{each['role'].capitalize()}: {each['content']}" for each in spoken[:-1])
        parts.append(f"<conversation_so_far>\n{earlier}\n</conversation_so_far>")
    return "\n\n".join([*parts, f"<request>\n{spoken[-1]['content']}\n</request>"])


def _scales(rubric: Rubric, names: Sequence[str]) -> str:
    blocks = []
    for name in names:
        aspect = rubric.aspect(name)
        numbers = "half or whole number" if aspect.halves else "whole number"
        lines = [f"{name}: {aspect.question} A {numbers} from {aspect.lowest} to {aspect.highest}:"]
        lines += [f"  {number}: {meaning}" for number, meaning in sorted(aspect.scale.items())]
        lines += [f'  "N/A": {aspect.not_applicable}'] if aspect.not_applicable else []
        blocks.append("\n".join(lines))
    if has_critique(rubric, names):
        blocks.append(f"{CRITIQUE}: {rubric.critique}")
    return "\n\n".join(blocks)


def _form(rubric: Rubric, names: Sequence[str], labels: str) -> str:
    """The object to write, shown once for the first answer."""
    inner = [f'"{name}": {{"rationale": "...", "rating": ...}}' for name in names if name != OVERALL]
    inner += [f'"{CRITIQUE}": "..."'] if has_critique(rubric, names) else []
    inner += [f'"{OVERALL}": ...'] if OVERALL in names else []
    first = f'{{"{labels[0]}": {{{", ".join(inner)}}}'
    return first + "".join(f', "{label}": {{...}}' for label in labels[1:]) + "}"


def judgment_schema(rubric: Rubric, names: Sequence[str], n_answers: int) -> dict[str, Any]:
    """JSON schema of a judgment: one object for each answer, under its letter, all keys required."""
    one: dict[str, Any] = {}
    for name in names:
        if name != OVERALL:
            one[name] = _object({"rationale": {"type": "string"}, "rating": _rating(rubric.aspects[name])})
    if has_critique(rubric, names):
        one[CRITIQUE] = {"type": "string"}
    if OVERALL in names:
        one[OVERALL] = _rating(rubric.aspect(OVERALL))
    return _object({label: _object(one) for label in LABELS[:n_answers]})


def _rating(aspect: Aspect) -> dict[str, Any]:
    numbers = {"type": "number" if aspect.halves else "integer", "enum": aspect.numbers()}
    return {"anyOf": [numbers, {"type": "string", "enum": ["N/A"]}]} if aspect.not_applicable else numbers


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
