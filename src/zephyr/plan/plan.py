"""`zephyr plan`: what a run will do, from the recipe and its data alone."""

import json
import os
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, cast

from zephyr.errors import UserError
from zephyr.plan.batch import Batch, Steps, batch_of, steps_of
from zephyr.plan.calls import Calls, calls_of
from zephyr.plan.calls import as_json as calls_as_json
from zephyr.plan.choose import Choice, choose
from zephyr.plan.needs import lacking, refuse_missing
from zephyr.plan.reckon import NOTHING_KNOWN, Reckoning, reckon
from zephyr.plan.shape import shape_of_loaded
from zephyr.plan.stack import Stack, stack_of
from zephyr.recipe import Loaded
from zephyr.recipe.problems import shown
from zephyr.recipe.schema import TrainRecipe
from zephyr.recipe.variant import run_id_in
from zephyr.run import missing_inputs, status

COUNTED_AT_ONCE_BYTES = 50_000_000
"""Local data up to this size is prepared by `plan` itself (seconds, and the run then finds it done)."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What `zephyr plan` shows."""

    loaded: Loaded
    state: str
    """`new`, `interrupted`, `finished`, `taken` by the run of another recipe, or `outdated`: made of other files."""
    missing: list[Loaded] = field(default_factory=list)
    """Recipes to run first, in order."""
    batch: Batch | None = None
    steps: Steps | None = None
    choice: Choice | None = None
    """Strategy, micro-batch and recomputation, `auto` resolved."""
    stack: Stack | None = None
    """Which weights train, which are frozen, which are the reference."""
    reckoning: Reckoning | None = None
    """Memory, hours, cost, disk; None where nothing on this machine tells the model's shape."""
    counts: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Split -> rows, sequences, tokens, what was dropped or truncated."""
    calls: Calls | str | None = None
    """What models will be asked, or why that is not known; None for a stage that asks none."""
    uncounted: str | None = None
    """Why the data could not be counted, and what would make it countable."""
    lacks: list[str] = field(default_factory=list)
    """What it and the recipes to run first would still need here: files that may come, keys of endpoints."""


def make_plan(loaded: Loaded, *, count: bool = False) -> Plan:
    """Plans a run; with `count` the data is downloaded and prepared whatever its size.

    Raises:
        UserError: the global batch does not divide, what can only be local is not there, of this recipe or of one to
            run first, or the run directory of an input holds another recipe.
    """
    missing = missing_inputs(loaded)
    state = _state(loaded)
    recipe = loaded.recipe
    to_do = [*missing, loaded] if state != "finished" else []
    refuse_missing(*to_do)
    lacks = list(dict.fromkeys(text for each in to_do for text in lacking(each)))
    if not isinstance(recipe, TrainRecipe):
        return Plan(loaded=loaded, state=state, missing=missing, calls=calls_of(loaded), lacks=lacks)
    shape = shape_of_loaded(loaded)
    stack = stack_of(recipe, loaded.inputs)
    batch, choice = batch_of(recipe, shape=shape, stack=stack), choose(recipe, shape=shape, stack=stack)
    counts, uncounted = _counts(loaded, recipe, state, missing, count=count)
    sequences = counts["train"]["sequences"] if counts else recipe.expect.sequences
    steps = steps_of(recipe, sequences) if sequences else None
    reckoning = reckon(recipe, choice, shape, stack, counts.get("train")) if shape else None
    return Plan(
        loaded=loaded, state=state, missing=missing, batch=batch, steps=steps, choice=choice, stack=stack,
        reckoning=reckoning, counts=counts, uncounted=uncounted, lacks=lacks,
    )  # fmt: skip


def _state(loaded: Loaded) -> str:
    try:
        return status(loaded)
    except UserError:  # a plan spends nothing, so it is shown; `run` will refuse and say what differs
        return "outdated" if run_id_in(loaded.run_dir) == loaded.run_id else "taken"


def _counts(
    loaded: Loaded, recipe: TrainRecipe, state: str, missing: list[Loaded], *, count: bool
) -> tuple[dict[str, dict[str, Any]], str | None]:
    if state == "finished":
        return json.loads((loaded.run_dir / "result.json").read_text())["data"], None
    if missing:
        return {}, "known once the inputs below are there"
    from zephyr.data import prepare, stored

    absent = _absent(recipe)
    if absent and not count:
        return {}, f"not on this machine: {', '.join(absent)}; {_count_hint(loaded)}"
    found = None if absent else stored(recipe)
    if found is None and not count and (size := _bytes(recipe)) > COUNTED_AT_ONCE_BYTES:
        return {}, f"{size / 1e6:,.0f} MB not counted yet; {_count_hint(loaded)}"
    found = found or prepare(recipe).counts
    return {split: asdict(each) for split, each in found.items()}, None


def _count_hint(loaded: Loaded) -> str:
    return f"`zephyr plan {shown(loaded.file)} --count` fetches and counts now, the run otherwise"


def _absent(recipe: TrainRecipe) -> list[str]:
    """What the data needs from the Hub: nothing is asked there unless the user says so."""
    named = [each.path for each in (*recipe.data.train, *recipe.data.eval)]
    named.append(recipe.model.tokenizer_name_or_path or recipe.model.model_name_or_path or "")
    return [name for name in dict.fromkeys(named) if not Path(name).exists()]


def _bytes(recipe: TrainRecipe) -> int:
    return sum(_size(Path(each.path)) for each in (*recipe.data.train, *recipe.data.eval))


def _size(path: Path) -> int:
    return (
        sum(each.stat().st_size for each in path.rglob("*") if each.is_file()) if path.is_dir() else path.stat().st_size
    )


def as_json(plan: Plan) -> dict[str, Any]:
    """The plan for programs: flat figures first, then where every value came from."""
    train = plan.counts.get("train", {})
    batch = asdict(plan.batch) if plan.batch else {}
    steps = asdict(plan.steps) if plan.steps else {"steps": None, "steps_per_epoch": None, "warmup_steps": None}
    loaded = plan.loaded
    return {
        "stage": loaded.recipe.stage,
        "recipe": str(loaded.file),
        "run_dir": str(loaded.run_dir),
        "run_id": loaded.run_id,
        "state": plan.state,
        **(batch | steps if plan.batch else {}),
        **({"tokens": train.get("tokens"), "counted": bool(train)} if plan.batch else {}),
        **(_reckoned(plan) if plan.batch else {}),
        **calls_as_json(plan.calls),
        "lacks": plan.lacks,
        "data": plan.counts,
        "inputs": [
            {"field": each.field, "recipe": str(each.loaded.file), "path": str(each.path),
             "present": each.loaded.run_dir not in {m.run_dir for m in plan.missing}}
            for each in loaded.inputs
        ],
        "values": {key: {"value": value, "from": _origin(loaded, key)}
                   for key, value in flat(_values(loaded)).items()},
    }  # fmt: skip


def _reckoned(plan: Plan) -> dict[str, Any]:
    choice = asdict(plan.choice) if plan.choice else {}
    figures = plan.reckoning.as_json() if plan.reckoning else NOTHING_KNOWN
    return {**choice, **figures, "stack": plan.stack.sentences() if plan.stack else {}}


def _origin(loaded: Loaded, key: str) -> str:
    """Where a value is from, as seen from the recipe's folder: `dpo.yaml:16`, `../dpo.yaml:19`, `override`."""
    origin = loaded.origins.get(key)
    if origin is None or origin.file is None or origin.file == loaded.file:
        return str(origin or "default")
    return f"{Path(os.path.relpath(origin.file, loaded.file.parent)).as_posix()}:{origin.line}"


def _values(loaded: Loaded) -> dict[str, Any]:
    return {each.name: _plain(getattr(loaded.recipe, each.name)) for each in fields(cast(Any, loaded.recipe))}


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value


def flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted key -> value, lists by index: `data.train[0].path`."""
    if isinstance(tree, dict) and tree:
        items = [(f"{prefix}.{key}" if prefix else str(key), value) for key, value in tree.items()]
    elif isinstance(tree, (list, tuple)) and tree:
        items = [(f"{prefix}[{index}]", value) for index, value in enumerate(tree)]
    else:
        return {prefix: tree}
    return {key: value for name, branch in items for key, value in flat(branch, name).items()}
