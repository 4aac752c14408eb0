"""The recipe in a run directory: every value as it was used, and all that it needs to be read again, in itself.

Its last section, `resolved`, is written and read by the toolkit alone: the run's identity and the recipes that it
named, whole, so that it means the same after those files have moved or changed.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

import zephyr
from zephyr.recipe.loaded import Input, Loaded, digest, leaves, plain
from zephyr.recipe.problems import Origin, Parts, Problem, RecipeError, dotted, shown
from zephyr.recipe.reader import Document, scalar
from zephyr.recipe.validate import typed

COMMENT_COLUMN = 48


@dataclass(frozen=True, kw_only=True)
class Carried:
    """What a resolved recipe says about itself."""

    file: Path
    """The recipe it came from."""
    run_id: str
    overrides: tuple[str, ...]
    inputs: tuple[Input, ...]
    edited: bool
    """Its values are no longer those that it was written with."""


def read(block: Any, document: Document, file: Path) -> Carried:
    """Reads the section `resolved`.

    Raises:
        RecipeError: it is not what the toolkit writes.
    """
    try:
        known: dict[str, Loaded] = {}
        for run_dir, entry in block["recipes"].items():
            known[run_dir] = _input_recipe(run_dir, entry, known, document)
        return Carried(
            file=Path(block["from"]),
            run_id=block["run_id"],
            overrides=tuple(block["overrides"]),
            inputs=_inputs(block["inputs"], known),
            edited=block["digest"] != digest(document.data),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise RecipeError([Problem(
            origin=document.mark(("resolved",)).origin,
            key="resolved",
            text=f"written by zephyr into {shown(file)} to be read back, and damaged ({_short(error)}); start again "
            "from the recipe, or take the section away and the recipe counts as a new one",
        )]) from None  # fmt: skip


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0]}"


def _input_recipe(run_dir: str, entry: dict[str, Any], known: dict[str, Loaded], document: Document) -> Loaded:
    data = entry["recipe"]
    place: Parts = ("resolved", "recipes", run_dir, "recipe")
    return Loaded(
        recipe=typed(data["stage"], data),
        file=Path(entry["from"]),
        run_dir=Path(run_dir),
        origins={dotted(parts): document.mark((*place, *parts)).origin for parts, _ in leaves(data)},
        inputs=_inputs(entry["inputs"], known),
        run_id=entry["run_id"],
        overrides=tuple(entry["overrides"]),
        files=(Path(entry["from"]),),
    )


def _inputs(entries: list[dict[str, str]], known: dict[str, Loaded]) -> tuple[Input, ...]:
    return tuple(
        Input(field=str(each["field"]), loaded=known[each["run_dir"]], path=Path(each["path"])) for each in entries
    )


def resolved_yaml(loaded: Loaded) -> str:
    """The whole recipe as it will be used, each value with where it came from; it loads again as the same run."""
    data = plain(loaded.recipe)
    lines = [
        f"# The recipe of this run, resolved by zephyr {zephyr.__version__} from {loaded.file}",
        f"# with {' '.join(loaded.overrides) if loaded.overrides else 'no overrides'}.",
        "# Behind each value: the file and line, or the override, that said it; or the schema's default.",
        *yaml_lines(data, (), loaded.origins),
        "",
        "# Written and read by zephyr alone: the identity of this run, and the recipes that it named.",
        *yaml_lines({"resolved": _block(loaded, data)}, (), {}),
    ]
    return "\n".join(lines) + "\n"


def _block(loaded: Loaded, data: dict[str, Any]) -> dict[str, Any]:
    recipes: dict[str, Any] = {}
    _gather(loaded, recipes)
    return {
        "from": str(loaded.file),
        "overrides": list(loaded.overrides),
        "run_id": loaded.run_id,
        "digest": digest(data),
        "inputs": _entries(loaded),
        "recipes": recipes,
    }


def _gather(loaded: Loaded, recipes: dict[str, Any]) -> None:
    """Every recipe that this one needs, each once, after those that it needs itself."""
    for each in loaded.inputs:
        if str(each.loaded.run_dir) not in recipes:
            _gather(each.loaded, recipes)
            recipes[str(each.loaded.run_dir)] = {
                "from": str(each.loaded.file),
                "overrides": list(each.loaded.overrides),
                "run_id": each.loaded.run_id,
                "inputs": _entries(each.loaded),
                "recipe": plain(each.loaded.recipe),
            }


def _entries(loaded: Loaded) -> list[dict[str, str]]:
    return [
        {"field": each.field, "run_dir": str(each.loaded.run_dir), "path": str(each.path)} for each in loaded.inputs
    ]


def yaml_lines(value: Any, parts: Parts, origins: dict[str, Origin]) -> list[str]:
    """A mapping or a list as YAML lines, two spaces a level."""
    lines = []
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        here = (*parts, key)
        start = "- " if isinstance(key, int) else f"{_key(key)}: "
        if isinstance(inner, dict | list) and inner:
            deeper = ["  " + line for line in yaml_lines(inner, here, origins)]
            if isinstance(key, int):
                deeper[0] = "- " + deeper[0][2:]
                lines += deeper
            else:
                lines += [start.rstrip(), *deeper]
        else:
            lines.append(_commented(start + scalar_text(inner), len(here), origins.get(dotted(here))))
    return lines


def _commented(line: str, depth: int, origin: Origin | None) -> str:
    if origin is None:
        return line
    return f"{line:<{COMMENT_COLUMN - 2 * (depth - 1)}}  # {origin}"


def _key(text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z_/][\w./-]*", text) else _quoted(text)


def scalar_text(value: Any) -> str:
    """A value as YAML in one line."""
    if isinstance(value, float):
        return re.sub(r"e([-+])0", r"e\1", repr(value))
    if not isinstance(value, str):
        return json.dumps(value)
    plain_text = re.fullmatch(r"[A-Za-z0-9_./]([\w ./+,=()'-]*[\w./+=)-])?", value)
    return value if plain_text and isinstance(scalar(value), str) else _quoted(value)


def _quoted(text: str) -> str:
    return yaml.safe_dump(text, default_style='"', allow_unicode=True, width=float("inf")).rstrip("\n")
