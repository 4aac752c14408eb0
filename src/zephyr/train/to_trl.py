"""The one place where a recipe becomes TRL's arguments."""

import os
from pathlib import Path
from typing import Any, TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import DistributedType
from trl import DPOConfig, SFTConfig

from zephyr.plan.batch import Batch
from zephyr.plan.choose import choose
from zephyr.plan.job import has_flash_attention_2
from zephyr.plan.shape import loaded_dtype
from zephyr.recipe import CptRecipe, DpoRecipe, Model, SftRecipe
from zephyr.train.trackers import point_trackers, tracker_arguments

Config = TypeVar("Config", SFTConfig, DPOConfig)


def sft_arguments(recipe: CptRecipe | SftRecipe, run_dir: Path, batch: Batch) -> SFTConfig:
    """Arguments of SFTTrainer for `cpt` and `sft`.

    Rows come tokenised, cut and packed from `zephyr.data.prepare`, so TRL's own length rules are switched off.
    """
    arguments = shared_arguments(recipe, run_dir, batch)
    arguments |= {"max_length": None, "packing": False, "loss_type": "nll"}
    return _launched(SFTConfig(**arguments, **recipe.trl), recipe)


def dpo_arguments(recipe: DpoRecipe, run_dir: Path, batch: Batch) -> DPOConfig:
    """Arguments of DPOTrainer. Pairs come tokenised and cut, so TRL's own length rules are switched off."""
    arguments = shared_arguments(recipe, run_dir, batch)
    arguments |= {
        "max_length": None,
        "beta": recipe.train.beta,
        "loss_type": [recipe.train.loss_type],
        "label_smoothing": recipe.train.label_smoothing,
        "disable_dropout": True,
        # looked up in the store of `stored_reference.py`; a reference that follows the policy can't be
        "precompute_ref_log_probs": not recipe.trl.get("sync_ref_model"),
    }
    return _launched(DPOConfig(**arguments, **recipe.trl), recipe)


def shared_arguments(recipe: CptRecipe | SftRecipe | DpoRecipe, run_dir: Path, batch: Batch) -> dict[str, Any]:
    """Arguments that every trainer takes: transformers' TrainingArguments by name."""
    train, launch = recipe.train, recipe.launch
    trackers: list[str] = list(train.report_to)
    point_trackers(trackers, run_dir)
    return {
        "output_dir": str(run_dir / "checkpoints"),
        "seed": recipe.seed,
        "learning_rate": train.learning_rate,
        "lr_scheduler_type": train.lr_scheduler_type,
        "warmup_steps": train.warmup_steps,
        "num_train_epochs": train.num_train_epochs,
        "optim": train.optim,
        "weight_decay": train.weight_decay,
        "adam_beta1": train.adam_beta1,
        "adam_beta2": train.adam_beta2,
        "adam_epsilon": train.adam_epsilon,
        "max_grad_norm": train.max_grad_norm,
        "bf16": train.bf16,
        "activation_checkpointing": choose(recipe, batch.processes).gradient_checkpointing,
        "torch_compile": launch.torch_compile,
        "per_device_train_batch_size": batch.micro_batch_size,
        "per_device_eval_batch_size": launch.eval_micro_batch_size or batch.micro_batch_size,
        "gradient_accumulation_steps": batch.gradient_accumulation_steps,
        "logging_steps": train.logging_steps,
        "logging_first_step": True,
        "logging_nan_inf_filter": False,  # a NaN must be seen, not replaced by the last finite loss
        "report_to": trackers or "none",
        **tracker_arguments(trackers, run_dir, recipe.name, recipe.trl),
        "disable_tqdm": True,
        "model_init_kwargs": model_arguments(recipe),
        **_evaluation(train.eval_steps, has_eval=bool(recipe.data.eval)),
        **_checkpoints(train.save_steps),
        **_hardware(batch.processes),
    }


def model_arguments(recipe: CptRecipe | SftRecipe | DpoRecipe) -> dict[str, Any] | None:
    """Arguments of `from_pretrained`, for the policy and for dDPO's reference alike; None for a random model."""
    model = recipe.model
    if model.model_name_or_path is None:
        return None
    return {
        "revision": model.revision or "main",
        "dtype": loaded_dtype(recipe),
        "attn_implementation": attention(model),
        "trust_remote_code": model.trust_remote_code,
    }


def _launched(arguments: Config, recipe: CptRecipe | SftRecipe | DpoRecipe) -> Config:
    """What accelerate can't be told by arguments."""
    if os.environ.get("ACCELERATE_USE_FSDP") == "true" and not torch.accelerator.is_available():
        # accelerate 1.15 would train several CPU processes unsharded, without a word; FSDP2 itself runs there
        PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU
    launch = recipe.launch
    if arguments.deepspeed_plugin is not None and launch.shard_within_machine:
        shards = arguments.deepspeed_plugin.hf_ds_config.config["zero_optimization"]  # hpZ, arXiv 2306.10209
        shards["zero_hpz_partition_size"] = launch.processes // launch.machines
    return arguments


def attention(model: Model) -> str:
    """The attention kernel: the recipe's, or for `auto` FlashAttention-2 where it is installed and a GPU is there."""
    if model.attn_implementation != "auto":
        return model.attn_implementation
    return "flash_attention_2" if torch.cuda.is_available() and has_flash_attention_2() else "sdpa"


def _hardware(processes: int) -> dict[str, Any]:
    if torch.cuda.is_available():
        return {}
    arguments: dict[str, Any] = {"dataloader_pin_memory": False}
    if processes > 1:
        # with `use_cpu` accelerate would drop DeepSpeed without a word; the others need it to find the CPU
        deepspeed = os.environ.get("ACCELERATE_USE_DEEPSPEED") == "true"
        arguments |= {"ddp_backend": "gloo", "use_cpu": not deepspeed}
    return arguments


def _evaluation(eval_steps: float | None, *, has_eval: bool) -> dict[str, Any]:
    if not has_eval:
        return {"eval_strategy": "no"}
    every = {"eval_strategy": "steps", "eval_steps": eval_steps} if eval_steps else {"eval_strategy": "no"}
    return {**every, "eval_on_start": True, "prediction_loss_only": True}


def _checkpoints(save_steps: float | None) -> dict[str, Any]:
    if save_steps is None:
        return {"save_strategy": "no"}
    return {"save_strategy": "steps", "save_steps": save_steps, "save_total_limit": None}  # rotated by checkpoints.py
