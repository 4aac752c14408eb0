"""Asking until a text can be used, and what is said of rows for which none could be had."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from zephyr.data.counts import UnusableRow, excerpt, refuse_unusable
from zephyr.data.tokens.store import write_unusable
from zephyr.errors import UserError
from zephyr.recipe.teacher import LanguageModel
from zephyr.teacher.ask import Teacher
from zephyr.teacher.call import Answer, Call

ANOTHER_SEED_MAY_HELP = ("cut", "empty", "broken")
"""Failures that are the answer's own, so that other draws may give a better one."""
MOST_FOR_NOTHING = 20
"""Rows from the first on that may all come to nothing, though the models do answer, before the run stops."""
EXCERPT = 300
"""Characters shown of a text that can't be used."""


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
            teacher.note_unusable(model, fault)
            tried.append({"raw": found.text, "fault": fault})
            continue
        reason, detail = found.reason, found.detail
        tried.append({"raw": None, "fault": f"{found.reason}: {found.detail}"})
        if found.reason not in ANOTHER_SEED_MAY_HELP:
            break
    return SetAside(step=step, reason=reason, detail=detail, attempts=tuple(tried))


def is_unusable(set_aside: SetAside) -> bool:
    """Whether the model did answer, and no answer could be used: no fault of the server, nor one that passes."""
    last = set_aside.attempts[-1] if set_aside.attempts else {"raw": None}
    return last["raw"] is not None or set_aside.reason in ANOTHER_SEED_MAY_HELP


@dataclass(kw_only=True)
class Guard:
    """Stops a run when its first rows all came to nothing though the models answer: the others would fare alike.

    It sees the rows in their order, so that the same answers stop the same run at the same row.
    """

    what: str
    """What a row is, in the plural."""
    n_rows: int
    listed: Path
    """File that has those set aside."""
    again: str
    """The key that asks again for what can't be used, and a higher value."""
    reasons: Counter[str] = field(default_factory=Counter)
    """Why rows came to nothing -> how many."""
    examples: dict[str, SetAside] = field(default_factory=dict)
    """The first of each reason."""
    n_for_nothing: int = 0
    """Rows that were answered and came to nothing, as long as nothing usable came."""
    works: bool = False
    """Something usable came: from then on nothing is stopped here."""

    def see(self, set_aside: SetAside | None, *, reason: str = "", any_usable: bool = False) -> None:
        """Notes what became of the next row.

        Args:
            set_aside: why it came to nothing; None if it didn't.
            reason: that in few words, to count by.
            any_usable: whether what failed in it went well elsewhere in it.

        Raises:
            UserError: so many rows from the first on came to nothing.
        """
        self.works = self.works or set_aside is None or any_usable
        if set_aside is None:
            return
        self.reasons[reason] += 1
        self.examples.setdefault(reason, set_aside)
        self.n_for_nothing += is_unusable(set_aside)
        if self.works or self.n_for_nothing < MOST_FOR_NOTHING:
            return
        n = self.reasons.total()
        raise UserError(
            f"stopped: the models answer, but nothing they wrote could be used for any of the first {n} {self.what} of "
            f"{self.n_rows:,}.\n{fault_lines(self.reasons, self.examples)}\n"
            f"All of them, with the raw texts, are in {self.listed}\n{ways_out(self.again)}"
        )


class Gate:
    """Lets few rows at a time to a model of which nothing usable has come yet, and afterwards all.

    Otherwise hundreds of rows, all those in work, would have been asked about before the first of them is given up.
    Used in one event loop.
    """

    def __init__(self) -> None:
        self._slots, self._n_waiting, self._open = asyncio.Semaphore(MOST_FOR_NOTHING), 0, False

    @asynccontextmanager
    async def passing(self) -> AsyncIterator[None]:
        """Around what is done with a row."""
        if self._open:
            yield
            return
        self._n_waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._n_waiting -= 1
        try:
            yield
        finally:
            self._slots.release()

    def open(self) -> None:
        """Something usable came."""
        if not self._open:
            self._open = True
            for _ in range(self._n_waiting):
                self._slots.release()


