"""AlpacaEval's figures in an `evaluate` run, from its files alone; and what makes them others than the paper's."""

import itertools
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from zephyr.evaluate.alpaca_eval.calibration import calibrate
from zephyr.evaluate.alpaca_eval.files import (
    Annotation,
    read_annotations,
)
from zephyr.evaluate.alpaca_eval.rows import (
    Files,
    annotator,
    judge_of,
    known_file,
    outputs_file,
    protocol_of,
    read_files,
    settings_of,
)
from zephyr.evaluate.alpaca_eval.score import compare, summary, win_rates
from zephyr.evaluate.asked import (
    Scored,
    comparison,
    models_of,
    read_seen,
    row_names,
)
from zephyr.evaluate.published import sha256_of
from zephyr.evaluate.statistics import Difference
from zephyr.recipe.evaluate import EvaluateRecipe


def score(recipe: EvaluateRecipe, run_dir: Path) -> Scored:
    """Figures from the files alone."""
    settings, folder = settings_of(recipe), run_dir / "alpaca_eval"
    files = read_files(settings)
    annotations = read_annotations(folder / "annotations.json")
    found = {each.model: each for each in win_rates(annotations)}
    names = [name for name in row_names(list(models_of(recipe)), settings.answers) if name in found]
    compared = [(a, b, compare(found[a], found[b])) for a, b in itertools.combinations(names, 2)]
    judging = read_seen(folder / "annotations.seen.json") | {"annotator": annotator(recipe, files)}
    if settings.calibration is not None:
        again = calibrate(
            read_annotations(known_file(settings.calibration)), read_annotations(folder / "calibration.json")
        )
        judging["calibration"] = asdict(again) if again else None
    return Scored(
        scores={name: summary(found[name]) | _cut(run_dir, name) for name in names},
        comparisons=[comparison("alpaca_eval", a, b, each) for a, b, each in compared if isinstance(each, Difference)],
        rows=list(_rows(annotations)),
        warnings=[*_marks(recipe, files, judging), *_failures(found[name] for name in names)],
        judging=judging,
        provenance={"files": files.hashes, "answers": {k: sha256_of(Path(v)) for k, v in settings.answers.items()}},
    )


def _cut(run_dir: Path, name: str) -> dict[str, Any]:
    seen = read_seen(outputs_file(run_dir, name).with_suffix(".seen.json"))
    return {"n_unfinished": seen["n_cut"], "n_empty": seen["n_empty"]} if seen else {}


def _failures(found: Iterable[Any]) -> list[str]:
    return [
        f"AlpacaEval, {each.model}: {each.n_failed} of {each.n + each.n_failed} judgments failed; they are in no mean"
        for each in found
        if each.n_failed
    ]


def _marks(recipe: EvaluateRecipe, files: Files, judging: dict[str, Any]) -> list[str]:
    """What makes these figures others than the paper's."""
    protocol, judge = protocol_of(recipe), judge_of(recipe).model
    if protocol.weighted:
        return ["AlpacaEval's version 2: another judge, prompt and baseline than the paper's (version 1)"]
    marks = []
    if not files.official:
        marks.append(
            "AlpacaEval with another prompt or other answers of the baseline than the published figures of version 1"
        )
    if judge != protocol.judge:
        said = f"AlpacaEval was judged by {judge}, not by the paper's {protocol.judge}: these rates are not comparable"
        again = judging.get("calibration")
        known = again and (
            f". On {again['n']} pairs with known preferences by {again['known_judge']} its rate is "
            f"{again['offset']:+.1f} points off, its preference the same in {again['same']:.0%}"
        )
        marks.append(said + (known or ", and no calibration says how far off (`benchmarks.alpaca_eval.calibration`)"))
    return marks


def _rows(annotations: Iterable[Annotation]) -> Iterable[dict[str, Any]]:
    for each in annotations:
        won = None if each.preference is None else 100 * (each.preference - 1)
        said = [{"role": "user", "content": each.instruction}, {"role": "assistant", "content": each.output_2}]
        yield {
            "model": each.generator_2, "benchmark": "alpaca_eval", "id": each.instruction, "category": each.dataset,
            "turns": said, "score": won, "turn_scores": [won],
        }  # fmt: skip
