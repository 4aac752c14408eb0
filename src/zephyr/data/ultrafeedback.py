"""Scored answers: UltraFeedback's schema, which `feedback` writes too, and ranked answers read as scored ones.

A row of UltraFeedback (arXiv 2310.01377, its six published columns): `source`, `instruction`, `models`, `completions`,
`correct_answers`, `incorrect_answers`. A completion: `model`, `principle`, `custom_system_prompt`, `response`,
`critique`, `overall_score` (1-10), `fine-grained_score` (mean of the aspects' ratings) and `annotations`, whose ratings
are text, "N/A" among them. `feedback` adds to a row `prompt` (turns) and `prompt_id`, to a completion `finish_reason`
and `judgments` (one per repetition).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from zephyr.data.turns import Messages, Unusable, prompt_id, prompt_turns, text_of, user

TEN_FOR_ONE = "overall score 10, mean rating at most 2 (a 1 read as 10)"
"""Certain cases of UltraFeedback's first release: code there turned a score of 1 into 10."""
TEN_FOR_ONE_DOUBTFUL = "overall score 10, mean rating above 2 and at most 4 (perhaps a 1 read as 10)"
"""Its authors asked the judge again about these."""
RATING_NO_NUMBER = "rating that is no number and not N/A"
RATING_OUT_OF_RANGE = "rating outside 1-10"
OVERALL_OUT_OF_RANGE = "overall score outside 1-10"

Score = Literal["mean", "overall"]
"""Which score of an answer is meant: the mean of its aspects' ratings, or the critique's overall score."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """An answer and what the judge gave it."""

    text: str
    model: str = ""
    mean: float | None = None
    """Mean of the aspects' ratings that apply."""
    overall: float | None = None
    """The critique's overall score."""
    judgments: tuple[float, ...] = ()
    """One score per judgment, where it was judged several times."""
    truncated: bool = False
    """Its generation ended at the length limit."""
    suspicious: tuple[str, ...] = ()
    """What about its scores can hardly be right."""

    def score(self, which: Score) -> float | None:
        """The score asked for, None where it has none."""
        return self.mean if which == "mean" else self.overall


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoredPrompt:
    """A prompt and its scored answers, in the order of the row."""

    prompt: Messages
    prompt_id: str
    source: str = ""
    """Where the prompt is from, as the row says."""
    answers: tuple[Answer, ...]


def from_ultrafeedback(fields: dict[str, Any]) -> ScoredPrompt:
    """A row in UltraFeedback's schema; `prompt` (turns) goes before `instruction` where both are there.

    Raises:
        Unusable: there is no prompt or no list of completions in it.
    """
    prompt = _prompt(fields)
    completions = fields["completions"]
    if not isinstance(completions, list) or not all(isinstance(each, dict) for each in completions):
        raise Unusable("not a list of completions", completions)
    return ScoredPrompt(
        prompt=prompt,
        prompt_id=str(fields.get("prompt_id") or prompt_id(prompt)),
        source=_source(fields),
        answers=tuple(_answer(each) for each in completions),
    )


def from_ranked(fields: dict[str, Any]) -> ScoredPrompt:
    """A row in Nectar's schema: `prompt`, `answers` [{answer, model, rank}], rank 1 the best.

    The score is n + 1 - rank: the best of seven has 7, the last 1.
    """
    answers = fields["answers"]
    if not isinstance(answers, list) or not all(isinstance(each, dict) for each in answers):
        raise Unusable("not a list of answers", answers)
    prompt = prompt_turns(fields["prompt"])
    ranks = [number_of(each.get("rank")) for each in answers]
    if None in ranks:
        raise Unusable("an answer without a rank", answers)
    return ranked(
        prompt, [(text_of(each.get("answer")).strip(), str(each.get("model") or "")) for each in answers],
        [rank for rank in ranks if rank is not None], source=_source(fields),
    )  # fmt: skip


def ranked(
    prompt: Messages, texts: Sequence[tuple[str, str]], ranks: Sequence[float], *, source: str = ""
) -> ScoredPrompt:
    """A scored prompt from (text, model) of each answer and their ranks, the lowest the best; the worst has score 1."""
    scores = [max(ranks, default=0) - rank + 1 for rank in ranks]
    answers = [
        Answer(text=text, model=model, mean=score, overall=score)
        for (text, model), score in zip(texts, scores, strict=True)
    ]
    return ScoredPrompt(prompt=prompt, prompt_id=prompt_id(prompt), source=source, answers=tuple(answers))


