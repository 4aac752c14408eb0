"""The rows that a study's file means: those named, and every combination of its grid."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from zephyr.recipe import Loaded, Origin, RecipeError, load
from zephyr.recipe.problems import Parts, Problems, listed, shown
from zephyr.recipe.study import StudyRecipe
from zephyr.recipe.variant import Variant
from zephyr.study.figures_known import note_unknown_figures
from zephyr.study.keys import find


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A key and its value, as the study says them."""

    key: str
    value: Any
    origin: Origin


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A row as the study's file describes it."""

    name: str
    origin: Origin
    recipe: Path | None = None
    """The recipe of its model; None where `model` is given."""
    model: str | None = None
    """A model that is there already."""
    settings: tuple[Setting, ...] = ()
    point: tuple[tuple[str, Any], ...] = ()
    """For a row of the grid, the label and value of each axis."""


def wanted_rows(loaded: Loaded, everywhere: Sequence[str] = ()) -> tuple[Wanted, ...]:
    """Every row of a study, named ones first.

    Args:
        loaded: the study.
        everywhere: overrides for every recipe of every row.

    Raises:
        RecipeError: contradictions in the study's file, all of them.
    """
    recipe, problems = loaded.recipe, Problems()
    assert isinstance(recipe, StudyRecipe)
    rows = [*_named(loaded, recipe, problems), *_of_grid(loaded, recipe, problems)]
    if not rows and not problems.found:
        if recipe.grid:
            problems.add(_origin(loaded, "exclude"), "exclude", "leaves no row of the grid")
        else:
            problems.add(Origin(file=loaded.file), "", "no row: write `rows`, or `recipe` and `grid`")
    names = [each.name for each in rows]
    _refuse_equal_names(loaded, recipe, rows, problems)
    if recipe.compare_with is not None and recipe.compare_with not in names and rows:
        found = f"found `{recipe.compare_with}`; one of the rows is expected: {listed(names)}"
        problems.add(_origin(loaded, "compare_with"), "compare_with", found)
    _check_keys(recipe, rows, problems)
    evaluate = _readable(Path(recipe.evaluate), tuple(everywhere)) if recipe.evaluate else None
    if evaluate or not recipe.evaluate:  # a recipe that can't be read is refused where it is needed
        note_unknown_figures(loaded, evaluate, problems)
    problems.refuse()
    return tuple(rows)


def _refuse_equal_names(loaded: Loaded, recipe: StudyRecipe, rows: Sequence[Wanted], problems: Problems) -> None:
    """Notes rows of one name, but where axes of the grid are at fault, which was noted with the axes."""
    names, of_grid = [each.name for each in rows], {each.name for each in rows if each.point}
    if any(problem.key.startswith(("grid.", "labels.")) for problem in problems.found):
        return
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        way = "rename the named one" if name in recipe.rows else "write values that a table tells apart"
        place = "grid" if name in of_grid else "rows"
        problems.add(_origin(loaded, place), place, f"two rows would be called `{name}`; {way}")


def _readable(file: Path, everywhere: tuple[str, ...] = ()) -> Loaded | None:
    """A recipe; None where it has mistakes, which are told when the rows are read."""
    try:
        return load(file, everywhere=everywhere, variant=Variant())
    except RecipeError:
        return None


def _check_keys(recipe: StudyRecipe, rows: Iterable[Wanted], problems: Problems) -> None:
    """Notes one key under two names, and a seed beside `seeds`."""
    read, seen = cache(_readable), set[tuple[Path, tuple[str, ...]]]()
    for row in rows:
        keys = tuple(each.key for each in row.settings)
        if row.recipe is None or not keys or (row.point and (row.recipe, keys) in seen):
            continue
        seen.add((row.recipe, keys))
        target, places = read(row.recipe), dict[tuple[Path, Parts], str]()
        for each in row.settings if target else ():
            try:
                place = find(target, each.key, each.origin)  # type: ignore[arg-type]
            except RecipeError:
                continue  # told when the rows are read
            if place in places:
                text = f"`{places[place]}` and `{each.key}` are the same key of {shown(place[0])}; keep one of them"
                problems.add(each.origin, each.key, text)
            elif recipe.seeds and place[1] == ("seed",) and (row.point or place[0] == row.recipe):
                text = "`seeds` gives every recipe its seed, which this one would take back; keep one of the two"
                problems.add(each.origin, each.key, text)
            places.setdefault(place, each.key)


