"""MT-Bench as FastChat judges it: which prompt the judge is given, and how its answer becomes a score.

Zheng et al. 2023 (arXiv:2306.05685), single-answer grading; FastChat's `fastchat/llm_judge`. Questions, references and
prompts are files of FastChat's (mt_bench_files.py reads them), and none of them is in this package.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

TEMPERATURES: Mapping[str, float] = {
    "writing": 0.7, "roleplay": 0.7, "reasoning": 0.0, "math": 0.0,
    "coding": 0.0, "extraction": 0.0, "stem": 0.1, "humanities": 0.1,
}  # fmt: skip
"""Category -> temperature of the answers; categories in MT-Bench's order."""
OTHER_TEMPERATURE = 0.7
"""Temperature of a category that MT-Bench does not have."""
MAX_NEW_TOKENS = 1024
"""Longest answer, in tokens."""
WITH_REFERENCE = ("math", "reasoning", "coding")
"""Categories that are judged beside a reference answer."""
JUDGE_TEMPERATURE = 0.0
JUDGE_MAX_TOKENS = 2048
FIRST_QUESTION, QUESTIONS_PER_CATEGORY = 81, 10
N_QUESTIONS = QUESTIONS_PER_CATEGORY * len(TEMPERATURES)
"""Questions, two turns each."""

_SCORE = re.compile(r"\[\[(\d+\.?\d*)\]\]")
_SCORE_IN_SINGLE_BRACKETS = re.compile(r"\[(\d+\.?\d*)\]")


@dataclass(frozen=True, kw_only=True)
class Question:
    """A dialogue's user turns."""

    id: int
    category: str
    turns: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Template:
    """One of the judge's prompts."""

    name: str
    """`single-v1`, `single-math-v1`, and the same with `-multi-turn`."""
    system: str
    text: str
    """User prompt with the placeholders of `str.format`."""


@dataclass(frozen=True, kw_only=True)
class JudgePrompt:
    """What the judge is asked about one turn."""

    template: str
    """Name of the template, stored with the judgment."""
    system: str
    user: str

    def messages(self) -> tuple[dict[str, str], ...]:
        """As a chat."""
        return {"role": "system", "content": self.system}, {"role": "user", "content": self.user}


def temperature_of(category: str) -> float:
    """Temperature at which a question of the category is answered; 0 is greedy."""
    return TEMPERATURES.get(category, OTHER_TEMPERATURE)


def category_of(question_id: int) -> str | None:
    """Category by MT-Bench's own numbering (81 to 160, ten to a category); None for other numbers."""
    place = question_id - FIRST_QUESTION
    if not 0 <= place < N_QUESTIONS:
        return None
    return list(TEMPERATURES)[place // QUESTIONS_PER_CATEGORY]


def template_name(category: str, turn: int) -> str:
    """Which template judges this turn (1 or 2) of a question of the category."""
    kind = "single-math-v1" if category in WITH_REFERENCE else "single-v1"
    return f"{kind}-multi-turn" if turn > 1 else kind


def judge_prompt(
    question: Question,
    turn: int,
    answer: tuple[str, ...],
    *,
    reference: tuple[str, ...] | None,
    templates: Mapping[str, Template],
) -> JudgePrompt:
    """The prompt for one turn (1 or 2), equal to FastChat's to the byte.

    `answer` and `reference` hold their text turn by turn. The first turn is judged without the second one; the second
    with the whole dialogue.

    Raises:
        ValueError: the category needs a reference and there is none, or a turn is not there.
        KeyError: the templates lack the one needed.
    """
    template = templates[template_name(question.category, turn)]
    if not 1 <= turn <= min(len(question.turns), len(answer)):
        raise ValueError(f"question {question.id}: turn {turn} of {len(question.turns)}, answered {len(answer)}")
    told = {"question": question.turns[0], "answer": answer[0]}
    told |= {f"question_{at}": text for at, text in enumerate(question.turns, start=1)}
    told |= {f"answer_{at}": text for at, text in enumerate(answer, start=1)}
    if question.category in WITH_REFERENCE:
        if reference is None or len(reference) < turn:
            raise ValueError(f"question {question.id} ({question.category}) is judged beside a reference; none given")
        told |= {f"ref_answer_{at}": text for at, text in enumerate(reference, start=1)}
    return JudgePrompt(template=template.name, system=template.system, user=template.text.format(**told))


def parse_score(judgment: str) -> float | None:
    """The rating in a judge's answer: the first `[[8]]`, else the first `[8]`, else none (FastChat writes -1)."""
    found = _SCORE.search(judgment) or _SCORE_IN_SINGLE_BRACKETS.search(judgment)
    if found is None:
        return None
    return float(found.group(1)) if "." in found.group(1) else int(found.group(1))
