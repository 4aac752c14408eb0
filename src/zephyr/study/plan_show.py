"""The plan of a study as a page of text."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from zephyr.recipe.loaded import leaves, plain
from zephyr.recipe.problems import dotted
from zephyr.run import run_name, shown
from zephyr.study.expand import StudyRow
from zephyr.study.plan import PlannedRun, StudyPlan, Totals
from zephyr.study.rows import shown_value
from zephyr.study.shared import Common

MOST_GROUPS = 24
"""Lines of runs up to which runs for other rows stand apart."""
FEW_HOURS = 10
Unit = Literal["hours", "minutes"]
NAMED = 2
"""Rows that are named where a run serves only some; more are counted."""


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
    for text in plan.lacks:
        console.print(text, style="yellow", highlight=False, markup=False)
    console.print(f"\nTo run it: zephyr run {shown(study.loaded.file)}", highlight=False, markup=False, soft_wrap=True)


# ------------------------------------------------------------------ rows


def _show_rows(plan: StudyPlan, console: Console) -> None:
    rows = [(each, plan.of(each), plan.alone_of(each)) for each in plan.study.rows]
    unit, table = _unit(plan), _Columns("row", "what it is")
    for row, runs, alone in rows:
        table.add(
            {"row": Text(row.name, style="bold" if row.name == plan.study.compare_with else ""),
             "what it is": _what(row, plan), "runs": f"{len(runs):,}", f"{unit} alone": _time(alone.hours, unit),
             "state": _row_state(row, runs)}
        )  # fmt: skip
    _print(table.table("Rows"), console)


def _what(row: StudyRow, plan: StudyPlan) -> Text:
    """The recipe of a row's model, and what it sets; for a row of the grid its name says that."""
    wanted = row.wanted
    if wanted.recipe is None:
        return Text(f"{wanted.model}, as it is")
    model = row.cells[0].model
    name = run_name(model) if model else str(shown(wanted.recipe))
    if wanted.point:
        return Text(name)
    settings = ", ".join(f"{each.key} {shown_value(each.value)}" for each in wanted.settings)
    return Text.assemble(name, (f"  {settings}" if settings else "", "dim"))


def _row_state(row: StudyRow, runs: Sequence[PlannedRun]) -> Text:
    """How many of a row's seeds are done; of a single one, how many of its runs are to do."""
    last = {each.last.run_dir for each in row.cells if each.last is not None}
    done = sum(each.work.loaded.run_dir in last and each.finished for each in runs)
    if done == len(last):
        return Text("finished", style="green")
    if len(last) > 1:
        return Text(f"{done} of {len(last)} seeds")
    to_do = sum(not each.finished for each in runs)
    return Text(f"{to_do} of {len(runs)} to do" if to_do < len(runs) else "to do")


# ------------------------------------------------------------------ runs


@dataclass(frozen=True, kw_only=True)
class Group:
    """Runs of one recipe that stand on one line."""

    runs: tuple[PlannedRun, ...]
    serves: str
    """Which rows want them."""

    @property
    def name(self) -> str:
        """The recipe."""
        return run_name(self.runs[0].work.loaded)


def groups(plan: StudyPlan) -> list[Group]:
    """The runs by recipe and by the rows that want them; if those are too many, by recipe and how many rows do."""
    by_rows = _grouped(plan.runs, lambda rows: rows)
    if len(by_rows) > MOST_GROUPS:
        by_rows = _grouped(plan.runs, len)
    every = [each.name for each in plan.study.rows]
    return [Group(runs=tuple(runs), serves=_serves(runs, every)) for runs in by_rows]


def _grouped(runs: Iterable[PlannedRun], key: Callable[[tuple[str, ...]], Any]) -> list[list[PlannedRun]]:
    found: dict[Any, list[PlannedRun]] = {}
    for each in runs:
        found.setdefault((each.work.loaded.file, key(_rows_of(each))), []).append(each)
    files = list(dict.fromkeys(file for file, _ in sorted(found, key=lambda key: _measures(found[key][0]))))
    return [group for file in files for (of, _), group in found.items() if of == file]


def _measures(run: PlannedRun) -> bool:
    """Whether a run is a row's evaluation: those stand at the end."""
    return run.work.loaded.recipe.stage == "evaluate"


