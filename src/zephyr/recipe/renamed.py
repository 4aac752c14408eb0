"""Keys and values that users of other toolkits will type, and what a Zephyr recipe says instead, with the reason.

From TRL, transformers, alignment-handbook, axolotl, LLaMA-Factory and NeMo-RL. Each sentence ends the line
`file:line: key: ...`; `{value}` is what was typed.
"""

LENGTH = "write `data.max_length: {value}`, the tokens of a sequence"
DATA_SETS = (
    "write each data set as an entry under `data.train` or `data.eval`: `- {{path: ..., split: ..., fraction: ...}}`; "
    "training and held-out data are named apart, so that they are never pooled"
)
EVALUATION = (
    "take it away: what `data.eval` names is evaluated before and after training; "
    "`train.eval_steps` adds more in between"
)
PROCESSES = "write `launch.processes: {value}`, all GPUs of all machines together"
ADAPTER = "write a section `adapter: {{method: lora, r: ..., lora_alpha: ...}}`; without it every weight is trained"
IN_ADAPTER = "write it as `{name}: {{value}}` in a section `adapter`"
NO_UPLOAD = "take it away: a run uploads nothing; afterwards `zephyr push RUN_DIRECTORY --to USER/NAME` does"
QUANTISATION = "write `model.quantization: nf4`, with an `adapter`"
STRATEGY = "write `launch.strategy`: `ddp`, `zero2`, `zero3`, `fsdp2`, or `auto`, which takes the least that fits"
EXTENDS = "write `extends: other.yaml`, one recipe that this one builds on"

