"""The recipes that come with the toolkit: in a checkout's `recipes/`, or in the wheel."""

from dataclasses import dataclass
from pathlib import Path

import zephyr
from zephyr.errors import UserError
from zephyr.recipe.load import load
from zephyr.recipe.loaded import Loaded, leaves, plain
from zephyr.recipe.problems import shown
from zephyr.recipe.references import names_a_recipe, references
from zephyr.recipe.schema import RECIPES
from zephyr.recipe.study import StudyRecipe
from zephyr.recipe.validate import inside_any

SCHEMA = "recipe.schema.json"


def shipped_recipes() -> Path:
    """The folder of the shipped recipes."""
    package = Path(zephyr.__file__).parent
    for folder in (package / "recipes", package.parents[1] / "recipes"):
        if folder.is_dir():
            return folder
    raise UserError(
        f"the shipped recipes are missing: neither in {package} nor beside it; install zephyr-recipes again"
    )


def recipe_files(folder: Path) -> list[Path]:
    """The recipes under a folder; other YAML (accelerate's, a cluster's) is passed over."""
    return [file for file in sorted(folder.rglob("*.yaml")) if _is_recipe(file)]


def _is_recipe(file: Path) -> bool:
    keys = {line.split(":", 1)[0] for line in file.read_text(errors="replace").splitlines() if ":" in line}
    return bool(keys & {"stage", "extends"}) or len([key for key in keys if inside_any(key)]) > 1


@dataclass(frozen=True, kw_only=True)
class Shipped:
    """One of the shipped recipes, for the list."""

    name: str
    """As it is typed: `mini/sft`."""
    stage: str
    description: str


def all_shipped() -> list[Shipped]:
    """Every shipped recipe: folder by folder, in the method's order."""
    root = shipped_recipes()
    found = []
    for file in recipe_files(root):
        recipe = load(file).recipe
        name = str(file.relative_to(root).with_suffix(""))
        found.append(Shipped(name=name, stage=recipe.stage, description=recipe.description or ""))
    order = list(RECIPES)
    return sorted(found, key=lambda each: (str(Path(each.name).parent), order.index(each.stage), each.name))


def files_of(name: str) -> dict[Path, str]:
    """All that a shipped recipe, or a folder of them, needs: path under the recipes' folder -> text.

    That is the recipe, those that it extends or names, the local files it reads, and the schema for editors.

    Raises:
        UserError: there is none of that name.
    """
    root = shipped_recipes()
    wanted = root / name.removeprefix("recipes/").removesuffix(".yaml").strip("/")
    folder = [file for file in sorted(wanted.rglob("*")) if file.is_file()]
    files = folder or [wanted.with_name(wanted.name + ".yaml")]
    if not files[0].is_file() or not wanted.resolve().is_relative_to(root.resolve()):
        names = [str(file.relative_to(root).with_suffix("")) for file in recipe_files(root)]
        raise UserError(f"there is no shipped recipe `{name}`; there are {', '.join(names)}")
    needed: dict[Path, None] = dict.fromkeys(files)
    for file in files:
        if file.suffix == ".yaml" and _is_recipe(file):
            _gather(load(file), root, needed)
    if (root / SCHEMA).is_file():
        needed[root / SCHEMA] = None
    return {file.relative_to(root): file.read_text() for file in needed}


def _gather(loaded: Loaded, root: Path, needed: dict[Path, None]) -> None:
    for file in loaded.files:
        needed[file] = None
    for each in loaded.inputs:
        _gather(each.loaded, root, needed)
    for source in _local_files(loaded):
        if not (source.is_relative_to(root) and source.is_file()):
            continue
        needed[source] = None
        if loaded.recipe.stage == "study" and source.suffix == ".yaml" and _is_recipe(source):  # no input of its own
            _gather(load(source), root, needed)


def _local_files(loaded: Loaded) -> list[Path]:
    """The files that a recipe names, for a study also those that its rows set."""
    named = [Path(text) for _, text, _ in references(loaded.recipe.stage, plain(loaded.recipe))]
    if not isinstance(loaded.recipe, StudyRecipe):
        return named
    texts = [value for _, value in leaves(plain(loaded.recipe)) if isinstance(value, str)]
    return named + [(loaded.file.parent / text).resolve() for text in texts if names_a_recipe(text)]


def copy(name: str, to: Path) -> list[Path]:
    """Copies a shipped recipe, or a folder of them, with all it needs; returns the files written.

    Raises:
        UserError: a file there differs; nothing is written then.
    """
    texts = {to / path: text for path, text in files_of(name).items()}
    differing = [path for path, text in texts.items() if path.exists() and path.read_text(errors="replace") != text]
    if differing:
        raise UserError(
            f"nothing copied: {', '.join(map(shown, differing))} would be overwritten, and what is there differs; "
            "copy into another folder with `--to`, or move it away"
        )
    written = [path for path in texts if not path.exists()]
    for path in written:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(texts[path])
    return written
