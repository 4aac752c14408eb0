"""`extends: other.yaml`: a recipe that says only what differs from another."""

from pathlib import Path
from typing import Any

from zephyr.recipe.problems import Origin, Parts, Problem, RecipeError, shown
from zephyr.recipe.reader import Document, Mark, read


def read_extended(file: Path, above: tuple[Path, ...] = ()) -> Document:
    """A recipe file over those that it extends: mappings are merged key by key, lists and values are replaced.

    Every key keeps the file and line that said it. `extends` is relative to the file it stands in.

    Raises:
        RecipeError: a file can't be read, or extends itself.
    """
    document = read(file)
    value = document.data.pop("extends", None)
    mark = document.marks.pop(("extends",), None)
    if mark is None:
        return document
    base = _base(file, value, mark.origin, above)
    return _over(document, read_extended(base, (*above, file)))


def _base(file: Path, value: Any, origin: Origin, above: tuple[Path, ...]) -> Path:
    if not isinstance(value, str):
        raise _error(origin, f"found `{value}`; one path of a recipe is expected, relative to this file")
    base = (file.parent / value).resolve()
    if not base.is_file():
        raise _error(origin, f"there is no `{value}` in {shown(file.parent)}{others(file.parent, value)}")
    if base in (*above, file):
        chain = [*above[(*above, file).index(base) :], file, base]
        raise _error(origin, f"these recipes extend each other in a circle: {' -> '.join(map(shown, chain))}")
    return base


def others(folder: Path, wanted: str) -> str:
    """The recipes that lie where one was looked for, as the end of a sentence."""
    folder = (folder / wanted).parent
    found = sorted(path.name for path in folder.glob("*.yaml")) if folder.is_dir() else []
    return f"; there are {', '.join(found[:8])}" if found else ""


def _error(origin: Origin, text: str) -> RecipeError:
    return RecipeError([Problem(origin=origin, key="extends", text=text)])


def _over(upper: Document, base: Document) -> Document:
    """The upper document's keys over the base's."""
    marks = dict(base.marks)
    data = _merge(base.data, upper.data, (), marks)
    marks.update(upper.marks)
    base.data.pop("resolved", None)
    upper.problems.extend(base.problems.found)
    return Document(data, marks, upper.problems, [*upper.files, *base.files])


def _merge(base: dict[str, Any], upper: dict[str, Any], parts: Parts, marks: dict[Parts, Mark]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in upper.items():
        here = (*parts, key)
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = _merge(merged[key], value, here, marks)
        else:
            forget(marks, here)
            merged[key] = value
    return merged


def forget(marks: dict[Parts, Mark], parts: Parts) -> None:
    """Takes away the marks of a value that is replaced, and of all inside it."""
    for other in [other for other in marks if other[: len(parts)] == parts]:
        del marks[other]
