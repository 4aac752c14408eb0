"""A judged prompt as a row in UltraFeedback's schema, with the raw judgments beside (see ultrafeedback.py)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from zephyr.data.feedback.judging import Judged
from zephyr.data.feedback.judgment import Scores
from zephyr.data.feedback.rubric import OVERALL, Rubric
from zephyr.data.prompts import Prompt
from zephyr.data.turns import Messages

TYPED = ("truthfulness", "helpfulness")
"""Aspects for which UltraFeedback asks for a type first, so that its rationale of the rating has a name of its own."""


@dataclass(frozen=True, kw_only=True)
class Completion:
    """An answer of one model."""

    model: str
    """Its name in the pool."""
    principle: str | None
    system: str | None
    """The text of the principle."""
    text: str
    finish_reason: str


def scored_row(prompt: Prompt, completions: Sequence[Completion], judged: Judged, rubric: Rubric) -> dict[str, Any]:
    """The row; ratings are text, as published, and "N/A" where an aspect does not apply."""
    return {
        "source": prompt.source,
        "instruction": instruction(prompt.messages),
        "models": [each.model for each in completions],
        "completions": [
            scored_completion(each, scores, rubric) for each, scores in zip(completions, judged.scores, strict=True)
        ],
        "correct_answers": list(prompt.correct_answers) or ["None"],
        "incorrect_answers": list(prompt.incorrect_answers) or ["None"],
        "prompt": prompt.messages,
        "prompt_id": prompt.prompt_id,
        "judgments": judged.raw,
    }


def instruction(messages: Messages) -> str:
    """The prompt as one text: the user's words, or a transcript where there is more than that."""
    if len(messages) == 1:
        return messages[0]["content"]
    return "\n\n".join(f"{each['role'].capitalize()}: {each['content']}" for each in messages)


def scored_completion(completion: Completion, scores: Sequence[Scores], rubric: Rubric) -> dict[str, Any]:
    """An answer with the mean of its judgments, and each of them."""
    ratings = {name: _mean([each.ratings[name] for each in scores]) for name in scores[0].ratings}
    return {
        **unscored_completion(completion),
        "critique": scores[0].critique,
        "overall_score": ratings.get(OVERALL),
        "fine-grained_score": weighted_mean(ratings, rubric),
        "annotations": {
            name: _annotation(name, ratings[name], scores[0].rationales.get(name, "")) for name in rubric.aspects
        },
        "judgments": [
            {"score": score_of(each.ratings, rubric), "ratings": each.ratings, "rationales": each.rationales,
             "critique": each.critique}
            for each in scores
        ],
    }  # fmt: skip


def unscored_completion(completion: Completion) -> dict[str, Any]:
    """An answer without what a judge says of it."""
    return {
        "model": completion.model,
        "principle": completion.principle,
        "custom_system_prompt": completion.system,
        "response": completion.text,
        "finish_reason": completion.finish_reason,
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [each for each in values if each is not None]
    return sum(known) / len(known) if known else None


def weighted_mean(ratings: dict[str, float | None], rubric: Rubric) -> float | None:
    """Weighted mean of the aspects that apply; the overall score is none of them."""
    known = [(rating, rubric.aspects[name].weight) for name, rating in ratings.items()
             if name != OVERALL and rating is not None]  # fmt: skip
    return sum(rating * weight for rating, weight in known) / sum(weight for _, weight in known) if known else None


def score_of(ratings: dict[str, float | None], rubric: Rubric) -> float | None:
    """One number for one judgment: the mean of its aspects, or the overall score where there is nothing else."""
    mean = weighted_mean(ratings, rubric)
    return mean if mean is not None else ratings.get(OVERALL)


def _annotation(name: str, rating: float | None, rationale: str) -> dict[str, Any]:
    text = "N/A" if rating is None else f"{rating:.6g}"
    if name in TYPED:
        return {"Type": [], "Rationale": "", "Rating": text, "Rationale For Rating": rationale}
    return {"Rating": text, "Rationale": rationale}