KEYS: dict[str, str] = {
    "max_seq_length": LENGTH + " (TRL renamed it in 0.20)",
    "max_seq_len": LENGTH,
    "sequence_len": LENGTH,
    "cutoff_len": LENGTH,
    "model_max_length": LENGTH,
    "max_completion_length": "take it away: an answer may have what the prompt leaves of `data.max_length`",
    "max_target_length": "take it away: an answer may have what the prompt leaves of `data.max_length`",
    "torch_dtype": "write `model.dtype: {value}` (transformers renamed it)",
    "bf16_full_eval": "take it away: evaluation runs in the precision of training",
    "fp16": "write `train.bf16: true`; float16 needs loss scaling, and Zephyr was trained in bfloat16",
    "use_flash_attention_2": "write `model.attn_implementation: flash_attention_2`",
    "flash_attn": "write `model.attn_implementation: flash_attention_2`",
    "flash_attention": "write `model.attn_implementation: flash_attention_2`",
    "attn_impl": "write `model.attn_implementation: {value}`",
    "model_revision": "write `model.revision: {value}`",
    "hub_model_revision": NO_UPLOAD,
    "base_model": "write `model.model_name_or_path: {value}`",
    "model_name": "write `model.model_name_or_path: {value}`",
    "tokenizer_name": "write `model.tokenizer_name_or_path: {value}`",
    "ref_model": "take it away: the reference of dDPO is always the model that training starts from",
    "ref_model_name_or_path": "take it away: the reference of dDPO is always the model that training starts from",
    "model_code_revision": "write `model.revision`, which pins the code too",
    "warmup_ratio": "write `train.warmup_steps: {value}`: below 1 it is a share of all steps, as the ratio was",
    "per_device_train_batch_size": "write `launch.micro_batch_size: {value}`: it changes the speed, never the result",
    "per_device_eval_batch_size": "write `launch.eval_micro_batch_size: {value}`",
    "train_batch_size": "write `train.global_batch_size`, the sequences per optimizer step over all GPUs",
    "batch_size": "write `train.global_batch_size`, the sequences per optimizer step over all GPUs",
    "gradient_accumulation_steps": (
        "take it away: it is derived; write `train.global_batch_size`, which is "
        "micro-batch x processes x accumulation, and the maths stays the same on any number of GPUs"
    ),
    "num_epochs": "write `train.num_train_epochs: {value}`",
    "epochs": "write `train.num_train_epochs: {value}`",
    "max_steps": "write `train.num_train_epochs`; a part of an epoch (0.1) is allowed",
    "lr": "write `train.learning_rate: {value}`",
    "lr_scheduler": "write `train.lr_scheduler_type: {value}`",
    "scheduler": "write `train.lr_scheduler_type: {value}`",
    "optimizer": "write `train.optim: {value}`",
    "max_norm": "write `train.max_grad_norm: {value}`",
    "dpo_beta": "write `train.beta: {value}`",
    "pref_beta": "write `train.beta: {value}`",
    "pref_loss": "write `train.loss_type: {value}`",
    "dataset_mixer": DATA_SETS,
    "dataset_mixture": DATA_SETS,
    "dataset_splits": DATA_SETS,
    "dataset_configs": DATA_SETS,
    "dataset_name": DATA_SETS,
    "dataset_config": DATA_SETS,
    "dataset_train_split": DATA_SETS,
    "dataset_test_split": DATA_SETS,
    "datasets": DATA_SETS,
    "dataset": DATA_SETS,
    "val_set_size": "name the held-out data under `data.eval`; none is cut off from the training data",
    "text_column": "write `columns: {{text: {value}}}` in the entry under `data.train`",
    "dataset_text_field": "write `columns: {{text: {value}}}` in the entry under `data.train`",
    "dataset_kwargs": "take it away: rows reach TRL already tokenised, and TRL would ignore it",
    "auto_insert_empty_system_msg": "write `data.empty_system_turn: {value}`",
    "assistant_only_loss": "write `data.loss_on: assistant`",
    "completion_only_loss": "write `data.loss_on: completion`",
    "train_on_inputs": "write `data.loss_on`: `all`, `assistant` or `completion`",
    "packing_strategy": "write `data.packing: wrapped`, the paper's; TRL's `bfd` drops about 7% of UltraChat's tokens",
    "eval_packing": "take it away: held-out data are packed as `data.packing` says",
    "sample_packing": "write `data.packing: wrapped`",
    "truncation_mode": "take it away: dDPO cuts the beginning of the prompt and the end of the answers",
    "chat_template_path": "write `data.chat_template: {value}`",
    "preprocessing_num_workers": "take it away: rows are prepared once and read back by every later run",
    "dataset_num_proc": "take it away: rows are prepared once and read back by every later run",
    "remove_unused_columns": "take it away: only the columns that are trained on reach the trainer",
    "evaluation_strategy": EVALUATION,
    "eval_strategy": EVALUATION,
    "do_eval": EVALUATION,
    "do_train": "take it away: every recipe of this stage trains",
    "logging_strategy": "write `train.logging_steps`, the optimizer steps between two rows of metrics.jsonl",
    "logging_dir": "take it away: what is logged lies in the run directory",
    "save_strategy": "write `train.save_steps`, the steps between checkpoints; the model is always saved at the end",
    "overwrite_output_dir": "take it away: a finished run is never overwritten; choose another `output_dir`",
    "resume_from_checkpoint": "take it away: an interrupted run continues by itself",
    "run_name": "write `name: {value}`",
    "experiment_name": "write `name: {value}`",
    "push_to_hub": NO_UPLOAD,
    "hub_model_id": NO_UPLOAD,
    "hub_strategy": NO_UPLOAD,
    "hub_private_repo": NO_UPLOAD,
    "hub_token": NO_UPLOAD,
    "wandb_project": "take it away: `train.report_to: [wandb]` and the environment's WANDB_PROJECT say it",
    "use_peft": ADAPTER,
    "finetuning_type": ADAPTER,
    "peft_config": ADAPTER,
    "use_dora": "write `method: dora` in the section `adapter`",
    "use_rslora": "not there yet: scale by `adapter.lora_alpha` = alpha x sqrt(r)",
    **dict.fromkeys(
        (
            "lora_modules_to_save",
            "lora_task_type",
        ),
        "take it away: an adapter trains low-rank matrices alone, of a causal language model",
    ),
    **{
        typed: IN_ADAPTER.format(name=name)
        for typed, name in (
            ("lora_r", "r"),
            ("lora_rank", "r"),
            ("lora_target_modules", "target_modules"),
            ("lora_target", "target_modules"),
        )
    },
    **dict.fromkeys(
        ("load_in_4bit", "load_in_8bit", "bnb_4bit_quant_type", "use_bnb_nested_quant", "quantization_config"),
        QUANTISATION,
    ),
    **dict.fromkeys(("num_processes", "num_gpus", "n_gpus", "gpus", "nproc_per_node", "world_size"), PROCESSES),
    **dict.fromkeys(("num_machines", "num_nodes", "nodes", "nnodes"), "write `launch.machines: {value}`"),
    **dict.fromkeys(("deepspeed", "deepspeed_config", "fsdp", "fsdp_config", "accelerate_config"), STRATEGY),
    **dict.fromkeys(("defaults", "base", "_base_", "base_recipe", "inherit", "include"), EXTENDS),
}
"""Anywhere in a recipe, and under `trl:`."""

