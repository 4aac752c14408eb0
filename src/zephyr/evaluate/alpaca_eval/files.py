"""AlpacaEval's files: a model's outputs, and annotations (judged pairs); read and written."""

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from zephyr.data.readers import Row, read_json
from zephyr.errors import UserError
from zephyr.evaluate.alpaca_eval.judging import BASELINE, DRAW, MODEL

OUTPUTS = "AlpacaEval outputs: a list of objects with instruction, output, generator"
ANNOTATIONS = "AlpacaEval annotations: a list of objects with instruction, output_1, output_2, preference"

V1_BASELINE = "f780416f7abff52ee7f87ac667536d5d772539bcb8583a5c10fe838afcf4b04e"
"""`fingerprint` of text_davinci_003's answers that all published figures of version 1 are against.

Those in AlpacaEval's results/text_davinci_003 are others, later and shorter (308 characters on average, not 482).
"""


@dataclass(frozen=True, kw_only=True)
class Output:
    """A model's answer to an instruction."""

    instruction: str
    output: str
    generator: str
    """The model's name."""
    dataset: str
    """Part of AlpacaEval that the instruction is from; may be empty."""


@dataclass(frozen=True, kw_only=True)
class Annotation:
    """A judged pair: the first answer is the baseline's, the second the model's, whatever order the judge saw."""

    instruction: str
    output_1: str
    generator_1: str
    output_2: str
    generator_2: str
    dataset: str
    annotator: str
    preference: float | None
    """1 baseline, 2 model, 1.5 draw, or between; None: it could not be read, or the call failed."""
    raw_completion: str | None = None
    """What the judge wrote, where it is kept."""


def read_outputs(path: Path) -> list[Output]:
    """model_outputs.json.

    Raises:
        UserError: it is no such file, or an instruction is answered twice.
    """
    found = [
        Output(instruction=_text(row, "instruction"), output=_text(row, "output"),
               generator=_label(row, "generator"), dataset=_label(row, "dataset"))
        for row in _rows(path, OUTPUTS)
    ]  # fmt: skip
    if len({each.instruction for each in found}) < len(found):
        twice = next(each for n, each in enumerate(found) if each.instruction in {o.instruction for o in found[:n]})
        raise UserError(f"{path}: answers one instruction more than once: {twice.instruction[:80]!r}.")
    return found


def read_annotations(path: Path) -> list[Annotation]:
    """annotations.json."""
    return [annotation(row) for row in _rows(path, ANNOTATIONS)]


def annotation(row: Row) -> Annotation:
    """One judged pair.

    Raises:
        UserError: a field is missing or wrong, with its place in the file.
    """
    return Annotation(
        instruction=_text(row, "instruction"),
        output_1=_text(row, "output_1"),
        generator_1=_label(row, "generator_1"),
        output_2=_text(row, "output_2"),
        generator_2=_label(row, "generator_2"),
        dataset=_label(row, "dataset"),
        annotator=_label(row, "annotator"),
        preference=_preference(row),
        raw_completion=_label(row, "raw_completion") or None,
    )


def _preference(row: Row) -> float | None:
    """0 was AlpacaEval's draw once. What is no preference at all counts as not read, as AlpacaEval drops it."""
    found = _field(row, "preference")
    if found is None or isinstance(found, bool) or not isinstance(found, int | float) or math.isnan(found):
        return None
    if found == 0:
        return DRAW
    return found if BASELINE <= found <= MODEL else None


def write_outputs(path: Path, outputs: Iterable[Output]) -> None:
    """As AlpacaEval reads `--model_outputs` and `--reference_outputs`."""
    _write(
        path,
        [{"dataset": each.dataset, **{k: v for k, v in asdict(each).items() if k != "dataset"}} for each in outputs],
    )


def write_annotations(path: Path, annotations: Iterable[Annotation]) -> None:
    """As AlpacaEval writes annotations.json; a preference that could not be read is null."""
    rows = [asdict(each) for each in annotations]
    _write(path, [{k: v for k, v in row.items() if k != "raw_completion" or v is not None} for row in rows])


def baseline_of(annotations: Iterable[Annotation]) -> list[Output]:
    """The baseline's answers, as annotations of any model hold them beside the model's."""
    return [
        Output(instruction=each.instruction, output=each.output_1, generator=each.generator_1, dataset=each.dataset)
        for each in annotations
    ]


def fingerprint(outputs: Iterable[Output]) -> str:
    """Hash of what was answered to what, whatever the order and the names."""
    answered = sorted((each.instruction, each.output) for each in outputs)
    return hashlib.sha256(json.dumps(answered).encode()).hexdigest()


def pairs(baseline: Sequence[Output], model: Sequence[Output]) -> list[tuple[Output, Output]]:
    """(baseline, model) by instruction, in the baseline's order.

    Raises:
        UserError: an instruction of the baseline's is not answered; AlpacaEval itself would leave it out silently.
    """
    answers = {each.instruction: each for each in model}
    missing = [each.instruction for each in baseline if each.instruction not in answers]
    if missing:
        raise UserError(
            f"{len(missing)} of the baseline's {len(baseline)} instructions are not answered, the first "
            f"{missing[0][:80]!r}.\nExpected an answer to each; an empty one is an answer too."
        )
    return [(each, answers[each.instruction]) for each in baseline]


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    draft = path.with_name(f"{path.name}.draft")
    draft.parent.mkdir(parents=True, exist_ok=True)
    draft.write_text(json.dumps(rows, indent=2) + "\n")
    draft.replace(path)


def _rows(path: Path, expected: str) -> list[Row]:
    if not path.is_file():
        raise UserError(f"{path}: there is no such file. Expected {expected}.")
    rows = list(read_json(path))
    if not rows:
        raise UserError(f"{path}: is empty. Expected {expected}.")
    return rows


def _field(row: Row, name: str) -> Any:
    if row.fields is None:
        raise UserError(f"{_place(row)}: {row.fault} ({row.excerpt}).")
    if name not in row.fields:
        raise UserError(f"{_place(row)}: has no `{name}`; its fields are {', '.join(row.fields) or 'none'}.")
    return row.fields[name]


def _text(row: Row, name: str) -> str:
    found = _field(row, name)
    if not isinstance(found, str):
        raise UserError(f"{_place(row)}: `{name}` is {str(found)[:80]!r}. Expected text.")
    return found


def _label(row: Row, name: str) -> str:
    """A field that may be absent."""
    found = (row.fields or {}).get(name)
    return found if isinstance(found, str) else ""


def _place(row: Row) -> str:
    return f"{row.source}:{row.line}" if row.line else f"{row.source}, row {row.index + 1}"
