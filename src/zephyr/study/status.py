"""`zephyr status STUDY`: every row at a glance, while it runs or after."""

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from zephyr.made_of import Known, changed_files, outdated
from zephyr.recipe.problems import shown
from zephyr.run import run_name
from zephyr.study.changed import changed_rows
from zephyr.study.expand import Study, Work
from zephyr.study.state import RunState, states_of

STYLES = {"finished": "green", "failed": "red", "running": "cyan", "interrupted": "yellow", "waiting": "dim"}
ORDER = ("failed", "running", "interrupted", "waiting")
"""What a row that is not finished is shown as: the first of these that one of its runs is."""


def show_status(study: Study, console: Console) -> None:
    """Prints how many runs are finished, and for each row what it is at or waits for."""
    states = states_of(each.loaded for each in study.works)
    counted = {state: sum(each.state == state for each in states.values()) for state in ("finished", *ORDER)}
    said = ", ".join(f"{number} {state}" for state, number in counted.items() if number)
    console.print(Text.assemble((study.recipe.title, "bold"), f"  {len(study.works)} runs: {said}"))
    console.print()
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("row", overflow="fold")
    table.add_column("runs", justify="right")
    table.add_column("state")
    table.add_column("", overflow="fold")
    for row in study.rows:
        runs = [each for each in study.works if row.name in {name for name, _ in each.wanted_by}]
        state, what = row_state(runs, states)
        finished = sum(states[each.loaded.run_dir].state == "finished" for each in runs)
        table.add_row(row.name, f"{finished}/{len(runs)}", Text(state, style=STYLES[state]), what)
    console.print(table)
    changed = changed_rows(study)
    if changed:
        files = ", ".join(dict.fromkeys(file for found in changed.values() for file in found))
        rows = "1 finished row means" if len(changed) == 1 else f"{len(changed)} finished rows mean"
        text = f"\n{rows} other runs than when the study was last begun, since {files} or the study's own file says "
        text += "something else now"
        console.print(text, highlight=False, markup=False)
    for each in study.works:
        of_it = changed_files(each.loaded) if states[each.loaded.run_dir].state == "interrupted" else []
        if of_it:
            directory = shown(each.loaded.run_dir)
            text = f"\n{directory} is half way, and {', '.join(str(shown(Path(file))) for file in of_it)} has changed "
            text += f"since it began: put that back, or begin it anew with rm -r {directory}"
            console.print(text, highlight=False, markup=False, soft_wrap=True)
    known: Known = {}
    of_old = {run_dir for each in study.works for run_dir in outdated(each.loaded, known)}
    if of_old:
        text = f"{len(of_old)} of the finished runs {'is' if len(of_old) == 1 else 'are'} out of date: files that "
        console.print(f"\n{text}they were made of have changed; `zephyr run` names them", highlight=False)


def row_state(runs: list[Work], states: Mapping[Path, RunState]) -> tuple[str, str]:
    """The state of a row from those of its runs, and which run that is due to."""
    for state in ORDER:
        of_it = [each for each in runs if states[each.loaded.run_dir].state == state]
        if of_it:
            first = of_it[0]
            why = states[first.loaded.run_dir].why
            more = f" and {len(of_it) - 1} more" if len(of_it) > 1 else ""
            where = f" ({shown(first.loaded.run_dir)})" if state == "failed" else ""
            return state, f"{run_name(first.loaded)}{more}{where}{': ' if why else ''}{why}"
    return "finished", ""
