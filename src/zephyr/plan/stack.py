"""Which weights of a run train, which stay as they are, and which are dDPO's reference: decided in one place.

Decided from the recipe and from what it starts from, without torch: the plan shows it, the training follows it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from zephyr.errors import UserError
from zephyr.recipe.loaded import Input
from zephyr.recipe.schema import TrainRecipe
from zephyr.recipe.sections import Adapter, Model

StackName = Literal["full-on-full", "adapter-on-base", "adapter-on-adapter", "full-on-adapter"]
ADAPTER_FILE = "adapter_config.json"
"""What PEFT writes beside an adapter's weights: a directory that holds one is an adapter, not a whole model."""


@dataclass(frozen=True, kw_only=True)
class Stack:
    """How policy and reference are put together; the sentences are for the plan."""

    name: StackName
    """What trains, on what the run starts from."""
    trains: str
    """The weights that the optimizer changes."""
    frozen: str | None
    """Weights in memory that nothing changes, beside the reference; None: there are none."""
    reference: str | None
    """What the policy is compared with in dDPO; None: the stage has no reference."""
    leaves: str
    """What `model/` will hold."""

    def sentences(self) -> dict[str, str]:
        """Label -> sentence, in the order to show."""
        told = {"trains": self.trains, "frozen": self.frozen, "reference": self.reference, "leaves": self.leaves}
        return {label: text for label, text in told.items() if text is not None}


def decide(recipe: TrainRecipe, *, starts_from_adapter: bool) -> Stack:
    """The stack of a recipe that starts from a whole model, or from the adapter that another run left.

    An adapter on an adapter: the loaded one goes on training and, for dDPO, a frozen copy of it is the reference, both
    on the one base. The alternative, to merge the first into the base and put a new one on it, changes the start where
    the base has few bits: nf4 has 16 values per block of 64 weights (QLoRA, arXiv 2305.14314, section 3), so adding a
    small update and rounding again loses most of it, and in bfloat16 what is below 1/256 of a weight. Continuing is
    exact in every precision, the output stands on the same base as the input, and memory is that of one base. Its
    price: rank, scale and layers stay those of the first adapter (`require_same_adapter`).

    Whole weights on an adapter: all weights can only train where they are whole, so the adapter is merged first.
    """
    comparing = recipe.stage == "dpo"
    if recipe.adapter is None:
        merged = ", its adapter merged into them first" if starts_from_adapter else ""
        return Stack(
            name="full-on-adapter" if starts_from_adapter else "full-on-full",
            trains=f"all weights{merged}",
            frozen=None,
            reference="a frozen copy of the start" + (", merged alike" if merged else "") if comparing else None,
            leaves="a whole model",
        )
    base = "the weights below it" + (" (nf4: 4 bits each)" if recipe.model.quantization else "")
    if starts_from_adapter:
        return Stack(
            name="adapter-on-adapter",
            trains=f"the start's {in_words(recipe.adapter)}, continued",
            frozen=base,
            reference="a frozen copy of the start's adapter, on the same weights" if comparing else None,
            leaves="an adapter, on the same base as the start's",
        )
    return Stack(
        name="adapter-on-base",
        trains=f"a new {in_words(recipe.adapter)}",
        frozen=base,
        reference="the same weights with the adapter switched off: no second model" if comparing else None,
        leaves="an adapter, on the start as its base",
    )


def in_words(adapter: Adapter) -> str:
    """`LoRA adapter (r 16, alpha 32) on all linear layers`."""
    named = adapter.target_modules
    layers = "all linear layers" if named == "all-linear" else ", ".join(named)
    method = {"lora": "LoRA", "dora": "DoRA"}[adapter.method]
    return f"{method} adapter (r {adapter.r}, alpha {adapter.lora_alpha:g}) on {layers}"


def stack_of(recipe: TrainRecipe, inputs: Sequence[Input] = ()) -> Stack:
    """The stack of a loaded recipe; `inputs` are its recipes, whose output need not be there yet.

    Raises:
        UserError: the recipe continues the adapter of one of its inputs with another rank, scale or method.
    """
    start = next((each.loaded.recipe for each in inputs if each.field == "model.model_name_or_path"), None)
    if start is None:
        return decide(recipe, starts_from_adapter=is_adapter(recipe.model))
    before = start.adapter if isinstance(start, TrainRecipe) else None
    if recipe.adapter is not None and before is not None:
        saved: dict[str, Any] = {"r": before.r, "lora_alpha": before.lora_alpha, "use_dora": before.method == "dora"}
        require_same_adapter(recipe.adapter, saved, recipe.model.model_name_or_path or "the start")
    return decide(recipe, starts_from_adapter=before is not None)


def is_adapter(model: Model) -> bool:
    """Whether a recipe starts from an adapter: a local directory, or a Hub model as far as it has been downloaded."""
    name = model.model_name_or_path
    if name is None:
        return False
    if Path(name).exists() or Path(name).is_absolute():
        return (Path(name) / ADAPTER_FILE).is_file()
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(name, ADAPTER_FILE, revision=model.revision), str)


def require_same_adapter(wanted: Adapter, saved: dict[str, Any], start: str) -> None:
    """UserError unless a recipe's adapter has the shape of the one it continues.

    Args:
        wanted: the recipe's.
        saved: PEFT's keys of the start's adapter: `r`, `lora_alpha`, `use_dora`.
        start: directory or Hub id of the start, for the message.
    """
    asked = {"r": wanted.r, "lora_alpha": wanted.lora_alpha, "use_dora": wanted.method == "dora"}
    told = {"r": "r", "lora_alpha": "lora_alpha", "use_dora": "method"}
    method = {True: "dora", False: "lora"}
    shown = [
        f"    adapter.{told[key]}: {_shown(key, saved.get(key), method)} there, {_shown(key, value, method)} here"
        for key, value in asked.items()
        if value != saved.get(key, False if key == "use_dora" else None)
    ]
    if shown:
        raise UserError("\n".join([f"{start} is an adapter, which this run continues, but of another shape:", *shown,
            *ways_out(start)]))  # fmt: skip


def ways_out(start: str) -> list[str]:
    """What one can do when an adapter can't be continued as the recipe wants."""
    return [
        "  Ways out:",
        "    continue it:                write the start's values under `adapter`",
        f"    put a new adapter on it:    zephyr merge {start}, then name the merged directory as the model",
    ]


def _shown(key: str, value: Any, method: dict[bool, str]) -> str:
    return method[bool(value)] if key == "use_dora" else f"{value:g}" if isinstance(value, int | float) else str(value)
