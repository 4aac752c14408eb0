"""The messages are the user interface of a recipe: each typical mistake, and exactly what is said."""

# ruff: noqa: E501 - a message stands whole

import pytest
from tests.recipe.conftest import CHECKOUT
from tests.recipe.texts import DPO, SFT, changed

from zephyr.recipe import RecipeError, load

LOSSES = (
    "`sigmoid`, `hinge`, `ipo`, `exo_pair`, `nca_pair`, `robust`, `bco_pair`, `sppo_hard`, `aot`, `aot_unpaired`, "
    "`apo_zero`, `apo_down`, `discopop`, `sft` or `sigmoid_norm`"
)
DEVICES = (
    "`a100-80gb`, `a100-40gb`, `h100-80gb`, `h200-141gb`, `b200-192gb`, `mi300x-192gb`, `l40s-48gb`, `a6000-48gb`, "
    "`rtx-5090-32gb`, `rtx-4090-24gb`, `rtx-3090-24gb`, `a10g-24gb`, `l4-24gb`, `t4-16gb` or `cpu`"
)
TABLE = [
    # keys
    ("  learning_rate: 5e-7", "  learning_rat: 5e-7",
     ["dpo.yaml:11: train.learning_rat: there is no such key; did you mean `learning_rate`?"]),
    ("      name: prompts", "      nam: prompts\n      splitt: x",
     ["dpo.yaml:6: data.train[0].path: this recipe makes several files; say which with `name`: `corpus`, `corpus_eval`, "
      "`instructions`, `instructions_eval`, `prompts`, `prompts_eval` or `heldout`",
      "dpo.yaml:7: data.train[0].nam: there is no such key; did you mean `name`?",
      "dpo.yaml:8: data.train[0].splitt: there is no such key; did you mean `split`?"]),
    ("seed: 1", "seed: 1\nwarmup_stepps: 5",
     ["dpo.yaml:3: warmup_stepps: there is no such key; did you mean `train.warmup_steps`?"]),
    ("seed: 1", "seed: 1\nbeta: 0.1", ["dpo.yaml:3: beta: belongs under `train`"]),
    ("launch:", "train.optim: rmsprop\nlaunch:",
     ["dpo.yaml:16: train.optim: keys are nested in a file, dotted only on the command line; write `optim` under `train`"]),
    ("  max_length: 256", "  max_length: 256\n  seed: 1",
     ["dpo.yaml:9: data.seed: belongs at the top of the recipe, not under `data`"]),
    ("  max_length: 256", "  max_length: 256\n  packing: wrapped",
     ["dpo.yaml:9: data.packing: a recipe of stage dpo has no such key; `data.packing` is for `cpt` and `sft`"]),
    ("      name: prompts", "      name: prompts\n      zzz: 4",
     ["dpo.yaml:8: data.train[0].zzz: there is no such key; under `data.train[0]` may stand `path`, `name`, "
      "`revision`, `split`, `fraction` and 2 more (`zephyr schema`)"]),
    ("launch: {micro_batch_size: 8}", "launch: {micro_batch_size: 8, gpu_price: 4}",
     ["dpo.yaml:16: launch.gpu_price: there is no such key; under `launch` may stand `processes`, `shard_within_machine`, `padding_free`, `device`, `price_per_gpu_hour` and 8 more (`zephyr schema`)"]),
    ("launch: {", "adapter: {rank: 8, r: 8, lora_alpha: 16}\nlaunch: {",
     ["dpo.yaml:16: adapter.rank: there is no such key; under `adapter` may stand `method`, `r`, `lora_alpha`, "
      "`lora_dropout` and `target_modules`"]),
    # keys of other toolkits
    ("  max_length: 256", "  max_seq_length: 256",
     ["dpo.yaml:8: data.max_seq_length: write `max_length: 256`, the tokens of a sequence (TRL renamed it in 0.20)"]),
    ("model: {", "model: {torch_dtype: bfloat16, ",
     ["dpo.yaml:3: model.torch_dtype: write `dtype: bfloat16` (transformers renamed it)"]),
    ("  beta: 0.1", "  beta: 0.1\n  warmup_ratio: 0.1",
     ["dpo.yaml:16: train.warmup_ratio: write `warmup_steps: 0.1`: below 1 it is a share of all steps, as the ratio was"]),
    ("  beta: 0.1", "  beta: 0.1\n  gradient_accumulation_steps: 4",
     ["dpo.yaml:16: train.gradient_accumulation_steps: take it away: it is derived; write `train.global_batch_size`, "
      "which is micro-batch x processes x accumulation, and the maths stays the same on any number of GPUs"]),
    ("seed: 1", "seed: 1\noverwrite_output_dir: true",
     ["dpo.yaml:3: overwrite_output_dir: take it away: a finished run is never overwritten; choose another `output_dir`"]),
    ("  beta: 0.1", "  beta: 0.1\n  neftune_noise_alpha: 5",
     ["dpo.yaml:16: train.neftune_noise_alpha: an argument of TRL's: write it under `trl`, "
      "as `trl: {neftune_noise_alpha: ...}`"]),
    ("launch: {micro_batch_size: 8}", "launch: {micro_batch_size: 8, gpus: 4, nodes: 2}",
     ["dpo.yaml:16: launch.gpus: write `processes: 4`, all GPUs of all machines together",
      "dpo.yaml:16: launch.nodes: write `machines: 2`"]),
    ("launch: {", "lora_alpha: 16\nlaunch: {", ["dpo.yaml:16: lora_alpha: belongs under `adapter`"]),
    ("launch: {", "use_peft: true\nlaunch: {",
     ["dpo.yaml:16: use_peft: write a section `adapter: {method: lora, r: ..., lora_alpha: ...}`; "
      "without it every weight is trained"]),
    ("launch:", "trl: {learning_rate: 1e-5, neftune_noise_alph: 5, zzz: 1, eval_on_start: false, save_total_limit: 3}\nlaunch:",
     ["dpo.yaml:16: trl.learning_rate: belongs under `train`",
      "dpo.yaml:16: trl.neftune_noise_alph: there is no such key; did you mean `neftune_noise_alpha`?",
      "dpo.yaml:16: trl.zzz: the installed TRL has no such argument",
      "dpo.yaml:16: trl.eval_on_start: set by the toolkit: evaluation before training is how a gain is known",
      "dpo.yaml:16: trl.save_total_limit: belongs under `train`"]),
    # values
    ("seed: 1", 'seed: "1"', ['dpo.yaml:2: seed: found `"1"`; a whole number is expected: write 1, without quotes']),
    ("  max_prompt_length: 128", '  max_prompt_length: "128"',
     ['dpo.yaml:9: data.max_prompt_length: found `"128"`; a whole number is expected: write 128, without quotes']),
    ("  global_batch_size: 32", "  global_batch_size: 32.0",
     ["dpo.yaml:12: train.global_batch_size: found `32.0`; a whole number is expected: write 32"]),
    ("  global_batch_size: 32", "  global_batch_size: true",
     ["dpo.yaml:12: train.global_batch_size: found `true`; a whole number is expected"]),
    ("  learning_rate: 5e-7", "  learning_rate: 5e -7",
     ["dpo.yaml:11: train.learning_rate: found `5e -7`; a number is expected"]),
    ("  learning_rate: 5e-7", "  learning_rate: -5e-7",
     ["dpo.yaml:11: train.learning_rate: found `-5e-7`; a number above 0 is expected"]),
    ("  learning_rate: 5e-7", "  learning_rate:",
     ["dpo.yaml:11: train.learning_rate: found nothing; a number is expected"]),
    ("  beta: 0.1", "  beta: 0.1\n  warmup_steps: 10%",
     ["dpo.yaml:16: train.warmup_steps: found `10%`; a number is expected: write 0.1"]),
    ("  beta: 0.1", "  beta: 0.1\n  bf16: yes", ["dpo.yaml:16: train.bf16: found `yes`; true or false is expected: write true"]),
    ("model: {", "model: {dtype: bf16, ",
     ["dpo.yaml:3: model.dtype: found `bf16`; `float32`, `bfloat16`, `float16` or `auto` is expected; write `bfloat16`"]),
    ("  lr_scheduler_type: linear", "  lr_scheduler_type: liner",
     ["dpo.yaml:14: train.lr_scheduler_type: found `liner`; `linear`, `cosine`, `constant`, `constant_with_warmup`, "
      "`polynomial`, `inverse_sqrt` or `cosine_with_min_lr` is expected; did you mean `linear`?"]),
    ("  beta: 0.1", "  beta: 0.1\n  loss_type: [sigmoid]",
     ["dpo.yaml:16: train.loss_type: found a list; one word is expected, not a list; write `sigmoid`"]),
    ("  beta: 0.1", "  beta: 0.1\n  loss_type: dpo",
     [f"dpo.yaml:16: train.loss_type: found `dpo`; {LOSSES} is expected; write `sigmoid`, the loss of DPO"]),
    ("      name: prompts", "      name: prompts\n    - org/x",
     ["dpo.yaml:8: data.train[1]: found `org/x`; keys are expected: write `path: org/x`"]),
    ("      name: prompts", "      name: prompts\n  eval: org/x",
     ["dpo.yaml:8: data.eval: found `org/x`; a list is expected, one entry a data set: `- path: org/x`"]),
    ("      name: prompts", "      name: prompts\n  eval:",
     ["dpo.yaml:8: data.eval: found nothing; a list is expected, one entry a data set: `- path: ...`"]),
    ("launch: {micro_batch_size: 8}", "launch: 8",
     ["dpo.yaml:16: launch: found `8`; keys are expected, each on its own line, indented"]),
    ("launch: {micro_batch_size: 8}", "launch:\n  micro_batch_size:8",
     ["dpo.yaml:16: launch: found `micro_batch_size:8`; keys are expected: is the space after `:` missing? "
      "(`micro_batch_size: 8`)"]),
    ("model: {model_name_or_path: sft.yaml}", "model: sft.yaml",
     ["dpo.yaml:3: model: found `sft.yaml`; keys are expected: write `model: {model_name_or_path: sft.yaml}`"]),
    ("seed: 1", "seed: 1\nname: 2024", ['dpo.yaml:3: name: found `2024`; text is expected: write "2024", in quotes']),
    ("  max_length: 256", "  max_length: 256\n  chat_template: chatml",
     ["dpo.yaml:9: data.chat_template: found `chatml`; `zephyr` or `tokenizer`, or the path of a file that exists, "
      "is expected"]),
    ("  max_length: 256", "  max_length: 256\n  max_unusable_share: 5",
     ["dpo.yaml:9: data.max_unusable_share: found `5`; a number at most 1 is expected"]),
    # what is missing
    ("  beta: 0.1\n", "", ["dpo.yaml:10: train: `beta` is missing; it decides the outcome, so there is no default"]),
    ("  beta: 0.1\n", "  betta: 0.1\n", ["dpo.yaml:15: train.betta: there is no such key; did you mean `beta`?"]),
    ("  global_batch_size: 32\n  num_train_epochs: 1\n", "",
     ["dpo.yaml:10: train: `global_batch_size` and `num_train_epochs` are missing; they decide the outcome, "
      "so there is no default"]),
    ("launch: {micro_batch_size: 8}", "launch: {}",
     ["dpo.yaml:16: launch: `micro_batch_size` is missing; it depends on your hardware, so there is no default"]),
    ("launch: {micro_batch_size: 8}\n", "",
     ["dpo.yaml: `launch` (with `micro_batch_size`) is missing; it depends on your hardware, so there is no default"]),
    ("    - path: world.yaml\n", "    - revision: x\n",
     ["dpo.yaml:6: data.train[0]: `path` is missing: Hub id, local file or directory (jsonl, json, parquet, csv, "
      "`save_to_disk`), or another recipe (`world.yaml`)"]),
    ("    - path: world.yaml\n      name: prompts\n", "    []\n", ["dpo.yaml:5: data.train: empty; at least one entry is expected"]),
    # between keys
    ("model: {model_name_or_path: sft.yaml}", "model: {}",
     ["dpo.yaml:3: model: no model to start from; write `model_name_or_path` (a Hub id, a directory or a recipe), "
      "or `config` for a randomly initialised one"]),
    ("model: {", "model: {config: {model_type: mistral}, ",
     ["dpo.yaml:3: model.config: `model_name_or_path` is given too, and brings its own configuration; keep one of them "
      "(`null` takes away a key of the recipe that this one extends)"]),
    ("model: {model_name_or_path: sft.yaml}", "model: {config: {hidden_size: 8}}",
     ["dpo.yaml:3: model.config: `model_type` is missing, such as `model_type: mistral`",
      "dpo.yaml:3: model: `tokenizer_name_or_path` is missing: a model made from `config` brings no tokenizer"]),
    ("model: {", "model: {attn_implementation: flash_attention_2, dtype: float32, ",
     ["dpo.yaml:3: model.attn_implementation: flash_attention_2 can't compute in float32; write `sdpa`, "
      "or `bf16: true` under `train`"]),
    ("  max_prompt_length: 128", "  max_prompt_length: 256",
     ["dpo.yaml:9: data.max_prompt_length: found 256; a number below `max_length` (256) is expected, "
      "or no token is left for the answer"]),
    ("      name: prompts", "      name: prompts\n      fraction: 0.5\n      rows: 100",
     ["dpo.yaml:9: data.train[0].rows: `fraction` is given too; keep one of them"]),
    ("  beta: 0.1", "  beta: 0.1\n  loss_type: exo_pair",
     ["dpo.yaml:16: train.loss_type: `exo_pair` needs `label_smoothing` above 0, such as 1e-3"]),
    ("  beta: 0.1", "  beta: 0.1\n  eval_steps: 0.5",
     ["dpo.yaml:16: train.eval_steps: there is nothing to evaluate; name held-out data under `data.eval`, "
      "or take it away"]),
    ("  beta: 0.1", "  beta: 0.1\n  warmup_steps: 10.5",
     ["dpo.yaml:16: train.warmup_steps: found 10.5; from 1 on it is a number of steps, so a whole one; "
      "below 1, a share of all"]),
    ("{micro_batch_size: 8}", "{micro_batch_size: 3, processes: 4}",
     ["dpo.yaml:12: train.global_batch_size: 32 sequences per step can't be cut into micro-batches of 3 on 4 processes "
      "(3 x 4 = 12 at once); what works: `train.global_batch_size` 24 or 36, or `launch.micro_batch_size` 2 or 4"]),
    ("{micro_batch_size: 8}", "{micro_batch_size: 1, processes: 8, machines: 3}",
     ["dpo.yaml:16: launch.machines: 8 processes can't be spread evenly over 3 machines; `processes` counts them all; what works: `launch.machines=2`"]),
    ("{micro_batch_size: 8}", "{micro_batch_size: 8, processes: 1, machines: 2}",
     ["dpo.yaml:16: launch.machines: 1 process can't be spread evenly over 2 machines; `processes` counts them all; what works: `launch.machines=1`"]),
    ("{micro_batch_size: 8}", "{micro_batch_size: 8, processes: 4, strategy: single}",
     ["dpo.yaml:16: launch.strategy: `single` is one process, and `processes` says 4; write `auto`"]),
    ("{micro_batch_size: 8}", "{micro_batch_size: 8, processes: 4, strategy: ddp, shard_within_machine: true}",
     ["dpo.yaml:16: launch.shard_within_machine: only `zero3` and `fsdp2` shard weights, not `ddp`"]),
    ("{micro_batch_size: 8}", "{micro_batch_size: 8, device: a100}",
     ["dpo.yaml:16: launch.device: found `a100`; " + DEVICES + " is expected; did you mean `a100-80gb`?"]),
    ("model: {", "model: {quantization: nf4, ",
     ["dpo.yaml:3: model.quantization: quantised weights can't be trained; add an `adapter`, which can"]),
    ("model: {model_name_or_path: sft.yaml}",
     "model: {config: {model_type: mistral}, tokenizer_name_or_path: x}\nadapter: {r: 8, lora_alpha: 16}",
     ["dpo.yaml:4: adapter: an adapter on random weights learns nothing; start from a `model_name_or_path`"]),
    # other recipes
    ("sft.yaml", "stf.yaml",
     ["dpo.yaml:3: model.model_name_or_path: there is no recipe `stf.yaml` in lab nor in .; did you mean sft.yaml?"]),
    ("sft.yaml", "nothing-like-it.yaml",
     ["dpo.yaml:3: model.model_name_or_path: there is no recipe `nothing-like-it.yaml` in lab nor in .; "
      "there are dpo.yaml, report.yaml, sft.yaml, world.yaml"]),
    ("sft.yaml", "world.yaml",
     ["dpo.yaml:3: model.model_name_or_path: a recipe of stage world makes no model; those of `cpt`, `sft` or `dpo` do"]),
    ("name: prompts", "name: pears",
     ["dpo.yaml:6: data.train[0].path: this recipe makes no `pears`; its files are `corpus`, `corpus_eval`, `instructions`, "
      "`instructions_eval`, `prompts`, `prompts_eval` and `heldout`"]),
    ("path: world.yaml", "path: sft.yaml",
     ["dpo.yaml:6: data.train[0].path: a recipe of stage sft makes no rows; those of `world`, `dialogues`, `filter`, `feedback` or `binarize` do"]),
    ("name: prompts", "name: prompts\n      revision: main",
     ["dpo.yaml:8: data.train[0].revision: belongs to the Hub; `path` names a recipe, whose output has none"]),
    ("sft.yaml", "dpo.yaml",
     ["dpo.yaml:3: model.model_name_or_path: these recipes need each other in a circle: lab/dpo.yaml -> lab/dpo.yaml"]),
    # the stage
    ("stage: dpo", "stage: ddpo",
     ["dpo.yaml:1: stage: found `ddpo`; `world`, `cpt`, `dialogues`, `filter`, `sft`, `feedback`, `binarize`, `dpo`, `evaluate`, `report` or `study` is expected; write `dpo`"]),
    ("stage: dpo", "stage: binarise",
     ["dpo.yaml:1: stage: found `binarise`; `world`, `cpt`, `dialogues`, `filter`, `sft`, `feedback`, `binarize`, `dpo`, `evaluate`, `report` or `study` is expected; did you mean `binarize`?"]),
    ("stage: dpo\n", "",
     ["dpo.yaml: no `stage`. A recipe says `stage: sft` (`world`, `cpt`, `dialogues`, `filter`, `sft`, `feedback`, `binarize`, `dpo`, `evaluate`, `report` or `study`) and has "
      "sections such as `model`, `data`, `train` and `launch`; `zephyr recipes` lists some to start from"]),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "messages"), TABLE, ids=[messages[0][:60] for _, _, messages in TABLE])