def _rows_of(run: PlannedRun) -> tuple[str, ...]:
    return tuple(dict.fromkeys(row for row, _ in run.work.wanted_by))


def _serves(runs: Sequence[PlannedRun], every: Sequence[str]) -> str:
    """`all rows`, `all but base`, `dSFT-1, dSFT-2`, `3 rows each`."""
    rows = _rows_of(runs[0])
    if any(_rows_of(each) != rows for each in runs):
        return f"{len(rows)} row{'s' if len(rows) > 1 else ''} each"
    others = [each for each in every if each not in rows]
    if not others:
        return "all rows" if len(every) > 1 else every[0]
    if len(others) == 1 and len(rows) > 1:
        return f"all but {others[0]}"
    return ", ".join(rows) if len(rows) <= NAMED else f"{len(rows)} rows"


def _show_runs(plan: StudyPlan, console: Console) -> None:
    unit, table = _unit(plan), _Columns("recipe", "for")
    for group in groups(plan):
        takes = [each.takes for each in group.runs]
        hours, gpu_hours = _add(each.hours for each in takes), _add(each.gpu_hours for each in takes)
        table.add(
            {"recipe": Text.assemble(group.name, (_varied(group), "dim")), "for": group.serves,
             "runs": f"{len(group.runs):,}", "steps": _range(each.steps for each in takes),
             unit: _time(hours, unit), "GPU-hours": _number(gpu_hours),
             "calls": _count(_add(each.calls for each in takes)), "cost": _money(_add(each.cost for each in takes)),
             "state": _state(group.runs)}
        )  # fmt: skip
    _print(table.table("Runs, each once"), console)
    tight = [each for each in plan.runs if each.takes.fits is False]
    if tight:
        names = ", ".join(dict.fromkeys(run_name(each.work.loaded) for each in tight))
        text = f"{names}: does not fit into the memory of the device; `zephyr plan` of the recipe says what to change"
        console.print(text, style="red", highlight=False, markup=False)


def _varied(group: Group) -> str:
    """What differs between the runs of a line, or is said of all of them: `  beta 0.01, 0.1`."""
    if len({row for each in group.runs for row in _rows_of(each)}) == 1:
        return ""  # the table of rows says what it sets
    settings = [_said(each) for each in group.runs]
    keys = [key for key in dict.fromkeys(key for each in settings for key in each) if key not in ("seed", "models")]
    shown_keys = []
    for key in keys:
        values = list(dict.fromkeys(each.get(key) or _value(run, key) for each, run in
                                    zip(settings, group.runs, strict=True)))  # fmt: skip
        shown_keys.append(f"{key.rpartition('.')[2]} {', '.join(values)}")
    return "".join(f"\n  {each}" for each in shown_keys)


def _said(run: PlannedRun) -> dict[str, str]:
    """Keys and values that a run says otherwise than its file."""
    pairs = (each.removeprefix("--").partition("=") for each in run.work.loaded.overrides)
    return {key: value for key, _, value in pairs if key not in ("endpoints",)}


def _value(run: PlannedRun, key: str) -> str:
    """What the recipe's own file says."""
    found = {dotted(parts): value for parts, value in leaves(plain(run.work.loaded.recipe))}
    value = found.get(key)
    return Path(value).name if isinstance(value, str) and value.startswith("/") else shown_value(value)


def _state(runs: Sequence[PlannedRun]) -> Text:
    words = {"waiting": "to do", "finished": "finished", "running": "running", "failed": "failed",
             "interrupted": "interrupted"}  # fmt: skip
    styles = {"finished": "green", "failed": "red", "running": "cyan", "interrupted": "yellow"}
    counts: dict[str, int] = {}
    for each in runs:
        counts[each.state.state] = counts.get(each.state.state, 0) + 1
    parts = []
    for state, n in counts.items():
        parts.append((f"{n} {words[state]}" if len(counts) > 1 else words[state], styles.get(state, "")))
    return Text(", ").join(Text(text, style=style) for text, style in parts)


# ------------------------------------------------------------------ what is shared, and what it saves


