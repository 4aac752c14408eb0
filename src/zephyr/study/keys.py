"""What a key of a study means: a place in the recipe that a row is about, or in one that it is made from."""

import difflib
from collections.abc import Set
from pathlib import Path

from zephyr.recipe import Loaded, Origin, Problem, RecipeError
from zephyr.recipe.keys import keys_of
from zephyr.recipe.overrides import UnknownKey, place
from zephyr.recipe.problems import Parts, listed, shown


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
            raise _error(origin, _no_such_key(key, {first: recipes[named[0]]}, loaded)) from None
        except RecipeError as error:
            raise _error(origin, error.problems[0].text) from None
    raise _error(origin, _no_such_key(key, {file.stem: each for file, each in recipes.items()}, loaded))


def _no_such_key(key: str, recipes: dict[str, Loaded], loaded: Loaded) -> str:
    """The sentence for a key that no recipe of the chain has."""
    known = {f"{name}.{each}": None for name, found in recipes.items() for each in _writable(found)}
    known |= dict.fromkeys(_writable(loaded)) if loaded.file.stem in recipes else {}
    leaf = key.rpartition(".")[2]
    leaves = difflib.get_close_matches(leaf, {each.rpartition(".")[2] for each in known}, n=1, cutoff=0.7)
    same_leaf = [each for each in known if leaves and each.rpartition(".")[2] == leaves[0]]
    near = difflib.get_close_matches(key, known, n=2, cutoff=0.75) or difflib.get_close_matches(key, same_leaf, 2, 0)
    if near:
        return f"`{key}` is no key of {shown(loaded.file)} or of what it is made from; did you mean {listed(near)}?"
    return (
        f"`{key}` is no key of {shown(loaded.file)}, nor does it begin with a recipe that this one is made from: "
        f"{listed(dict.fromkeys(recipes))}; `zephyr plan` shows a recipe's keys"
    )


def _writable(loaded: Loaded) -> list[str]:
    """The keys of a recipe that one can set."""
    return [key for key in keys_of(loaded.recipe.stage) if "[" not in key and "*" not in key and key != "stage"]


def _error(origin: Origin, text: str) -> RecipeError:
    return RecipeError([Problem(origin=origin, key="", text=text)])
