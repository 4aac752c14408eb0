"""Recipes read before: a study loads the same chains for every row and seed, and reads each recipe of them once."""

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zephyr.recipe.loaded import Loaded
from zephyr.recipe.variant import Variant


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A recipe read, and what made it come out so."""

    loaded: Loaded
    chain: tuple[Loaded, ...]
    """Itself and all that it is made from, each run once."""
    files: frozenset[Path]
    """Their files: changes to others make no difference."""
    changes: tuple[Any, ...]
    """The changes to these."""


@dataclass
class Known:
    """Recipes read before, by file and by what was asked of all recipes."""

    entries: dict[Any, list[Entry]] = field(default_factory=lambda: defaultdict(list))

    def find(self, file: Path, everywhere: tuple[str, ...], variant: Variant | None, *, kept: bool) -> Entry | None:
        """The recipe as it was read under the same changes to it and to what it is made from; None: not yet."""
        for each in self.entries[_key(file, everywhere, variant, kept)]:
            if each.changes == (() if kept else _changes(variant, each.files)):
                return each
        return None

    def add(
        self, file: Path, everywhere: tuple[str, ...], variant: Variant | None, loaded: Loaded, *, kept: bool
    ) -> None:
        """Keeps a recipe that was just read."""
        chain: dict[Path, Loaded] = {}
        _walk(loaded, chain)
        files = frozenset({file, *(each.file for each in chain.values())})
        changes = () if kept else _changes(variant, files)
        entry = Entry(loaded=loaded, chain=tuple(chain.values()), files=files, changes=changes)
        self.entries[_key(file, everywhere, variant, kept)].append(entry)


def _key(file: Path, everywhere: tuple[str, ...], variant: Variant | None, kept: bool) -> Any:
    # without a variant runs have the plain directories; below what is kept it no longer matters what else is
    return file, everywhere, variant is None, None if kept or variant is None else variant.keep


def _changes(variant: Variant | None, files: frozenset[Path]) -> tuple[Any, ...]:
    found = variant.changes if variant else ()
    return tuple((each.file, each.parts, repr(each.value)) for each in found if each.file in files)


def _walk(loaded: Loaded, found: dict[Path, Loaded]) -> None:
    if loaded.run_dir not in found:
        found[loaded.run_dir] = loaded
        for each in loaded.inputs:
            _walk(each.loaded, found)
