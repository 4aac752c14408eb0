"""Multiple choice by lm-evaluation-harness: the Open LLM Leaderboard's four tasks as the paper has them, and any other.

ARC-Challenge 25 shots acc_norm, HellaSwag 10 shots acc_norm, MMLU 5 shots as the plain mean of its subjects (the
harness weighs them by size), TruthfulQA mc2; no chat template. In the run directory: `leaderboard/ROW/TASK.json` with
the harness's figures, and the result of each question.
"""

import itertools
import json
import logging
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from zephyr.errors import UserError
from zephyr.evaluate.asked import Scored, comparison, file_of
from zephyr.evaluate.leaderboard.data import OFFICIAL, Task, local_tasks
from zephyr.evaluate.statistics import Difference, Mean, bootstrap_mean, paired_difference
from zephyr.recipe.evaluate import EvaluateRecipe, Leaderboard

log = logging.getLogger("zephyr")

MMLU_SUBJECTS = 57


def generate(recipe: EvaluateRecipe, run_dir: Path) -> None:
    """Every model of `models` is evaluated on every task; what is there already is not done again.

    Raises:
        UserError: the harness is not installed, a task is unknown, its data can't be had, or a model or directory can't
            be found.
    """
    settings = _settings(recipe)
    if settings.include and not Path(settings.include).is_dir():
        raise UserError(
            f"benchmarks.leaderboard.include: there is no directory {settings.include}.\n"
            "Where a world should have written it, the world is of an earlier version: remove its run and run it again"
        )
    tasks = {name: _task(settings, name, run_dir) for name in settings.tasks}
    for name, model in recipe.models.items():
        missing = [task for task in tasks if not _file(run_dir, name, task).is_file()]
        if not missing:
            continue
        evaluator = _load(model, settings.batch_size)
        for task in missing:
            log.info("  %s: %s", name, task)
            found = _evaluated(evaluator, tasks[task], settings)
            path = _file(run_dir, name, task)
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_name(f"{path.name}.draft")
            draft.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
            draft.replace(path)


def judge(recipe: EvaluateRecipe, run_dir: Path) -> None:
    """Nothing: the answers are right or wrong."""


def _task(settings: Leaderboard, name: str, run_dir: Path) -> Task:
    """What the harness is asked to do."""
    if name in settings.data:
        return local_tasks(name, Path(settings.data[name]), run_dir / "leaderboard" / "data")
    if name in OFFICIAL:
        official = OFFICIAL[name]
        return Task(specs=(official.task,), shots=official.shots, metric=official.metric)
    return Task(specs=(name,), shots=None, metric=None)


def _load(model: str, batch_size: int) -> Any:
    """The harness's wrapping of a model that is loaded as everywhere else."""
    import torch

    from zephyr.evaluate.load import load_model, load_tokenizer

    harness()
    from lm_eval.models.huggingface import HFLM

    try:
        tokenizer = load_tokenizer(model)
        loaded = load_model(model, dtype="auto").to("cuda" if torch.cuda.is_available() else "cpu")
    except (OSError, ValueError) as error:
        raise UserError(f"{model}: no model directory here, and not found on the Hub ({error})") from error
    return HFLM(pretrained=loaded, tokenizer=tokenizer, batch_size=batch_size)


def harness() -> Any:
    """lm-evaluation-harness. UserError where it is not installed."""
    try:
        import lm_eval
    except ModuleNotFoundError as error:
        raise UserError(
            "`benchmarks.leaderboard` needs lm-evaluation-harness, which is not installed here.\n"
            "  Install it: pip install 'zephyr-recipes[train,eval]'"
        ) from error
    return lm_eval


def _evaluated(evaluator: Any, task: Task, settings: Leaderboard) -> dict[str, Any]:
    """The harness's figures by task, and each question's."""
    found = evaluate_tasks(evaluator, task, limit=settings.limit, include=settings.include)
    kept = {}
    for name, samples in found["samples"].items():
        metric = task.metric or _first_metric(found["results"][name])
        kept[name] = {
            "metric": metric,
            "harness": {key: value for key, value in found["results"][name].items() if isinstance(value, int | float)},
            "shots": found["n-shot"].get(name),
            "version": found["versions"].get(name),
            "questions": _by_question(samples, metric),
            **({"acc": _by_question(samples, "acc")} if metric == "acc_norm" and "acc" in samples[0] else {}),
        }
    if not kept:
        raise UserError(f"benchmarks.leaderboard.tasks: {task.specs[0]} gave no result for single questions")
    return {"tasks": kept, "harness": harness().__version__, "limit": settings.limit}


def _by_question(samples: Sequence[Mapping[str, Any]], metric: str) -> dict[str, float]:
    return {str(each["doc_id"]): float(each[metric]) for each in samples}