IN_SECTION: dict[str, dict[str, str]] = {
    "source": {
        "id": "write `path: {value}`",
        "dataset": "write `path: {value}`",
        "dataset_name": "write `path: {value}`",
        "data_files": "write `path: {value}`; a local file or directory is a path too",
        "data_dir": "write `path: {value}`; a local file or directory is a path too",
        "file": "write `path: {value}`",
        "config": "write `name: {value}`, the Hub's configuration",
        "subset": "write `name: {value}`, the Hub's configuration",
        "weight": "write `fraction: {value}`, the share of this data set's own rows",
        "proportion": "write `fraction`, the share of this data set's own rows, or `rows`, their number",
        "max_samples": "write `rows: {value}`",
        "num_samples": "write `rows: {value}`",
        "limit": "write `rows: {value}`",
        "splits": "write `split: {value}`, one split an entry",
        "column_mapping": "write `columns`, our name: the data set's",
        "test_split_size": "name the held-out data under `data.eval`; none is cut off from the training data",
    },
    "model": {
        "name": "write `model_name_or_path: {value}`",
        "path": "write `model_name_or_path: {value}`",
        "tokenizer": "write `tokenizer_name_or_path: {value}`",
        "precision": "write `dtype: {value}`",
    },
}
"""In an entry of a data set, in `model`."""

_BFLOAT16, _FLOAT16, _FLOAT32 = "write `bfloat16`", "write `float16`", "write `float32`"
_NO_8BIT = "8-bit optimizers are not there yet; `adamw_torch` is the nearest"
VALUES: dict[str, dict[str, str]] = {
    "dtype": {
        "bf16": _BFLOAT16, "torch.bfloat16": _BFLOAT16, "fp16": _FLOAT16, "half": _FLOAT16, "torch.float16": _FLOAT16,
        "fp32": _FLOAT32, "float": _FLOAT32, "torch.float32": _FLOAT32,
    },
    "attn_implementation": {
        "flash_attention": "write `flash_attention_2`", "fa2": "write `flash_attention_2`",
        "flash_attention_3": "only version 2 is there",
    },
    "optim": {
        "adamw": "write `adamw_torch`", "adamw_hf": "write `adamw_torch` (transformers dropped its own)",
        "adam": "write `adamw_torch`: with `weight_decay: 0` it is Adam",
        "adamw_torch_8bit": _NO_8BIT, "adamw_bnb_8bit": _NO_8BIT, "adamw_8bit": _NO_8BIT,
        "paged_adamw_8bit": _NO_8BIT, "paged_adamw_32bit": "paged optimizers are not there yet; write `adamw_torch`",
    },
    "packing": {
        "true": "write `wrapped`", "false": "write `none`", "null": "write `none`", "": "write `none`",
        "bfd": "write `bfd_split`, or `wrapped`, the paper's; TRL's `bfd` drops about 7% of UltraChat's tokens",
        "ffd": "write `bfd_split`",
    },
    "loss_on": {"assistant_only": "write `assistant`", "completion_only": "write `completion`"},
    "lr_scheduler_type": {"cosine_with_restarts": "write `cosine`", "warmup_stable_decay": "not there yet"},
    "loss_type": {"dpo": "write `sigmoid`, the loss of DPO", "kto_pair": "TRL dropped it"},
}  # fmt: skip
"""Last word of a key -> a value typed there -> what to write."""
