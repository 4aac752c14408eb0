"""An optimizer step is the mean over just its rows, however they are cut: a mixin for TRL's trainers.

transformers fills an epoch's last, smaller step up with repeated rows, differently for every number of processes, and
TRL's dDPO loss is a mean of each micro-batch, which weighs rows of small ones more. Whole steps are left to TRL as they
are; only the last one of an epoch is weighted here.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from accelerate.data_loader import DataLoaderShard

from zephyr.data.tokens.store import list_lengths
from zephyr.train.batches import Cut, Micro, StepBatches, Weights

IGNORED = -100
"""Label of a token without loss."""


class ExactSteps:
    """Takes rows in the order of `StepBatches`, and weighs the last step of an epoch by its rows."""

    args: Any
    state: Any
    model: Any
    train_dataset: Any

    def get_train_dataloader(self) -> DataLoaderShard:
        """This process's share of every step; nothing shards it any further."""
        args = self.args
        cut = Cut(
            global_batch_size=args.per_device_train_batch_size * args.gradient_accumulation_steps * args.world_size,
            micro_batch_size=args.per_device_train_batch_size,
            processes=args.world_size,
        )
        rows, weights = len(self.train_dataset), self.weights()
        self.batches = StepBatches(rows, cut, rank=args.process_index, seed=args.seed, weights=weights)
        return DataLoaderShard(
            self.train_dataset,
            device=args.device,
            batch_sampler=self.batches,
            collate_fn=self.data_collator,  # type: ignore[attr-defined]
            num_workers=args.dataloader_num_workers,
            pin_memory=args.dataloader_pin_memory,
            _drop_last=True,  # accelerate takes it as: nothing was repeated, so no gathered value needs to be cut off
        )

    def weights(self) -> Weights | None:
        """What rows cost, to balance micro-batches by; None where they cost the same."""
        if "input_ids" not in self.train_dataset.column_names:
            return None
        lengths = list_lengths(self.train_dataset, "input_ids")
        packed = len(np.unique(lengths)) <= 2  # the last row of wrapped ones is shorter
        return None if packed else Weights(tokens=lengths, padded=not getattr(self, "_unpadded", ()))

    def _get_num_items_in_batch(self, batch_samples: list, device: torch.device) -> Any:
        # called once a step, with its batches and before the first forward pass
        self._rows = self.batches.rows_in(self.state.global_step % self.batches.steps())
        micros = self.batches.cut.of(self._rows, self.batches.rank)
        self._micros, self._passes = iter(micros), len(micros)
        for batch, micro in zip(batch_samples, micros, strict=True):
            if micro.stands_in and "labels" in batch:
                batch["labels"][-1] = IGNORED
        return super()._get_num_items_in_batch(batch_samples, device)  # type: ignore[misc]

    def compute_loss(
        self, model: Any, inputs: dict, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """TRL's own loss; in a smaller step of pairs, weighted so that the step is the mean over them."""
        by_tokens = num_items_in_batch is not None  # dSFT: a sum over the step's tokens already
        if not self.model.training or by_tokens or self._rows == self.batches.cut.global_batch_size:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)  # type: ignore[misc]
        micro = next(self._micros)
        return sum(
            weight * super(ExactSteps, self).compute_loss(model, rows_of(inputs, rows, micro.size))  # type: ignore[misc]
            for rows, weight in self._parts(micro)
        )

    def _parts(self, micro: Micro) -> Iterator[tuple[slice, float]]:
        """Rows whose mean TRL takes, and the factor that makes each row count 1 / rows of the step.

        The trainer divides by the forward passes, and the processes' gradients are averaged.
        """
        whole = self._passes * self.batches.cut.processes / self._rows
        if micro.rows:
            yield slice(0, micro.rows), micro.rows * whole
        if micro.stands_in is not None:
            yield slice(micro.rows, micro.rows + 1), 0.0 if micro.stands_in else whole


def rows_of(inputs: dict[str, Any], rows: slice, size: int) -> dict[str, Any]:
    """Some rows of a batch of `size`; tensors of twice as many rows hold chosen answers, then rejected ones."""
    taken = {}
    for name, value in inputs.items():
        if torch.is_tensor(value) and value.dim() and value.shape[0] == 2 * size:
            taken[name] = torch.cat([value[:size][rows], value[size:][rows]])
        elif torch.is_tensor(value) and value.dim() and value.shape[0] == size:
            taken[name] = value[rows]
        else:
            taken[name] = value
    return taken