def evaluate_tasks(evaluator: Any, task: Task, *, limit: int | None, include: str | None) -> dict[str, Any]:
    """`lm_eval.simple_evaluate` without a chat template.

    Raises:
        UserError: a task is not known to the harness, or its data can't be had.
    """
    lm_eval = harness()
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    names = {each for each in task.specs if not Path(each).is_file()}
    manager, known = _manager(include, own=False)
    if names - known:
        manager, known = _manager(include, own=True)
    if unknown := sorted(names - known):
        raise UserError(
            f"benchmarks.leaderboard.tasks: {', '.join(unknown)}: neither one of {', '.join(OFFICIAL)} nor known to "
            f"lm-evaluation-harness {lm_eval.__version__}.\n  Its tasks: lm-eval ls tasks; own ones come by `include`"
        )
    try:
        return lm_eval.simple_evaluate(
            model=evaluator, tasks=list(task.specs), num_fewshot=task.shots, limit=limit, task_manager=manager,
            log_samples=True, apply_chat_template=False, bootstrap_iters=0,
        )  # fmt: skip
    except (ConnectionError, FileNotFoundError) as error:
        raise UserError(
            f"{', '.join(task.specs[:3])}: its data can't be had ({error}).\n"
            "Ways out: a network; or the authors' files, and their path under `benchmarks.leaderboard.data`"
        ) from error


@cache
def _manager(include: str | None, *, own: bool) -> tuple[Any, set[str]]:
    """The harness's list of tasks, and their names; reading all of its `own` takes seconds, so it is done once."""
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=include, include_defaults=own)
    return manager, {*manager.all_tasks, *manager.all_groups, *manager.all_tags}


def _first_metric(results: Mapping[str, Any]) -> str:
    names = [key.split(",")[0] for key in results if "," in key and "_stderr" not in key]
    return "acc_norm" if "acc_norm" in names else names[0]


# Figures


def score(recipe: EvaluateRecipe, run_dir: Path) -> Scored:
    """Figures from the files alone, each task a benchmark of its own."""
    scores: dict[str, dict[str, Any]] = {name: {} for name in recipe.models}
    comparisons, warnings = [], []
    for task in _settings(recipe).tasks:
        found = {name: json.loads(_file(run_dir, name, task).read_text()) for name in recipe.models}
        for name, each in found.items():
            scores[name][task] = _summary(each)
        for a, b in itertools.combinations(found, 2):
            if difference := compare(found[a], found[b]):
                comparisons.append(comparison(task, a, b, difference))
        warnings += _marks(task, next(iter(found.values())))
    return Scored(scores=scores, comparisons=comparisons, warnings=warnings, provenance={"harness": _version(found)})


def _version(found: Mapping[str, Any]) -> str:
    return str(next(iter(found.values()))["harness"])


def _summary(found: dict[str, Any]) -> dict[str, Any]:
    subjects = [list(each["questions"].values()) for each in found["tasks"].values()]
    value = _macro(subjects)
    first = next(iter(found["tasks"].values()))
    summary = {
        **_percent(value),
        "n": value.n,
        "n_failed": 0,
        "metric": first["metric"],
        "shots": first["shots"],
    }
    if all("acc" in each for each in found["tasks"].values()):
        summary["acc"] = _percent(_macro([list(each["acc"].values()) for each in found["tasks"].values()]))
    if len(found["tasks"]) > 1:
        summary["by_category"] = {
            name.removeprefix("mmlu_"): {"score": 100 * mean(each["questions"].values()), "n": len(each["questions"])}
            for name, each in found["tasks"].items()
        }
    return summary


def _percent(value: Mean) -> dict[str, Any]:
    return {"score": 100 * value.value, "interval": [100 * bound for bound in value.interval]}


def _macro(subjects: Sequence[Sequence[float]]) -> Mean:
    """The plain mean of the subjects' means; its interval from questions within subjects, which are given."""
    if len(subjects) == 1:
        return bootstrap_mean(subjects[0])
    value, half = _macro_and_half(subjects)
    return Mean(value=value, interval=(value - half, value + half), n=sum(map(len, subjects)))


def _macro_and_half(subjects: Sequence[Sequence[float]]) -> tuple[float, float]:
    """The mean, and 1.96 standard errors of it."""
    variances = [np.var(each, ddof=1) / len(each) if len(each) > 1 else 0.0 for each in subjects]
    return mean(map(mean, subjects)), 1.96 * float(np.sqrt(sum(variances))) / len(subjects)


def compare(a: dict[str, Any], b: dict[str, Any]) -> Difference | None:
    """Mean of b - a in points, question by question; None where they answered other questions."""
    pairs = []
    for name in a["tasks"]:
        one, other = a["tasks"][name]["questions"], b["tasks"].get(name, {}).get("questions", {})
        if one.keys() != other.keys() or len(one) < 2:
            return None
        pairs.append(([100 * each for each in one.values()], [100 * other[key] for key in one]))
    if len(pairs) == 1:
        return paired_difference(*pairs[0])
    value, half = _macro_and_half([[y - x for x, y in zip(*pair, strict=True)] for pair in pairs])
    return Difference(value=value, interval=(value - half, value + half), n=sum(len(pair[0]) for pair in pairs))


def _marks(task: str, found: dict[str, Any]) -> list[str]:
    """What makes the figure another than the Leaderboard's."""
    marks = []
    if found["limit"]:
        marks.append(f"{task}: only the first {found['limit']} questions (`limit`): no one's figure")
    if task == "mmlu" and len(found["tasks"]) != MMLU_SUBJECTS:
        marks.append(f"mmlu: the mean of {len(found['tasks'])} of its {MMLU_SUBJECTS} subjects")
    return marks


def _file(run_dir: Path, name: str, task: str) -> Path:
    return file_of(file_of(run_dir / "leaderboard", name, ""), task, ".json")


def _settings(recipe: EvaluateRecipe) -> Leaderboard:
    assert recipe.benchmarks.leaderboard is not None
    return recipe.benchmarks.leaderboard
