"""The policy's forward pass without padding, inside TRL's own: its loss and metrics see what they always see.

TRL pads every pair to the longest of the micro-batch, and computes a prompt twice. Here the model's own `forward`,
below every wrapper of accelerate, DeepSpeed or PEFT, lays the padded batch out as one row of real tokens
(`shared_prompt.py`), runs it with attention by pieces (`segments.py`) and the output layer on answers' tokens only, and
puts the results back where TRL looks for them. Positions without a label are 0 there, as in TRL's own output.
"""

import functools
import types
from collections.abc import Callable
from inspect import signature
from typing import Any

import torch
from transformers import PreTrainedModel

from zephyr.train.segments import ARGUMENT, NAME, register
from zephyr.train.shared_prompt import Row, lay

FIELDS = ("log_probs", "entropy", "log_sum_sq_probs", "mean_logits", "is_top1")
"""Values for each predicted token in TRL's `FusedCausalLMOutput`."""
CONTRACT = ("fused_lm_head", "labels", "shift_labels")
"""Arguments of TRL's fused forward that this relies on."""
TAKEN = {"input_ids", "attention_mask", "labels", "use_cache", "fused_lm_head"}
"""Arguments of a call that is laid out anew, beside those that `lay` needs; a call with any other goes to TRL's."""
PREDICTING = "zephyr_predicting"
"""Argument of the model below the output layer: which tokens of the row predict a label."""


class PaddingFree:
    """Wraps the forward of one model, after TRL has given it its fused output layer and before it trains."""

    def __init__(self, model: PreTrainedModel, lay: Callable[..., Row | None] = lay) -> None:
        """`model`: the causal model itself, not PEFT's model around it; `lay`: how a padded batch becomes a row."""
        register()
        self.model, self.on, self.lay = model, True, lay
        self.needed = set(signature(lay).parameters)
        self.attention = model.config._attn_implementation
        self.original: Callable[..., Any] = model.forward
        model.set_attn_implementation(NAME)
        model.base_model.register_forward_hook(_only_predicting, with_kwargs=True)

        # the signature stays the model's: generation checks its arguments against it
        @functools.wraps(type(model).forward)
        def forward(model: Any, *args: Any, **arguments: Any) -> Any:
            return self._forward(*args, **arguments)

        model.forward = types.MethodType(forward, model)

    def off(self) -> None:
        """Gives every call to TRL's forward, with the attention that it had."""
        self.on = False
        self.model.set_attn_implementation(self.attention)

    def _forward(self, *args: Any, **arguments: Any) -> Any:
        given = {name for name, value in arguments.items() if value is not None}
        known = not args and self.needed <= given <= TAKEN | self.needed
        if not (self.on and known and arguments.get("fused_lm_head")):
            return self.original(*args, **arguments)
        ids, labels = arguments["input_ids"], arguments["labels"]
        row = self.lay(**{name: arguments[name] for name in self.needed})
        if row is None:
            return self.original(**arguments)
        outcome = self.original(
            input_ids=ids.reshape(-1)[row.taken][None],
            # a mask of four dimensions is taken as it is; ours is not looked at, and none of T x T is made
            attention_mask=torch.ones((1, 1, 1, 1), dtype=torch.bool, device=ids.device),
            position_ids=row.positions,
            shift_labels=labels.reshape(-1)[row.labels],
            use_cache=False,
            fused_lm_head=True,
            **{ARGUMENT: row.pieces, PREDICTING: row.predicting},
        )
        shape = (ids.shape[0], ids.shape[1] - 1)
        for name in FIELDS:
            value = getattr(outcome, name)
            if value is not None:
                whole = value.new_zeros(shape[0] * shape[1])
                setattr(outcome, name, whole.index_copy(0, row.predicted, value[0]).view(shape))
        outcome.label_mask = labels[:, 1:] != -100
        return outcome


def _only_predicting(module: torch.nn.Module, args: Any, arguments: dict[str, Any], outcome: Any) -> Any:
    """Leaves the output layer the tokens that predict a label; a prompt's last one twice."""
    predicting = arguments.get(PREDICTING)
    if predicting is not None:
        outcome.last_hidden_state = outcome.last_hidden_state[:, predicting]
    return outcome


def why_not(trainer: Any, model: PreTrainedModel, longest: int) -> str | None:
    """Why a run keeps TRL's padded forward; None: nothing is known that speaks against ours.

    Args:
        trainer: TRL's, made.
        model: the causal model below any adapter.
        longest: tokens of the longest sequence.
    """
    config = model.config.get_text_config()
    fused = getattr(model.forward, "__func__", None)
    windows = [getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size")]
    adapters = getattr(trainer.model, "peft_config", {}).values()
    reasons = {
        "this TRL's fused forward takes other arguments": fused is None
        or not set(CONTRACT) <= set(fused.__code__.co_varnames),
        "images": trainer._is_vlm,
        "a mixture of experts with an auxiliary loss": trainer.aux_loss_enabled,
        "an adapter of virtual tokens": any(each.is_prompt_learning for each in adapters),
        "`activation_offloading`": trainer.args.activation_offloading,
        "`torch_compile` (each row has another length)": trainer.args.torch_compile,
        "context, sequence or tensor parallelism": any(
            getattr(trainer.accelerator.parallelism_config, f"{kind}_enabled", False) for kind in ("cp", "sp", "tp")
        ),
        "dropout in attention": bool(getattr(config, "attention_dropout", 0.0)),
        f"attention `{model.config._attn_implementation}` is asked for": model.config._attn_implementation
        not in ("sdpa", "flash_attention_2"),
        "a model with its own attention code": not model._supports_attention_backend,
        "layers that are not plain attention": not set(getattr(config, "layer_types", None) or ["full_attention"])
        <= {"full_attention", "sliding_attention"},
        f"a window of attention shorter than {longest} tokens": any(each and each < longest for each in windows),
    }  # fmt: skip
    return next((reason for reason, holds in reasons.items() if holds), None)
