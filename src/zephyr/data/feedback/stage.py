"""The `feedback` stage: several models answer each prompt, a judge scores (section 3.2 of arXiv 2310.16944).

Out: `feedback.jsonl` in UltraFeedback's schema with the raw judgments, `set_aside.jsonl` with the prompts that came to
nothing and why, `labels.json` and `labels.md` with the label report (lengths, agreement, models).
"""

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from zephyr.cache import cache_root
from zephyr.data.asking import (
    Gate,
    Guard,
    SetAside,
    ask_usable,
    drawn,
    refuse_set_aside,
    refuse_unusable_rows,
    set_aside_kept,
)
from zephyr.data.call_steps import CHARACTERS_PER_TOKEN, feedback_steps
from zephyr.data.counts import UnusableRow
from zephyr.data.feedback.figures import Figures, same_model, score_page
from zephyr.data.feedback.judging import NotJudged, judge_answers
from zephyr.data.feedback.principles import Principle, draw_principle, read_principles, under_principle
from zephyr.data.feedback.rubric import Rubric, read_rubric
from zephyr.data.feedback.scored_rows import Completion, scored_row, unscored_completion
from zephyr.data.labels.page import label_page
from zephyr.data.prompts import Prompt
from zephyr.data.row_files import row_files
from zephyr.data.sources import identity
from zephyr.data.turns import Unusable
from zephyr.data.usable import read_rows
from zephyr.data.wording import identity as wording_identity
from zephyr.data.wording import wording_file
from zephyr.errors import UserError
from zephyr.recipe.feedback import FeedbackRecipe
from zephyr.recipe.teacher import LanguageModel
from zephyr.recipe.teacher_checks import pool_faults
from zephyr.teacher.account import account
from zephyr.teacher.ask import Teacher, run_rows
from zephyr.teacher.call import Call
from zephyr.teacher.predict import Prediction, announce, predict

log = logging.getLogger("zephyr")