def _named(loaded: Loaded, recipe: StudyRecipe, problems: Problems) -> Iterator[Wanted]:
    for name, row in recipe.rows.items():
        place = f"rows.{name}"
        origin = _origin(loaded, place)
        if row.model is not None and (row.recipe is not None or row.set):
            text = "a model that is there already is made by no recipe; keep `model`, or `recipe` and `set`"
            problems.add(origin, place, text)
        elif row.model is None and row.recipe is None and recipe.recipe is None:
            problems.add(origin, place, "no recipe; write `recipe` here, or one for all rows at the top of the study")
        settings = tuple(
            Setting(key=key, value=value, origin=_origin(loaded, f"{place}.set.{key}"))
            for key, value in row.set.items()
        )
        target = None if row.model is not None else Path(row.recipe or recipe.recipe or "")
        yield Wanted(name=name, origin=origin, recipe=target, model=row.model, settings=settings)


def _of_grid(loaded: Loaded, recipe: StudyRecipe, problems: Problems) -> Iterator[Wanted]:
    if not recipe.grid:
        return
    if recipe.recipe is None:
        problems.add(_origin(loaded, "grid"), "grid", "no `recipe` at the top of the study, which the grid would vary")
        return
    for key, values in recipe.grid.items():
        twice = [value for value in values if values.count(value) > 1]
        if twice or not values:
            found = f"found `{shown_value(twice[0])}` twice; " if twice else ""
            text = f"{found}a list of values that differ is expected"
            problems.add(_origin(loaded, f"grid.{key}"), f"grid.{key}", text)
    _check_known(loaded, recipe, problems)
    labels = {key: recipe.labels.get(key, key) for key in recipe.grid}
    for combination in itertools.product(*recipe.grid.values()):
        point: dict[str, Any] = dict(zip(recipe.grid, combination, strict=True))
        if any(all(point.get(key) == value for key, value in each.items()) for each in recipe.exclude):
            continue
        settings = tuple(
            Setting(key=key, value=value, origin=_origin(loaded, f"grid.{key}[{recipe.grid[key].index(value)}]"))
            for key, value in point.items()
        )
        labelled = tuple((labels[key], value) for key, value in point.items())
        name = ", ".join(f"{label} {shown_value(value)}" for label, value in labelled)
        yield Wanted(name=name, origin=_origin(loaded, "grid"), recipe=Path(recipe.recipe), settings=settings,
                     point=labelled)  # fmt: skip


def _check_known(loaded: Loaded, recipe: StudyRecipe, problems: Problems) -> None:
    """Notes labels of no axis, and exclusions that exclude nothing."""
    for key in recipe.labels:
        if key not in recipe.grid:
            text = f"no axis of the grid, whose axes are {listed(recipe.grid, 'and')}"
            problems.add(_origin(loaded, f"labels.{key}"), f"labels.{key}", text)
    called: dict[str, str] = {}
    for key in recipe.grid:
        label = recipe.labels.get(key, key)
        if label in called:
            at = f"labels.{key}" if key in recipe.labels else f"labels.{called[label]}"
            text = f"`{called[label]}` and `{key}` would both be called `{label}`; labels that differ are expected"
            problems.add(_origin(loaded, at), at, text)
        called.setdefault(label, key)
    for n, each in enumerate(recipe.exclude):
        for key, value in each.items():
            place = f"exclude[{n}].{key}"
            if key not in recipe.grid:
                text = f"no axis of the grid, whose axes are {listed(recipe.grid, 'and')}"
                problems.add(_origin(loaded, place), place, text)
            elif value not in recipe.grid[key]:
                text = f"found `{shown_value(value)}`, which is not among the axis's {listed(recipe.grid[key], 'and')}"
                problems.add(_origin(loaded, place), place, text)


def shown_value(value: Any) -> str:
    """A value of an axis in a row's name."""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, str) and value.startswith("/"):
        return shown(Path(value))
    if isinstance(value, dict):
        return " ".join(f"{key} {shown_value(inner)}" for key, inner in value.items())
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return str(value)


def _origin(loaded: Loaded, key: str) -> Origin:
    """Where the study says a key, or the first thing under it that it says."""
    under = [origin for name, origin in loaded.origins.items() if name.startswith((f"{key}.", f"{key}["))]
    exact = loaded.origins.get(key)
    said = (each for each in ([exact] if exact else []) + under if each != Origin())  # others are the schema's defaults
    return next(said, Origin(file=loaded.file))
