"""The model and tokenizer that a training stage starts from, and how they are left for others to load."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    set_seed,
)
from transformers.integrations import deepspeed as deepspeed_integration

from zephyr.data.tokens.tokenize import load_tokenizer as rows_tokenizer
from zephyr.data.tokens.tokenize import require_same_ids
from zephyr.errors import UserError
from zephyr.plan.stack import ADAPTER_FILE
from zephyr.recipe import Model
from zephyr.train.to_trl import attention

MERGED_START = "start"
"""Folder in the run directory that holds a start with its adapter merged, if the run needs one: a new adapter's base
for good, of whole weights only until they have trained."""


def load_tokenizer(model: Model, template: str | None) -> PreTrainedTokenizerBase:
    """The recipe's tokenizer, with the chat template it was prepared with inside, so that it is saved along."""
    named = model.tokenizer_name_or_path or model.model_name_or_path
    tokenizer = AutoTokenizer.from_pretrained(
        named,
        revision=model.revision if named == model.model_name_or_path else None,
        trust_remote_code=model.trust_remote_code,
    )
    require_same_ids(rows_tokenizer(model), lambda text: tokenizer(text, add_special_tokens=False)["input_ids"])
    if template is not None:
        tokenizer.chat_template = template
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token  # labels of padding are -100, so EOS is still trained
    return tokenizer


def policy(model: Model, tokenizer: PreTrainedTokenizerBase, seed: int) -> str | PreTrainedModel:
    """What TRL's trainer gets: a name that it loads itself (dDPO's reference alike), or a new random model."""
    if model.model_name_or_path is not None:
        return model.model_name_or_path
    dtype = "float32" if model.dtype == "auto" else model.dtype
    try:
        config = AutoConfig.for_model(**_completed(model.config or {}, tokenizer))
        with _whole_at_birth():
            set_seed(seed)
            return AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation=attention(model))
    except (ValueError, TypeError) as error:
        raise UserError(f"model.config: transformers can't build this model.\n  {error}") from error


@contextlib.contextmanager
def _whole_at_birth() -> Iterator[None]:
    """Draws random weights whole under ZeRO-3 too, which would draw other ones; DeepSpeed shards them afterwards."""
    sharding = deepspeed_integration._hf_deepspeed_config_weak_ref
    deepspeed_integration._hf_deepspeed_config_weak_ref = None
    try:
        yield
    finally:
        deepspeed_integration._hf_deepspeed_config_weak_ref = sharding


def _completed(config: dict[str, Any], tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """The tokenizer's vocabulary and special tokens, where the recipe leaves them open."""
    return {
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        **config,
    }


def save(trainer: Any, run_dir: Path) -> Path:
    """Writes `model/` whole or not at all; every process calls it (under ZeRO-3 the weights are gathered).

    Of a run with an adapter it holds the adapter alone, with tokenizer, template and generation config; its
    `adapter_config.json` names the base.
    """
    tokenizer, generation = trainer.processing_class, trainer.model.generation_config
    generation.eos_token_id, generation.pad_token_id = tokenizer.eos_token_id, tokenizer.pad_token_id
    draft, final = run_dir / "model.partial", run_dir / "model"
    if trainer.is_fsdp_enabled:  # checkpoints hold shards, a model whole weights
        trainer.accelerator.state.fsdp_plugin.set_state_dict_type("FULL_STATE_DICT")
    trainer.save_model(str(draft))
    trainer.accelerator.wait_for_everyone()
    if trainer.accelerator.is_main_process:
        # a pickle of this machine's paths; recipe.yaml says it all
        (draft / "training_args.bin").unlink(missing_ok=True)
        if (draft / ADAPTER_FILE).is_file():
            generation.save_pretrained(draft)
            shutil.rmtree(draft / "ref", ignore_errors=True)  # dDPO's frozen copy of the adapter it started from
        else:
            shutil.rmtree(run_dir / MERGED_START, ignore_errors=True)  # what trained was a copy of it
        shutil.rmtree(final, ignore_errors=True)  # left by a run that was killed right after this line
        draft.rename(final)
    trainer.accelerator.wait_for_everyone()
    return final