def check_scored(row: ScoredPrompt) -> None:
    """Raise Unusable for a prompt that cannot be answered."""
    spoken = [turn for turn in row.prompt if turn["role"] != "system"]
    if not spoken or spoken[-1]["role"] != "user":
        raise Unusable("the prompt's last turn is not the user's", spoken[-1]["content"] if spoken else "")
    if not spoken[-1]["content"].strip():
        raise Unusable("empty prompt")


def number_of(value: Any) -> float | None:
    """A number, also where it is written as text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def corrected(answer: Answer, rule: Literal["keep", "correct", "leave_out"]) -> Answer:
    """An answer whose overall score of 10 may be a 1, by the rule with which UltraFeedback's authors mended theirs.

    `correct`: mean rating at most 2 -> 1; above 2 and at most 4 -> no score, for want of a judge to ask again; above 4
    -> stays. `leave_out`: no score in either case of doubt. `keep`: as it is.
    """
    if rule == "keep" or not {TEN_FOR_ONE, TEN_FOR_ONE_DOUBTFUL} & set(answer.suspicious):
        return answer
    certain = TEN_FOR_ONE in answer.suspicious
    return replace(answer, overall=1.0 if rule == "correct" and certain else None)


# Parts of a row


def _prompt(fields: dict[str, Any]) -> Messages:
    if fields.get("prompt"):
        return prompt_turns(fields["prompt"])
    return [user(text_of(fields.get("instruction")))]


def _source(fields: dict[str, Any]) -> str:
    """The row's source; Nectar gives a list of them."""
    source = fields.get("source") or ""
    return ", ".join(map(str, source)) if isinstance(source, list) else str(source)


def _answer(completion: dict[str, Any]) -> Answer:
    ratings, faults = _ratings(completion.get("annotations"))
    given, overall = number_of(completion.get("fine-grained_score")), number_of(completion.get("overall_score"))
    mean = given if given is not None else sum(ratings) / len(ratings) if ratings else None
    if overall is not None and not 1 <= overall <= 10:
        faults.append(OVERALL_OUT_OF_RANGE)
    if overall == 10 and mean is not None and mean <= 4:
        faults.append(TEN_FOR_ONE if mean <= 2 else TEN_FOR_ONE_DOUBTFUL)
    return Answer(
        text=text_of(completion.get("response") or ""),
        model=str(completion.get("model") or ""),
        mean=mean,
        overall=overall,
        judgments=_judgments(completion.get("judgments")),
        truncated=completion.get("finish_reason") == "length",
        suspicious=tuple(dict.fromkeys(faults)),
    )


def _ratings(annotations: Any) -> tuple[list[float], list[str]]:
    """The ratings that apply, and what is wrong with others: UltraFeedback's are text, `N/A` where none applies."""
    ratings, faults = [], []
    for aspect in (annotations or {}).values():
        said = aspect.get("Rating") if isinstance(aspect, dict) else None
        rating = number_of(said)
        if rating is not None:
            ratings.append(rating)
            faults += [] if 1 <= rating <= 10 else [RATING_OUT_OF_RANGE]
        elif said not in (None, "N/A"):
            faults.append(RATING_NO_NUMBER)
    return ratings, faults


def _judgments(value: Any) -> tuple[float, ...]:
    """One score per judgment: a number, `score`, or the mean of `ratings`; none where one of them has no score.

    Judgments at the same place belong together (one list, scored at once), so that none may be left out of them.
    """
    scores = [_judged(each) for each in value] if isinstance(value, list) else []
    known = tuple(score for score in scores if score is not None)
    return known if len(known) == len(scores) else ()


def _judged(judgment: Any) -> float | None:
    if not isinstance(judgment, dict):
        return number_of(judgment)
    if (score := number_of(judgment.get("score"))) is not None:
        return score
    ratings = judgment.get("ratings")
    numbers = [number_of(each) for each in ratings.values()] if isinstance(ratings, dict) else []
    known = [each for each in numbers if each is not None]
    return sum(known) / len(known) if known else None
