"""Builds the trainer of a stack (`zephyr.plan.stack`): policy, adapter and reference, as TRL takes them.

Reference of dDPO by TRL 1.16 (`DPOTrainer.__init__`, `_compute_loss`): a model given by name is loaded twice; a new
adapter is switched off; of a loaded adapter a frozen copy called `ref` is kept on the same base.
"""

import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedTokenizerBase, TrainingArguments

from zephyr.errors import UserError
from zephyr.evaluate.load import adapter_config, base_of, require_peft
from zephyr.plan.stack import Stack, decide, start_of
from zephyr.recipe.schema import TrainRecipe
from zephyr.recipe.sections import Adapter, Model
from zephyr.train.model import MERGED_START, policy
from zephyr.train.quantized import differentiable, quantization, require_quantization
from zephyr.train.targets import linear_layers, require_targets, targeted

log = logging.getLogger("zephyr")


def check(recipe: TrainRecipe) -> Stack:
    """The recipe's stack, once everything that can be wrong with it has been looked at; loads no weights.

    Raises:
        UserError: a package is missing, `target_modules` names layers that the model has not, the base of the adapter
            that it starts from is gone, or 4-bit weights would have to be sharded.
    """
    name, model = recipe.model.model_name_or_path, recipe.model
    found = adapter_config(name, model.revision) if name is not None else None
    start = start_of(recipe, found)
    if start != "whole" or recipe.adapter is not None:
        require_peft("Training an adapter, or from one,")
    if model.quantization is not None:
        require_quantization()
    if recipe.adapter is not None and name is not None:
        base, revision = base_of(name, found) if found else (name, model.revision)
        layers = linear_layers(base, revision, model.trust_remote_code)
        require_targets(recipe.adapter, base, layers)
        if found and targeted(layers, recipe.adapter.target_modules) != targeted(layers, found["target_modules"]):
            start = "other adapter"
    return decide(recipe, start)


def build(
    trainer: type, recipe: TrainRecipe, stack: Stack, run_dir: Path, tokenizer: PreTrainedTokenizerBase, *,
    args: TrainingArguments, **data: Any,
) -> Any:  # fmt: skip
    """The trainer of a stack, ready to train.

    Args:
        trainer: a class of TRL's, or one made of it.
        recipe: already checked.
        stack: what `check` found.
        run_dir: where a merged start is kept while it is needed.
        tokenizer: the recipe's.
        args: its `model_init_kwargs` say how models are loaded.
        data: `train_dataset`, `eval_dataset`.
    """
    if stack.name != "full-on-full":
        log.info("  %s", "; ".join(f"{label}: {text}" for label, text in stack.sentences().items()))
    loading: dict[str, Any] = dict(getattr(args, "model_init_kwargs", None) or {})
    models: dict[str, Any] = {"model": policy(recipe.model, tokenizer, recipe.seed)}
    if stack.name in ("full-on-adapter", "adapter-on-merged"):
        models["model"] = str(_merged_start(recipe.model, run_dir, args))
        args.model_init_kwargs = loading | {"revision": "main"}
    if stack.name in ("adapter-on-base", "adapter-on-merged"):
        assert recipe.adapter is not None
        revision = recipe.model.revision if stack.name == "adapter-on-base" else None
        models["peft_config"] = lora_config(recipe.adapter, models["model"], revision)
        models["quantization_config"] = quantization(recipe)
    elif stack.name == "adapter-on-adapter":
        models["model"] = _continued(recipe, loading)
        args.model_init_kwargs = None
    before = _trainable(models["model"])
    made = trainer(**models, args=args, processing_class=tokenizer, **data)
    if recipe.model.quantization is not None:
        differentiable(made.model)
    if recipe.adapter is not None:
        _whole_precision(made.model, before)
        _pin_base(made.model)
    return made


