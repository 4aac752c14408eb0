"""Where a run's time goes, and how much of what it computes is real: a mixin for TRL's trainers, and MFU."""

import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from zephyr.plan.devices import DEVICES, Device
from zephyr.plan.shape import Shape

KINDS = ("data", "evaluation", "saving")
"""What takes time beside the steps themselves."""


class Metered:
    """Times loading, evaluating and saving; adds `tokens/padded` and `tokens/computed` to each step's metrics.

    Both are shares of the real tokens (prompt and answer of both sides in dDPO): what rows padded to the longest of
    their micro-batch come to, and what is really computed; below 1 where a prompt is computed once for two answers.
    """

    _metrics: Any
    _unpadded: Any = ()
    spent: Counter[str]

    @contextmanager
    def _timed(self, kind: str) -> Iterator[None]:
        started = time.monotonic()
        try:
            yield
        finally:
            self.__dict__.setdefault("spent", Counter())[kind] += time.monotonic() - started

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        """transformers' own: the micro-batches of a step."""
        with self._timed("data"):
            batches, items = super().get_batch_samples(*args, **kwargs)  # type: ignore[misc]
        if batches and "attention_mask" in batches[0]:
            padded = sum(batch["attention_mask"].numel() for batch in batches)
            real = float(sum(batch["attention_mask"].sum() for batch in batches))
            computed = float(sum(map(_tokens_with_one_prompt, batches))) if self._unpadded else padded
            self._metrics["train"]["tokens/padded"].append(padded / real)
            self._metrics["train"]["tokens/computed"].append(computed / real)
        return batches, items

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        """transformers' own."""
        with self._timed("evaluation"):
            return super().evaluation_loop(*args, **kwargs)  # type: ignore[misc]

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        with self._timed("saving"):
            super()._save_checkpoint(*args, **kwargs)  # type: ignore[misc]


def _tokens_with_one_prompt(batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Real tokens of a padded batch; of pairs, the prompts of the rejected half left out."""
    if "completion_mask" not in batch:
        return batch["attention_mask"].sum()
    prompts = batch["attention_mask"] * (1 - batch["completion_mask"])
    return batch["attention_mask"].sum() - prompts[len(prompts) // 2 :].sum()


def device_here() -> Device | None:
    """The GPU that torch finds, as the plan knows it; None: no GPU, or none whose peak is known."""
    return device_named(torch.cuda.get_device_name()) if torch.cuda.is_available() else None


def device_named(name: str) -> Device | None:
    """`NVIDIA A100-SXM4-80GB` -> the plan's figures of an A100; None for an H100 or H200 of a slower kind."""
    words = re.findall(r"[a-z0-9]+", name.lower())
    if {"h100", "h200"} & set(words) and {"pcie", "nvl"} & set(words):
        return None  # their peaks are below that of SXM, which the plan has
    for key, device in DEVICES.items():
        family = key.split("-")[:-1]  # without the memory
        if all(word in words for word in family):
            return device
    return None


def flops_per_token(shape: Shape, length: float, adapter: bool) -> float:
    """Operations of a training step per token that is computed, in sequences of `length` tokens.

    2 per weight in a product forward and 4 x layers x width x half the length in attention (Kaplan et al., arXiv
    2001.08361, section 2.1); twice that backward, or once where frozen weights take no gradient. Recomputation does not
    count.
    """
    forward = 2 * shape.in_products + 4 * shape.layers * shape.heads * shape.head_dim * length / 2
    return forward * (2 if adapter else 3)
