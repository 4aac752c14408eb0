"""The plan of a study as a page of text."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from zephyr.recipe.problems import shown
from zephyr.run import run_name
from zephyr.study.command import command_of
from zephyr.study.expand import StudyRow
from zephyr.study.plan.fitted import Fitted
from zephyr.study.plan.groups import NO_SCIENCE, family, groups, varied, within
from zephyr.study.plan.memory import memory_lines
from zephyr.study.plan.plan import PlannedRun, StudyPlan, Totals
from zephyr.study.plan.shared import Common
from zephyr.study.rows import shown_value

FEW_HOURS = 10
"""Hours of all rows alone up to which a study without GPUs is told in minutes."""
Unit = Literal["hours", "minutes"]


def show_study_plan(plan: StudyPlan, console: Console) -> None:
    """Prints the rows, the runs they take, what they share and why not more, and what that comes to."""
    study, recipe = plan.study, plan.study.recipe
    seeds = f", {len(recipe.seeds)} seeds" if recipe.seeds and len(recipe.seeds) > 1 else ""
    console.print(Text.assemble((recipe.title, "bold"), f"  {len(study.rows)} rows{seeds}, {len(plan.runs)} runs"))
    if recipe.description:
        console.print(recipe.description, style="dim", highlight=False, markup=False)
    _show_rows(plan, console)
    _show_runs(plan, console)
    _show_shared(plan, console)
    _show_totals(plan, console)
    for text in memory_lines(plan):
        command = text.startswith(" ")
        console.print(text, style="" if command else "red", highlight=False, markup=False, soft_wrap=command)
    for text in plan.lacks:
        console.print(text, style="yellow", highlight=False, markup=False)
    if plan.outdated:
        console.print(f"\n{plan.outdated}", style="red", highlight=False, markup=False, soft_wrap=True)
    tight = any(each.takes.fits is False and not each.finished for each in plan.runs)
    lead = "Once that is mended" if tight or plan.outdated or plan.lacks else "To run it"
    console.print(f"\n{lead}: {command_of(study)}", highlight=False, markup=False, soft_wrap=True)


# ------------------------------------------------------------------ rows


def _show_rows(plan: StudyPlan, console: Console) -> None:
    rows = [(each, plan.of(each), plan.alone_of(each)) for each in plan.study.rows]
    unit, table = _unit(plan), Fitted("row", "what it is")
    for row, runs, alone in rows:
        table.add(
            {"row": Text(row.name, style="bold" if row.name == plan.study.compare_with else ""),
             "what it is": _what(row, plan), "runs": f"{len(runs):,}", f"{unit} alone": _time(alone.hours, unit),
             "state": _row_state(row, runs) if plan.begun else ""}
        )  # fmt: skip
    table.show("Rows", console)


def _what(row: StudyRow, plan: StudyPlan) -> Text:
    """The recipe of a row's model, and what it sets; for a row of the grid its name says that."""
    wanted = row.wanted
    if wanted.recipe is None:
        return Text(f"{wanted.model}, as it is")
    model = row.cells[0].model
    name = run_name(model) if model else str(shown(wanted.recipe))
    if wanted.point:
        return Text(within(name, family(plan)))
    settings = ", ".join(
        f"{each.key} {_short(each.value)}" for each in wanted.settings if not each.key.startswith(NO_SCIENCE)
    )
    return Text.assemble(within(name, family(plan)), (f"  {settings}" if settings else "", "dim"))


def _short(value: Any) -> str:
    """A value as a row's name would have it, a commit by its first digits."""
    return re.sub(r"\b([0-9a-f]{7})[0-9a-f]{33}\b", r"\1", shown_value(value))


def _row_state(row: StudyRow, runs: Sequence[PlannedRun]) -> Text:
    """How many of a row's seeds are done; of a single one, how many of its runs are to do."""
    last = {each.last.run_dir for each in row.cells if each.last is not None}
    done = sum(each.work.loaded.run_dir in last and each.finished for each in runs)
    if done == len(last):
        return Text("finished", style="green")
    if any(each.state.state == "failed" for each in runs):
        return Text("failed", style="red")
    if len(last) > 1:
        return Text(f"{done} of {len(last)} seeds")
    to_do = sum(not each.finished for each in runs)
    return Text(f"{to_do} of {len(runs)} to do" if to_do < len(runs) else "to do")


