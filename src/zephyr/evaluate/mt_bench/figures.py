"""MT-Bench's figures in an `evaluate` run, from its files alone; and what makes them others than the paper's."""

import itertools
from collections.abc import Iterable
from pathlib import Path
from statistics import mean
from typing import Any

from zephyr.evaluate.asked import (
    Scored,
    comparison,
    read_seen,
)
from zephyr.evaluate.mt_bench.calibration import calibrate
from zephyr.evaluate.mt_bench.calibration import summary as calibration_summary
from zephyr.evaluate.mt_bench.files import (
    Judgment,
    read_judgments,
)
from zephyr.evaluate.mt_bench.judging import (
    FIRST_QUESTION,
    N_QUESTIONS,
)
from zephyr.evaluate.mt_bench.rows import Files, answers_file, answers_of, judge_of, names_of, read_files, settings_of
from zephyr.evaluate.mt_bench.score import compare, scores, summary
from zephyr.evaluate.published import (
    sha256_of,
)
from zephyr.evaluate.statistics import Difference
from zephyr.recipe.evaluate import EvaluateRecipe

PAPERS_JUDGE = "gpt-4"


def score(recipe: EvaluateRecipe, run_dir: Path) -> Scored:
    """Figures from the files alone."""
    settings, folder = settings_of(recipe), run_dir / "mt_bench"
    files = read_files(settings)
    judgments = read_judgments(folder / "judgments.jsonl")
    ours = set(range(FIRST_QUESTION, FIRST_QUESTION + N_QUESTIONS))
    own = set(files.questions) != ours
    categories = {each.id: each.category for each in files.questions.values()} if own else None
    found = {each.model: each for each in scores(judgments, categories)}
    names = [name for name in names_of(recipe) if name in found]
    compared = [(a, b, compare(found[a], found[b])) for a, b in itertools.combinations(names, 2)]
    judging = read_seen(folder / "judgments.json")
    if settings.calibration is not None:
        again = calibrate(read_judgments(Path(settings.calibration)), read_judgments(folder / "calibration.jsonl"))
        judging["calibration"] = calibration_summary(again) if again else None
    return Scored(
        scores={name: summary(found[name]) | _cut(run_dir, name) for name in names},
        comparisons=[comparison("mt_bench", a, b, each) for a, b, each in compared if isinstance(each, Difference)],
        rows=list(_rows(recipe, run_dir, files, judgments)),
        warnings=[*_marks(recipe, judging), *(note for name in names for note in _failures(name, found[name]))],
        judging=judging,
        provenance={"files": files.hashes, "answers": {k: sha256_of(Path(v)) for k, v in settings.answers.items()}},
    )


def _cut(run_dir: Path, name: str) -> dict[str, Any]:
    seen = read_seen(answers_file(run_dir, name).with_suffix(".json"))
    return {"n_unfinished": seen["n_cut"], "n_empty": seen["n_empty"]} if seen else {}


def _failures(name: str, found: Any) -> list[str]:
    if not found.n_failed:
        return []
    n = found.n + found.n_failed
    return [f"MT-Bench, {name}: {found.n_failed} of {n} judgments failed; they are in no mean"]


def _marks(recipe: EvaluateRecipe, judging: dict[str, Any]) -> list[str]:
    judge = judge_of(recipe)
    if judge.model == PAPERS_JUDGE:
        return []
    said = f"MT-Bench was judged by {judge.model}, not by the paper's {PAPERS_JUDGE}: these scores are on another scale"
    found = judging.get("calibration")
    if not found:
        return [f"{said}, and no calibration says how far off (`benchmarks.mt_bench.calibration`)"]
    return [
        f"{said}. On {found['n']} turns with known ratings by {found['known_judge']} it gives {found['offset']:+.2f} "
        f"points, the same rating in {found['same']:.0%} of them"
    ]


def _rows(
    recipe: EvaluateRecipe, run_dir: Path, files: Files, judgments: Iterable[Judgment]
) -> Iterable[dict[str, Any]]:  # fmt: skip
    ratings: dict[tuple[str, int, int], list[float]] = {}
    for each in judgments:
        given = ratings.setdefault((each.model, each.question_id, each.turn), [])
        given += [] if each.score is None else [each.score]
    for name in names_of(recipe):
        for id, answer in answers_of(recipe, run_dir, name, files).items():
            if id not in files.questions:
                continue
            question = files.questions[id]
            turns = [mean(found) if (found := ratings.get((name, id, turn))) else None for turn in (1, 2)]
            rated = [each for each in turns if each is not None]
            said = [{"role": role, "content": text}
                    for asked, answered in zip(question.turns, answer.turns, strict=False)
                    for role, text in (("user", asked), ("assistant", answered))]  # fmt: skip
            yield {
                "model": name, "benchmark": "mt_bench", "id": str(id), "category": question.category, "turns": said,
                "score": mean(rated) if len(rated) == len(question.turns) else None, "turn_scores": turns,
            }  # fmt: skip
