"""What a recipe that asks models will ask: calls, tokens, cost and hours by step, before anything is sent."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from zephyr.recipe import Loaded
from zephyr.recipe.dialogues import DialoguesRecipe
from zephyr.recipe.evaluate import EvaluateRecipe
from zephyr.recipe.feedback import FeedbackRecipe
from zephyr.recipe.sections import Source
from zephyr.teacher.predict import Prediction, Step, beyond_budget, duration, ends, predict

COUNTED_AT_ONCE_BYTES = 50_000_000
"""Local data up to this size is counted by `plan` itself."""


@dataclass(frozen=True, kw_only=True)
class Calls:
    """What will be asked."""

    steps: dict[str, Step]
    """What is done -> its calls."""
    total: Prediction
    rows: int
    """Dialogues or prompts that this is for."""
    basis: str
    """Where the counts and lengths are from."""
    beyond_budget: tuple[str, ...]
    """What of the recipe's budget will not suffice."""


def calls_of(loaded: Loaded) -> "Calls | str | None":
    """The calls of a recipe; in words why they are not known; None for a stage that asks no models.

    Raises:
        UserError: a wording that the recipe names is not of the form expected, or local data can't be read.
    """
    recipe = loaded.recipe
    if isinstance(recipe, DialoguesRecipe):
        return _dialogues(recipe)
    if isinstance(recipe, FeedbackRecipe):
        return _feedback(recipe)
    if isinstance(recipe, EvaluateRecipe):
        return _evaluate(recipe)
    return None


def _dialogues(recipe: DialoguesRecipe) -> Calls | str:
    from zephyr.data.call_steps import dialogue_steps

    seeds = _local_rows("dialogues", recipe.dialogues.seeds, recipe.seed)
    if seeds is not None:
        n_topics = len({each.topic for each in seeds if each.topic})
    elif recipe.expect is not None and recipe.expect.topics is not None:
        n_topics = recipe.expect.topics
    else:
        return "known once the seeds are here, or `expect.topics` says how many of them are topics"
    steps = dialogue_steps(recipe, n_topics=n_topics, n_dialogues=recipe.dialogues.count)
    lengths = "expected lengths" if recipe.expect else "texts as long as sampling.max_tokens allows"
    return _calls(recipe, steps, recipe.dialogues.count, f"{recipe.dialogues.count:,} dialogues; {lengths}")


def _feedback(recipe: FeedbackRecipe) -> Calls | str:
    from zephyr.data.call_steps import CHARACTERS_PER_TOKEN, feedback_steps

    prompts = _local_rows("feedback", recipe.prompts, recipe.seed)
    tokens = None
    if prompts is not None:
        found = {each.prompt_id: each for each in prompts}
        n_prompts = len(found)
        characters = sum(len(turn["content"]) for each in found.values() for turn in each.messages)
        tokens = characters / CHARACTERS_PER_TOKEN / max(1, n_prompts)
    elif all(each.rows for each in recipe.prompts):
        n_prompts = sum(each.rows or 0 for each in recipe.prompts)
    elif recipe.expect is not None and recipe.expect.prompts is not None:
        n_prompts = recipe.expect.prompts
    else:
        return "known once the prompts are here, or `expect.prompts` says how many there are"
    steps = feedback_steps(recipe, n_prompts=n_prompts, prompt_tokens=tokens)
    counted = "counted" if prompts is not None else "expected"
    lengths = "expected lengths" if recipe.expect else "answers as long as sampling.max_tokens allows"
    return _calls(recipe, steps, n_prompts, f"{n_prompts:,} prompts ({counted}); {lengths}")


def _evaluate(recipe: EvaluateRecipe) -> Calls | None:
    from zephyr.evaluate.call_steps import evaluate_steps, where_from

    steps = evaluate_steps(recipe)
    if not steps:
        return None
    lengths = "expected lengths" if recipe.expect else "answers as long as allowed"
    n_rows = len(recipe.models) + len(recipe.endpoints)
    return _calls(recipe, steps, n_rows, f"{'; '.join(where_from(recipe))}; {lengths}")


def _calls(
    recipe: DialoguesRecipe | FeedbackRecipe | EvaluateRecipe, steps: dict[str, Step], rows: int, basis: str
) -> Calls:
    total = predict(steps.values())
    source = recipe.expect.source if recipe.expect else None
    beyond = beyond_budget(total, recipe.budget)
    return Calls(
        steps=steps, total=total, rows=rows, basis=f"{basis} ({source})" if source else basis,
        beyond_budget=tuple(f"{each}: {ends(each, at_most=not recipe.expect)}" for each in beyond),
    )  # fmt: skip


def _local_rows(stage: str, sources: list[Source], seed: int) -> list[Any] | None:
    """The usable rows of sources that are all on this machine and small; None where one is not."""
    from zephyr.data.turns import Unusable
    from zephyr.data.usable import read_rows

    files = [Path(each.path) for each in sources]
    if not all(each.exists() for each in files) or sum(map(_bytes, files)) > COUNTED_AT_ONCE_BYTES:
        return None
    rows = [found for each in sources for _, found in read_rows(stage, each, seed)]
    return [each for each in rows if not isinstance(each, Unusable)]


def _bytes(path: Path) -> int:
    return sum(each.stat().st_size for each in ([path] if path.is_file() else path.rglob("*")) if each.is_file())


def as_json(calls: "Calls | str | None") -> dict[str, Any]:
    """For programs; flat totals as in the account of a run."""
    if not isinstance(calls, Calls):
        return {"calls": None, "calls_unknown": calls} if calls else {}
    steps = {
        label: {
            "calls": step.n_calls,
            "prompt_tokens": round(step.n_calls * step.prompt_tokens),
            "completion_tokens": round(step.n_calls * step.completion_tokens),
            "cost": predict([step]).cost,
        }
        for label, step in calls.steps.items()
    }
    hours = None if calls.total.seconds is None else calls.total.seconds / 3600
    return {"calls": {**asdict(calls.total), "rows": calls.rows, "basis": calls.basis, "steps": steps}, "hours": hours,
            "cost": calls.total.cost}  # fmt: skip


def show_calls(calls: "Calls | str", console: Console) -> None:
    """Prints the calls by step, and their sum."""
    if isinstance(calls, str):
        console.print(Text.assemble(("Calls  ", "bold"), calls))
        return
    console.print()
    console.print(f"Calls for {calls.basis}", style="italic", highlight=False, markup=False)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("", "model", "calls", "tokens in", "tokens out", "cost", "time"):
        table.add_column(column, justify="left" if column in ("", "model") else "right", overflow="fold")
    for label, step in calls.steps.items():
        table.add_row(label, Text(step.model.model), *_figures(predict([step])))
    total = [Text(each, style="bold") for each in _figures(calls.total)]
    table.add_row(Text("in all", style="bold"), "", *total)
    console.print(table)
    for each in calls.beyond_budget:
        console.print(each, style="yellow", highlight=False)
    console.print("Tries after a failure and answers on disk already are not reckoned.", style="dim")


def _figures(prediction: Prediction) -> tuple[str, ...]:
    return (
        f"{prediction.n_calls:,}",
        _count(prediction.prompt_tokens),
        _count(prediction.completion_tokens),
        "no prices" if prediction.cost is None else f"{prediction.cost:,.2f}" if prediction.cost else "",
        "" if prediction.seconds is None else duration(prediction.seconds),
    )


def _count(n: int) -> str:
    return f"{n / 1e6:,.1f} M" if n >= 1e5 else f"{n:,}"