# ------------------------------------------------------------------ runs


def _show_runs(plan: StudyPlan, console: Console) -> None:
    unit, table, folder = _unit(plan), Fitted("recipe", "for"), family(plan)
    for group in groups(plan):
        takes = [each.takes for each in group.runs]
        hours, gpu_hours = _add(each.hours for each in takes), _add(each.gpu_hours for each in takes)
        table.add(
            {"recipe": Text.assemble(within(group.name, folder), (varied(group), "dim")), "for": group.serves,
             "runs": f"{len(group.runs):,}", "steps": _range(each.steps for each in takes),
             unit: _time(hours, unit), "GPU-hours": _number(gpu_hours),
             "calls": _count(_add(each.calls for each in takes)), "cost": _money(_add(each.cost for each in takes)),
             "state": _state(group.runs) if plan.begun else ""}
        )  # fmt: skip
    there = "" if plan.begun else "; none of them is there yet"
    table.show(f"Runs, each once, of the recipes in {folder}{there}", console)


def _state(runs: Sequence[PlannedRun]) -> Text:
    words = {"waiting": "to do", "finished": "finished", "running": "running", "failed": "failed",
             "interrupted": "interrupted", "outdated": "outdated"}  # fmt: skip
    styles = {"finished": "green", "failed": "red", "outdated": "red", "running": "cyan", "interrupted": "yellow"}
    counts: dict[str, int] = {}
    for each in runs:
        now = "outdated" if each.outdated else each.state.state
        counts[now] = counts.get(now, 0) + 1
    parts = []
    for state, n in counts.items():
        parts.append((f"{n} {words[state]}" if len(counts) > 1 else words[state], styles.get(state, "")))
    return Text(", ").join(Text(text, style=style) for text, style in parts)


# ------------------------------------------------------------------ what is shared, and what it saves


def _show_shared(plan: StudyPlan, console: Console) -> None:
    lines = [*plan.same, *_of_references(plan.references), *_of_tokens(plan.tokenised)]
    if lines:
        console.print("\nShared beside whole runs", style="italic", highlight=False)
    for text in lines:
        _bullet(text, console)
    if plan.apart:
        console.print("\nNot shared, and kept", style="italic", highlight=False)
    for text in plan.apart:
        _bullet(text, console)


def _of_references(found: Sequence[Common]) -> list[str]:
    """On each recipe whose runs look up the log-probabilities that another of them computed."""
    return [
        f"{name}: {sum(sizes)} dDPO runs, {_times(sizes, 'reference pass', 'reference passes')}; the others look the "
        "log-probabilities up, whatever their beta, loss, learning rate, batch or epochs"
        for name, sizes in _by_name(found).items() if max(sizes) > 1
    ]  # fmt: skip


def _of_tokens(found: Sequence[Common]) -> list[str]:
    """On each recipe whose runs read data that another of them prepared."""
    return [
        f"{name}: {sum(sizes)} runs, data tokenised {_often(len(sizes))}"
        for name, sizes in _by_name(found).items() if max(sizes) > 1
    ]  # fmt: skip


def _by_name(found: Sequence[Common]) -> dict[str, list[int]]:
    """Recipe -> how many of its runs have each thing in common."""
    sizes: dict[str, list[int]] = {}
    for each in found:
        sizes.setdefault(each.name, []).append(len(each.run_dirs))
    return sizes


def _often(n: int) -> str:
    return {1: "once", 2: "twice"}.get(n, f"{n} times")


def _times(sizes: Sequence[int], one: str, more: str) -> str:
    return f"{len(sizes)} {one if len(sizes) == 1 else more}"


def _bullet(text: str, console: Console) -> None:
    grid = Table.grid(padding=(0, 1))
    grid.add_row("-", Text(text))
    console.print(grid)


def _show_totals(plan: StudyPlan, console: Console) -> None:
    unit, table = _unit(plan), Fitted("")
    for label, totals in _totals(plan):
        table.add({"": Text(label, style="bold" if label == "to do" else ""), "runs": f"{totals.runs:,}",
                   unit: _time(totals.hours, unit), "GPU-hours": _number(totals.gpu_hours),
                   "calls": _count(totals.calls), "cost": _money(totals.cost)})  # fmt: skip
    table.show("In all", console)
    for text in _remarks(plan):
        console.print(text, style="dim", highlight=False, markup=False)