def fault_lines(reasons: Counter[str], examples: Mapping[str, SetAside]) -> str:
    """What went wrong, how often, and of the commonest the beginning of a raw text."""
    lines = []
    for n_before, (reason, n) in enumerate(reasons.most_common()):
        lines.append(f"  {n:>6,}  {reason}")
        if n_before == 0 and reason in examples:
            lines += _example(examples[reason])
    return "\n".join(lines)


def _example(found: SetAside) -> list[str]:
    """The last text that came, and what was wrong with it."""
    raw, fault = next(((each["raw"], each["fault"]) for each in reversed(found.attempts) if each["raw"]), (None, ""))
    if raw is None:
        return [f"          e.g. {found.detail}"] if found.detail else []
    said = [f"          e.g. {fault}"] if fault != found.reason else []
    return [*said, f"          in the text: {excerpt(raw, EXCERPT)}"]


def ways_out(again: str, allowed: str = "") -> str:
    """What can be done about texts that can't be used."""
    return (
        "What was answered is on disk and is not asked again, texts that can't be used among it; what failed at the "
        "server is.\n"
        f"Ways out: {again} asks again for what can't be used, at little cost; a longer `max_tokens` for what was "
        f"cut; another model or wording{allowed}"
    )


@contextmanager
def set_aside_kept(run_dir: Path) -> Iterator[None]:
    """`set_aside.jsonl` is there even where the run is refused or stopped: what was tried is what one then looks at."""
    try:
        yield
    except UserError:
        draft = run_dir / ".set_aside.jsonl.draft"
        if draft.is_file():
            draft.replace(run_dir / "set_aside.jsonl")
        raise


def refuse_unusable_rows(
    key: str, allowed_key: str, n_read: int, unusable: Sequence[UnusableRow], allowed: float, file: Path
) -> None:
    """Lists rows that can't be used; UserError if they are more than the share `allowed` of those read.

    Args:
        key: the recipe's key that names the sources (`prompts`, `dialogues.seeds`).
        allowed_key: its key that says `allowed`.
        n_read: rows read.
        unusable: those that can't be used.
        allowed: share of them.
        file: where they are listed.
    """
    listed = write_unusable(file, unusable)
    try:
        refuse_unusable(key, n_read, unusable, allowed, str(listed))
    except UserError as error:
        said = str(error).replace("data.max_unusable_share", allowed_key).replace(f"data.{key}", key)
        section = allowed_key.rpartition(".")[0]
        raise UserError(said.replace(" under `data:`", f" under `{section}:`" if section else "")) from None


def refuse_set_aside(
    reasons: Counter[str],
    n_rows: int,
    allowed: float,
    *,
    what: str,
    key: str,
    listed: Path,
    again: str = "",
    examples: Mapping[str, SetAside] | None = None,
) -> None:
    """UserError if the answers of an offline run are missing, or more than the share `allowed` was set aside.

    Args:
        reasons: reason -> rows set aside.
        n_rows: rows worked.
        allowed: share of them that the recipe lets fail.
        what: what a row is, in the plural.
        key: the recipe's key that says `allowed`.
        listed: file that has them all.
        again: the key that asks again for what can't be used, and a higher value, where the stage has one.
        examples: reason -> one of them: of the commonest the message shows the text.
    """
    refuse_not_cached(reasons, n_rows, what=what)
    n = reasons.total()
    if n <= allowed * n_rows:
        return
    more = f"; or leave them out on purpose with a higher `{key}`"
    raise UserError(
        f"{n:,} of {n_rows:,} {what} ({n / n_rows:.2%}) came to nothing; {key} allows {allowed:.2%}.\n"
        f"{fault_lines(reasons, examples or {})}\n"
        f"All of them, with what was tried, are in {listed}\n" + (ways_out(again, more) if again else ANSWERED + more)
    )


def refuse_not_cached(reasons: Counter[str], n_rows: int, *, what: str) -> None:
    """UserError if answers of an offline run are missing."""
    n_missing = sum(n for reason, n in reasons.items() if reason.endswith("not_cached"))
    if n_missing:
        raise UserError(
            f"{n_missing:,} of {n_rows:,} {what} need answers that are not on disk, and the run is offline.\n"
            "  Run it without --offline: what is on disk is not asked again"
        )


ANSWERED = (
    "Ways out: the same command asks again for what failed at the server; a longer `max_tokens` for what was cut; "
    "another model"
)
"""Of a stage that asks for nothing twice."""
