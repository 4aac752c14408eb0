"""Products of float32 matrices on a CPU, by the faster of the two libraries that PyTorch brings along.

PyTorch asks MKL, which keeps AVX-512 for Intel's processors; on one of AMD's that has it, oneDNN takes half the time
(benchmarks/README.md). The sums are the same up to the order of their terms. On other hardware nothing changes.
"""

import functools
import math
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

SMALLEST = 32
"""Rows and columns from which oneDNN's longer way to the kernel pays; a generated token's are fewer."""
LEAST = 2**24
"""Multiplications from which it pays: oneDNN makes code for each shape that it has not seen, in about 0.3 ms, and rows
of dDPO hardly ever have the same length twice."""


@functools.cache
def onednn_is_faster() -> bool:
    """Whether this processor is one for which MKL leaves AVX-512 out."""
    if torch.backends.cpu.get_cpu_capability() != "AVX512" or not torch.backends.mkldnn.is_available():
        return False
    described = Path("/proc/cpuinfo")
    return described.is_file() and "AuthenticAMD" in described.read_text() and _onednn() is not None


@functools.cache
def _onednn() -> Callable[..., Tensor] | None:
    """The operator of torch's compiler that takes float32 products to oneDNN; None: this torch has it no more."""
    try:
        return torch.ops.mkldnn._linear_pointwise.default
    except AttributeError:
        return None


def product(left: Tensor, right: Tensor) -> Tensor:
    """`left @ right.T` of float32 matrices, without gradient; shapes (m, k) and (n, k) -> (m, n)."""
    if not _worth(len(left), len(right), left.shape[1]):
        return left @ right.t()
    kernel = _onednn()
    assert kernel is not None
    return kernel(left, right, None, "none", [], "")


def _worth(*sizes: int) -> bool:
    """Whether a product of these three sizes is one for oneDNN; in any order, so that its gradients are too."""
    return onednn_is_faster() and min(sizes) >= SMALLEST and math.prod(sizes) >= LEAST


def product_over_rows(left: Tensor, right: Tensor) -> Tensor:
    """`left.T @ right` of float32 matrices, without gradient: a weight's gradient; shapes (m, n), (m, k) -> (n, k)."""
    if left.shape[1] <= right.shape[1] or not _worth(len(left), left.shape[1], right.shape[1]):
        return product(left.t(), right.t())
    return product(right.t(), left.t()).t().contiguous()  # the narrower side first is the faster way round


class _Linear(torch.autograd.Function):
    """`functional.linear` of a matrix; its bias apart."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(rows, weight)
        return product(rows, weight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        rows, weight = ctx.saved_tensors
        of_rows = product(gradient, weight.t()) if ctx.needs_input_grad[0] else None
        return of_rows, product_over_rows(gradient, rows) if ctx.needs_input_grad[1] else None


def speed_up_linear_layers(model: torch.nn.Module) -> None:
    """Takes a model's linear layers to the faster library, where there is one: training on this CPU, in float32."""
    if not onednn_is_faster():
        return
    for layer in model.modules():
        if type(layer) is torch.nn.Linear:
            layer.forward = types.MethodType(_linear, layer)  # type: ignore[method-assign]


def _linear(layer: torch.nn.Linear, inputs: Tensor) -> Tensor:
    weight, width = layer.weight, inputs.shape[-1]
    rows = inputs.numel() // max(width, 1)
    whole = inputs.dtype == weight.dtype == torch.float32 and inputs.device.type == weight.device.type == "cpu"
    if not whole or weight.dim() != 2 or not _worth(rows, *weight.shape) or torch.is_autocast_enabled("cpu"):
        return functional.linear(inputs, weight, layer.bias)
    found = _Linear.apply(inputs.reshape(rows, width), weight).view(*inputs.shape[:-1], weight.shape[0])
    return found if layer.bias is None else found + layer.bias
