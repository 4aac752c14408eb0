"""Overrides on the command line: `train.beta=0.05`, `--beta=0.05`, `data.train[0].rows=100`."""

import difflib
import re
import shlex
from collections.abc import Sequence
from typing import Any

from zephyr.recipe.extends import forget
from zephyr.recipe.keys import key_at, keys_of, named
from zephyr.recipe.problems import Origin, Parts, Problem, RecipeError, dotted, listed, split
from zephyr.recipe.reader import Document, read_value
from zephyr.recipe.schema import RECIPES
from zephyr.recipe.unknown import advice


def apply(document: Document, stage: str, overrides: Sequence[str], *, where_known: bool = False) -> set[str]:
    """Puts the values over the recipe's, and returns the overrides that found their key.

    Args:
        document: the recipe, changed in place.
        stage: whose keys the short names are looked up in.
        overrides: `key=value`, as typed; the value is read as YAML.
        where_known: pass over keys that this stage does not have, for overrides meant for several recipes.
    """
    used = set()
    for override in overrides:
        try:
            key, value = _halves(override)
            parts = place(stage, key, override)
        except UnknownKey:
            if where_known:
                continue
            document.problems.extend([unknown(stage, override)])
            continue
        except RecipeError as error:
            document.problems.extend(error.problems)
            continue
        used.add(override)
        _put(document, parts, value, override)
    return used


class UnknownKey(Exception):
    """The stage has no such key."""


def _halves(override: str) -> tuple[str, str]:
    key, equals, value = override.removeprefix("--").partition("=")
    if not equals:
        raise _error(override, f"no value; write `{override}=VALUE`, without a space")
    return key.strip(), value


def key_of(override: str) -> str:
    """The key that an override says, as typed."""
    return _halves(override)[0]


def place(stage: str, key: str, override: str) -> Parts:
    """The place in the recipe that a dotted or short key means.

    Raises:
        RecipeError: a short key means several places, or it is one that can't be overridden.
        UnknownKey: it means none.
    """
    parts = split(key)
    if parts[0] in ("stage", "extends", "resolved"):
        raise _error(override, f"`{parts[0]}` can't be overridden; it says which recipe this is")
    if _exists(stage, parts):
        return parts
    longer = [
        place for each in named(stage, str(parts[0])) if _exists(stage, place := (*split(each.dotted), *parts[1:]))
    ]
    if len(longer) > 1:
        raise _error(override, f"`{key}` may be {listed(map(dotted, longer))}; write the whole name")
    if not longer:
        raise UnknownKey
    return longer[0]


def _exists(stage: str, parts: Parts) -> bool:
    """Whether the schema has the place, or it lies in a mapping that is passed on as it is."""
    for n in range(len(parts), 0, -1):
        key = key_at(stage, parts[:n])
        if key:
            return n == len(parts) or key.holds == "anything"
    return False


def _put(document: Document, parts: Parts, text: str, override: str) -> None:
    read = read_value(text, override, parts)
    document.problems.extend(read.problems.found)
    here: Any = document.data
    for n, part in enumerate(parts):
        entries = len(here) if isinstance(here, list) else 0
        if (isinstance(here, list) or isinstance(part, int)) and not (isinstance(part, int) and part < entries):
            document.problems.extend([_position(override, parts[:n], entries)])
            return
        if n == len(parts) - 1:
            break
        if isinstance(part, str) and not isinstance(here.get(part), dict | list):
            here[part] = [] if isinstance(parts[n + 1], int) else {}
        here = here[part]
    forget(document.marks, parts)
    here[parts[-1]] = read.data["value"]
    document.marks.update(read.marks)


def _position(override: str, parts: Parts, entries: int) -> Problem:
    found = f"`{dotted(parts)}` has {entries} entr{'y' if entries == 1 else 'ies'}"
    example = f"; write `{dotted((*parts, 0))}...` for the first" if entries else ""
    return Problem(origin=Origin(override=override), key="", text=f"{found}{example}")


def unknown(stage: str, override: str) -> Problem:
    """The mistake of an override whose key the stage does not have."""
    key, value = _halves(override)
    parts = split(key)
    if stage == "study" and parts[0] in BY_WHOLE_KEYS and len(parts) > 2:
        return Problem(origin=Origin(override=override), key=key, text=_in_a_mapping(key, value))
    whole = [name for name in keys_of(stage) if name.isascii()]
    of_another = any(dotted(parts) in keys_of(other) for other in RECIPES)  # advice says of which
    near = (
        difflib.get_close_matches(dotted(parts), whole, n=2, cutoff=0.75) if len(parts) > 1 and not of_another else []
    )
    text = f"there is no such key; did you mean {listed(near)}?" if near else advice(stage, parts, value)
    if stage == "study" and (of_another or any(named(other, str(parts[0])) for other in RECIPES)):
        text = f"{text}; for the recipes of all rows: --everywhere {override.removeprefix('--')}"
    text = re.sub(r"`(\w+): ([^`]*)` under `(\w+)`", r"`\3.\1=\2`", text)  # as one types it in a shell
    return Problem(origin=Origin(override=override), key=key, text=text)


BY_WHOLE_KEYS = ("grid", "labels")
"""Of a study: what maps keys of recipes, dots and all."""


def _in_a_mapping(key: str, value: str) -> str:
    mapping, _, inner = key.partition(".")
    written = f'"{inner}"' if "[" in inner else inner  # which opens a list within braces
    instead = shlex.quote(f"{mapping}={{{written}: {value}}}")
    return f"`{inner}` is a single key of `{mapping}`; write {instead}, which stands for the whole `{mapping}`"


def _error(override: str, text: str) -> RecipeError:
    return RecipeError([Problem(origin=Origin(override=override), key="", text=text)])
