"""dDPO against a reference that is looked up: a mixin for TRL's DPOTrainer that fills its two columns from the store.

What is not in the store is computed before training, by TRL's own `compute_ref_log_probs`, longest pairs first so that
what doesn't fit into memory shows at once; every process takes its share, and the main one alone touches the disk.
"""

import contextlib
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trl.trainer.dpo_trainer as trl_dpo
from accelerate.utils import broadcast_object_list, gather_object, send_to_device

from zephyr.data.tokens.store import list_lengths
from zephyr.errors import UserError
from zephyr.train.output_layer import blockwise
from zephyr.train.reference_store import Logps, Writer, pair_keys, read

COLUMNS = ("ref_chosen_logps", "ref_rejected_logps")
"""TRL's names of the reference's log-probabilities of an answer, in nats, summed over its tokens."""
QUIET_S = 15.0
"""Seconds between two lines about a pass."""
log = logging.getLogger("zephyr")


@dataclass(frozen=True, kw_only=True)
class Filled:
    """What filling the columns of a run came to."""

    rows: int
    """Pairs looked up, of training and evaluation."""
    computed: int
    """Distinct pairs that were not in the store."""
    seconds: float
    """Wall time of looking up and computing."""


@contextlib.contextmanager
def files_are_hashed_instead() -> Iterator[None]:
    """Keeps TRL from hashing the weights in memory (16 to 30 s for 7B): the store goes by the files."""
    before = trl_dpo.hash_module
    trl_dpo.hash_module = lambda module: "by files"
    try:
        yield
    finally:
        trl_dpo.hash_module = before


