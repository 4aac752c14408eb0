"""What finished runs of a study tell of those that are to do: how many sequences they have, and how long they take."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from zephyr.plan.shape import saved_dtype, shape_of, shape_of_loaded
from zephyr.recipe import EvaluateRecipe, Loaded
from zephyr.recipe.loaded import run_id
from zephyr.recipe.references import of_the_hub
from zephyr.recipe.schema import TrainRecipe
from zephyr.recipe.sections import Model
from zephyr.study.expand import MODEL, STARTS_FROM
from zephyr.study.plan.shared import rows_read
from zephyr.study.plan.takes import Takes

Counts = Callable[[Loaded], dict[str, Any] | None]


def counts_of(finished: Mapping[Path, tuple[Loaded, dict[str, Any]]]) -> Counts:
    """The counts of a training run's data, where a finished run read the same, or the same of another seed.

    Args:
        finished: run directory -> run, and its `result.json`.
    """
    same, alike = dict[str, dict[str, Any]](), dict[str, dict[str, Any]]()
    without: dict[Path, Loaded] = {}

    def other_seed(loaded: Loaded) -> str:
        return repr(rows_read(_unseeded(loaded, without)))

    for loaded, result in finished.values():
        counted = (result.get("data") or {}).get("train")
        if counted and isinstance(loaded.recipe, TrainRecipe):
            same.setdefault(repr(rows_read(loaded)), counted)
            alike.setdefault(other_seed(loaded), counted)

    def find(loaded: Loaded) -> dict[str, Any] | None:
        if not same or not isinstance(loaded.recipe, TrainRecipe):
            return None
        return same.get(repr(rows_read(loaded))) or alike.get(other_seed(loaded))

    return find


def _unseeded(loaded: Loaded, known: dict[Path, Loaded]) -> Loaded:
    """The run as if it and all that it is made from had one and the same seed."""
    if loaded.run_dir not in known:
        inputs = tuple(replace(each, loaded=_unseeded(each.loaded, known)) for each in loaded.inputs)
        recipe: Any = loaded.recipe
        recipe = replace(recipe, seed=0) if hasattr(recipe, "seed") else recipe
        known[loaded.run_dir] = replace(loaded, recipe=recipe, inputs=inputs, run_id=run_id(recipe, inputs))
    return known[loaded.run_dir]


def hours_like(runs: Iterable[tuple[Loaded, Takes]]) -> Callable[[Loaded, Takes], Takes]:
    """A run's hours, where nothing else tells them, from those that the finished runs of its kind took here.

    Of one kind are runs of one recipe file, and of one model where a model trains or answers. Hours go with what is
    to do: sequences of a training, calls and answers of what asks. Where either is not known, so are the hours.
    """
    hours, sizes = dict[Any, float](), dict[Any, float]()
    for loaded, takes in runs:
        size = _size(loaded, takes)
        if takes.hours_from == "measured" and takes.hours is not None and size:
            kind = _kind(loaded)
            hours[kind], sizes[kind] = hours.get(kind, 0.0) + takes.hours, sizes.get(kind, 0.0) + size

    def find(loaded: Loaded, takes: Takes) -> Takes:
        size = _size(loaded, takes)
        if takes.hours is not None or not size or not hours or (kind := _kind(loaded)) not in hours:
            return takes
        return replace(takes, hours=hours[kind] * size / sizes[kind], hours_from="like")

    return find


def _size(loaded: Loaded, takes: Takes) -> float | None:
    """How much a run has to do, to compare runs of one kind by; None where it is not known."""
    if isinstance(loaded.recipe, TrainRecipe):
        return takes.steps * loaded.recipe.train.global_batch_size if takes.steps else None
    return (takes.calls or 0) + (takes.answers or 0) or 1


def _kind(loaded: Loaded) -> tuple[Any, ...]:
    recipe = loaded.recipe
    if isinstance(recipe, TrainRecipe):
        return loaded.file, _model(loaded), recipe.adapter is None
    return (loaded.file, _answering(loaded, recipe)) if isinstance(recipe, EvaluateRecipe) else (loaded.file,)


def _model(loaded: Loaded) -> Any:
    """The shape of a training run's model; where nothing here tells it, the model that its chain starts from."""
    shape, model = shape_of_loaded(loaded), loaded.recipe.model  # type: ignore[union-attr]
    if shape is not None:
        return shape
    before = next((each.loaded for each in loaded.inputs if each.field == STARTS_FROM), None)
    return _model(before) if before else (model.model_name_or_path, model.revision)


def _answering(loaded: Loaded, recipe: EvaluateRecipe) -> Any:
    """The same of the model that is evaluated."""
    made = next((each.loaded for each in loaded.inputs if each.field == f"models.{MODEL}"), None)
    if made is not None:
        shape = shape_of_loaded(made)
        return replace(shape, dtype=saved_dtype(made, shape)) if shape else _model(made)
    name, revision = of_the_hub(recipe.models[MODEL])
    model = Model(model_name_or_path=name, revision=revision)  # type: ignore[call-arg]
    return shape_of(model) or (name, revision)
