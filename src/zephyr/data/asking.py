"""Asking until a text can be used, and what is said of rows for which none could be had."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from zephyr.errors import UserError
from zephyr.recipe.teacher import LanguageModel
from zephyr.teacher.ask import Teacher
from zephyr.teacher.call import Answer, Call

ANOTHER_SEED_MAY_HELP = ("cut", "empty", "broken")
"""Failures that are the answer's own, so that other draws may give a better one."""


@dataclass(frozen=True, kw_only=True)
class SetAside:
    """Why a row came to nothing: never a made-up result, and never silently left out."""

    step: str
    """What was being done."""
    reason: str
    """One of a few words, to count by."""
    detail: str
    """What was found."""
    attempts: tuple[dict[str, Any], ...] = ()
    """What was tried: the raw text, where there was one, and its fault."""


def drawn(*parts: object) -> random.Random:
    """Where a row's chance comes from: the recipe's seed, what is drawn, the row's id, and nothing else.

    So neither the order of the rows nor what is done at the same time changes anything.
    """
    return random.Random("/".join(map(str, parts)))  # seeds by SHA-512 of the text: the same everywhere


async def ask_usable(
    teacher: Teacher,
    model: LanguageModel,
    call: Call,
    *,
    step: str,
    attempts: int,
    fault_of: Callable[[str], str | None] = lambda text: None,
) -> Answer | SetAside:
    """The model's answer; one that can't be used is asked for again with another seed.

    Args:
        teacher: the open models.
        model: which one.
        call: what is asked; it has a seed.
        step: what this is, for those that come to nothing.
        attempts: most tries; at temperature 0 another seed changes nothing, so there is one.
        fault_of: why a text can't be used, None where it can.
    """
    tried: list[dict[str, Any]] = []
    reason = detail = ""
    for n in range(attempts if call.temperature > 0 else 1):
        found = await teacher.ask(model, replace(call, seed=(call.seed or 0) + n))
        if isinstance(found, Answer):
            fault = fault_of(found.text)
            if fault is None:
                return found
            reason, detail = fault, ""
            tried.append({"raw": found.text, "fault": fault})
            continue
        reason, detail = found.reason, found.detail
        tried.append({"raw": None, "fault": f"{found.reason}: {found.detail}"})
        if found.reason not in ANOTHER_SEED_MAY_HELP:
            break
    return SetAside(step=step, reason=reason, detail=detail, attempts=tuple(tried))


def refuse_set_aside(reasons: Counter[str], n_rows: int, allowed: float, *, what: str, key: str, listed: Path) -> None:
    """UserError if the answers of an offline run are missing, or more than the share `allowed` was set aside.

    Args:
        reasons: reason -> rows set aside.
        n_rows: rows worked.
        allowed: share of them that the recipe lets fail.
        what: what a row is, in the plural.
        key: the recipe's key that says `allowed`.
        listed: file that has them all.
    """
    lines = "\n".join(f"  {n:>6,}  {reason}" for reason, n in reasons.most_common())
    n_missing = sum(n for reason, n in reasons.items() if reason.endswith("not_cached"))
    if n_missing:
        raise UserError(
            f"{n_missing:,} of {n_rows:,} {what} need answers that are not on disk, and the run is offline.\n"
            "  Run it without --offline: what is on disk is not asked again"
        )
    n = reasons.total()
    if n <= allowed * n_rows:
        return
    raise UserError(
        f"{n:,} of {n_rows:,} {what} ({n / n_rows:.2%}) came to nothing; {key} allows {allowed:.2%}.\n{lines}\n"
        f"All of them, with what was tried, are in {listed}\n"
        "Ways out: the same command asks again for what failed at the server; a longer `max_tokens` for what was cut; "
        f"another model; or leave them out on purpose with a higher `{key}`"
    )
