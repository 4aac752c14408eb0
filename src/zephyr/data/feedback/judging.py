"""The judge: scores for the answers to one prompt, asked for as often and in as many ways as the recipe says.

Bias is kept in check as far as it can be: the judge sees letters instead of models, in an order that is drawn for each
prompt and each repetition. A judgment that can't be used is asked for again in another way (what was wrong with it,
another seed, some temperature); when none can be used, the prompt is set aside. There are no default scores.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from zephyr.data.asking import ANOTHER_SEED_MAY_HELP, SetAside, drawn
from zephyr.data.feedback.judgment import Scores, Unreadable, read_judgment
from zephyr.data.feedback.rubric import LABELS, Rubric, judge_messages, judgment_schema
from zephyr.data.prompts import Prompt
from zephyr.data.turns import Messages, assistant, user
from zephyr.data.wording import fill
from zephyr.recipe.feedback import FeedbackRecipe
from zephyr.teacher.ask import Teacher
from zephyr.teacher.call import Answer, Call


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One call to the judge: which answers, in which order, about what."""

    repeat: int
    """Number of the repetition."""
    names: tuple[str, ...]
    """Aspects scored."""
    order: tuple[int, ...]
    """Numbers of the answers, as the judge sees them."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What the answers to a prompt got."""

    scores: list[list[Scores]]
    """Answer -> repetition -> scores of all aspects."""
    raw: list[dict[str, Any]]
    """Every call: repetition, aspects, order, the judge's text, and the attempts before it that could not be used."""


@dataclass(frozen=True, kw_only=True)
class NotJudged:
    """Why answers got no scores, and what the judge did say."""

    set_aside: SetAside
    raw: list[dict[str, Any]]


def calls_of(recipe: FeedbackRecipe, rubric: Rubric, prompt_id: str, n_answers: int) -> list[Asked]:
    """Every judgment of the answers to a prompt."""
    groups = rubric.groups(together=recipe.judging.aspects == "together")
    calls = []
    for repeat, order in enumerate(orders(recipe.seed, prompt_id, n_answers, recipe.judging.repeats)):
        shown = [order] if recipe.judging.mode == "listwise" else [(n,) for n in order]
        calls += [Asked(repeat=repeat, names=names, order=each) for names in groups for each in shown]
    return calls


def orders(seed: int, prompt_id: str, n_answers: int, repeats: int) -> list[tuple[int, ...]]:
    """For each repetition an order of the answers: drawn, and another one each time as long as there are others."""
    found: list[tuple[int, ...]] = []
    rng = drawn(seed, "judge's order", prompt_id)
    n_orders = 1
    for n in range(2, n_answers + 1):
        n_orders *= n
    while len(found) < repeats:
        order = tuple(rng.sample(range(n_answers), n_answers))
        if order not in found[len(found) // n_orders * n_orders :]:
            found.append(order)
    return found


async def judge_answers(
    teacher: Teacher, recipe: FeedbackRecipe, rubric: Rubric, prompt: Prompt, answers: Sequence[str]
) -> Judged | NotJudged:
    """The scores of all answers, or why they could not be had.

    Args:
        teacher: the open models.
        recipe: whom and how to ask.
        rubric: what to ask.
        prompt: what was answered.
        answers: texts, in the order of the row.
    """
    calls = calls_of(recipe, rubric, prompt.prompt_id, len(answers))
    found = await asyncio.gather(*(_judgment(teacher, recipe, rubric, prompt, answers, each) for each in calls))
    raw = [record for _, record in found]
    failed = next((result for result, _ in found if isinstance(result, SetAside)), None)
    if failed is not None:
        return NotJudged(set_aside=failed, raw=raw)
    parts: dict[tuple[int, int], list[Scores]] = {}
    for asked, (result, _) in zip(calls, found, strict=True):
        assert not isinstance(result, SetAside)
        for answer, scores in zip(asked.order, result, strict=True):
            parts.setdefault((answer, asked.repeat), []).append(scores)
    repeats = range(recipe.judging.repeats)
    return Judged(scores=[[_joined(parts[n, each]) for each in repeats] for n in range(len(answers))], raw=raw)


def _joined(parts: list[Scores]) -> Scores:
    """Scores of one answer in one repetition, asked for in several calls."""
    return Scores(
        ratings={name: rating for each in parts for name, rating in each.ratings.items()},
        rationales={name: why for each in parts for name, why in each.rationales.items()},
        critique="\n".join(each.critique for each in parts if each.critique),
    )


async def _judgment(
    teacher: Teacher, recipe: FeedbackRecipe, rubric: Rubric, prompt: Prompt, answers: Sequence[str], asked: Asked
) -> tuple[list[Scores] | SetAside, dict[str, Any]]:
    """One judgment, in as many attempts as it takes or is allowed; and what there is to keep of it."""
    shown = [answers[n] for n in asked.order]
    first = judge_messages(rubric, asked.names, prompt.messages, shown, known_of(prompt))
    schema = judgment_schema(rubric, asked.names, len(shown))
    messages, tried = first, list[dict[str, Any]]()
    reason = detail = ""
    for n in range(recipe.judging.attempts):
        call = _call(recipe, messages, schema, asked.repeat, n)
        found = await teacher.ask(recipe.judge, call)
        if isinstance(found, Answer):
            try:
                scores = read_judgment(found.text, rubric, asked.names, len(shown))
                return scores, _record(asked, found.text, tried)
            except Unreadable as fault:
                reason, detail = fault.reason, fault.found
                teacher.note_unusable(recipe.judge, reason)
                tried.append({"raw": found.text, "fault": str(fault)})
                again = _again(rubric, str(fault), len(shown))
                messages = [*first, assistant(found.text), user(again)]
            continue
        reason, detail = found.reason, found.detail
        tried.append({"raw": None, "fault": f"{found.reason}: {found.detail}"})
        if found.reason not in ANOTHER_SEED_MAY_HELP:
            break
        again = _again(rubric, FAULTS[found.reason], len(shown))
        messages = [*first[:-1], user(f"{first[-1]['content']}\n\n{again}")]
    set_aside = SetAside(step="judgment", reason=reason, detail=detail, attempts=tuple(tried))
    return set_aside, _record(asked, None, tried)


FAULTS = {"cut": "it was too long and broke off", "empty": "it was empty", "broken": "it broke off"}
"""What a judge is told of a failure of its own."""


def _call(recipe: FeedbackRecipe, messages: Messages, schema: dict[str, Any], repeat: int, attempt: int) -> Call:
    judging = recipe.judging
    retried = max(judging.temperature, judging.retry_temperature)
    return Call(
        messages=tuple(messages),
        temperature=retried if attempt else judging.temperature,
        top_p=1.0,
        max_tokens=judging.max_tokens,
        seed=recipe.seed + attempt,
        json_schema=schema,
        sample=repeat,
    )


def _again(rubric: Rubric, fault: str, n_answers: int) -> str:
    return fill(rubric.again, fault=fault, labels=", ".join(LABELS[:n_answers]))


def _record(asked: Asked, raw: str | None, tried: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "repeat": asked.repeat,
        "aspects": list(asked.names),
        "order": list(asked.order),
        "raw": raw,
        "attempts": tried,
    }


def known_of(prompt: Prompt) -> str | None:
    """What the row knows about the right answer, in words for the judge."""
    lines = [f"right: {each}" for each in prompt.correct_answers]
    lines += [f"wrong: {each}" for each in prompt.incorrect_answers]
    return "\n".join(lines) or None
