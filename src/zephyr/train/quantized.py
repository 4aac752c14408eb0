"""Frozen weights in 4 bits (QLoRA, arXiv 2305.14314), by bitsandbytes."""

import os
from importlib.util import find_spec

import torch
from transformers import BitsAndBytesConfig

from zephyr.errors import UserError
from zephyr.recipe.schema import TrainRecipe


def require_quantization() -> None:
    """UserError when bitsandbytes is not installed, or the weights would have to be sharded."""
    if find_spec("bitsandbytes") is None:
        raise UserError(
            "`model.quantization: nf4` needs the package bitsandbytes, which is not installed.\n"
            "  pip install 'zephyr-recipes[train,qlora]', or keep the weights whole: model.quantization=null"
        )
    zero3 = os.environ.get("ACCELERATE_DEEPSPEED_ZERO_STAGE") == "3"
    if zero3 or os.environ.get("ACCELERATE_USE_FSDP") == "true":
        raise UserError(
            f"`model.quantization: nf4` under {'ZeRO-3' if zero3 else 'FSDP'}: 4-bit weights are not sharded here.\n"
            "  A 4-bit base is small, so each process can hold it: launch.strategy=ddp (or zero2)\n"
            "  or keep the weights whole: model.quantization=null"
        )


def quantization(recipe: TrainRecipe) -> BitsAndBytesConfig | None:
    """4-bit NormalFloat with doubly quantised constants (QLoRA, arXiv 2305.14314, section 3); None: as they are."""
    if recipe.model.quantization is None:
        return None
    return nf4(torch.bfloat16 if recipe.train.bf16 else torch.float32)


def nf4(compute: torch.dtype) -> BitsAndBytesConfig:
    """Weights in nf4, products in `compute`."""
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute,
    )


def differentiable(model: torch.nn.Module) -> None:
    """Keeps bitsandbytes off its CPU kernel that has no backward pass.

    On CPUs with AVX512-bf16 the first forward pass in evaluation repacks a `Linear4bit` for good (0.50.2,
    `nn/modules.py`); `matmul_4bit` then takes `gemv_4bit`, through which no gradient flows, in training too.
    """
    for layer in model.modules():
        if hasattr(layer, "support_avx512bf16_for_cpu"):
            layer.support_avx512bf16_for_cpu = False  # type: ignore[assignment]
