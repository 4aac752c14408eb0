"""What a recipe that asks models will ask: the calls of each step and their lengths, by arithmetic alone.

Lengths are those that the recipe expects; without them answers are reckoned at their longest (`max_tokens`). Texts of
our own (rubric, principles, the user's role) count a token for four characters. Tries after a failure are not in it.
"""

import math
from statistics import mean

from zephyr.data.dialogues.first_instructions import read_dialogue_wording
from zephyr.data.feedback.principles import read_principles
from zephyr.data.feedback.rubric import has_critique, judge_messages, read_rubric
from zephyr.data.wording import wording_file
from zephyr.recipe.dialogues import DialoguesRecipe
from zephyr.recipe.feedback import FeedbackRecipe
from zephyr.teacher.predict import Step

CHARACTERS_PER_TOKEN = 4
TURN_TOKENS = 4
"""What a chat template puts around a turn."""

Steps = dict[str, Step]
"""What is done -> its calls."""


def dialogue_steps(recipe: DialoguesRecipe, *, n_topics: int, n_dialogues: int) -> Steps:
    """Instructions, answers and next instructions of `n_dialogues` dialogues; `n_topics` the teacher writes about.

    A dialogue of r user turns takes r answers and r - 1 next instructions, and each call sends all that was said.
    """
    told, expect, speed = recipe.dialogues, recipe.expect, recipe.expect.tokens_per_second if recipe.expect else None
    wording = read_dialogue_wording(told.prompts)
    asked = expect.instruction_tokens if expect else recipe.sampling.max_tokens
    said = expect.answer_tokens if expect else recipe.sampling.max_tokens
    role = _tokens(wording.next_turn) + mean(map(_tokens, wording.personas.values())) + mean(map(_tokens, wording.aims))
    shown = _tokens(wording.from_examples) + told.examples * asked
    steps = {
        "subtopics": _lists(recipe, n_topics, told.subtopics_per_topic, _tokens(wording.subtopics), 8, speed),
        "instructions about topics": _lists(
            recipe, n_topics * (told.subtopics_per_topic or 1), told.instructions_per_topic,
            _tokens(wording.from_topic), asked, speed,
        ),
        "instructions like seeds": _lists(recipe, 1, told.instructions_like_seeds, shown, asked, speed),
        "answers": _turns(recipe, n_dialogues, asked, said, speed),
        "next instructions": _next_turns(recipe, n_dialogues, asked, said, role, speed),
    }  # fmt: skip
    return {label: step for label, step in steps.items() if step.n_calls}


def _lists(
    recipe: DialoguesRecipe, n_lists: int, wanted: int, prompt: float, tokens_each: float, speed: float | None
) -> Step:
    """Lists of texts, cut into calls of `instructions_per_call`."""
    n_calls = n_lists * math.ceil(wanted / recipe.dialogues.instructions_per_call)
    longest = recipe.sampling.max_tokens
    per_call = min(longest, n_lists * wanted * tokens_each / n_calls) if n_calls else 0
    return Step(
        model=recipe.teacher, n_calls=n_calls, prompt_tokens=prompt, completion_tokens=per_call, tokens_per_second=speed
    )


def _turns(recipe: DialoguesRecipe, n: int, asked: float, said: float, speed: float | None) -> Step:
    turns = recipe.dialogues.turns
    n_calls = round(n * mean(turns))
    # the t-th answer sees t instructions and t - 1 answers
    seen = sum(t * (asked + TURN_TOKENS) + (t - 1) * (said + TURN_TOKENS) for r in turns for t in range(1, r + 1))
    return Step(
        model=recipe.teacher, n_calls=n_calls, prompt_tokens=seen / sum(turns), completion_tokens=said,
        tokens_per_second=speed,
    )  # fmt: skip


def _next_turns(recipe: DialoguesRecipe, n: int, asked: float, said: float, role: float, speed: float | None) -> Step:
    turns = recipe.dialogues.turns
    n_calls = round(n * mean(r - 1 for r in turns))
    seen = sum(t * (asked + said + 2 * TURN_TOKENS) + role for r in turns for t in range(1, r))
    return Step(
        model=recipe.teacher, n_calls=n_calls, prompt_tokens=seen / max(1, sum(r - 1 for r in turns)),
        completion_tokens=asked, tokens_per_second=speed,
    )  # fmt: skip


def feedback_steps(recipe: FeedbackRecipe, *, n_prompts: int, prompt_tokens: float | None = None) -> Steps:
    """Answers of each model of the pool, and the judgments.

    Args:
        recipe: what is asked.
        n_prompts: prompts to be answered.
        prompt_tokens: of a prompt, where they were counted; what the recipe expects goes before it.
    """
    expect, k, n_pool = recipe.expect, recipe.answers_per_prompt, len(recipe.pool)
    asked = expect.prompt_tokens if expect else prompt_tokens or 0.0
    said = expect.answer_tokens if expect else recipe.sampling.max_tokens
    principle = _principle_tokens(recipe)
    steps = {}
    for number, (name, model) in enumerate(recipe.pool.items()):
        # an equal share for each model of the pool; the shares add up to all answers
        n_calls = n_prompts * k * (number + 1) // n_pool - n_prompts * k * number // n_pool
        steps[f"answers of {name}"] = Step(
            model=model, n_calls=n_calls, prompt_tokens=asked + principle + TURN_TOKENS, completion_tokens=said,
            tokens_per_second=expect.answer_tokens_per_second if expect else None,
        )  # fmt: skip
    return steps | _judgments(recipe, n_prompts, asked, said)


def _judgments(recipe: FeedbackRecipe, n_prompts: int, asked: float, said: float) -> Steps:
    """One step for each group of aspects that is asked for in one call."""
    judging, expect = recipe.judging, recipe.expect
    rubric = read_rubric(wording_file(judging.rubric, "rubric"))
    n_shown = recipe.answers_per_prompt if judging.mode == "listwise" else 1
    n_calls = n_prompts * judging.repeats * recipe.answers_per_prompt // n_shown
    steps = {}
    for names in rubric.groups(together=judging.aspects == "together"):
        frame = judge_messages(rubric, names, [{"role": "user", "content": ""}], [""] * n_shown)
        n_scores = n_shown * (len(names) + has_critique(rubric, names))
        label = "judgments" if judging.aspects == "together" else f"judgments of {names[0]}"
        steps[label] = Step(
            model=recipe.judge,
            n_calls=n_calls,
            prompt_tokens=asked + n_shown * said + sum(_tokens(each["content"]) + TURN_TOKENS for each in frame),
            completion_tokens=min(judging.max_tokens, n_scores * expect.tokens_per_score if expect else math.inf),
            tokens_per_second=expect.judge_tokens_per_second if expect else None,
        )
    return steps


def _principle_tokens(recipe: FeedbackRecipe) -> float:
    if recipe.principles is None:
        return 0.0
    principles = read_principles(wording_file(recipe.principles, "principles")).values()
    whole = sum(each.weight for each in principles)
    return sum(each.weight * mean(map(_tokens, each.texts)) for each in principles) / whole + TURN_TOKENS


def _tokens(text: str) -> float:
    return len(text) / CHARACTERS_PER_TOKEN
