"""What `zephyr check` and `zephyr recipes` do."""

from collections.abc import Callable, Sequence
from pathlib import Path

from zephyr.recipe.load import load
from zephyr.recipe.loaded import Loaded
from zephyr.recipe.problems import RecipeError, shown
from zephyr.recipe.shipped import all_shipped, copy, recipe_files, shipped_recipes

__all__ = ["check", "copy_recipe", "list_recipes", "shipped_recipes"]


def check(
    paths: Sequence[str | Path], overrides: Sequence[str] = (), *, of_study: Callable[[Loaded], object] | None = None
) -> int:
    """Prints one line for each good recipe and every mistake of the others; returns the exit status.

    Args:
        paths: recipe files; a folder stands for the recipes in it.
        overrides: `key=value` as typed, for every one of them.
        of_study: reads all that a study's rows mean, and raises RecipeError for what is wrong with them.
    """
    files = [file for path in map(Path, paths) for file in (recipe_files(path) if path.is_dir() else [path])]
    if not files:
        print(f"no recipe in {', '.join(map(str, paths))}")
        return 1
    mistakes: dict[str, None] = {}
    for file in files:
        try:
            loaded = load(file, overrides)
            if of_study and loaded.recipe.stage == "study":
                of_study(loaded)
        except RecipeError as error:
            of_many = f"{shown(file.resolve())}: " if len(files) > 1 else ""
            said = (f"{of_many if each.origin.override else ''}{each}" for each in error.problems)
            mistakes.update(dict.fromkeys(said))
        else:
            print(f"{file}: right; stage {loaded.recipe.stage}, run directory {shown(loaded.run_dir)}")
    for line in mistakes:
        print(line)
    if mistakes:
        print(f"{len(mistakes)} mistake{'s' if len(mistakes) > 1 else ''}")
    return 1 if mistakes else 0


def list_recipes() -> int:
    """Prints the shipped recipes, one a line: name, stage, what it is."""
    found = all_shipped()
    width = max((len(each.name) for each in found), default=0)
    for each in found:
        print(f"{each.name:<{width}}  {each.stage:<9} {each.description}".rstrip())
    print("\nCopy one here, with all that it needs: zephyr recipes NAME")
    return 0


def copy_recipe(name: str, to: Path) -> int:
    """Copies a shipped recipe, or a folder of them, and prints what was written."""
    written = copy(name, Path(to))
    for path in written:
        print(f"wrote {shown(path)}")
    if not written:
        print(f"{name} is in {shown(Path(to))} already, unchanged")
    return 0
