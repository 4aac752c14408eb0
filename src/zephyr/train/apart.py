"""Packed documents that don't see each other (`packing: bfd_split`): a mixin for TRL's SFTTrainer."""

from typing import Any

import torch

from zephyr.errors import UserError
from zephyr.train.padding_free import PaddingFree, why_not
from zephyr.train.probe import agreement_on_documents
from zephyr.train.shared_prompt import lay_documents

PROBED = 8
"""Tokens of each of the probe's two documents."""


class DocumentsApart:
    """Runs packed rows by pieces, once it was seen that a document comes out as it does alone."""

    args: Any
    model: Any
    accelerator: Any
    train_dataset: Any
    eval_dataset: Any
    _unpadded: tuple[PaddingFree, ...] = ()
    _probed = False

    def keep_documents_apart(self) -> None:
        """Wraps the forward and has TRL's collator say where documents start; every process calls it.

        Raises:
            UserError: this model or this setting can't.
        """
        model = self.model.get_base_model() if hasattr(self.model, "peft_config") else self.model
        splits = [self.train_dataset, *([self.eval_dataset] if self.eval_dataset is not None else [])]
        chunks = [chunk for split in splits for chunk in split.data.column("seq_lengths").chunks]
        longest = max(int(chunk.values.to_numpy().max()) for chunk in chunks)
        reason = why_not(self, model, longest)
        if reason is not None:
            raise UserError(_refused(reason))
        self.data_collator.return_position_ids = True  # type: ignore[attr-defined]
        self._unpadded = (PaddingFree(model, lay_documents),)

    def compute_loss(self, model: Any, *args: Any, **kwargs: Any) -> Any:
        """TRL's own; before the first, the probe."""
        if self._unpadded and not self._probed:
            self._probed = True
            self._probe(model)
        return super().compute_loss(model, *args, **kwargs)  # type: ignore[misc]

    def _probe(self, call: Any) -> None:
        ids = torch.tensor(self.train_dataset[0]["input_ids"] + self.train_dataset[-1]["input_ids"])
        half = max(2, min(PROBED, len(ids) // 2))
        documents = torch.stack([ids[:half], ids[-half:]]).to(self.args.device)
        training = self.model.training
        call.eval()
        with self.accelerator.autocast():
            found = agreement_on_documents(call, documents, self._unpadded[0])
        call.train(training)
        dtype = torch.bfloat16 if self.args.bf16 else self.model.dtype
        share = self.accelerator.gather(torch.tensor([found.share(dtype)], device=self.args.device)).max()
        if not share <= 1:
            raise UserError(_refused(f"a document comes out otherwise than alone (by {found.ours:.2g} nats a token)"))


def _refused(reason: str) -> str:
    return (
        f"`data.packing: bfd_split` keeps documents apart, which can't be done here: {reason}.\n"
        "  Ways out: data.packing=wrapped (the paper's; documents see each other), or data.packing=none"
    )