WORTH_SAYING_GIB = 1.0
"""Models of less are not worth a line."""


def _totals(plan: StudyPlan) -> list[tuple[str, Totals]]:
    found = [("every row alone", plan.alone), ("equal work once", plan.once)]
    if plan.finished.runs:
        found += [("finished", plan.finished), ("to do", plan.to_do)]
    return found


def _remarks(plan: StudyPlan) -> list[str]:
    alone, once, said = plan.alone, plan.once, []
    if alone.runs == once.runs and not plan.looked_up_hours:
        said.append("The rows share no run.")
    elif alone.hours and once.hours is not None:
        unit, spared = _unit(plan), plan.looked_up_hours
        text = f"Sharing saves {_time(alone.hours - once.hours, unit)} of {_time(alone.hours, unit)} {unit}"
        looked_up = f", {_time(spared, unit)} of them reference passes that are looked up" if spared else ""
        of_known = " of what is known" if once.without_hours else ""
        said.append(f"{text}, {1 - once.hours / alone.hours:.0%}{of_known}{looked_up}.")
    elif alone.runs > once.runs:
        said.append(f"Sharing saves {alone.runs - once.runs:,} of {alone.runs:,} runs.")
    kept = sum(each.takes.kept_gib for each in plan.runs)
    if kept >= WORTH_SAYING_GIB:
        left = sum(each.takes.checkpoints_gib for each in plan.runs)
        passing = max(each.takes.passing_gib for each in plan.runs)
        text = f", {left:,.0f} GiB of the runs' last checkpoints, which may go once a run is finished" if left else ""
        text += f", and {passing:,.0f} GiB while the largest run writes another one" if passing else ""
        said.append(f"Disk: {kept:,.0f} GiB of models{text}.")
    if once.answers:
        beside = "Beside calls of endpoints, models" if once.calls else "Models"
        alone_too = f"; {alone.answers:,} if every row were alone" if alone.answers != once.answers else ""
        said.append(f"{beside} that run here give {once.answers:,} answers and judgments{alone_too}.")
    basis = {each.takes.hours_from for each in plan.runs}
    if "plan" in basis:
        said.append("Hours are the plan's, of one run after the other, for the device and the share of its peak that "
                    "a recipe names (launch.device, launch.mfu); without evaluation, start and loading.")  # fmt: skip
    if basis & {"measured", "like"}:
        text = f"{_unit(plan).capitalize()} of finished runs were measured here"
        said.append(f"{text}; others of the same recipe, and of a model of the same shape, are reckoned from them by "
                    "what they have to do." if "like" in basis else f"{text}.")  # fmt: skip
    if once.without_hours and once.hours is not None:
        said.append(f"Of {once.without_hours} runs the {_unit(plan)} are not known: they are in no sum.")
    elif once.without_hours:
        said.append("Hours are known once runs are finished, or where recipes name a `launch.device`.")
    return said


def _add(values: Iterable[Any]) -> Any:
    known = [each for each in values if each is not None]
    return sum(known) if known else None


def _range(values: Iterable[int | None]) -> str:
    known = [each for each in values if each is not None]
    if not known:
        return ""
    return f"{min(known):,}" if min(known) == max(known) else f"{min(known):,}-{max(known):,}"


def _unit(plan: StudyPlan) -> Unit:
    """Hours, or minutes where all of it is a matter of a few hours on a laptop."""
    return "minutes" if (plan.alone.hours or 0) < FEW_HOURS and not plan.alone.gpu_hours else "hours"


def _time(hours: float | None, unit: Unit) -> str:
    if hours is None:
        return ""
    value = hours * 60 if unit == "minutes" else hours
    return f"{value:.2f}" if unit == "hours" and value < 10 else f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.1f}" if value < 10 else f"{value:,.0f}"


def _count(value: int | None) -> str:
    return f"{value:,}" if value else ""


def _money(value: float | None) -> str:
    return f"{value:,.0f}" if value else ""
