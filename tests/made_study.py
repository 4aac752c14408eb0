"""A study whose runs were made up: directories as the stages write them, with figures by formula."""

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from zephyr.recipe import Loaded, load, resolved_yaml
from zephyr.study.expand import Study, expand

EVALUATE = """\
stage: evaluate
seed: 1
models: {dDPO: dpo.yaml}
benchmarks: {world: {path: world, baseline: teacher}}
generation: {max_new_tokens: 8}
"""
CATEGORIES = ("math", "writing")
PROMPTS = 20

BROKEN = """\
stage: study
title: Small
recipe: dpo.yaml
rows:
  dSFT: {recipe: sft.yaml}
  broken: {recipe: broken.yaml}
  on broken: {set: {model.model_name_or_path: broken.yaml}}
grid: {beta: [0.1, 0.5]}
columns: [eval_loss, eval_rewards/accuracies]
"""
"""Six runs, one of which fails."""


def write_broken(folder: Path) -> Path:
    """Writes a study beside the tiny recipes, and a recipe whose rows can't be trained on, which its run finds out."""
    (folder / "broken.yaml").write_text("extends: sft.yaml\ndata: {train: [{path: empty.jsonl}]}\n")
    (folder / "empty.jsonl").write_text('{"messages": []}\n' * 8)
    (folder / "study.yaml").write_text(BROKEN)
    return folder


def made_up(folder: Path, text: str, *overrides: str) -> Study:
    """The study of a text beside the tiny recipes, evaluated on a world."""
    (folder / "world").mkdir(exist_ok=True)
    (folder / "evaluate.yaml").write_text(EVALUATE)
    file = folder / "study.yaml"
    file.write_text(f"stage: study\ntitle: Made up\nrecipe: dpo.yaml\n{text}")
    return expand(load(file, overrides, outputs=folder / "outputs"), outputs=folder / "outputs")


def finish(study: Study, skill: Callable[[str, int | None], float | None]) -> None:
    """Writes every run; a row's score with a seed is about `skill(row, seed)`, and None leaves its own runs out."""
    for row in study.rows:
        for cell in row.cells:
            value = skill(row.name, cell.seed)
            if value is None:
                continue
            for loaded in (each for each in (cell.model, cell.evaluation) if each is not None):
                for inner in loaded.inputs:
                    write(inner.loaded, value, cell.seed)
                write(loaded, value, cell.seed)


def write(loaded: Loaded, value: float, seed: int | None) -> Path:
    """One finished run, unless it is there."""
    directory = loaded.run_dir
    if (directory / "result.json").is_file():
        return directory
    begin(loaded)
    result: dict[str, Any] = {"stage": loaded.recipe.stage, "name": f"made/{loaded.recipe.stage}",
                              "status": "finished", "run_id": loaded.run_id, "wall_s": 60.0}  # fmt: skip
    if loaded.recipe.stage == "evaluate":
        result |= _evaluated(directory, value, seed)
    else:
        result |= _trained(directory, value)
    (directory / "result.json").write_text(json.dumps(result))
    return directory


def begin(loaded: Loaded, gpus: tuple[str, ...] = ()) -> Path:
    """A run that has been begun."""
    loaded.run_dir.mkdir(parents=True, exist_ok=True)
    (loaded.run_dir / "recipe.yaml").write_text(resolved_yaml(loaded))
    (loaded.run_dir / "provenance.json").write_text(json.dumps({"hardware": {"cores": 2, "gpus": list(gpus)}}))
    return loaded.run_dir


def _trained(directory: Path, value: float) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    for step in range(1, 61):
        done = step / 60
        rows.append({"step": step, "time_s": step, "loss": 0.7 - 0.03 * value * done,
                     "rewards/accuracies": 0.5 + 0.04 * value * done})  # fmt: skip
        if step % 20 == 0:
            rows.append({"step": step, "time_s": step, "eval_loss": 0.7 - 0.02 * value * done,
                         "eval_rewards/accuracies": 0.5 + 0.03 * value * done})  # fmt: skip
    (directory / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    numbers = {"train_loss": 0.6, **{key: rows[-1][key] for key in ("eval_loss", "eval_rewards/accuracies")}}
    return {"numbers": numbers, "data": {"eval": {"rows_used": 40}}, "batch": {"processes": 2, "steps": 60}}


def _evaluated(directory: Path, value: float, seed: int | None) -> dict[str, Any]:
    dice = random.Random(f"{value} {seed}")
    answers = [_answer(n, value, dice) for n in range(PROMPTS)]
    (directory / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in answers))
    scores = [row["score"] for row in answers]
    mean = sum(scores) / len(scores)
    won = [100 if row["score"] > row["baseline"]["score"] else 0 for row in answers]
    by_category = {
        name: {"score": sum(found) / len(found), "n": len(found)}
        for name in CATEGORIES
        if (found := [row["score"] for row in answers if row["category"] == name])
    }
    figures = {
        "score": mean, "interval": [mean - 0.3, mean + 0.3], "n": PROMPTS, "n_failed": 0, "correct": 0.5,
        "win_rate": sum(won) / len(won), "win_rate_interval": [10.0, 90.0], "win_rate_standard_error": 5.0,
        "baseline": "teacher", "by_category": by_category, "wins": sum(each > 0 for each in won),
        "losses": sum(each == 0 for each in won), "draws": 0, "answer_length": 30.0, "baseline_length": 30.0,
    }  # fmt: skip
    return {"scores": {"model": {"world": figures}}}


def _answer(n: int, value: float, dice: random.Random) -> dict[str, Any]:
    score = round(min(10.0, max(1.0, value + math.sin(n) + dice.gauss(0, 0.2))), 3)
    said = [{"role": "user", "content": f"Question {n}?"}, {"role": "assistant", "content": f"Answer <{value}>."}]
    return {"model": "model", "benchmark": "world", "id": f"prompt-{n}", "category": CATEGORIES[n % 2], "turns": said,
            "score": score, "turn_scores": [score], "correct": [n % 2 == 0],
            "baseline": {"answers": ["A."], "score": 5.5}}  # fmt: skip