def _show_shared(plan: StudyPlan, console: Console) -> None:
    lines = [*_of_references(plan.references), *_of_tokens(plan.tokenised)]
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
        f"{name}: {sum(sizes)} runs, data tokenised {'once' if len(sizes) == 1 else f'{len(sizes)} times'}"
        for name, sizes in _by_name(found).items() if max(sizes) > 1
    ]  # fmt: skip


def _by_name(found: Sequence[Common]) -> dict[str, list[int]]:
    """Recipe -> how many of its runs have each thing in common."""
    sizes: dict[str, list[int]] = {}
    for each in found:
        sizes.setdefault(each.name, []).append(len(each.run_dirs))
    return sizes


def _times(sizes: Sequence[int], one: str, more: str) -> str:
    return f"{len(sizes)} {one if len(sizes) == 1 else more}"


def _bullet(text: str, console: Console) -> None:
    grid = Table.grid(padding=(0, 1))
    grid.add_row("-", Text(text))
    console.print(grid)


def _show_totals(plan: StudyPlan, console: Console) -> None:
    unit, table = _unit(plan), _Columns("")
    for label, totals in _totals(plan):
        table.add({"": Text(label, style="bold" if label == "to do" else ""), "runs": f"{totals.runs:,}",
                   unit: _time(totals.hours, unit), "GPU-hours": _number(totals.gpu_hours),
                   "calls": _count(totals.calls), "cost": _money(totals.cost)})  # fmt: skip
    _print(table.table("In all"), console)
    for text in _remarks(plan):
        console.print(text, style="dim", highlight=False, markup=False)


def _totals(plan: StudyPlan) -> list[tuple[str, Totals]]:
    found = [("every row alone", plan.alone), ("equal work once", plan.once)]
    if plan.finished.runs:
        found += [("finished", plan.finished), ("to do", plan.to_do)]
    return found


def _remarks(plan: StudyPlan) -> list[str]:
    alone, once, said = plan.alone, plan.once, []
    if alone.hours and once.hours is not None and alone.without_hours == once.without_hours == 0:
        unit = _unit(plan)
        said.append(f"Sharing saves {_time(alone.hours - once.hours, unit)} of {_time(alone.hours, unit)} {unit}, "
                    f"{1 - once.hours / alone.hours:.0%}.")  # fmt: skip
    elif alone.hours and once.hours is not None:
        said.append(f"Sharing saves {1 - once.hours / alone.hours:.0%} of the hours that are known.")
    elif alone.runs > once.runs:
        said.append(f"Sharing saves {alone.runs - once.runs:,} of {alone.runs:,} runs.")
    basis = {each.takes.hours_from for each in plan.runs}
    if "plan" in basis:
        said.append("Hours are the plan's, of one run after the other, for the device and the share of its peak that "
                    "a recipe names (launch.device, launch.mfu); without evaluation, start and loading.")  # fmt: skip
    if basis & {"measured", "like"}:
        text = "Hours of finished runs were measured here"
        said.append(f"{text}; of others of the same recipe they are taken to be the same." if "like" in basis
                    else f"{text}.")  # fmt: skip
    if once.without_hours and once.hours is not None:
        said.append(f"Of {once.without_hours} runs the hours are not known: they are in no sum.")
    elif once.without_hours:
        said.append("Hours are known once runs are finished, or where recipes name a `launch.device`.")
    return said


# ------------------------------------------------------------------ tables of what is known


class _Columns:
    """A table whose columns that say nothing are left out."""

    def __init__(self, *left: str) -> None:
        self.left, self.rows = left, list[dict[str, str | Text]]()

    def add(self, row: dict[str, str | Text]) -> None:
        """Adds a line: column -> cell."""
        self.rows.append(row)

    def table(self, title: str) -> Table:
        """The table, without columns that are empty in every line."""
        table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="dim")
        names = [name for name in self.rows[0] if any(str(row[name]) for row in self.rows)]
        for name in names:
            on_left = name in (*self.left, "state")
            table.add_column(name, justify="left" if on_left else "right", overflow="fold", no_wrap=not on_left)
        for row in self.rows:
            table.add_row(*(row[name] for name in names))
        return table


def _print(table: Table, console: Console) -> None:
    console.print()
    console.print(table)


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
