"""AlpacaEval: which answer the judge sees first, and how what it says becomes a preference.

Li et al. 2023, tatsu-lab/alpaca_eval. Version 1 (`alpaca_eval_gpt4`, against text_davinci_003) is the Zephyr paper's:
the judge writes a ranking. Version 2 (`weighted_alpaca_eval_gpt4_turbo`) reads the log-probabilities of one token. The
judge's prompts are files of AlpacaEval's; none is in this package.

A preference is 1 when the baseline won, 2 when the model did, 1.5 for a draw; between, the weighted judge's doubt.
"""

import ast
import math
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass

from zephyr.errors import UserError

DRAW = 1.5
BASELINE, MODEL = 1, 2
SEED = "0"
"""AlpacaEval's own, which decides the order of the two answers; stored annotations agree with no other."""
FIRST_TOKEN, SECOND_TOKEN = "m", "M"
"""Version 2: names of the first and the second answer in the prompt."""
N_LOGPROBS = 5
"""Version 2: likeliest tokens that the judge's server is asked for."""


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """A judge with its baseline: figures of one protocol are comparable, and with no other's."""

    annotator: str
    """Its name in AlpacaEval."""
    judge: str
    """The model that published figures were judged by."""
    baseline: str
    temperature: float
    max_tokens: int
    weighted: bool
    """Whether log-probabilities decide (version 2) or a ranking that the judge writes."""


V1 = Protocol(annotator="alpaca_eval_gpt4", judge="gpt-4", baseline="text_davinci_003",
              temperature=0.0, max_tokens=100, weighted=False)  # fmt: skip
V2 = Protocol(annotator="weighted_alpaca_eval_gpt4_turbo", judge="gpt-4-1106-preview", baseline="gpt4_1106_preview",
              temperature=1.0, max_tokens=1, weighted=True)  # fmt: skip


def is_switched(instruction: str) -> bool:
    """Whether the model's answer is shown first; decided by the instruction alone, half of them."""
    return random.Random(f"is_switched_outputs{instruction}{SEED}").choices([False, True])[0]


def as_seen(preference: float, *, switched: bool) -> float:
    """A preference between the answers as shown, turned into one between baseline (1) and model (2)."""
    return 3 - preference if switched else preference


def messages(template: str, instruction: str, baseline: str, model: str) -> tuple[dict[str, str], ...]:
    """The judge's chat about two different answers, in the order that AlpacaEval's rule gives them.

    `template` is a prompt of AlpacaEval's: turns between `<|im_start|>ROLE` and `<|im_end|>`, with {instruction},
    {output_1} and {output_2}. Equal answers are a draw and need no judge.

    Raises:
        UserError: the template is of another form.
    """
    first, second = (model, baseline) if is_switched(instruction) else (baseline, model)
    told = {"instruction": instruction, "output_1": first, "output_2": second}
    turns = _turns(template)
    # in one pass, so that braces in an answer stay what they are
    return tuple(
        {"role": role, "content": re.sub(r"\{(instruction|output_1|output_2)\}", lambda name: told[name[1]], text)}
        for role, text in turns
    )


def _turns(template: str) -> list[tuple[str, str]]:
    turns = re.findall(r"<\|im_start\|>(\w+)\n(.*?)<\|im_end\|>", template, flags=re.DOTALL)
    lacking = [name for name in ("{instruction}", "{output_1}", "{output_2}") if name not in template]
    if not turns or lacking:
        found = f"lacks {', '.join(lacking)}" if lacking else f"starts with {template[:40]!r}"
        raise UserError(
            f"The judge's prompt {found}.\nExpected one of AlpacaEval's: turns from <|im_start|>system (or user) to "
            "<|im_end|>, and {instruction}, {output_1} and {output_2} in them."
        )
    return [(role, text.strip()) for role, text in turns]


def parse_ranking(completion: str) -> int | None:
    """Version 1: 1 when the answer shown first is ranked first, 2 when the second is; None for anything else.

    Expected is a Python list, `[{'model': 'model_1', 'rank': 1}, {'model': 'model_2', 'rank': 2}]`.
    """
    try:
        ranking = ast.literal_eval(completion)
        rank = next(each["rank"] for each in ranking if each["model"] == "model_1")
    except (ValueError, SyntaxError, TypeError, KeyError, StopIteration, MemoryError, RecursionError):
        return None
    return int(rank) if rank in (1, 2) else None


def parse_logprobs(likeliest: Mapping[str, float]) -> float | None:
    """Version 2: 2 minus the probability that the answer shown first is better, from the likeliest first tokens.

    `likeliest` maps tokens to natural logarithms. A name that is not among them has no probability; None when neither
    is. That server's answer has none at all is a fault to be raised before, not a preference.
    """
    first, second = (likeliest.get(token, -math.inf) for token in (FIRST_TOKEN, SECOND_TOKEN))
    if first == second == -math.inf:
        return None
    top = max(first, second)
    weights = math.exp(first - top), math.exp(second - top)
    return 2 - weights[0] / sum(weights)
