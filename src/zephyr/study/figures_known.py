"""Figures that a study asks for and that no run of it can have, as far as that is known before one has run."""

import difflib
from collections.abc import Iterable, Mapping, Sequence

from zephyr.recipe import EvaluateRecipe, Loaded, Origin
from zephyr.recipe.problems import Problems, listed
from zephyr.recipe.study import StudyRecipe

BY_PREFERENCE = ("rewards/chosen", "rewards/rejected", "rewards/margins", "rewards/accuracies", "logps/chosen",
                 "logps/rejected")  # fmt: skip
REPORTED = ("loss", "mean_token_accuracy", *BY_PREFERENCE)
"""Of what is logged, what a training run's result has too; held out as `eval_...`, before training `..._before`."""
OF_TRAINING = ("time/data", "time/evaluation", "time/saving", "tokens/padded", "tokens/computed", "tokens_per_second")
NUMBERS = (
    *REPORTED, *(f"eval_{each}" for each in REPORTED), *(f"eval_{each}_before" for each in REPORTED), *OF_TRAINING,
    "train_loss", "first_loss", "tokens_seen", "training_s", "peak_memory_gib",
)  # fmt: skip
"""What a training run's result says."""
LOGGED = (*REPORTED, "entropy", "num_tokens", "aux_loss", "logits/chosen", "logits/rejected")
CURVES = (
    *LOGGED, *(f"eval_{each}" for each in LOGGED), *OF_TRAINING, "grad_norm", "learning_rate", "epoch", "mfu",
    "eval_runtime", "eval_samples_per_second", "eval_steps_per_second",
)  # fmt: skip
"""What training logs: TRL's figures, and those of train/progress.py."""
OF_ANY_BENCHMARK = ("score", "n", "n_failed")
FIGURES = {
    "world": ("n_unfinished", "correct", "boilerplate", "win_rate", "win_rate_standard_error", "wins", "losses",
              "draws", "answer_length", "baseline_length"),
    "mt_bench": ("turn_1", "turn_2", "n_questions", "n_unfinished", "n_empty"),
    "alpaca_eval": ("standard_error", "wins", "losses", "draws", "length", "baseline_length", "n_unfinished",
                    "n_empty"),
}  # fmt: skip
"""Benchmark -> its figures beside those of any."""
OF_MULTIPLE_CHOICE = ("shots", "acc/score")
PARTS = ("by_category/", "aspects/")
"""Beginnings of figures whose names hang on the questions."""


def note_unknown_figures(loaded: Loaded, evaluate: Loaded | None, problems: Problems) -> None:
    """Notes `columns` and `curves` that no run can have.

    Args:
        loaded: the study.
        evaluate: its `evaluate` recipe; None where it has none.
        problems: where they are noted.
    """
    recipe = loaded.recipe
    assert isinstance(recipe, StudyRecipe)
    scores = _scores(evaluate)
    for n, key in enumerate(recipe.columns):
        text = _column(key, scores)
        if text:
            problems.add(_origin(loaded, f"columns[{n}]"), f"columns[{n}]", text)
    for n, key in enumerate(recipe.curves):
        if key not in CURVES:
            text = f"no training logs `{key}`; {_hint(key, CURVES)}"
            problems.add(_origin(loaded, f"curves[{n}]"), f"curves[{n}]", text)


def _column(key: str, scores: Mapping[str, Sequence[str]]) -> str:
    """What is wrong with a column; empty where nothing is."""
    first, _, rest = key.partition("/")
    if first in scores:
        known = scores[first]
        if (rest or "score") in known or (rest.startswith(PARTS) and not rest.endswith("/")):
            return ""
        return f"`{first}` has no figure `{rest}`; {_hint(key, [f'{first}/{each}' for each in known])}"
    if key in NUMBERS:
        return ""
    measured = f"measures {listed(scores, 'and')}" if scores else "is not there"
    if first in FIGURES:
        return f"no run measures `{first}`: the study's `evaluate` {measured}"
    every = [*(f"{name}/{each}" for name, found in scores.items() for each in found), *NUMBERS]
    return f"no run has `{key}`: the study's `evaluate` {measured}; {_hint(key, every)}"


def _scores(evaluate: Loaded | None) -> dict[str, tuple[str, ...]]:
    """Benchmark of the `evaluate` recipe -> its figures."""
    if evaluate is None or not isinstance(evaluate.recipe, EvaluateRecipe):
        return {}
    named = evaluate.recipe.benchmarks
    found = {name: (*OF_ANY_BENCHMARK, *own) for name, own in FIGURES.items() if getattr(named, name) is not None}
    tasks: Iterable[str] = named.leaderboard.tasks if named.leaderboard else ()
    return found | dict.fromkeys(tasks, (*OF_ANY_BENCHMARK, *OF_MULTIPLE_CHOICE))


def _hint(key: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(key, known, n=2, cutoff=0.6)
    near = near or [each for each in known if key.rpartition("/")[2] in each][:3]
    return f"did you mean {listed(near)}?" if near else f"there are {listed(known[:10], 'and')}"


def _origin(loaded: Loaded, key: str) -> Origin:
    return loaded.origins.get(key) or loaded.origins.get(key.partition("[")[0]) or Origin(file=loaded.file)
