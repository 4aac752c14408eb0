"""The way to one model: at most so many requests at once, at its pace, tried again when that can help."""

import asyncio
import logging
import re
from dataclasses import dataclass, field
from typing import Any, Protocol

from zephyr.errors import UserError
from zephyr.recipe.teacher import LanguageModel
from zephyr.teacher.cache import Cache
from zephyr.teacher.call import Answer, Call, Failure
from zephyr.teacher.endpoint import Reply, Trouble, request_body
from zephyr.teacher.pace import Pace, wait_s
from zephyr.teacher.reply import is_final, read, usage
from zephyr.teacher.spending import BudgetSpent, Held, Spending, likely_tokens

log = logging.getLogger("zephyr")

MOST_REFUSED = 8
"""Calls in a row that the server refuses for a reason that will not change (key, model name) before the run stops."""
MOST_FAILED = 20
"""Calls in a row that fail for whatever reason, with all their tries, before the run stops."""
ABOUT_SCHEMA = re.compile(r"response_format|json.?schema|structured.?output|guided|grammar|unexpected|extra", re.I)
"""What a server says of a request whose `response_format` it does not know."""


class Sender(Protocol):
    """What answers a call once: an endpoint's client, or a model in this process."""

    takes_schema: bool

    async def send(self, call: Call) -> Reply | Trouble:
        """Sends the call once."""

    async def close(self) -> None:
        """Lets go of what it holds."""


@dataclass(kw_only=True)
class Seen:
    """What the progress bar shows of one model."""

    n_calls: int = 0
    n_cached: int = 0
    n_in_flight: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    """Reason -> calls that gave no answer."""
    unusable: dict[str, int] = field(default_factory=dict)
    """Fault -> answers that the stage could not use."""


@dataclass(kw_only=True)
class Stop:
    """Whether the run starts no more requests, and why."""

    error: UserError | None = None

    def because(self, error: UserError) -> None:
        """Stops; the first reason stays."""
        self.error = self.error or error


