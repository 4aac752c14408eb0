"""Which layers an adapter is put on, known from a model's configuration before any weight is loaded."""

import re

import torch
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.pytorch_utils import Conv1D

from zephyr.errors import UserError
from zephyr.recipe.problems import listed
from zephyr.recipe.sections import Adapter

Targets = str | list[str]


def require_targets(adapter: Adapter, base: str, layers: list[str]) -> None:
    """UserError unless every layer that a recipe's adapter names is one of the model's linear layers."""
    named = adapter.target_modules
    missing = [] if isinstance(named, str) else [name for name in named if not targeted(layers, [name])]
    if missing:
        there = sorted({layer.rsplit(".", 1)[-1] for layer in layers})
        raise UserError(
            f"adapter.target_modules: {base} has no linear layer called {listed(missing)}"
            f"; there are {', '.join(there)} (the output layer can't have an adapter).\n"
            "  All of them: adapter.target_modules=all-linear"
        )


def linear_layers(base: str, revision: str | None = None, trust_remote_code: bool = False) -> list[str]:
    """Full names of a model's linear layers without the output's (`model.layers.0.self_attn.q_proj`); no weights."""
    config = AutoConfig.from_pretrained(base, revision=revision or "main", trust_remote_code=trust_remote_code)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=trust_remote_code)
    output = model.get_output_embeddings()
    return [
        name
        for name, layer in model.named_modules()
        if isinstance(layer, torch.nn.Linear | Conv1D) and layer is not output
    ]


def targeted(layers: list[str], wanted: Targets) -> set[str]:
    """The layers that PEFT's `target_modules` means: `all-linear`, a regular expression, or names and ends of names."""
    if wanted == "all-linear":
        return set(layers)
    if isinstance(wanted, str):
        return {layer for layer in layers if re.fullmatch(wanted, layer)}
    return {layer for layer in layers for name in wanted if layer == name or layer.endswith(f".{name}")}