def test_a_typical_mistake_gets_exactly_this(write, old, new, messages):
    path = write("dpo.yaml", changed(DPO, (old, new)))
    with pytest.raises(RecipeError) as error:
        load(path)
    assert sorted(str(error.value).splitlines()) == sorted(f"lab/{message}" for message in messages)


def test_all_mistakes_of_a_recipe_and_of_its_inputs_are_shown_together_by_file_and_line(write):
    write("sft.yaml", changed(SFT, ("  learning_rate: 2e-5", "  lr: 2e-5")))
    text = changed(DPO, ("seed: 1", "seed: 1.5"), ("  beta: 0.1", "  beta: 0.1\n  beta: 0.2\n  epochs: 3"))
    with pytest.raises(RecipeError) as error:
        load(write("dpo.yaml", text))
    assert str(error.value).splitlines() == [
        "lab/dpo.yaml:2: seed: found `1.5`; a whole number is expected",
        "lab/dpo.yaml:16: train.beta: given twice, first on line 15; keep one of them",
        "lab/dpo.yaml:17: train.epochs: write `num_train_epochs: 3`",
        "lab/sft.yaml:10: train.lr: write `learning_rate: 2e-5`",
    ]


def test_a_file_that_is_no_recipe(write):
    with pytest.raises(RecipeError) as error:
        load(write("zero3.yaml", "compute_environment: LOCAL_MACHINE\ndistributed_type: DEEPSPEED\n"))
    assert str(error.value) == (
        "lab/zero3.yaml: no recipe but a configuration of accelerate; `accelerate launch --config_file` takes it"
    )
    with pytest.raises(RecipeError) as error:
        load(CHECKOUT / "recipes/clusters/slurm.yaml")
    assert "no recipe but a cluster's file; `zephyr run RECIPE --slurm FILE` takes it" in str(error.value)
    with pytest.raises(RecipeError) as error:
        load(write("other.yaml", "flavour: sweet\n"))
    assert str(error.value).splitlines()[1] == "lab/other.yaml:1: flavour: no recipe has such a key"


