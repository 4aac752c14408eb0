"""The plan as a page of text."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from zephyr.plan import binarizing
from zephyr.plan.calls import show_calls
from zephyr.plan.filtering import outline
from zephyr.plan.plan import Plan, as_json
from zephyr.plan.show_figures import show_figures
from zephyr.recipe import Loaded, difference
from zephyr.recipe.binarize import BinarizeRecipe
from zephyr.recipe.filter import FilterRecipe
from zephyr.recipe.problems import shown
from zephyr.recipe.schema import TrainRecipe
from zephyr.run import missing_message, run_name


def show(plan: Plan, console: Console, other: Loaded | None = None) -> None:
    """Prints what will happen: inputs, batch, steps, data, every value and where it came from."""
    loaded = plan.loaded
    console.print(Text.assemble((run_name(loaded), "bold"), f"  stage {loaded.recipe.stage}, run {loaded.run_id}"))
    if loaded.recipe.description:
        console.print(loaded.recipe.description, style="dim", highlight=False)
    console.print()
    _show_figures(plan, console)
    show_figures(plan, console)
    if plan.calls is not None:
        show_calls(plan.calls, console)
    _show_inputs(plan, console)
    if plan.counts:
        _show_data(plan, console)
    if other is not None:
        _show_difference(loaded, other, console)
    else:
        _show_values(plan, console)


def _show_figures(plan: Plan, console: Console) -> None:
    table = Table.grid(padding=(0, 2))
    trains = isinstance(plan.loaded.recipe, TrainRecipe)
    goes_on = "continues from its last checkpoint" if trains else "goes on with what is there"
    states = {
        "new": "not run yet",
        "interrupted": f"interrupted: {goes_on}",
        "finished": "finished: nothing to do",
        "taken": "holds the run of another recipe: `run` will refuse",
        "outdated": "finished, yet files that it was made of have changed: `run` will refuse, and say which",
    }
    table.add_row("run directory", Text(f"{shown(plan.loaded.run_dir)}  ({states[plan.state]})"))
    if plan.batch:
        table.add_row("global batch", Text(str(plan.batch)))
        table.add_row("steps", Text(_steps(plan)))
    if plan.uncounted:
        table.add_row("data", Text(plan.uncounted))
    if isinstance(plan.loaded.recipe, FilterRecipe):
        for label, text in outline(plan.loaded.recipe):
            table.add_row(label, Text(text))
    if isinstance(plan.loaded.recipe, BinarizeRecipe) and not plan.missing:
        for label, text in binarizing.outline(plan.loaded.recipe):
            table.add_row(label, Text(text))
    for text in plan.lacks:
        table.add_row("lacks", Text(text, style="yellow"))
    console.print(table)


def _steps(plan: Plan) -> str:
    if plan.steps is None:
        return "not known yet"
    recipe, steps = plan.loaded.recipe, plan.steps
    assert isinstance(recipe, TrainRecipe)  # only these have steps
    train = recipe.train
    text = f"{steps.steps:,} = {train.num_train_epochs:g} epoch(s) x {steps.steps_per_epoch:,}"
    text += f", of which {steps.warmup_steps:,} warm up to {train.learning_rate:g}, then {train.lr_scheduler_type}"
    return text if plan.counts else f"{text}  (expected by the recipe, not counted here)"


def _show_inputs(plan: Plan, console: Console) -> None:
    if not plan.loaded.inputs:
        return
    missing = {each.run_dir for each in plan.missing}
    table = Table(title="Inputs", title_justify="left", box=None, pad_edge=False, header_style="dim")
    for column in ("key", "recipe", "what is used", "there"):
        table.add_column(column, overflow="fold")
    for each in plan.loaded.inputs:
        there = "no" if each.loaded.run_dir in missing else "yes"
        table.add_row(each.field, str(shown(each.loaded.file)), str(shown(each.path)), there)
    console.print()
    console.print(table)
    if plan.missing:
        console.print(missing_message(plan.loaded, plan.missing), highlight=False, markup=False, soft_wrap=True)


DATA_ROWS = (
    ("rows_read", "rows read"), ("rows_used", "rows used"), ("sequences", "sequences"), ("tokens", "tokens"),
    ("loss_tokens", "tokens with loss"), ("truncated_rows", "rows truncated"), ("dropped_tokens", "tokens dropped"),
)  # fmt: skip


def _show_data(plan: Plan, console: Console) -> None:
    table = Table(title="Data", title_justify="left", box=None, pad_edge=False, header_style="dim")
    table.add_column("")
    for split in plan.counts:
        table.add_column(split, justify="right")
    for key, label in DATA_ROWS:
        table.add_row(label, *(f"{counts[key]:,}" for counts in plan.counts.values()))
    reasons = sorted({reason for counts in plan.counts.values() for reason in counts["unusable"]})
    for reason in reasons:
        table.add_row(f"unusable: {reason}", *(f"{c['unusable'].get(reason, 0):,}" for c in plan.counts.values()))
    console.print()
    console.print(table)


def _show_values(plan: Plan, console: Console) -> None:
    table = Table(
        title="Values and where they come from", title_justify="left", box=None, pad_edge=False, show_header=False
    )
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(no_wrap=True)
    values = {key: each for key, each in as_json(plan)["values"].items() if each["value"] not in (None, {}, [])}
    for key, each in values.items():
        if each["from"] != "default":
            table.add_row(key, Text(_value(each["value"])), Text(each["from"], style="dim"))
    console.print()
    console.print(table)
    defaults = [f"{key} {_value(each['value'])}" for key, each in values.items() if each["from"] == "default"]
    if defaults:
        console.print(Text(f"by default: {', '.join(defaults)}", style="dim"))


def _show_difference(loaded: Loaded, other: Loaded, console: Console) -> None:
    title = f"Difference from {shown(other.file)}"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="dim")
    table.add_column("key", no_wrap=True)
    for column in (loaded, other):
        table.add_column(run_name(column), overflow="fold")
    rows = difference(loaded, other)
    for key, here, there in rows:
        table.add_row(key, _value(here), _value(there))
    console.print()
    console.print(table if rows else f"No difference from {shown(other.file)}")


def _value(value: Any) -> str:
    if isinstance(value, str) and value.startswith("/"):
        return str(shown(Path(value)))
    return "-" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
