"""What the words of a command line name: a recipe, or the directory of a run."""

import argparse
import difflib
from pathlib import Path

from zephyr.errors import UserError
from zephyr.recipe import Loaded, RecipeError, load
from zephyr.recipe.references import is_run_directory
from zephyr.recipe.shipped import shipped_recipes


def find(name: str) -> Path:
    """The recipe file meant: a path, or the name of a shipped recipe."""
    path = Path(name)
    if path.exists():
        return path
    shipped = shipped_recipes()
    known = {str(each.relative_to(shipped).with_suffix("")): each for each in sorted(shipped.rglob("*.yaml"))}
    wanted = name.removeprefix("recipes/").removesuffix(".yaml")
    if wanted in known:
        return known[wanted]
    raise UserError(_not_found(name, list(known)))


def _not_found(name: str, known: list[str]) -> str:
    path = Path(name)
    beside = {each.stem: str(each) for each in sorted(path.parent.glob("*.yaml"))}
    near = [beside[stem] for stem in difflib.get_close_matches(path.stem, beside, n=2, cutoff=0.75)]
    near = near or difflib.get_close_matches(
        name.removeprefix("recipes/").removesuffix(".yaml"), known, n=3, cutoff=0.5
    )
    hint = f"  Did you mean {' or '.join(near)}?\n" if near else ""
    return f"{name}: no such recipe file, and no shipped recipe of that name.\n{hint}  All shipped ones: zephyr recipes"


def load_named(arguments: argparse.Namespace) -> Loaded:
    """The recipe of a command line, with its overrides."""
    recipe = find(arguments.recipe)
    if arguments.outputs and arguments.outputs.exists() and not arguments.outputs.is_dir():
        raise UserError(f"--outputs {arguments.outputs}: is a file; a directory is expected, or one to be made")
    return load(recipe, arguments.overrides, everywhere=arguments.everywhere, outputs=arguments.outputs)


def names_a_run(arguments: argparse.Namespace) -> bool:
    """Whether a command line names the directory of a run, or the resolved recipe in one, instead of a recipe."""
    path = Path(arguments.recipe)
    return is_run_directory(path) or (path.name == "recipe.yaml" and is_run_directory(path.parent))


def load_if_any(arguments: argparse.Namespace) -> Loaded | None:
    """The recipe of a command line; None where it names neither a recipe nor the directory of a run."""
    path = Path(arguments.recipe)
    if path.is_dir() and not is_run_directory(path):
        return None
    if names_a_run(arguments) and (arguments.overrides or arguments.everywhere):
        raise UserError(f"{arguments.recipe}: found `{(arguments.overrides + arguments.everywhere)[0]}` beside the "
                        "directory of a run, which is reported as it was run; name its recipe instead")  # fmt: skip
    try:
        return load_named(arguments)
    except RecipeError:
        raise
    except UserError:
        return None  # that no run is there is said with what there is


def words_of(arguments: argparse.Namespace) -> list[str]:
    """The recipe, overrides and shared options, as they go to another `zephyr run` of the same recipe."""
    everywhere = [word for pair in arguments.everywhere for word in ("--everywhere", pair)]
    outputs = ["--outputs", str(arguments.outputs)] if arguments.outputs else []
    return [arguments.recipe, *arguments.overrides, *everywhere, *outputs]


def run_directory(name: str) -> Path:
    """The directory that a command line names: itself, or that of a recipe's run."""
    if Path(name).is_dir():
        return Path(name).resolve()
    try:
        return load(find(name)).run_dir
    except RecipeError:
        raise
    except UserError:
        return Path(name).resolve()  # that no run is there is said with what there is
