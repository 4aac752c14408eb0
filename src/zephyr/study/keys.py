"""What a key of a study means: a place in the recipe that a row is about, or in one that it is made from."""

import difflib
import re
from collections.abc import Iterable, Sequence, Set
from pathlib import Path
from typing import Any

from zephyr.recipe import Loaded, Origin, Problem, RecipeError, renamed
from zephyr.recipe.carried import scalar_text
from zephyr.recipe.keys import ANY, ITEM, key_at, keys_of
from zephyr.recipe.overrides import UnknownKey, place
from zephyr.recipe.problems import Parts, dotted, listed, shown

MOST_LISTED = 6
"""Recipes of a chain that an error lists."""


def chain(loaded: Loaded, keep: Set[Path] = frozenset()) -> dict[Path, Loaded]:
    """The recipe and all that it is made from, the nearest first: file -> recipe; not by way of the files in `keep`."""
    found: dict[Path, Loaded] = {}
    level = [loaded]
    while level:
        level = [each for each in level if each.file not in keep]
        found |= {each.file: each for each in level if each.file not in found}
        level = [item.loaded for each in level for item in each.inputs if item.loaded.file not in found]
    return found


def find(loaded: Loaded, key: str, origin: Origin) -> tuple[Path, Parts]:
    """The recipe file and the place in it that a key means.

    Args:
        loaded: the recipe that a row is about.
        key: `train.beta`, the short `beta`, or either behind the file name of a recipe that it is made from:
            `sft.train.num_train_epochs`.
        origin: where the key stands, for the error.

    Raises:
        RecipeError: it means no place, or several; with the nearest keys.
    """
    recipes = chain(loaded)
    try:
        return loaded.file, place(loaded.recipe.stage, key, key)
    except UnknownKey:
        pass
    except RecipeError as error:
        raise _error(origin, error.problems[0].text) from None
    first, _, rest = key.partition(".")
    named = [file for file in recipes if file.stem == first]
    if rest and len(named) > 1:
        raise _error(
            origin, f"`{first}` may be {listed(map(shown, named))}; they need names of their own to be told apart"
        )
    if rest and named:
        try:
            return named[0], place(recipes[named[0]].recipe.stage, rest, rest)
        except UnknownKey:
            raise _error(origin, _no_such_key(rest, recipes[named[0]], f"{first}.")) from None
        except RecipeError as error:
            raise _error(origin, error.problems[0].text) from None
    if named:
        raise _error(origin, f"`{key}` is a recipe: a key of it is expected behind its name, as `{key}.seed`")
    others = [each for each in recipes.values() if each is not loaded]
    raise _error(origin, _no_such_key(key, loaded, "", others, _misspelt(first, rest, recipes.values())))


def refuse_section(loaded: Loaded, parts: Parts, value: Any, key: str, origin: Origin) -> None:
    """RecipeError for a section given whole, whose other keys would silently fall back to their defaults.

    Args:
        loaded: the recipe that the key is found in.
        parts: the place in it.
        value: what it would be set to.
        key: as the study says it.
        origin: where.
    """
    known = key_at(loaded.recipe.stage, parts)
    if not isinstance(value, dict) or known is None or known.holds != "section":
        return
    if known.may_be_null or ANY in known.dotted or known.dotted.endswith(ITEM):
        return
    ways = ", ".join(f"`{key}.{inner}: {_in_a_line(given)}`" for inner, given in value.items())
    text = f"would replace the whole section `{dotted(parts)}` of {shown(loaded.file)}; write {ways or 'its keys'}"
    raise RecipeError([Problem(origin=origin, key=key, text=text)])


def _in_a_line(value: Any) -> str:
    return "..." if isinstance(value, dict | list) else scalar_text(value)


def _misspelt(name: str, key: str, recipes: Iterable[Loaded]) -> list[str]:
    """Keys that are meant if the recipe before them is misspelt."""
    stems = {each.file.stem: each for each in recipes}
    near = difflib.get_close_matches(name, stems, n=2, cutoff=0.65) if key else []
    return [f"{stem}.{known}" for stem in near for known in _near(key, _writable(stems[stem]))[:1]]


def _no_such_key(
    key: str, loaded: Loaded, prefix: str, others: Sequence[Loaded] = (), meant: Sequence[str] = ()
) -> str:
    """The sentence for a key that a recipe has not, nor those that it is made from.

    Args:
        key: what was written, without the name of the recipe.
        loaded: the recipe.
        prefix: its name with a dot, where that was written.
        others: those that it is made from.
        meant: keys that are meant in any case.
    """
    section, _, leaf = key.rpartition(".")
    text = f"`{prefix}{key}` is no key of {shown(loaded.file)}{' or of what it is made from' if others else ''}"
    own = _writable(loaded)
    known_elsewhere = leaf in renamed.KEYS and "." not in section and leaf not in map(_leaf, own)
    if known_elsewhere and not meant:
        sentence = re.sub(": {value}", "", renamed.KEYS[leaf]).format()
        return f"{text}; " + re.sub(r"`(?=\w+[.])", f"`{prefix}", sentence)
    near = list(meant) or [f"{prefix}{each}" for each in _near(key, own)]
    near = near or _near(key, [f"{each.file.stem}.{known}" for each in others for known in _writable(each)])
    if near:
        return f"{text}; did you mean {listed(near)}?"
    if others:
        names = list(dict.fromkeys(each.file.stem for each in others))
        more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
        text += f": {', '.join(f'`{each}`' for each in names[:MOST_LISTED])}{more}"
    return f"{text}; `zephyr schema` lists all keys"


def _near(key: str, known: Sequence[str]) -> list[str]:
    """Keys that may be meant: spelled alike, or whose last word has all parts of this one's, or is spelled alike."""
    whole = difflib.get_close_matches(key, known, n=2, cutoff=0.75)
    if whole:
        return whole
    leaf = key.rpartition(".")[2]
    longer = [each for each in known if set(leaf.split("_")) <= set(_leaf(each).split("_"))]
    leaves = difflib.get_close_matches(leaf, {_leaf(each): None for each in known}, n=1, cutoff=0.7)
    return difflib.get_close_matches(key, longer or [each for each in known if _leaf(each) in leaves], n=2, cutoff=0)


def _leaf(key: str) -> str:
    return key.rpartition(".")[2]


def _writable(loaded: Loaded) -> list[str]:
    """The keys of a recipe that one can set, sections apart: their values are what one varies."""
    keys = keys_of(loaded.recipe.stage).values()
    found = [each.dotted.replace(ITEM, "[0]") for each in keys if each.holds != "section" or each.may_be_null]
    return [key for key in found if ANY not in key and not key.endswith("]") and key != "stage"]


def _error(origin: Origin, text: str) -> RecipeError:
    return RecipeError([Problem(origin=origin, key="", text=text)])
