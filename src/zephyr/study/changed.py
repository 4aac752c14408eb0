"""Whether the recipes of a study still mean the runs that it was begun with."""

import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from zephyr.errors import UserError
from zephyr.recipe import Loaded
from zephyr.recipe.problems import shown
from zephyr.recipe.variant import run_id_in
from zephyr.study.command import command_of
from zephyr.study.expand import Study
from zephyr.study.state import has_result

RUNS = "runs.json"
"""In a study's directory: the runs that its rows meant when it was last begun."""
MOST_LISTED = 8
"""Rows that an error lists."""
Cell = tuple[str, int | None]
"""A row's name and a seed."""


def runs_of(study: Study) -> list[dict[str, Any]]:
    """Every run of a study, inputs first: what it is, where it is, and which rows and seeds are made from it."""
    made_from = {(row.name, cell.seed): _chain(cell.last) for row in study.rows for cell in row.cells}
    return [
        {
            "run_id": each.loaded.run_id,
            "run_dir": str(each.loaded.run_dir),
            "recipe": str(each.loaded.file),
            # not those whose training only goes on from it: they may without
            "wanted_by": [list(cell) for cell in each.wanted_by if each.loaded.run_dir in made_from[cell]],
        }
        for each in study.works
    ]


def _chain(loaded: Loaded | None) -> set[Path]:
    """Run directories of a run and of all that it is made from."""
    if loaded is None:
        return set()
    return {loaded.run_dir}.union(*(_chain(each.loaded) for each in loaded.inputs))


def means_the_same(study: Study) -> bool:
    """Whether its directory holds the study of these very rows and runs, whatever file that came from."""
    was, is_now = _by_cell(_begun_with(study)), _by_cell(runs_of(study))
    return {cell: runs.keys() for cell, runs in was.items()} == {cell: runs.keys() for cell, runs in is_now.items()}


def _begun_with(study: Study) -> list[dict[str, Any]]:
    """The runs that the study in its directory meant when it was last begun."""
    file = study.loaded.run_dir / RUNS
    return json.loads(file.read_text()) if file.is_file() else []


def changed_rows(study: Study) -> dict[str, list[str]]:
    """The finished rows whose recipes mean other runs now: name -> the recipes that have changed."""
    before = _begun_with(study)
    was, is_now = _by_cell(before), _by_cell(runs_of(study))
    known, found = {each["run_id"] for each in before}, dict[str, dict[str, None]]()
    for cell, runs in was.items():
        others = cell in is_now and runs.keys() != is_now[cell].keys()
        gone = others and not _is_finished(list(is_now[cell].values())[-1])
        if gone and _is_finished(list(runs.values())[-1]):
            found.setdefault(cell[0], {}).update(dict.fromkeys(_causes(study, cell, known)))
    return {name: list(files) for name, files in found.items()}


def refuse_changed(study: Study) -> None:
    """UserError for a report in which finished rows would be missing, since their recipes mean other runs now."""
    changed = changed_rows(study)
    if not changed:
        return
    lines = [f"    {name}: {', '.join(files)}" for name, files in changed.items()]
    more = len(lines) - MOST_LISTED
    edited = run_id_in(study.loaded.run_dir) not in (None, study.loaded.run_id)
    raise UserError("\n".join([
        f"{shown(study.loaded.run_dir)}: its report is left as it is, since finished rows would go from it. "
        f"What makes them is another run now{f', or {shown(study.loaded.file)} says so' if edited else ''}:",
        *lines[:MOST_LISTED],
        *([f"    and {more} more rows"] if more > 0 else []),
        "  Ways out:",
        "    the report of the runs that are there:  put back what these files said, then the same command",
        f"    new runs, and their report:             {command_of(study)}",
    ]))  # fmt: skip


def _by_cell(runs: Iterable[dict[str, Any]]) -> dict[Cell, dict[str, dict[str, Any]]]:
    """The runs of each row and seed: identity -> run, the one that ends it last."""
    found: dict[Cell, dict[str, dict[str, Any]]] = defaultdict(dict)
    for each in runs:
        for name, seed in each["wanted_by"]:
            found[name, seed][each["run_id"]] = each
    return found


def _is_finished(run: dict[str, Any]) -> bool:
    return has_result(Path(run["run_dir"]), run["run_id"])


def _causes(study: Study, cell: Cell, known: set[str]) -> list[str]:
    """The recipes of a row whose runs are new, though all that they are made from is as it was."""
    runs = [each.loaded for each in study.works if cell in each.wanted_by]
    new = [
        each for each in runs if each.run_id not in known and all(item.loaded.run_id in known for item in each.inputs)
    ]
    return [str(shown(each.file)) for each in new or runs[-1:]]