def lora_config(adapter: Adapter, base: str, revision: str | None) -> Any:
    """PEFT's configuration of a new adapter; its product is scaled by `lora_alpha / r` (LoRA, section 4.1)."""
    from peft import LoraConfig

    return LoraConfig(
        task_type="CAUSAL_LM",
        base_model_name_or_path=base,
        revision=revision,
        r=adapter.r,
        lora_alpha=adapter.lora_alpha,
        lora_dropout=adapter.lora_dropout,
        target_modules=adapter.target_modules,
        use_dora=adapter.method == "dora",
    )


def _continued(recipe: TrainRecipe, loading: dict[str, Any]) -> Any:
    """The start's adapter on its base, trainable; dropout is the recipe's."""
    from peft import PeftConfig, PeftModel
    from transformers.integrations import is_deepspeed_zero3_enabled

    name, adapter = recipe.model.model_name_or_path, recipe.adapter
    assert name is not None and adapter is not None
    config = PeftConfig.from_pretrained(name, revision=recipe.model.revision)
    config.lora_dropout, config.inference_mode = adapter.lora_dropout, False
    base, revision = base_of(name, {"base_model_name_or_path": config.base_model_name_or_path,
                                    "revision": config.revision})  # fmt: skip
    model = AutoModelForCausalLM.from_pretrained(
        base, **loading | {"revision": revision or "main"}, quantization_config=quantization(recipe)
    )
    # one dtype for all under ZeRO-3, as TRL does it for new adapters; elsewhere adapters train in float32
    whole = not is_deepspeed_zero3_enabled()
    return PeftModel.from_pretrained(
        model, name, revision=recipe.model.revision, config=config, is_trainable=True, autocast_adapter_dtype=whole
    )


def _trainable(model: Any) -> dict[str, torch.Tensor]:
    """Copies of the weights of a loaded adapter; nothing for a model that is still a name."""
    if not hasattr(model, "peft_config"):
        return {}
    return {name: weight.detach().clone() for name, weight in model.named_parameters() if weight.requires_grad}


def _whole_precision(model: Any, before: Mapping[str, torch.Tensor]) -> None:
    """Takes back TRL's rounding of adapters over 4-bit weights to bfloat16, where small updates would vanish.

    bfloat16 has 8 bits of mantissa, so a weight of 0.1 can't change by less than 4e-4; a dDPO step changes it by about
    the learning rate, 5e-6. And the `ref` copy is not rounded, so the first margin would not be 0.
    """
    if not getattr(model, "is_loaded_in_4bit", False):
        return
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            weight.data = before.get(name, weight.data).to(torch.float32)


def _pin_base(model: Any) -> None:
    """Writes into the adapter's configuration which commit of a Hub model it stands on."""
    commit = getattr(model.config, "_commit_hash", None)
    for config in model.peft_config.values():
        config.revision = config.revision or commit


def _merged_start(model: Model, run_dir: Path, args: TrainingArguments) -> Path:
    """The start with its adapter merged, as a whole model on disk, so that every strategy can load and shard it."""
    merged = run_dir / MERGED_START
    with args.main_process_first(local=False, desc="merging the adapter that the run starts from"):
        if not merged.is_dir():
            _merge_apart(_local(model), merged, model.dtype)
    return merged


def _local(model: Model) -> str:
    name = model.model_name_or_path
    assert name is not None
    if Path(name).exists():
        return name
    from huggingface_hub import snapshot_download

    return snapshot_download(name, revision=model.revision)


def _merge_apart(source: str, output: Path, dtype: str) -> None:
    """`zephyr merge` in a process of its own: this one's ZeRO-3 or FSDP would shard what it loads, and keep memory."""
    launched = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "ACCELERATE_", "FSDP_")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(launched)}
    command = [sys.executable, "-m", "zephyr", "merge", source, "-o", str(output)]
    command += [] if dtype == "auto" else ["--dtype", dtype]
    done = subprocess.run(command, env=kept | {"CUDA_VISIBLE_DEVICES": ""}, capture_output=True, text=True)
    if done.returncode != 0:
        raise UserError(f"The adapter that this run starts from could not be merged:\n{done.stderr[-3000:]}")