@dataclass(frozen=True, kw_only=True)
class Failed:
    """An answer that could not be had."""

    model: str
    set_aside: SetAside


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a prompt: a row to write, scored or set aside."""

    row: dict[str, Any]
    set_aside: SetAside | None = None
    failed: tuple[Failed, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Prompts:
    """What the sources hold."""

    usable: list[Prompt]
    unusable: list[UnusableRow]
    n_repeated: int
    """Rows whose prompt was there before; they are left out."""


def run(recipe: FeedbackRecipe, run_dir: Path) -> dict[str, Any]:
    """Writes the scored answers; returns counts, means by model, agreement and lengths.

    Raises:
        UserError: the pool is smaller than the answers wanted, the rows hold no prompts, the budget is used up, a model
            answers nothing any more, or more prompts than allowed came to nothing.
    """
    check_pool(recipe)
    rubric = read_rubric(wording_file(recipe.judging.rubric, "rubric"))
    principles = read_principles(wording_file(recipe.principles, "principles")) if recipe.principles else None
    prompts = read_prompts(recipe, run_dir)
    predicted = predict_feedback(recipe, prompts.usable)
    warned = announce(predicted, recipe.budget, at_most=recipe.expect is None)
    figures, failed, guard = Figures(rubric), Counter[str](), _guard(recipe, run_dir, len(prompts.usable))
    with set_aside_kept(run_dir), row_files(run_dir, "feedback", "set_aside") as files:
        gate = Gate()
        outcomes = run_rows(
            prompts.usable, lambda teacher, prompt: work(teacher, recipe, rubric, principles, prompt, gate),
            models=models_of(recipe), budget=recipe.budget, folder=run_dir, label="feedback",
            n_rows=len(prompts.usable),
        )  # fmt: skip
        with closing(outcomes):
            for _, outcome in outcomes:
                failed.update(f"{each.model}: {each.set_aside.reason}" for each in outcome.failed)
                files.write("set_aside" if outcome.set_aside else "feedback", outcome.row)
                if outcome.set_aside is None:
                    figures.add(outcome.row)
                _see(guard, outcome)
        refuse_set_aside(
            guard.reasons, len(prompts.usable), recipe.max_set_aside_share, what="prompts", key="max_set_aside_share",
            listed=guard.listed, again=guard.again, examples=guard.examples,
        )  # fmt: skip
    result = _result(recipe, run_dir, prompts, figures, guard.reasons, failed)
    return result | {"warnings": [*warned, *result["warnings"]], "asked": account(run_dir, predicted)}


def _guard(recipe: FeedbackRecipe, run_dir: Path, n_prompts: int) -> Guard:
    again = f"`judging.attempts={recipe.judging.attempts + 2}` (of answers: `attempts={recipe.attempts + 2}`)"
    return Guard(what="prompts", n_rows=n_prompts, listed=run_dir / "set_aside.jsonl", again=again)


def _see(guard: Guard, outcome: Outcome) -> None:
    """What became of a prompt; a judgment that could be used is one even where another of the same prompt is not."""
    why = outcome.set_aside
    reason = f"{why.step}: {why.reason}" if why else ""
    guard.see(why, reason=reason, any_usable=any(each["raw"] for each in outcome.row["judgments"]))


def predict_feedback(recipe: FeedbackRecipe, prompts: Sequence[Prompt]) -> Prediction:
    """What asking about these prompts will come to."""
    characters = sum(len(turn["content"]) for each in prompts for turn in each.messages)
    tokens = characters / CHARACTERS_PER_TOKEN / max(1, len(prompts))
    return predict(feedback_steps(recipe, n_prompts=len(prompts), prompt_tokens=tokens).values())


def check_pool(recipe: FeedbackRecipe) -> None:
    """UserError unless the pool is large enough for the answers wanted."""
    for key, fault in pool_faults(len(recipe.pool), recipe.answers_per_prompt, recipe.min_answers):
        raise UserError(f"{key}: {fault}")


def models_of(recipe: FeedbackRecipe) -> dict[str, LanguageModel]:
    """Every model that is asked, by the name under which it is reported."""
    return {**{f"pool.{name}": model for name, model in recipe.pool.items()}, "judge": recipe.judge}


def read_prompts(recipe: FeedbackRecipe, run_dir: Path) -> Prompts:
    """The prompts of all sources, each once.

    Raises:
        UserError: there are none, or more rows than allowed hold none.
    """
    found: dict[str, Prompt] = {}
    unusable: list[UnusableRow] = []
    n_read = 0
    for source in recipe.prompts:
        for row, prompt in read_rows("feedback", source, recipe.seed):
            n_read += 1
            if isinstance(prompt, Unusable):
                unusable.append(UnusableRow("prompts", row.source, row.line, row.index, prompt.reason, prompt.found))
            else:
                found.setdefault(prompt.prompt_id, prompt)
    refuse_unusable_rows(
        "prompts", "max_unusable_share", n_read, unusable, recipe.max_unusable_share, run_dir / "unusable.jsonl"
    )
    if not found:
        raise UserError(f"prompts: {', '.join(source.path for source in recipe.prompts)}: no prompts at all")
    n_repeated = n_read - len(unusable) - len(found)
    return Prompts(usable=list(found.values()), unusable=unusable, n_repeated=n_repeated)


# One prompt


async def work(
    teacher: Teacher,
    recipe: FeedbackRecipe,
    rubric: Rubric,
    principles: dict[str, Principle] | None,
    prompt: Prompt,
    gate: Gate,
) -> Outcome:
    """Some models of the pool answer the prompt, then the judge, whose gate it is, scores their answers."""
    drawn_models = models_for(recipe, prompt.prompt_id)
    found = await asyncio.gather(*(_answer(teacher, recipe, principles, prompt, name) for name in drawn_models))
    completions = [each for each in found if isinstance(each, Completion)]
    failed = tuple(each for each in found if isinstance(each, Failed))
    if len(completions) < (recipe.min_answers or recipe.answers_per_prompt):
        return _set_aside(prompt, completions, failed, failed[0].set_aside, [])
    async with gate.passing():
        judged = await judge_answers(teacher, recipe, rubric, prompt, [each.text for each in completions])
    if any(each["raw"] for each in judged.raw):
        gate.open()
    if isinstance(judged, NotJudged):
        return _set_aside(prompt, completions, failed, judged.set_aside, judged.raw)
    row = scored_row(prompt, completions, judged, rubric) | {"judge": recipe.judge.model, "failed": _failures(failed)}
    return Outcome(row=row, failed=failed)


def models_for(recipe: FeedbackRecipe, prompt_id: str) -> list[str]:
    """Names of the models that answer a prompt, by the recipe's seed and the prompt's own id alone."""
    return drawn(recipe.seed, "pool", prompt_id).sample(sorted(recipe.pool), recipe.answers_per_prompt)


async def _answer(
    teacher: Teacher, recipe: FeedbackRecipe, principles: dict[str, Principle] | None, prompt: Prompt, name: str
) -> Completion | Failed:
    principle = text = None
    messages = prompt.messages
    if principles is not None:
        principle, text = draw_principle(principles, drawn(recipe.seed, "principle", prompt.prompt_id, name))
        messages = under_principle(messages, text)
    call = Call(
        messages=tuple(messages),
        temperature=recipe.sampling.temperature,
        top_p=recipe.sampling.top_p,
        max_tokens=recipe.sampling.max_tokens,
        seed=recipe.seed,
    )
    found = await ask_usable(teacher, recipe.pool[name], call, step=f"answer of {name}", attempts=recipe.attempts)
    if isinstance(found, SetAside):
        return Failed(model=name, set_aside=found)
    return Completion(
        model=name, principle=principle, system=text, text=found.text.strip(), finish_reason=found.finish_reason
    )


def _failures(failed: Sequence[Failed]) -> list[dict[str, Any]]:
    return [{"model": each.model, **asdict(each.set_aside)} for each in failed]


def _set_aside(
    prompt: Prompt,
    completions: Sequence[Completion],
    failed: Sequence[Failed],
    why: SetAside,
    judgments: list[dict[str, Any]],
) -> Outcome:
    row = {
        "prompt": prompt.messages,
        "prompt_id": prompt.prompt_id,
        "source": prompt.source,
        "step": why.step,
        "reason": why.reason,
        "detail": why.detail,
        "completions": [unscored_completion(each) for each in completions],
        "failed": _failures(failed),
        "judgments": judgments,
    }
    return Outcome(row=row, set_aside=why, failed=tuple(failed))


# What came of it


def _result(
    recipe: FeedbackRecipe,
    run_dir: Path,
    prompts: Prompts,
    figures: Figures,
    reasons: Counter[str],
    failed: Counter[str],
) -> dict[str, Any]:
    found = figures.found()
    (run_dir / "labels.json").write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    page = label_page(found, f"feedback by {recipe.judge.model}") + score_page(found)
    (run_dir / "labels.md").write_text(page)
    log.info(
        "  %s prompts scored, %s set aside; label report: %s", figures.n_rows, reasons.total(), run_dir / "labels.md"
    )
    flagged = [name for name, model in recipe.pool.items() if same_model(model, recipe.judge)]
    warnings = []
    if flagged:
        warnings.append(f"the judge is in the pool ({', '.join(flagged)}): it scores its own answers too")
    return {
        "numbers": {"prompts": figures.n_rows, "set_aside": reasons.total(), **figures.numbers()},
        "counts": {
            "rows_read": len(prompts.usable) + prompts.n_repeated + len(prompts.unusable),
            "unusable": dict(Counter(each.reason for each in prompts.unusable)),
            "repeated_prompts": prompts.n_repeated,
            "prompts": len(prompts.usable),
            "scored": figures.n_rows,
            "set_aside": dict(reasons.most_common()),
            "failed_answers": dict(failed.most_common()),
            "judgments_asked_again": figures.n_asked_again,
        },
        "feedback": found,
        "judge_in_pool": flagged,
        "warnings": warnings,
        "provenance": {
            "data": [identity(source, cache_root() / "sha256") for source in recipe.prompts],
            "wording": _wording(recipe),
        },
    }


def _wording(recipe: FeedbackRecipe) -> dict[str, Any]:
    found = {"rubric": wording_identity(wording_file(recipe.judging.rubric, "rubric"))}
    if recipe.principles is not None:
        found["principles"] = wording_identity(wording_file(recipe.principles, "principles"))
    return found
