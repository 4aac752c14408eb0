"""What the tests of the teacher share: a model at a server, calls, and rows of one call each."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zephyr.recipe.teacher import Budget, LanguageModel
from zephyr.teacher.ask import Teacher, run_rows
from zephyr.teacher.call import Answer, Call, Failure


def model_at(base_url: str, **settings: Any) -> LanguageModel:
    return LanguageModel(model="some-model", base_url=base_url, **{"first_retry_s": 0.01, "timeout_s": 5, **settings})


def call(text: str, **settings: Any) -> Call:
    given = {"temperature": 0.0, "top_p": 1.0, "max_tokens": 100, **settings}
    return Call(messages=({"role": "user", "content": text},), **given)


def ask_all(
    model: LanguageModel, calls: list[Call], folder: Path, *, budget: Budget | None = None, **settings: Any
) -> Iterator[tuple[int, Answer | Failure]]:
    async def work(teacher: Teacher, row: Call) -> Answer | Failure:
        return await teacher.ask(model, row)

    return run_rows(
        calls, work, models={"teacher": model}, budget=budget or Budget(), folder=folder, n_rows=len(calls),
        label="asking", **settings,
    )  # fmt: skip
