"""What runs need and do not find here: files, keys of endpoints."""

import os
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from zephyr.data.readers import format_of
from zephyr.recipe import Loaded
from zephyr.recipe.loaded import plain
from zephyr.recipe.problems import Problem, RecipeError, dotted, shown
from zephyr.recipe.references import references
from zephyr.recipe.teacher import LanguageModel


def refuse_missing(*runs: Loaded) -> None:
    """Names every input that can only be local and is not there; what other recipes have yet to make is passed over.

    Raises:
        RecipeError: some run has such an input, so that `run` would refuse too.
    """
    problems = [
        Problem(origin=loaded.origins[key], key=key, text=f"there is no such file or directory: {shown(path)}")
        for loaded in runs
        for key, path, kind in _absent(loaded)
        if kind != "path"
    ]
    if problems:
        raise RecipeError(problems)


def lacking(loaded: Loaded) -> list[str]:
    """Sentences on files that may still come, and on keys of endpoints whose environment variable is not set here."""
    said = [
        f"{key}: {shown(path)} is not there yet; `run` needs it"
        for key, path, kind in _absent(loaded)
        if kind == "path"
    ]
    unset: dict[str, list[str]] = {}
    for model in _models(loaded.recipe):
        if model.api_key_env and not os.environ.get(model.api_key_env, "").strip():
            unset.setdefault(model.api_key_env, []).append(model.model)
    for name, models in unset.items():
        asked = ", ".join(dict.fromkeys(models))
        said.append(f"the environment variable {name} is not set here; `run` needs it for {asked}")
    return said


def _absent(loaded: Loaded) -> Iterator[tuple[str, Path, str]]:
    """Key, path and kind of what is named and not here."""
    made = {each.field for each in loaded.inputs}
    for parts, text, kind in references(loaded.recipe.stage, plain(loaded.recipe)):
        path = Path(text).expanduser()
        local = path.is_absolute() or (kind == "rows" and format_of(path))
        if local and dotted(parts) not in made and not path.exists():
            yield dotted(parts), path, kind


def _models(value: Any) -> Iterator[LanguageModel]:
    """Every model that a recipe asks."""
    if isinstance(value, LanguageModel):
        yield value
    elif is_dataclass(value) and not isinstance(value, type):
        for each in fields(value):
            yield from _models(getattr(value, each.name))
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _models(each)
