"""AlpacaEval in the mini world: a scripted teacher answers the held-out prompts too, and the higher score wins.

The figures are AlpacaEval's own (`alpaca_eval_score`): a win is 100 %, a draw 50. The baseline is the same in every run
on a world: its answers hang on its habits, its name and the prompt alone.
"""

import itertools
import math
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zephyr.errors import UserError
from zephyr.evaluate.alpaca_eval.files import Annotation
from zephyr.evaluate.alpaca_eval.judging import BASELINE, DRAW, MODEL
from zephyr.evaluate.alpaca_eval.score import WinRate, compare, win_rates
from zephyr.evaluate.asked import comparison
from zephyr.evaluate.statistics import Difference
from zephyr.evaluate.world.judging import Outcome, Prompt, score
from zephyr.mini import cast
from zephyr.mini.questions import messages
from zephyr.mini.teacher import answer
from zephyr.mini.world import World
from zephyr.recipe.schema import Habits

WIN_RATE = "world_win_rate"
"""The `benchmark` of differences between win rates; those between scores are of `world`."""


def habits_of(directory: Path, baseline: str) -> Habits:
    """The habits of a world's teacher. UserError when it has none of this name."""
    teachers = cast.load(directory).teachers
    if baseline not in teachers:
        raise UserError(
            f"benchmarks.world.baseline: no `{baseline}` answers in the world of {directory}; "
            f"who does: {', '.join(teachers)}"
        )
    return teachers[baseline]


def answered(world: World, prompts: Sequence[Prompt], baseline: str, habits: Habits) -> list[Outcome]:
    """What the baseline says to each prompt, and earns."""
    found = []
    for each in prompts:
        rng = random.Random(f"{baseline} {each.id}")
        said = [answer(world, "heldout", request, habits, rng) for request in each.turns]
        conversation = messages(list(each.turns), said)
        found.append(Outcome(prompt=each, conversation=conversation, n_unfinished=0, judgment=score(world, each, said)))
    return found


def against(baseline: str, others: Sequence[Outcome], models: Mapping[str, Sequence[Outcome]]) -> dict[str, WinRate]:
    """Each model's win rate over the baseline's answers to the same prompts, in the order of the models."""
    pairs = [
        _pair(baseline, other, name, own)
        for name, all_of_it in models.items()
        for own, other in zip(all_of_it, others, strict=True)
    ]
    found = {each.model: each for each in win_rates(pairs)}
    return {name: found[name] for name in models}


def _pair(baseline: str, other: Outcome, name: str, own: Outcome) -> Annotation:
    return Annotation(
        instruction=own.prompt.id, output_1="\n".join(other.said), generator_1=baseline,
        output_2="\n".join(own.said), generator_2=name, dataset=own.prompt.category, annotator="world",
        preference=preference(other.judgment.score, own.judgment.score),
    )  # fmt: skip


def preference(baseline: float, model: float) -> float:
    """AlpacaEval's from two scores of a dialogue: 1 the baseline won, 2 the model did, 1.5 a draw."""
    if math.isclose(baseline, model, abs_tol=1e-9):  # equal aspects, added up in another order
        return DRAW
    return MODEL if model > baseline else BASELINE


def summary(found: WinRate) -> dict[str, Any]:
    """What stands beside a model's score on the world; n and failures are the score's, as both are of all prompts."""
    assert found.rate is not None  # this judge has an opinion on every answer
    return {
        "baseline": found.baseline,
        "win_rate": found.rate.value,
        "win_rate_interval": found.rate.bounds and list(found.rate.bounds),
        "win_rate_standard_error": found.standard_error,
        "wins": found.wins,
        "losses": found.losses,
        "draws": found.draws,
        "answer_length": found.length,
        "baseline_length": found.baseline_length,
    }


def comparisons(found: Mapping[str, WinRate]) -> list[dict[str, Any]]:
    """Every two models' win rates, b minus a in points, paired by prompt."""
    differences = ((a, b, compare(found[a], found[b])) for a, b in itertools.combinations(found, 2))
    return [comparison(WIN_RATE, a, b, each) for a, b, each in differences if isinstance(each, Difference)]
