"""FastChat's files: questions, answers (references too), the judge's prompts, judgments; read and written."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zephyr.data.readers import Row, read_jsonl
from zephyr.errors import UserError
from zephyr.evaluate.mt_bench.judging import Question, Template

FAILED = -1
"""Score that FastChat writes for a judgment without a rating, and for a call that failed."""
FAILED_CALL = "$ERROR$"
"""Judgment that FastChat writes for a call that failed."""


@dataclass(frozen=True, kw_only=True)
class ModelAnswer:
    """A model's answer to one question."""

    question_id: int
    model: str
    turns: tuple[str, ...]
    answer_id: str
    """Any name that is unique to it."""
    time: float
    """When it was written, in seconds since 1970."""


@dataclass(frozen=True, kw_only=True)
class Judgment:
    """A judge's opinion of one turn of one answer."""

    question_id: int
    model: str
    judge: str
    template: str
    """Name of the judge's prompt."""
    turn: int
    """1 or 2."""
    user_prompt: str
    text: str
    """What the judge wrote."""
    score: float | None
    """1 to 10; None: no rating in it, or the call failed."""
    time: float
    """When it was written, in seconds since 1970."""


def read_questions(path: Path) -> dict[int, Question]:
    """question.jsonl: number -> question."""
    found = [
        Question(id=_int(row, "question_id"), category=_text(row, "category"), turns=_texts(row, "turns"))
        for row in _rows(path, "MT-Bench questions (question_id, category, turns)")
    ]
    return {question.id: question for question in found}


def read_answers(path: Path) -> dict[int, ModelAnswer]:
    """model_answer/MODEL.jsonl, or reference_answer/gpt-4.jsonl: number of the question -> its (last) answer."""
    found = [_answer(row) for row in _rows(path, "FastChat answers (question_id, model_id, choices)")]
    return {answer.question_id: answer for answer in found}


def _answer(row: Row) -> ModelAnswer:
    choices = _field(row, "choices", lambda value: isinstance(value, list) and value, "a list of choices")
    if not isinstance(choices[0], dict):
        raise _wrong(row, "choices[0]", choices[0], "an object with turns")
    first = Row(row.source, row.line, row.index, choices[0])
    return ModelAnswer(
        question_id=_int(row, "question_id"),
        model=_text(row, "model_id"),
        turns=_texts(first, "turns"),
        answer_id=str((row.fields or {}).get("answer_id", "")),
        time=float((row.fields or {}).get("tstamp") or 0),
    )


def read_templates(path: Path) -> dict[str, Template]:
    """judge_prompts.jsonl: name -> template; the pairwise ones are left out."""
    rows = _rows(path, "FastChat's prompts for the judge (name, type, system_prompt, prompt_template)")
    single = [row for row in rows if _text(row, "type") == "single"]
    return {
        _text(row, "name"): Template(
            name=_text(row, "name"), system=_text(row, "system_prompt"), text=_text(row, "prompt_template")
        )
        for row in single
    }


def read_judgments(path: Path) -> list[Judgment]:
    """model_judgment/JUDGE_single.jsonl, in the order of the file; several of one turn stay several."""
    return [
        judgment(row) for row in _rows(path, "FastChat judgments (question_id, model, judge, judgment, score, turn)")
    ]


def judgment(row: Row) -> Judgment:
    """One line of a file of judgments.

    Raises:
        UserError: a field is missing or wrong, with file and line.
    """
    score = _field(row, "score", _is_number, "a number")
    judge = _field(row, "judge", _is_judge, '["judge", "template"]')
    fields = row.fields or {}
    return Judgment(
        question_id=_int(row, "question_id"),
        model=_text(row, "model"),
        judge=judge[0] if isinstance(judge, list) else judge,
        template=judge[1] if isinstance(judge, list) else "",
        turn=_field(row, "turn", lambda value: value in (1, 2), "1 or 2"),
        user_prompt=str(fields.get("user_prompt", "")),
        text=_text(row, "judgment"),
        score=None if score == FAILED else score,
        time=float(fields.get("tstamp") or 0),
    )


def write_answers(path: Path, answers: Iterable[ModelAnswer]) -> None:
    """As FastChat writes model_answer/MODEL.jsonl."""
    _write(
        path,
        (
            {
                "question_id": each.question_id,
                "answer_id": each.answer_id,
                "model_id": each.model,
                "choices": [{"index": 0, "turns": list(each.turns)}],
                "tstamp": each.time,
            }
            for each in answers
        ),
    )


def write_judgments(path: Path, judgments: Iterable[Judgment]) -> None:
    """As FastChat writes model_judgment/JUDGE_single.jsonl, so that its show_result.py gives the same means."""
    _write(
        path,
        (
            {
                "question_id": each.question_id,
                "model": each.model,
                "judge": [each.judge, each.template],
                "user_prompt": each.user_prompt,
                "judgment": each.text,
                "score": FAILED if each.score is None else each.score,
                "turn": each.turn,
                "tstamp": each.time,
            }
            for each in judgments
        ),
    )


def _write(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    draft = path.with_name(f"{path.name}.draft")
    draft.parent.mkdir(parents=True, exist_ok=True)
    draft.write_text("".join(json.dumps(row) + "\n" for row in rows))
    draft.replace(path)


def _rows(path: Path, expected: str) -> list[Row]:
    if not path.is_file():
        raise UserError(f"{path}: there is no such file. Expected {expected}, one a line.")
    rows = list(read_jsonl(path))
    if not rows:
        raise UserError(f"{path}: is empty. Expected {expected}, one a line.")
    for row in rows:
        if row.fields is None:
            raise UserError(f"{path}:{row.line}: {row.fault} ({row.excerpt}). Expected {expected}, one a line.")
    return rows


def _field(row: Row, name: str, right: Callable[[Any], Any], expected: str) -> Any:
    if row.fields is None:
        raise UserError(f"{_place(row)}: {row.fault} ({row.excerpt}).")
    fields = row.fields
    if name not in fields:
        raise UserError(f"{_place(row)}: has no `{name}`; its fields are {', '.join(fields) or 'none'}.")
    if not right(fields[name]):
        raise _wrong(row, name, fields[name], expected)
    return fields[name]


def _wrong(row: Row, name: str, found: Any, expected: str) -> UserError:
    return UserError(f"{_place(row)}: `{name}` is {str(found)[:80]!r}. Expected {expected}.")


def _place(row: Row) -> str:
    return f"{row.source}:{row.line}" if row.line else f"{row.source}, row {row.index + 1}"


def _text(row: Row, name: str) -> str:
    return _field(row, name, lambda value: isinstance(value, str), "text")


def _int(row: Row, name: str) -> int:
    return _field(row, name, lambda value: isinstance(value, int) and not isinstance(value, bool), "a whole number")


def _texts(row: Row, name: str) -> tuple[str, ...]:
    return tuple(_field(row, name, _are_texts, "a list of texts"))


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, str) for each in value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def _is_judge(value: Any) -> bool:
    """FastChat writes [judge, template]; some forks only the judge."""
    return isinstance(value, str) or (_are_texts(value) and len(value) == 2)
