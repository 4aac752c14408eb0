"""What a run has sent and spent, over all its restarts, and the budget that it never exceeds.

`requests.jsonl` in the run directory gets a line before each request (`sent`: what it may cost at most) and a line when
it is `over` (what it did cost). A request whose second line is missing was in flight when the run was killed: nobody
knows whether it was billed, so it counts as spent in full.
"""

import asyncio
import copy
import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zephyr.recipe.teacher import Budget, LanguageModel
from zephyr.teacher.call import Call

FILE = "requests.jsonl"
TOKENS_OF_A_TEMPLATE = 256
"""Room for what a chat template adds to a conversation (special tokens, a default system message of its own)..."""
TOKENS_OF_A_TURN = 16
"""... and to each of its turns."""


@dataclass(kw_only=True)
class Spent:
    """Sums over the requests to one model."""

    n_requests: int = 0
    """Sent, tries included."""
    n_answered: int = 0
    """Came back whole."""
    n_unknown: int = 0
    """In flight when the run was killed, timed out or broken off: reckoned at the most they can have cost."""
    prompt_tokens: int = 0
    """As the server counted them, of the requests that came back."""
    completion_tokens: int = 0
    cost: float = 0.0
    """In the currency of the prices; 0 without prices."""
    unknown_cost: float = 0.0
    """The part of `cost` that is only the most it can be."""
    failed: Counter[str] = field(default_factory=Counter)
    """Reason -> requests without a usable response."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """A request on its way: what it may cost at most."""

    number: int
    model: str
    cost: float
    price: tuple[float, float]


class BudgetSpent(Exception):
    """The next request could exceed the budget: it is not sent."""


class Spending:
    """The run's account; used in one event loop."""

    def __init__(self, folder: Path, budget: Budget) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / FILE
        self.before = read(folder)
        self.models = copy.deepcopy(self.before)
        """By model: of this run before it was interrupted, and in all."""
        self._budget = budget
        self._held: dict[int, Held] = {}
        self._number = sum(each.n_requests for each in self.before.values())
        self._settled = asyncio.Event()
        self._out = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.write(self._out, b"" if _ends_a_line(self._file) else b"\n")
        self.note(["began", round(time.time(), 1)])

    @property
    def n_requests(self) -> int:
        """Sent so far, before interruptions too."""
        return sum(each.n_requests for each in self.models.values())

    @property
    def cost(self) -> float:
        """Of what is over; what is in flight comes on top."""
        return sum(each.cost for each in self.models.values())

    async def hold(self, name: str, model: LanguageModel, call: Call) -> Held:
        """Sets aside what the request may cost at most, and returns once it is on disk.

        Where only requests in flight stand in the way it waits for them: most cost less than was set aside.

        Raises:
            BudgetSpent: the budget does not allow it.
        """
        price = prices(model)
        most = most_tokens(call) * price[0] / 1e6 + call.max_tokens * price[1] / 1e6
        while not self._fits(most, in_flight=True):
            if not self._fits(most, in_flight=False):
                raise BudgetSpent(self.exhausted())
            self._settled.clear()
            await self._settled.wait()
        self._number += 1
        held = Held(number=self._number, model=name, cost=most, price=price)
        self._held[held.number] = held
        self._of(name).n_requests += 1
        self.note(["sent", held.number, name, most])
        return held

    def _fits(self, most: float, *, in_flight: bool) -> bool:
        if self._budget.max_requests is not None and self.n_requests >= self._budget.max_requests:
            return False  # a request that is in flight is spent: it was sent
        if self._budget.max_cost is None:
            return True
        held = sum(each.cost for each in self._held.values()) if in_flight else 0.0
        return self.cost + held + most <= self._budget.max_cost

    def exhausted(self) -> str:
        """Which limit is reached, in words."""
        if self._budget.max_requests is not None and self.n_requests >= self._budget.max_requests:
            return f"budget.max_requests ({self._budget.max_requests:,}) is used up"
        return (
            f"the next call could exceed budget.max_cost ({self._budget.max_cost:g}): {self.cost:.4g} is spent"
            " and a call is reckoned at the most it can cost"
        )

    def settle(self, held: Held, *, usage: tuple[int, int] | None, failed: str | None, may_be_billed: bool) -> None:
        """Replaces what was set aside by what it did cost.

        Args:
            held: the request.
            usage: tokens of prompt and answer as the server counted them, None where it did not say.
            failed: why there is no usable response, None where there is one.
            may_be_billed: for a request without usage: whether it counts in full, or not at all.
        """
        unknown = usage is None and may_be_billed
        cost = _cost(held, usage, may_be_billed)
        line = ["over", held.number, failed, usage, cost, unknown, round(time.time(), 1)]
        self.note(line)
        del self._held[held.number]
        _add(self._of(held.model), line)
        self._settled.set()

    def _of(self, name: str) -> Spent:
        return self.models.setdefault(name, Spent())

    def note(self, line: list[Any]) -> None:
        """Adds a line to the file; it is on disk when this returns."""
        os.write(self._out, (json.dumps(line) + "\n").encode())

    def close(self) -> None:
        """Closes the file; what is in flight stays unknown in it."""
        os.close(self._out)