class StoredReference:
    """Takes TRL's precomputed columns from a store of rows; without `fill_reference` TRL's own way is kept."""

    args: Any
    model: Any
    accelerator: Any
    train_dataset: Any
    eval_dataset: Any
    _reference_model: Any = None
    _unpadded: tuple[Any, ...] = ()

    def _precompute_ref_logps(self, dataset: Any, name: str, batch_size: int) -> Any:
        # TRL calls it while it is made; ours waits until the model is as it will train. Under FSDP TRL has loaded a
        # reference, which it lets go of at the end of its __init__
        self._reference_model = self.ref_model  # type: ignore[attr-defined]
        return dataset

    def fill_reference(self, folder: Path | None) -> Filled | None:
        """Adds the two columns to training and evaluation pairs; every process calls it, before `train`.

        Args:
            folder: of the store; only the main process reads and writes there. None: nothing is kept.

        Returns:
            None if this model turned out to need padding: the rows of that are in another store.
        """
        started = time.monotonic()
        splits = [self.train_dataset] + ([self.eval_dataset] if self.eval_dataset is not None else [])
        keys = [pair_keys(split) for split in splits]
        every = [key for each in keys for key in each]
        known = self._shared(read(folder, every) if self.accelerator.is_main_process else None)
        missing = self._missing(every, known)
        if missing and not self._compute(splits, every, missing, known, folder):
            return None
        start, filled = 0, []
        for split in splits:
            logps = known[start : start + len(split)]
            start += len(split)
            for n, column in enumerate(COLUMNS):
                split = split.add_column(column, logps[:, n])
            filled.append(split)
        self.train_dataset = filled[0]
        self.eval_dataset = filled[1] if len(filled) > 1 else None
        self._let_go()
        return Filled(rows=len(every), computed=len(missing), seconds=time.monotonic() - started)

    def _let_go(self) -> None:
        """Leaves nothing of the pass behind: no reference in memory, and no engine's hooks on the policy."""
        engine, self._precompute_engine = getattr(self, "_precompute_engine", None), None
        if engine is not None:
            engine.destroy()
            for module in self.model.modules():  # which training would take for its own, and gather by them
                for name in ("pre_bwd_fn", "post_bwd_fn"):
                    module.__dict__.pop(name, None)
        self._reference_model = None
        self._unpadded = self._unpadded[:1]  # the policy's

    def _shared(self, found: Logps | None) -> Logps:
        """The main process's rows, on every process."""
        held = [found]
        if self.args.world_size > 1:
            broadcast_object_list(held)
        assert held[0] is not None
        return held[0].copy()

    def _missing(self, keys: list[bytes], known: Logps) -> list[int]:
        """Row numbers to compute: the first of each unknown pair."""
        first: dict[bytes, int] = {}
        for row in np.flatnonzero(np.isnan(known).any(axis=1)):
            first.setdefault(keys[row], int(row))
        return list(first.values())

    def _compute(
        self, splits: list[Any], keys: list[bytes], missing: list[int], known: Logps, folder: Path | None
    ) -> bool:
        """Computes the missing rows into `known` and, as they come, into the store; False: not without padding."""
        lengths = np.concatenate([padded_lengths(split) for split in splits])
        batches = by_length(missing, lengths, self.args.per_device_train_batch_size)
        writer = Writer(folder) if self.accelerator.is_main_process and folder else None
        rows_of_key: dict[bytes, list[int]] = {}
        for row, key in enumerate(keys):
            rows_of_key.setdefault(key, []).append(row)
        done, said, world = 0, time.monotonic(), self.args.world_size
        with self._reference() as model:
            if self._unpadded and not self.probe(model, self._unpadded[-1]):  # type: ignore[attr-defined]
                return False
            for start in range(0, len(batches), world):
                share = batches[start : start + world]
                own = share[min(self.args.process_index, len(share) - 1)]  # the last ones repeat: collectives must meet
                outcome = [(own, self._logps(model, splits, own))]
                found = gather_object(outcome)[: len(share)] if world > 1 else outcome
                for rows, logps in found:
                    for row, pair in zip(rows, logps, strict=True):
                        known[rows_of_key[keys[row]]] = pair
                    if writer is not None:
                        writer.add([keys[row] for row in rows], logps)
                    done += len(rows)
                if time.monotonic() - said >= QUIET_S:
                    said = time.monotonic()
                    log.info(f"  reference: {done:,} of {len(missing):,} pairs")
        return True

    @contextlib.contextmanager
    def _reference(self) -> Iterator[Any]:
        """The model to compute with: the policy before it trains, placed as TRL places it."""
        model = self._reference_model
        if model is None and self.is_deepspeed_enabled:  # type: ignore[attr-defined]
            if self._precompute_engine is None:
                self._precompute_engine = trl_dpo.prepare_deepspeed(self.model, self.accelerator)
            model = self._precompute_engine
        # under FSDP a model waits on the CPU until it is sharded; an adapter's own base is what is compared with
        moved = model is None and self.is_fsdp_enabled  # type: ignore[attr-defined]
        model = model if model is not None else self.model
        training = self.model.training
        model.eval()
        if moved:
            model.to(self.args.device)
        try:
            yield model
        finally:
            self.model.train(training)
            if moved:
                model.to("cpu")

    def _logps(self, model: Any, splits: list[Any], rows: list[int]) -> Logps:
        """Shape (rows, 2): of the chosen and the rejected answer."""
        first = len(splits[0])
        pairs = [splits[0][row] if row < first else splits[1][row - first] for row in rows]
        batch = send_to_device(self.data_collator(pairs), self.args.device)  # type: ignore[attr-defined]
        with blockwise():
            found = torch.stack(self.compute_ref_log_probs(model, batch), dim=1).float().cpu()  # type: ignore[attr-defined]
        if not torch.isfinite(found).all():
            raise UserError(
                "The reference gives a pair a probability of 0 or none at all (its log is not finite).\n"
                "  Look at the model that the run starts from: zephyr chat, or its own training's metrics.jsonl"
            )
        return found.numpy()

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        """Before the first step a margin is rounding: no answer is preferred, as with TRL's reference in memory."""
        outcome = super().evaluation_loop(*args, **kwargs)  # type: ignore[misc]
        metrics = self._metrics["eval"]  # type: ignore[attr-defined]
        if self.state.global_step == 0 and self.precompute_ref_logps and "rewards/accuracies" in metrics:  # type: ignore[attr-defined]
            metrics["rewards/accuracies"] = [0.0]
        return outcome


def padded_lengths(dataset: Any) -> np.ndarray:
    """Tokens of prompt and longer answer, for each pair."""
    prompt, chosen, rejected = (list_lengths(dataset, f"{name}_ids") for name in ("prompt", "chosen", "rejected"))
    return prompt + np.maximum(chosen, rejected)


def by_length(rows: list[int], lengths: np.ndarray, micro_batch_size: int) -> list[list[int]]:
    """Rows, longest first, in batches of as many tokens as a micro-batch of the longest would have, padded."""
    ordered = sorted(rows, key=lambda row: (-lengths[row], row))
    budget = micro_batch_size * int(lengths[ordered[0]])
    batches: list[list[int]] = []
    for row in ordered:
        if batches and (len(batches[-1]) + 1) * lengths[batches[-1][0]] <= budget:
            batches[-1].append(row)
        else:
            batches.append([row])
    return batches