def test_wording_is_a_file_or_the_toolkits_own_and_no_recipe():
    with pytest.raises(RecipeError) as error:
        load(CHECKOUT / "recipes/mini/feedback.yaml", ["principles=nix", "judging.rubric=nofile.yaml"])
    expected = "`zephyr`, or the path of a file that exists, is expected"
    assert str(error.value).splitlines() == [
        f"override judging.rubric=nofile.yaml: judging.rubric: found `nofile.yaml`; {expected}",
        f"override principles=nix: principles: found `nix`; {expected}",
    ]


def test_a_flat_recipe_of_another_toolkit_is_translated_key_by_key(write):
    path = write("handbook.yaml", """\
model_name_or_path: alignment-handbook/zephyr-7b-sft-full
torch_dtype: auto
use_flash_attention_2: true
dataset_mixer:
  HuggingFaceH4/ultrafeedback_binarized: 1.0
beta: 0.01
gradient_checkpointing_kwargs: {use_reentrant: false}
per_device_train_batch_size: 8
max_prompt_length: 512
use_peft: true
lora_r: 64
""")  # fmt: skip
    with pytest.raises(RecipeError) as error:
        load(path)
    assert str(error.value).splitlines() == [
        "lab/handbook.yaml: no `stage`. This looks like a flat recipe of another toolkit. A recipe says `stage: sft` "
        "(`world`, `cpt`, `dialogues`, `filter`, `sft`, `feedback`, `binarize`, `dpo`, `evaluate`, `report` or `study`) and has sections such as `model`, `data`, `train` and "
        "`launch`; `zephyr recipes` lists some to start from",
        "lab/handbook.yaml:1: model_name_or_path: belongs under `model`",
        "lab/handbook.yaml:2: torch_dtype: write `dtype: auto` under `model` (transformers renamed it)",
        "lab/handbook.yaml:3: use_flash_attention_2: write `attn_implementation: flash_attention_2` under `model`",
        "lab/handbook.yaml:4: dataset_mixer: write each data set as an entry under `data.train` or `data.eval`: "
        "`- {path: ..., split: ..., fraction: ...}`; training and held-out data are named apart, so that they are never "
        "pooled",
        "lab/handbook.yaml:6: beta: belongs under `train`",
        "lab/handbook.yaml:7: gradient_checkpointing_kwargs: an argument of TRL's: write it under `trl`, "
        "as `trl: {gradient_checkpointing_kwargs: ...}`",
        "lab/handbook.yaml:8: per_device_train_batch_size: write `micro_batch_size: 8` under `launch`: "
        "it changes the speed, never the result",
        "lab/handbook.yaml:9: max_prompt_length: belongs under `data`",
        "lab/handbook.yaml:10: use_peft: write a section `adapter: {method: lora, r: ..., lora_alpha: ...}`; "
        "without it every weight is trained",
        "lab/handbook.yaml:11: lora_r: write it as `r: 64` in a section `adapter`",
    ]
