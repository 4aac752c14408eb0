"""A benchmark's questions, from a file or the Hub, and the index by which they are looked for."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zephyr.data.filter.words import words
from zephyr.data.sources import files, read
from zephyr.errors import UserError
from zephyr.recipe.filter import Decontaminate, Questions

COLUMNS = ("question", "turns", "instruction", "prompt")
"""Columns that hold a question, the first that is there: most benchmarks; MT-Bench; AlpacaEval; HumanEval."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """A benchmark's question."""

    benchmark: str
    text: str
    words: tuple[str, ...]


@dataclass
class Index:
    """Questions by their words and word sequences; about 40 kB of memory per 100 questions of 20 words."""

    questions: list[Question] = field(default_factory=list)
    whole: dict[str, int] = field(default_factory=dict)
    """Words of a question, joined without blanks -> its number."""
    by_gram: dict[str, list[int]] = field(default_factory=dict)
    """A word sequence -> numbers of the questions that hold it."""
    n_grams: list[int] = field(default_factory=list)
    """Different word sequences of each question."""


def build_index(settings: Decontaminate, seed: int) -> Index:
    """Reads all benchmarks. A question that two of them share counts for the first."""
    index = Index()
    for name, source in settings.benchmarks.items():
        n_before = len(index.questions)
        for text in questions_of(source, seed):
            _add(index, name, text, settings.ngram)
        if len(index.questions) == n_before:
            raise UserError(f"filters.decontaminate.benchmarks.{name}: {source.path}: holds no question.")
    return index


def _add(index: Index, benchmark: str, text: str, ngram: int) -> None:
    said = tuple(words(text))
    joined = "".join(said)
    if not said or joined in index.whole:
        return
    number = len(index.questions)
    index.whole[joined] = number
    index.questions.append(Question(benchmark=benchmark, text=text, words=said))
    grams = set(sequences(said, ngram))
    index.n_grams.append(len(grams))
    for gram in grams:
        index.by_gram.setdefault(gram, []).append(number)


def sequences(said: tuple[str, ...] | list[str], ngram: int) -> list[str]:
    """All sequences of `ngram` words; a shorter text is one."""
    if len(said) < ngram:
        return [" ".join(said)] if said else []
    return [" ".join(each) for each in zip(*(said[n:] for n in range(ngram)), strict=False)]


def questions_of(source: Questions, seed: int) -> Iterator[str]:
    """Texts of a benchmark's questions; a question of several turns gives several."""
    if not source.heading:
        for file in files(source, Path(source.path).expanduser()):
            with file.open(newline="", encoding="utf-8") as lines:
                yield from (row[0] for row in csv.reader(lines) if row)
        return
    for row in read(source, seed):
        if row.fields is None:
            raise UserError(f"{row.source}:{row.line or row.index}: {row.fault}: {row.excerpt}")
        yield from _texts(_question(row.fields, source), source)


def _question(fields: dict[str, Any], source: Questions) -> Any:
    for column in COLUMNS:
        if fields.get(column):
            return fields[column]
    raise UserError(
        f"{source.path}: no column {', '.join(COLUMNS[:-1])} or {COLUMNS[-1]} in it; its columns are "
        f"{', '.join(fields)}.\nSay which holds the question: `columns: {{question: {next(iter(fields), '...')}}}`; "
        "`heading: false` is for a CSV file without heading line."
    )


def _texts(value: Any, source: Questions) -> list[str]:
    """A text, ARC's `{"stem": text, ...}`, or a list of turns."""
    if isinstance(value, dict) and isinstance(value.get("stem"), str):
        value = value["stem"]
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return value
    raise UserError(f"{source.path}: a question is a text or a list of texts; found {str(value)[:80]!r}.")


_SENTENCE = re.compile(r"[.!?:;\n。？！]+(?:\s|$)|[\"“”\n]")


def sentences(text: str) -> Iterator[str]:
    """The words of each sentence, joined without blanks."""
    return ("".join(words(each)) for each in _SENTENCE.split(text))