def _cost(held: Held, usage: tuple[int, int] | None, may_be_billed: bool) -> float:
    if usage is None:
        return held.cost if may_be_billed else 0.0
    return usage[0] * held.price[0] / 1e6 + usage[1] * held.price[1] / 1e6


def _add(spent: Spent, line: list[Any]) -> None:
    failed, usage, cost, unknown = line[2:6]
    spent.cost += cost
    if unknown:
        spent.n_unknown += 1
        spent.unknown_cost += cost
    if usage is not None:
        spent.prompt_tokens += usage[0]
        spent.completion_tokens += usage[1]
    if failed is None:
        spent.n_answered += 1
    else:
        spent.failed[failed] += 1


def read(folder: Path) -> dict[str, Spent]:
    """What a run has spent so far by model, from its file; requests that a kill cut off count in full."""
    models: dict[str, Spent] = {}
    sent: dict[int, tuple[str, float]] = {}
    for line in lines(folder):
        if line[0] == "sent":
            sent[line[1]] = (line[2], line[3])
            models.setdefault(line[2], Spent()).n_requests += 1
        elif line[0] == "over" and line[1] in sent:
            _add(models[sent.pop(line[1])[0]], line)
    for name, most in sent.values():
        _add(models[name], ["over", 0, "killed", None, most, True])
    return models


def lines(folder: Path) -> Iterator[list[Any]]:
    """What is noted of a run, in order; a line that a kill tore is left out."""
    file = folder / FILE
    if not file.is_file():
        return
    with file.open() as opened:
        for text in opened:
            with suppress(json.JSONDecodeError):
                yield json.loads(text)


def _ends_a_line(file: Path) -> bool:
    with file.open("rb") as opened:
        if opened.seek(0, os.SEEK_END) == 0:
            return True
        opened.seek(-1, os.SEEK_END)
        return opened.read() == b"\n"


def prices(model: LanguageModel) -> tuple[float, float]:
    """Per million tokens of prompt and of answer; 0 where the recipe gives none."""
    return model.price_per_million_input_tokens or 0.0, model.price_per_million_output_tokens or 0.0


def most_tokens(call: Call) -> int:
    """An upper bound of the prompt's tokens that needs no tokenizer: no token is shorter than a byte of UTF-8."""
    written = sum(len(each["content"].encode("utf-8", "surrogatepass")) for each in call.messages)
    schema = len(json.dumps(call.json_schema)) if call.json_schema is not None else 0
    return written + schema + TOKENS_OF_A_TEMPLATE + TOKENS_OF_A_TURN * len(call.messages)


def likely_tokens(call: Call) -> int:
    """About how many tokens the prompt has: four characters each, as English has with usual vocabularies."""
    return sum(len(each["content"]) for each in call.messages) // 4 + 8 * len(call.messages)
