"""Stops a run that has gone wrong while it is still cheap: checks around TRL's own loss."""

import json
import math
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from trl import DPOTrainer, SFTTrainer

from zephyr.errors import UserError
from zephyr.train.apart import DocumentsApart
from zephyr.train.checkpoints import Resumable
from zephyr.train.exact_evaluation import ExactEvaluation
from zephyr.train.exact_steps import ExactSteps
from zephyr.train.meter import Metered
from zephyr.train.output_layer import blockwise
from zephyr.train.products import speed_up_linear_layers
from zephyr.train.stored_reference import StoredReference
from zephyr.train.without_padding import WithoutPadding

APART = {"float32": (1e-4, 1e-3), "bfloat16": (2e-2, 0.5)}
"""Nats a token by which policy and reference, the same weights at step 0, may differ through rounding alone, on average
over answers; and nats for one token by itself, since over n of them rounding falls with the root of n. On average over
some hundred about 1e-6 and 1e-3 were seen; another model differs by a tenth and more."""


class TrainingStopped(UserError):
    """A guard ended the run; the message says at which step, on which batch, and what usually causes it."""

    rank_specific = True


class _Guarded:
    """Mixed into a TRL trainer: looks at each training loss before it is used; on a CPU, has it computed faster."""

    run_dir: Path
    model: Any
    args: Any
    seen_first_loss = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.args.torch_compile and self.args.device.type == "cpu":
            speed_up_linear_layers(self.model)

    def compute_loss(
        self, model: Any, inputs: dict, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """TRL's own loss, checked before it is used.

        Raises:
            TrainingStopped: no token carries loss, the loss is not finite, or the first is not that of equal models.
        """
        if self.model.training and num_items_in_batch is not None and int(num_items_in_batch) == 0:
            self._stop("no token of the batch carries loss", inputs, "check `data.loss_on` with `zephyr preview`")
        with nullcontext() if self.args.torch_compile else blockwise():  # what is compiled finds TRL's own there
            outcome = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)  # type: ignore[misc]
        if self.model.training:
            loss = outcome[0] if return_outputs else outcome
            if not torch.isfinite(loss):
                self._stop(f"the loss is {loss.item()}", inputs, "lower `train.learning_rate`, or look at these rows")
            if not self.seen_first_loss:
                self.seen_first_loss = True
                self._check_first(loss.item(), inputs)
        return outcome

    def _check_first(self, loss: float, inputs: dict) -> None:
        """Hook for what is known of the very first loss."""

    def _stop(self, what: str, inputs: dict, way_out: str) -> None:
        step = self.state.global_step + 1  # type: ignore[attr-defined]
        rank = self.args.process_index
        listed = self.run_dir / f"stopped_batch_rank{rank}.json"
        texts = self.processing_class.batch_decode(inputs["input_ids"])  # type: ignore[attr-defined]
        listed.write_text(json.dumps({"step": step, "why": what, "texts": texts}, indent=2, ensure_ascii=False))
        raise TrainingStopped(
            f"Stopped at step {step} (process {rank}): {what}.\n  The batch, decoded: {listed}\n  Ways out: {way_out}."
        )


class GuardedSFTTrainer(_Guarded, Metered, DocumentsApart, ExactSteps, ExactEvaluation, Resumable, SFTTrainer):
    """SFTTrainer that stops on a loss that is not finite and on a batch without trainable tokens."""


class GuardedDPOTrainer(
    _Guarded, Metered, StoredReference, WithoutPadding, ExactSteps, ExactEvaluation, Resumable, DPOTrainer
):
    """DPOTrainer that takes pairs as they were prepared, and whose first loss must be that of equal models."""

    def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        # TRL tokenises whatever it is given; ours is tokenised and cut by the recipe's rule already
        if "prompt_ids" in dataset.column_names:
            return dataset
        return super()._prepare_dataset(dataset, *args, **kwargs)

    def _check_first(self, loss: float, inputs: dict) -> None:
        # a reward is beta times what an answer's log-probability differs from the reference's (equation 1 of DPO)
        rewards = {side: self._metrics["train"][f"rewards/{side}"][-1] for side in ("chosen", "rejected")}
        halves = dict(zip(rewards, inputs["completion_mask"].chunk(2), strict=True))
        tokens = {side: max(half.sum().item(), 1) for side, half in halves.items()}
        apart = {side: abs(reward) * len(halves[side]) / self.beta / tokens[side] for side, reward in rewards.items()}
        mean, one = APART["bfloat16" if self.args.bf16 or self.model.dtype != torch.float32 else "float32"]
        worst = max(apart, key=lambda side: apart[side])
        if all(apart[side] <= max(mean, one / math.sqrt(tokens[side])) for side in apart):
            return
        margin = rewards["chosen"] - rewards["rejected"]
        self._stop(
            f"the first margin is {margin:.4f} where 0 is due (loss {loss:.4f}; for `sigmoid` ln 2 ="
            f" {math.log(2):.4f} is due), and {worst} answers are {apart[worst]:.2g} nats a token apart: policy and"
            " reference are not the same model",
            inputs,
            "give policy and reference the same weights and dtype, and leave dropout off",
        )
