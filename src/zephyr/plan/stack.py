"""Which weights of a run train, which stay as they are, and which are dDPO's reference: decided in one place.

Decided from the recipe and from what it starts from, without torch: the plan shows it, the training follows it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from zephyr.recipe.loaded import Input
from zephyr.recipe.schema import TrainRecipe
from zephyr.recipe.sections import Adapter, Model

StackName = Literal["full-on-full", "adapter-on-base", "adapter-on-adapter", "adapter-on-merged", "full-on-adapter"]
Start = Literal["whole", "same adapter", "other adapter"]
"""A whole model, an adapter of the shape that the recipe asks for, or an adapter otherwise."""
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


def decide(recipe: TrainRecipe, start: Start) -> Stack:
    """The stack of a recipe, by what it starts from.

    An adapter on an adapter of the same shape: the loaded one goes on training and, for dDPO, a frozen copy of it is
    the reference, both on the one base. That is exact in every precision, and no second model is kept anywhere. To
    merge the first adapter into 4-bit weights instead would lose it: nf4 has 16 values for a weight (QLoRA, arXiv
    2305.14314, section 3), and a fine-tuning step is mostly smaller than the gaps between them.

    An adapter of another shape (the handbook's dSFT has rank 16, its dDPO 128) can't be the loaded one, so the start is
    merged on disk first, in whole precision, and is then an ordinary base: policy and reference are built on the same
    merged (and, for nf4, newly rounded) weights. The output stands on that merged base, which is kept.

    Whole weights on an adapter: all weights can only train where they are whole, so the adapter is merged first.
    """
    comparing = recipe.stage == "dpo"
    if recipe.adapter is None:
        merged = ", its adapter merged into them first" if start != "whole" else ""
        return Stack(
            name="full-on-adapter" if merged else "full-on-full",
            trains=f"all weights{merged}",
            frozen=None,
            reference="a frozen copy of the start" + (", merged alike" if merged else "") if comparing else None,
            leaves="a whole model",
        )
    bits = " (nf4: 4 bits each)" if recipe.model.quantization else ""
    if start == "same adapter":
        return Stack(
            name="adapter-on-adapter",
            trains=f"the start's {in_words(recipe.adapter)}, continued",
            frozen=f"the weights below it{bits}",
            reference="a frozen copy of the start's adapter, on the same weights" if comparing else None,
            leaves="an adapter, on the same base as the start's",
        )
    other = start == "other adapter"
    return Stack(
        name="adapter-on-merged" if other else "adapter-on-base",
        trains=f"a new {in_words(recipe.adapter)}",
        frozen=("the start, its adapter (of another shape) merged in on disk" if other else "the weights below it")
        + bits,
        reference="the same weights with the adapter switched off: no second model" if comparing else None,
        leaves="an adapter, on the merged start (kept in the run directory)" if other else "an adapter, on the start",
    )


def in_words(adapter: Adapter) -> str:
    """`LoRA adapter (r 16, alpha 32) on all linear layers`."""
    named = adapter.target_modules
    layers = "all linear layers" if named == "all-linear" else ", ".join(named)
    method = {"lora": "LoRA", "dora": "DoRA"}[adapter.method]
    return f"{method} adapter (r {adapter.r}, alpha {adapter.lora_alpha:g}) on {layers}"


def stack_of(recipe: TrainRecipe, inputs: Sequence[Input] = ()) -> Stack:
    """The stack of a loaded recipe, for the plan; `inputs` are its recipes, whose output need not be there yet."""
    start = next((each.loaded.recipe for each in inputs if each.field == "model.model_name_or_path"), None)
    if isinstance(start, TrainRecipe):
        before = start.adapter
        saved = None if before is None else {
            "r": before.r, "lora_alpha": before.lora_alpha, "use_dora": before.method == "dora",
            "target_modules": before.target_modules,
        }  # fmt: skip
    else:
        saved = saved_adapter(recipe.model)
    return decide(recipe, start_of(recipe, saved))


def start_of(recipe: TrainRecipe, saved: dict[str, Any] | None) -> Start:
    """What a recipe starts from; `saved` is PEFT's configuration of an adapter, None for a whole model."""
    if saved is None:
        return "whole"
    return "same adapter" if recipe.adapter is not None and same_shape(recipe.adapter, saved) else "other adapter"


def same_shape(wanted: Adapter, saved: dict[str, Any]) -> bool:
    """Whether a recipe's adapter is of the rank, scale, method and layers of a saved one; dropout may differ.

    Layers are compared where both are lists of names; for the rest see `zephyr.train.targets`.
    """
    numbers = (wanted.r, wanted.lora_alpha, wanted.method == "dora")
    if numbers != (saved.get("r"), saved.get("lora_alpha"), bool(saved.get("use_dora"))):
        return False
    layers = (wanted.target_modules, saved.get("target_modules"))
    return not all(isinstance(each, list) for each in layers) or set(layers[0]) == set(layers[1] or [])


def is_adapter(model: Model) -> bool:
    """Whether a recipe starts from an adapter: a local directory, or a Hub model as far as it has been downloaded."""
    return saved_adapter(model) is not None


def saved_adapter(model: Model) -> dict[str, Any] | None:
    """PEFT's configuration of a recipe's start, local or as far as it has been downloaded; None: no adapter."""
    name = model.model_name_or_path
    if name is None:
        return None
    path: Any = Path(name) / ADAPTER_FILE
    if not Path(name).exists() and not Path(name).is_absolute():
        from huggingface_hub import try_to_load_from_cache

        path = try_to_load_from_cache(name, ADAPTER_FILE, revision=model.revision)
        path = Path(path) if isinstance(path, str) else None
    return json.loads(path.read_text()) if path is not None and path.is_file() else None
