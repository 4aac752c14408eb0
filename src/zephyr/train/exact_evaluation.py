"""Held-out metrics that are means over rows or tokens, not over batches: a mixin for TRL's trainers.

TRL 1.16 averages the means of batches, so a smaller last batch, rows repeated to fill up processes, and for dSFT every
difference in length would weigh in, and `eval_micro_batch_size` would move the result.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed
from accelerate.data_loader import DataLoaderShard

from zephyr.train.exact_steps import IGNORED


class EvaluationBatches:
    """A batch sampler: every row once, in order; the last ones, fewer than processes, on every process alike."""

    def __init__(self, rows: int, *, micro_batch_size: int, processes: int, rank: int) -> None:
        each, left = divmod(rows, processes)
        first, size = rank * each, micro_batch_size
        self.own = [range(first + k, first + min(k + size, each)) for k in range(0, each, size)]
        tail = processes * each
        self.alike = [range(tail + k, tail + min(k + size, left)) for k in range(0, left, size)]
        self.batch_size, self.drop_last = micro_batch_size, False  # read by accelerate

    def __len__(self) -> int:
        return len(self.own) + len(self.alike)

    def __iter__(self) -> Iterator[list[int]]:
        yield from map(list, (*self.own, *self.alike))


class ExactEvaluation:
    """Weighs every batch of an evaluation by its pairs (dDPO) or its tokens with loss (cpt, dSFT)."""

    args: Any
    _metrics: Any

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoaderShard:
        """This process's share of the held-out rows."""
        rows = self.eval_dataset if eval_dataset is None else eval_dataset  # type: ignore[attr-defined]
        args = self.args
        self._evaluated = EvaluationBatches(
            len(rows), micro_batch_size=args.eval_batch_size, processes=args.world_size, rank=args.process_index
        )
        return DataLoaderShard(
            rows,
            device=args.device,
            batch_sampler=self._evaluated,
            collate_fn=self.data_collator,  # type: ignore[attr-defined]
            num_workers=args.dataloader_num_workers,
            pin_memory=args.dataloader_pin_memory,
            _drop_last=True,
        )

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        """transformers' own loop; its loss, and TRL's metrics, are replaced by weighted means."""
        self._sums: dict[str, float] = {}
        self._weight, self._batch = 0.0, 0
        outcome = super().evaluation_loop(*args, **kwargs)  # type: ignore[misc]
        means = {name: value / max(self._weight, 1.0) for name, value in self._sums.items()}
        prefix = kwargs.get("metric_key_prefix", "eval")
        outcome.metrics[f"{prefix}_loss"] = means.pop("loss", float("nan"))
        for name, value in means.items():
            self._metrics["eval"][name] = [value]
        return outcome

    def prediction_step(self, model: Any, inputs: dict, *args: Any, **kwargs: Any) -> Any:
        """TRL's own step; what it adds to its lists of metrics goes into sums."""
        loss, logits, labels = super().prediction_step(model, inputs, *args, **kwargs)  # type: ignore[misc]
        weight, total = self._reduced(self._counted(inputs), float(loss))
        self._weight += weight
        self._add("loss", total)
        for name, values in self._metrics["eval"].items():
            if name != "num_tokens" and values:
                self._add(name, values.pop() * weight)
        self._batch += 1
        return loss, logits, labels

    def _add(self, name: str, value: float) -> None:
        self._sums[name] = self._sums.get(name, 0.0) + value

    def _counted(self, inputs: dict) -> int:
        if "labels" in inputs:
            return int((inputs["labels"][..., 1:] != IGNORED).sum())
        return len(inputs["input_ids"]) // 2

    def _reduced(self, weight: int, loss: float) -> tuple[float, float]:
        """Weight and weighted loss of this batch over all processes; a batch that all share counts once."""
        if self.args.world_size == 1 or self._batch >= len(self._evaluated.own):
            return weight, weight * loss
        both = torch.tensor([weight, weight * loss], dtype=torch.float64, device=self.args.device)
        torch.distributed.all_reduce(both)
        return float(both[0]), float(both[1])
