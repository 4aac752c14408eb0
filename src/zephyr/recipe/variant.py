"""A recipe with changes to it and to the recipes it is made from: what the rows of a study are."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zephyr.recipe.carried import scalar_text
from zephyr.recipe.extends import forget
from zephyr.recipe.loaded import leaves
from zephyr.recipe.problems import Origin, Parts, Problem, RecipeError, dotted, shown
from zephyr.recipe.reader import Document, Mark


@dataclass(frozen=True, kw_only=True)
class Change:
    """One value of one recipe said differently."""

    file: Path
    """The recipe, absolute."""
    parts: Parts
    """The place in it."""
    value: Any
    """What is said instead: data as YAML gives it. Paths in it are relative to the file of `origin`."""
    origin: Origin
    """Where that is said."""

    def __str__(self) -> str:
        return f"{dotted(self.parts)}={scalar_text(self.value)}"


@dataclass(frozen=True, kw_only=True)
class Variant:
    """Changes to several recipes of one chain."""

    changes: tuple[Change, ...] = ()
    keep: frozenset[Path] = field(default_factory=frozenset)
    """Recipes that are read without the changes, with all that they are made from."""

    def of(self, file: Path) -> tuple[Change, ...]:
        """The changes to one recipe."""
        return tuple(each for each in self.changes if each.file == file)


def put(document: Document, change: Change) -> None:
    """Puts a changed value over the recipe's own.

    Raises:
        RecipeError: it is for an entry that a list of the recipe has not.
    """
    here: Any = document.data
    for n, part in enumerate(change.parts):
        entries = len(here) if isinstance(here, list) else 0
        if isinstance(part, int) and part >= entries:
            text = f"`{dotted(change.parts[:n])}` of {shown(change.file)} has {entries} of them, counted from 0"
            raise RecipeError([Problem(origin=change.origin, key=dotted(change.parts), text=text)])
        if n == len(change.parts) - 1:
            break
        after = change.parts[n + 1]
        if isinstance(part, str) and not isinstance(here.get(part), dict | list):
            here[part] = [] if isinstance(after, int) else {}
        here = here[part]
    forget(document.marks, change.parts)
    here[change.parts[-1]] = change.value
    for inner, _ in leaves(change.value, change.parts):
        document.marks[inner] = Mark(origin=change.origin)


def directory_of(plain: Path, run_id: str, *, varied: bool) -> Path:
    """Where a run of a study lives: with the unvaried recipe's run, or beside it under the run's own identity.

    Equal work has one place, whichever study wants it, and no run is in another's way: the recipe's own directory
    is taken only where it is free or holds this very run.

    Args:
        plain: the directory of the recipe as it is in its file.
        run_id: of the run.
        varied: whether the run is another than that of the recipe as it is in its file.
    """
    own = plain.with_name(f"{plain.name}-{run_id[:8]}")
    there = run_id_in(plain)
    if there == run_id and run_id_in(own) is None:
        return plain
    return own if varied or there is not None else plain


def run_id_in(directory: Path) -> str | None:
    """The identity of the run that a directory holds; None where it holds none."""
    recipe = directory / "recipe.yaml"
    if not recipe.is_file():
        return None
    found = re.search(r"^resolved:\n(?:  .*\n)*?  run_id: \"?(\w+)", recipe.read_text(errors="replace"), re.MULTILINE)
    return found[1] if found else ""
