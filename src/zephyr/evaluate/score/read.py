"""Judgments made anywhere, by FastChat (MT-Bench) or AlpacaEval: figures from their files alone."""

import itertools
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zephyr.data.readers import Row, read_json
from zephyr.errors import UserError
from zephyr.evaluate.alpaca_eval import score as alpaca_eval_score
from zephyr.evaluate.alpaca_eval.files import annotation
from zephyr.evaluate.alpaca_eval.score import WinRate
from zephyr.evaluate.mt_bench import score as mt_bench_score
from zephyr.evaluate.mt_bench.files import judgment, read_questions
from zephyr.evaluate.mt_bench.score import MtBenchScore
from zephyr.evaluate.statistics import Difference

JUDGMENTS = {"question_id", "model", "score", "turn"}
ANNOTATIONS = {"instruction", "output_1", "output_2", "preference"}
EXPECTED = (
    "Expected judged answers:\n"
    "  MT-Bench    FastChat's model_judgment/JUDGE_single.jsonl: question_id, model, judge, judgment, score, turn\n"
    "  AlpacaEval  its annotations.json: instruction, output_1, output_2, preference"
)
OTHERS: tuple[tuple[set[str], str], ...] = (
    ({"g1_winner"}, "FastChat's judgments of pairs; only those of single answers (`--mode single`) give scores"),
    ({"question_id", "choices"}, "FastChat's answers of a model, which no judge has seen yet"),
    ({"question_id", "turns"}, "MT-Bench's questions"),
    ({"prompt_template", "system_prompt"}, "FastChat's prompts for the judge"),
    ({"instruction", "output"}, "AlpacaEval's outputs of a model, which no judge has seen yet"),
)
"""Files that stand beside those wanted: fields that tell them, and what they are."""


@dataclass(frozen=True, kw_only=True)
class Scored:
    """One model's figures, and the file they are from."""

    label: str
    """The model's name, with what tells it from others of that name."""
    file: Path
    figures: MtBenchScore | WinRate


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two models on the same questions: b minus a."""

    a: str
    b: str
    difference: Difference | str
    """Or why there is none."""


def read(files: Sequence[Path], questions: Path | None) -> list[Scored]:
    """Figures of every model in the files; a file given twice is read once.

    Raises:
        UserError: a file is not there, is something else, or has a row that can't be read.
    """
    categories = {number: each.category for number, each in read_questions(questions).items()} if questions else None
    found = [
        (file, each)
        for file in {each.resolve(): each for each in files}.values()
        for each in _figures(file, categories)
    ]
    return _labelled(found)


def _figures(file: Path, categories: Mapping[int, str] | None) -> Sequence[MtBenchScore | WinRate]:
    rows = _rows(file)
    fields = set(rows[0].fields or ())
    if fields >= JUDGMENTS:
        return mt_bench_score.scores([judgment(row) for row in rows], categories)
    if fields >= ANNOTATIONS:
        return alpaca_eval_score.win_rates([annotation(row) for row in rows])
    raise UserError(f"{file}: holds {_what(fields)}.\n{EXPECTED}")


def _rows(file: Path) -> list[Row]:
    if file.is_dir():
        raise UserError(f"{file}: is a directory.{_inside(file)}\n{EXPECTED}")
    if not file.is_file():
        raise UserError(f"{file}: there is no such file (looked in {Path.cwd()}).\n{EXPECTED}")
    if not file.stat().st_size:
        raise UserError(f"{file}: is empty.\n{EXPECTED}")
    try:
        rows = list(read_json(file))
    except UserError as error:
        raise UserError(f"{str(error).splitlines()[0]}\n{EXPECTED}") from None
    except (OSError, EOFError, zlib.error) as error:  # a damaged .gz
        raise UserError(f"{file}: can't be read ({error}).\n{EXPECTED}") from None
    broken = next((row for row in rows if row.fields is None), None)
    if broken is not None and len(rows) == sum(row.fields is None for row in rows):
        raise UserError(f"{file}: is not JSON ({broken.fault}: {broken.excerpt}).\n{EXPECTED}")
    if broken is not None:
        place = f"line {broken.line}" if broken.line else f"row {broken.index + 1}"
        raise UserError(
            f"{file}: {place} can't be read: {broken.fault} ({broken.excerpt}).\n"
            "Was it still being written, or cut? Remove that line to score the others."
        )
    if not rows:
        raise UserError(f"{file}: holds no row.\n{EXPECTED}")
    return rows


def _inside(folder: Path) -> str:
    names = sorted(str(p.relative_to(folder)) for p in folder.rglob("*.json*") if p.is_file())[:6]
    return f" Name its files; it holds {', '.join(names)}." if names else ""


def _what(fields: set[str]) -> str:
    for telling, name in OTHERS:
        if fields >= telling:
            return name
    listed = ", ".join(sorted(fields)[:8])
    return f"objects with {listed}" if listed else "objects without fields"


def _labelled(found: Sequence[tuple[Path, MtBenchScore | WinRate]]) -> list[Scored]:
    """Names each by its model, then also by its judge, then also by its file, as far as needed."""
    parts: tuple[Callable[[Path, Any], str], ...] = (
        lambda file, each: each.model or file.stem,
        lambda file, each: f"{each.model or file.stem} by {_judge(each)}",
        lambda file, each: f"{each.model or file.stem} by {_judge(each)} ({file})",
    )
    labels = []
    for file, each in found:
        tried = [
            (name(file, each), sum(name(other_file, other) == name(file, each) for other_file, other in found))
            for name in parts
        ]
        labels.append(next((label for label, count in tried if count == 1), tried[-1][0]))
    return [Scored(label=label, file=file, figures=each) for label, (file, each) in zip(labels, found, strict=True)]


def _judge(figures: MtBenchScore | WinRate) -> str:
    return figures.judge if isinstance(figures, MtBenchScore) else figures.annotator


def comparable(scored: Sequence[Scored]) -> list[list[Scored]]:
    """Groups whose figures may stand in one table: the same benchmark, judge and baseline; best first."""
    groups: dict[tuple[str, ...], list[Scored]] = {}
    for each in scored:
        baseline = each.figures.baseline if isinstance(each.figures, WinRate) else ""
        groups.setdefault((type(each.figures).__name__, _judge(each.figures), baseline), []).append(each)
    return [sorted(group, key=_best_first) for group in groups.values()]


def _best_first(scored: Scored) -> float:
    mean = scored.figures.average if isinstance(scored.figures, MtBenchScore) else scored.figures.rate
    return -mean.value if mean else 0


def comparisons(group: Sequence[Scored]) -> list[Comparison]:
    """Every two of a group, the better one as b."""
    return [Comparison(a=a.label, b=b.label, difference=_compare(a, b)) for b, a in itertools.combinations(group, 2)]


def _compare(a: Scored, b: Scored) -> Difference | str:
    if isinstance(a.figures, MtBenchScore) and isinstance(b.figures, MtBenchScore):
        return mt_bench_score.compare(a.figures, b.figures)
    if isinstance(a.figures, WinRate) and isinstance(b.figures, WinRate):
        return alpaca_eval_score.compare(a.figures, b.figures)
    return "other benchmarks"
