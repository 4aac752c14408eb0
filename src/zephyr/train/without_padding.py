"""Whether a run of dDPO goes without padding: decided, tried on two pairs, and said; a mixin for TRL's DPOTrainer."""

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from accelerate.utils import send_to_device

from zephyr.data.tokens.store import list_lengths
from zephyr.errors import UserError
from zephyr.train.batches import Weights
from zephyr.train.padding_free import PaddingFree, why_not
from zephyr.train.probe import agreement_on_pairs
from zephyr.train.stored_reference import padded_lengths

BY_MICRO_BATCH = ("aot", "aot_unpaired", "sft")
"""Losses of TRL that sort pairs within a micro-batch, or average over its tokens."""
WAYS_OUT = "  Ways out: launch.padding_free=auto (pads where it must), or launch.padding_free=false"
PROBED, PROBED_TOKENS = 2, 32
"""Pairs of the probe, and tokens of each of their three texts at most: enough to tell, and soon done."""
log = logging.getLogger("zephyr")


class WithoutPadding:
    """Computes pairs without padding, once that was seen to give what TRL's padded forward gives."""

    args: Any
    model: Any
    accelerator: Any
    train_dataset: Any
    _unpadded: tuple[PaddingFree, ...] = ()
    _probed = False
    _insisted = False

    def leave_out_padding(self, wanted: bool | str) -> None:
        """Wraps the policy's forward (and, under FSDP, that of the reference TRL has loaded), unless something is
        known that speaks against it; every process calls it, before anything is computed.

        Raises:
            UserError: `wanted` is true and it can't be.
        """
        if wanted is False:
            return
        splits = [self.train_dataset, getattr(self, "eval_dataset", None)]
        longest = max(int(padded_lengths(split).max()) for split in splits if split is not None)
        models = [self.model.get_base_model() if hasattr(self.model, "peft_config") else self.model]
        reference = getattr(self, "_reference_model", None)
        models += [] if reference is None else [reference]
        reason = why_not(self, models[0], longest)
        self._insisted = wanted is True
        if reason is None:
            self._unpadded = tuple(PaddingFree(model) for model in models)
        elif self._insisted:
            raise UserError(f"`launch.padding_free: true` can't be with {reason}.\n{WAYS_OUT}")
        else:
            log.info(f"  pairs are padded, as TRL does it: {reason}")

    @property
    def attention_path(self) -> str:
        """How attention is computed, and on what."""
        name = "pieces" if self._unpadded else self.model.config._attn_implementation
        return f"{name} on {self.args.device.type}"

    def probe(self, call: Callable[..., Any], wrapped: PaddingFree) -> bool:
        """Tries both ways on two pairs, on every process; where they differ the run goes on padded, and says so.

        Args:
            call: the model as it is called, in its wrappers.
            wrapped: its forward.

        Raises:
            UserError: they differ, and `launch.padding_free` is true.
        """
        shortest = np.argsort(padded_lengths(self.train_dataset), kind="stable")[:PROBED]  # cheap, and as telling
        pairs = [_beginning(self.train_dataset[int(n)]) for n in shortest]
        batch = send_to_device(self.data_collator(pairs), self.args.device)  # type: ignore[attr-defined]
        training = self.model.training
        call.eval()  # type: ignore[attr-defined]
        with self.accelerator.autocast():
            found = agreement_on_pairs(call, batch, wrapped)
        call.train(training)  # type: ignore[attr-defined]
        dtype = torch.bfloat16 if self.args.bf16 else self.model.dtype
        share, ours = self.accelerator.gather(
            torch.tensor([[found.share(dtype), found.ours]], device=self.args.device)
        ).amax(0)  # fmt: skip
        self._probed = self._probed or wrapped is self._unpadded[0]
        if share <= 1:
            log.debug("padding-free forward: %.1e nats a token, rounding %.1e", found.ours, found.rounding)
            return True
        how = f"come out otherwise (by {ours:.2g} nats a token)" if ours < float("inf") else "can't be computed"
        reason = f"without padding this model's log-probabilities {how}"
        if self._insisted:
            raise UserError(f"`launch.padding_free: true` can't be: {reason}.\n{WAYS_OUT}")
        for each in self._unpadded:
            each.off()
        self._unpadded = ()
        log.info(f"  pairs are padded, as TRL does it: {reason}")
        return False

    def weights(self) -> Weights | None:
        """What a pair costs; None for losses that are no mean over pairs, which other micro-batches would change."""
        if set(self.loss_types) & set(BY_MICRO_BATCH):  # type: ignore[attr-defined]
            return None
        if not self._unpadded:
            return Weights(tokens=padded_lengths(self.train_dataset), padded=True)
        columns = ("prompt_ids", "chosen_ids", "rejected_ids")
        return Weights(tokens=sum(list_lengths(self.train_dataset, name) for name in columns), padded=False)

    def compute_loss(self, model: Any, *args: Any, **kwargs: Any) -> Any:
        """TRL's own; before the first, the probe."""
        if self._unpadded and not self._probed:
            self.probe(model, self._unpadded[0])
        return super().compute_loss(model, *args, **kwargs)  # type: ignore[misc]


def _beginning(pair: dict[str, Any]) -> dict[str, Any]:
    """A pair with its texts cut."""
    return {name: value[:PROBED_TOKENS] if name.endswith("_ids") else value for name, value in pair.items()}
