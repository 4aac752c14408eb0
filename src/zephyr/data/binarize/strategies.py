"""Binarization: which answer is chosen, which rejected. Pure functions of a row and of a random draw of its own.

The draw depends on a seed and on the row's id only, so that neither the order of the rows nor the number of processes
changes a pair.
"""

import random
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Literal, NamedTuple

from zephyr.data.ultrafeedback import Answer, Score, ScoredPrompt

Ties = Literal["first", "random", "drop"]

TOO_FEW = "fewer than two scored answers"
TIED_BEST = "several answers share the best score"
NO_LOWER = "no answer scored lower"
MARGIN = "difference of the scores below min_margin"


class Dropped(Exception):
    """A row that gives no pair, and the reason."""


class Pair(NamedTuple):
    """A better and a worse answer, with the scores that made them so."""

    chosen: Answer
    rejected: Answer
    score_chosen: float
    score_rejected: float


class Scored(NamedTuple):
    """An answer and the score that counts, at its place in the row."""

    place: int
    answer: Answer
    score: float


class Rules(NamedTuple):
    """What a strategy is told beside the answers."""

    ties: Ties
    """Which of several answers with the best score is chosen (in `best_worst` also: which of the worst is rejected)."""
    min_margin: float
    """Least difference of the scores; 0: whatever the strategy allows."""
    draw: random.Random
    """The row's own draw."""


def row_draw(seed: int, prompt_id: str) -> random.Random:
    """A random draw that depends on a seed and a row's id alone."""
    return random.Random(f"{seed} {prompt_id}")


def best_and_random_lower(answers: Sequence[Scored], rules: Rules) -> list[tuple[Scored, Scored]]:
    """The best answer, and a random one of those that scored strictly lower (section 3.2 of arXiv 2310.16944)."""
    chosen = _best(answers, rules)
    lower = [each for each in answers if _lower(each, chosen, rules.min_margin)]
    return [(chosen, rules.draw.choice(_some(lower, answers, chosen, rules)))]


def best_and_random_other(answers: Sequence[Scored], rules: Rules) -> list[tuple[Scored, Scored]]:
    """The best answer, and a random other one, which may have the same score (the released pairs since 2024)."""
    chosen = _best(answers, rules)
    return [(chosen, rules.draw.choice([each for each in answers if each is not chosen]))]


def first_release(answers: Sequence[Scored], rules: Rules) -> list[tuple[Scored, Scored]]:
    """The best answer, and the same draw in every row, for a seed that was set anew in each.

    With `random.seed(42)` and four answers the draws are 0, 0, 2: rejected is the first answer, or the third where the
    first is chosen. These pairs trained Zephyr-7B-beta.
    """
    chosen, draw = _best(answers, rules), random.Random(FIRST_RELEASE_SEED)
    rejected = draw.choice(answers)
    while rejected is chosen:
        rejected = draw.choice(answers)
    return [(chosen, rejected)]


def best_and_worst(answers: Sequence[Scored], rules: Rules) -> list[tuple[Scored, Scored]]:
    """The best and the worst answer."""
    chosen = _best(answers, rules)
    lower = _some([each for each in answers if _lower(each, chosen, rules.min_margin)], answers, chosen, rules)
    worst = min(each.score for each in lower)
    return [(chosen, _one_of([each for each in lower if each.score <= worst + TOLERANCE], rules))]


def all_pairs(answers: Sequence[Scored], rules: Rules) -> list[tuple[Scored, Scored]]:
    """Every two answers of different scores."""
    ordered = [(a, b) if a.score >= b.score else (b, a) for a, b in combinations(answers, 2)]
    found = [(better, worse) for better, worse in ordered if _lower(worse, better, rules.min_margin)]
    if not found:
        raise Dropped(MARGIN if any(better.score > worse.score for better, worse in ordered) else NO_LOWER)
    return found


FIRST_RELEASE_SEED = 42


class Strategy(NamedTuple):
    """A rule, and what it takes where the recipe doesn't say otherwise."""

    pairs: Callable[[Sequence[Scored], Rules], list[tuple[Scored, Scored]]]
    score: Score
    ties: Ties
    source: str
    """Where the rule is from."""


STRATEGIES: dict[str, Strategy] = {
    "zephyr_paper": Strategy(best_and_random_lower, "mean", "random", "arXiv 2310.16944, section 3.2"),
    "h4_release": Strategy(best_and_random_other, "overall", "first", "ultrafeedback_binarized since January 2024"),
    "h4_v1": Strategy(first_release, "overall", "first", "ultrafeedback_binarized at 292c163, October 2023"),
    "argilla_mean": Strategy(best_and_random_lower, "mean", "first", "ultrafeedback-binarized-preferences (Notus)"),
    "best_worst": Strategy(best_and_worst, "mean", "random", ""),
    "all_pairs": Strategy(all_pairs, "mean", "first", ""),
}


def make_pairs(
    row: ScoredPrompt,
    strategy: str,
    seed: int,
    *,
    score: Score | None = None,
    ties: Ties | None = None,
    min_margin: float = 0.0,
) -> list[Pair]:
    """The pairs of one row.

    Args:
        row: a prompt with its scored answers.
        strategy: a name in `STRATEGIES`.
        seed: of the draw, together with the row's id.
        score: which score counts; None: the strategy's own.
        ties: which of several best answers is chosen; None: the strategy's own.
        min_margin: least difference of the scores of a pair.

    Raises:
        Dropped: the row gives none.
    """
    rule = STRATEGIES[strategy]
    which = score or rule.score
    scores = [each.score(which) for each in row.answers]
    scored = [
        Scored(place, answer, value)
        for place, (answer, value) in enumerate(zip(row.answers, scores, strict=True))
        if value is not None
    ]
    if len(scored) < 2:
        raise Dropped(TOO_FEW)
    rules = Rules(ties or rule.ties, min_margin, row_draw(seed, row.prompt_id))
    pairs = [Pair(a.answer, b.answer, a.score, b.score) for a, b in rule.pairs(scored, rules)]
    kept = [each for each in pairs if each.score_chosen - each.score_rejected >= min_margin - TOLERANCE]
    if not kept:
        raise Dropped(MARGIN)
    return kept


TOLERANCE = 1e-9
"""Scores closer than this are the same: means of thirds and quarters differ in their last bits."""


def _best(answers: Sequence[Scored], rules: Rules) -> Scored:
    highest = max(each.score for each in answers)
    best = [each for each in answers if each.score >= highest - TOLERANCE]
    if len(best) > 1 and rules.ties == "drop":
        raise Dropped(TIED_BEST)
    return _one_of(best, rules)


def _one_of(answers: list[Scored], rules: Rules) -> Scored:
    return rules.draw.choice(answers) if rules.ties == "random" else answers[0]


def _lower(answer: Scored, chosen: Scored, min_margin: float) -> bool:
    return answer.score < chosen.score - TOLERANCE and chosen.score - answer.score >= min_margin - TOLERANCE


def _some(lower: list[Scored], answers: Sequence[Scored], chosen: Scored, rules: Rules) -> list[Scored]:
    """The candidates for the rejected side; raises Dropped where there are none."""
    if not lower:
        raise Dropped(MARGIN if any(_lower(each, chosen, 0) for each in answers) else NO_LOWER)
    return lower
