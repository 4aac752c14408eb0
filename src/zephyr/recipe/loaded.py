"""A recipe, read: the typed recipe, where its values came from, where its run lives, and what identifies that run."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from zephyr.recipe.keys import key_at
from zephyr.recipe.problems import Origin, Parts, dotted
from zephyr.recipe.schema import CODE, NOT_SCIENCE, RECIPES, Recipe
from zephyr.recipe.teacher import Budget, LanguageModel, is_asking


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A recipe without mistakes, ready to plan and to run."""

    recipe: Recipe
    """The typed recipe; where it named another recipe, it names the local path which that one makes."""
    file: Path
    """The recipe file, absolute; for a resolved recipe the file it came from, which may have moved since."""
    run_dir: Path
    """Where the run lives, absolute."""
    origins: dict[str, Origin]
    """Dotted key of every value -> where it came from."""
    inputs: tuple["Input", ...]
    """The recipes that this one names, in order."""
    run_id: str
    """16 hex digits of the hash of all that determines the outcome; equal for equal work."""
    overrides: tuple[str, ...] = ()
    """Overrides that this recipe was loaded with."""
    files: tuple[Path, ...] = ()
    """The recipe file and those that it extends."""


@dataclass(frozen=True, kw_only=True)
class Input:
    """A recipe that another one names."""

    field: str
    """Dotted key that names it."""
    loaded: Loaded
    """The recipe."""
    path: Path
    """What of its output is meant: a path in its run directory."""


def plain(recipe: Recipe) -> dict[str, Any]:
    """The recipe as JSON's types."""
    return asdict(recipe)  # type: ignore[call-overload]


def leaves(value: Any, parts: Parts = ()) -> Iterator[tuple[Parts, Any]]:
    """Every value of a recipe with its place; an empty section or list is a value."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, (*parts, key))
    elif isinstance(value, list) and value:
        for n, inner in enumerate(value):
            yield from leaves(inner, (*parts, n))
    else:
        yield parts, value


def run_id(recipe: Recipe, inputs: tuple[Input, ...]) -> str:
    """What identifies the run: a hash of the recipe without what does not change its outcome.

    A recipe that it names counts as that recipe's run and the artefact meant, wherever the two lie.
    """
    named = {
        each.field: {"run": each.loaded.run_id, "artefact": str(each.path.relative_to(each.loaded.run_dir))}
        for each in inputs
    }
    return digest(plain(recipe), named)[:16]


def digest(data: dict[str, Any], named: dict[str, Any] | None = None) -> str:
    """SHA-256 of the data's science, in whatever order its keys stand."""
    science = [
        [list(parts), (named or {}).get(dotted(parts), value)]
        for parts, value in leaves(data)
        if is_science(data, parts)
    ]
    if data.get("stage") in CODE:
        science.append([["code"], CODE[data["stage"]]])
    science.sort(key=lambda each: json.dumps(each[0]))
    return hashlib.sha256(json.dumps(science, sort_keys=True).encode()).hexdigest()


def is_science(data: dict[str, Any], parts: Parts) -> bool:
    """Whether a value of a recipe changes what its run computes."""
    if any(dotted(parts[: n + 1]) in NOT_SCIENCE for n in range(len(parts))):
        return False
    if data.get("stage") == "binarize" and dotted(parts) == "data.max_unusable_share":
        return False  # says when the run is refused, not what it makes
    key = key_at(data["stage"], parts) if data.get("stage") in RECIPES else None
    if key is None or key.section not in (LanguageModel, Budget):
        return True
    if key.section is Budget:
        return False
    model: Any = data
    for part in parts[:-1]:
        model = model[part]
    return not is_asking(str(parts[-1]), model)


def difference(a: Loaded, b: Loaded) -> list[tuple[str, Any, Any]]:
    """Settings that differ: dotted key, value in a, value in b; None where one has no such key.

    A recipe that is named is shown by its file; two files are equal if they describe the same run.
    """
    settings_a, settings_b = _settings(a), _settings(b)
    keys = dict.fromkeys([*settings_a, *settings_b])
    absent = (None, None)
    return [
        (key, settings_a.get(key, absent)[1], settings_b.get(key, absent)[1])
        for key in keys
        if settings_a.get(key, absent)[0] != settings_b.get(key, absent)[0]
    ]


def _settings(loaded: Loaded) -> dict[str, tuple[Any, Any]]:
    """Dotted key -> what is compared, what is shown."""
    settings = {
        dotted(parts): (value, value)
        for parts, value in leaves(plain(loaded.recipe))
        if parts[0] not in ("name", "description", "output_dir")
    }
    for each in loaded.inputs:
        artefact = each.path.relative_to(each.loaded.run_dir)
        shown = str(each.loaded.file) + (f" ({each.path.stem})" if each.path.suffix == ".jsonl" else "")
        settings[each.field] = ((each.loaded.run_id, str(artefact)), shown)
    return settings