class Line:
    """One model, open."""

    def __init__(
        self,
        name: str,
        model: LanguageModel,
        identity: dict[str, Any],
        sender: Sender,
        *,
        cache: Cache,
        spending: Spending,
        stop: Stop,
    ) -> None:
        self.name, self.model, self.identity, self.sender = name, model, identity, sender
        self.seen = Seen()
        self._cache, self._spending, self._stop = cache, spending, stop
        self._pace = Pace(model.requests_per_minute, model.tokens_per_minute)
        self._slots = asyncio.Semaphore(model.max_concurrency)
        self._n_refused_in_row = self._n_failed_in_row = 0

    async def ask(self, key: str, call: Call) -> Answer | Failure:
        """The answer, or why there is none after all tries. What came back whole is on disk before this returns."""
        attempt, trouble = 0, None
        while attempt < self.model.max_attempts:
            if self._stop.error is not None:
                return Failure(reason="refused", detail="the run is stopping", n_attempts=attempt)
            with_schema = call.json_schema is not None and self.sender.takes_schema
            try:
                found = await self._once(key, call, attempt + 1)
            except BudgetSpent as spent:
                self._stop.because(_budget_error(str(spent)))
                return Failure(reason="budget", detail=str(spent), n_attempts=attempt)
            if isinstance(found, Answer | Failure):
                self._n_refused_in_row = self._n_failed_in_row = 0
                return found
            if with_schema and self._takes_no_schema(found):
                continue
            attempt, trouble = attempt + 1, found
            if found.reason == "refused":
                break
            if attempt < self.model.max_attempts:
                await self._wait(attempt, found)
        assert trouble is not None
        self._count_failure(trouble)
        return Failure(reason=trouble.reason, detail=trouble.detail, n_attempts=attempt)

    async def _once(self, key: str, call: Call, attempt: int) -> Answer | Failure | Trouble:
        """One request; an answer or a failure that stays, or trouble that another try may mend."""
        likely = likely_tokens(call)
        async with self._slots:
            await self._pace.start(likely + call.max_tokens)
            if self._stop.error is not None:
                return Trouble(reason="refused", detail="the run is stopping")
            held = await self._spending.hold(self.name, self.model, call)
            self.seen.n_in_flight += 1
            try:
                found = await self.sender.send(call)
            finally:
                self.seen.n_in_flight -= 1
            if isinstance(found, Trouble):
                self._spending.settle(held, usage=None, failed=found.reason, may_be_billed=found.may_be_billed)
                self._pace.give_back(0 if found.may_be_billed else likely + call.max_tokens)
                return found
            return self._keep(key, call, found, attempt, held)

    def _keep(self, key: str, call: Call, reply: Reply, attempt: int, held: Held) -> Answer | Failure | Trouble:
        response = reply.json
        read_back = read(response, cached=False, n_attempts=attempt, may_be_cut=call.may_be_cut)
        stays = is_final(response, read_back)
        request = request_body(self.model, call, with_schema=True)
        self._cache.put(key if stays else None, model=self.model.model, request=request, reply=reply)
        counted = usage(response)
        failed = None if isinstance(read_back, Answer) else read_back.reason
        self._spending.settle(held, usage=counted, failed=failed, may_be_billed=True)
        if counted is not None:
            self._pace.give_back(likely_tokens(call) + call.max_tokens - sum(counted))
        if stays:
            return read_back
        assert isinstance(read_back, Failure)
        return Trouble(reason=read_back.reason, detail=read_back.detail)

    async def _wait(self, attempt: int, trouble: Trouble) -> None:
        seconds = wait_s(attempt, first_s=self.model.first_retry_s, asked_s=trouble.retry_after_s)
        if trouble.reason == "rate_limited" and trouble.retry_after_s is not None:
            self._pace.pause(trouble.retry_after_s)  # who asks now is refused as well
        await asyncio.sleep(seconds)

    def _takes_no_schema(self, trouble: Trouble) -> bool:
        """Whether the server refused a request for its schema: from now on none is sent."""
        if trouble.status not in (400, 422) or not ABOUT_SCHEMA.search(trouble.detail):
            return False
        if self.sender.takes_schema:
            log.warning("  %s takes no JSON schema (%s): asked without", self.name, trouble.detail)
        self.sender.takes_schema = False
        return True

    def _count_failure(self, trouble: Trouble) -> None:
        self._n_failed_in_row += 1
        self._n_refused_in_row = self._n_refused_in_row + 1 if trouble.no_more else 0
        if self._n_refused_in_row >= MOST_REFUSED:
            self._stop.because(_refused_error(self.name, self.model, trouble, self._n_refused_in_row))
        elif self._n_failed_in_row >= MOST_FAILED:
            self._stop.because(_failed_error(self.name, self.model, trouble, self._n_failed_in_row))


CONTINUES = "What was answered is kept: the same command goes on from there"


def _budget_error(spent: str) -> UserError:
    return UserError(
        f"stopped: {spent}.\n  {CONTINUES}, once the budget is higher: budget.max_cost=... or budget.max_requests=..."
    )


def _place(name: str, model: LanguageModel) -> str:
    where = f" at {model.base_url}" if model.base_url else ""
    return f"{name} ({model.model}{where})"


def _refused_error(name: str, model: LanguageModel, trouble: Trouble, n: int) -> UserError:
    ways = {
        401: f"is the key in ${model.api_key_env} right?" if model.api_key_env else "does it want a key? `api_key_env`",
        402: "is the account empty?",
        403: "may this key use this model?",
        404: "are `base_url` (it usually ends in /v1) and `model` right?",
        429: "is the account empty?",
    }
    hint = f"\n  {ways[trouble.status]}" if trouble.status in ways else ""
    return UserError(
        f"stopped: {_place(name, model)} refused {n} calls in a row: {trouble.detail}{hint}\n  {CONTINUES}"
    )


def _failed_error(name: str, model: LanguageModel, trouble: Trouble, n: int) -> UserError:
    hint = ""
    if "max_completion_tokens" in trouble.detail:
        hint = "\n  this server wants another word for the longest answer: `max_tokens_key: max_completion_tokens`"
    elif trouble.detail.startswith("no connection"):
        hint = f"\n  is the server running, and reachable from here under {model.base_url}?"
    return UserError(
        f"stopped: {n} calls in a row to {_place(name, model)} failed, the last with `{trouble.reason}`: "
        f"{trouble.detail}{hint}\n  {CONTINUES}"
    )
