"""Recipes of other toolkits: what becomes of each key, and that the result is right and means the same."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from zephyr.cli import main
from zephyr.errors import UserError
from zephyr.recipe import load
from zephyr.recipe.convert.command import convert, report
from zephyr.recipe.reader import read

SFT_2023 = """\
model_name_or_path: org/base-7b
model_revision: main
torch_dtype: bfloat16
use_flash_attention_2: true
dataset_mixer:
  org/chats: 1.0
  org/more-chats: 0.25
dataset_splits: [train_sft, test_sft]
preprocessing_num_workers: 12
bf16: true
do_eval: true
evaluation_strategy: epoch
gradient_accumulation_steps: 2
gradient_checkpointing: true
hub_model_id: my-sft
learning_rate: 2.0e-05
log_level: info
logging_steps: 5
logging_strategy: steps
lr_scheduler_type: cosine
max_seq_length: 2048
max_steps: -1
num_train_epochs: 1
output_dir: data/my-sft
overwrite_output_dir: true
per_device_eval_batch_size: 16
per_device_train_batch_size: 32
push_to_hub: true
remove_unused_columns: true
report_to: [tensorboard, comet_ml]
save_strategy: "no"
seed: 42
tf32: true
"""
DPO_2024 = """\
model_name_or_path: org/sft-7b
torch_dtype: null
auto_insert_empty_system_msg: false
dataset_mixer: {org/pairs: 1.0}
dataset_splits:
- train_prefs
- test_prefs
bf16: true
beta: 0.01
eval_strategy: steps
eval_steps: 100
gradient_accumulation_steps: 2
gradient_checkpointing: true
gradient_checkpointing_kwargs:
  use_reentrant: False
learning_rate: 5e-7
lr_scheduler_type: cosine
max_length: 1024
max_prompt_length: 512
num_train_epochs: 1
per_device_train_batch_size: 8
save_strategy: steps
save_steps: 100
save_total_limit: 1
warmup_ratio: 0.1
"""
QLORA = """\
use_peft: true
load_in_4bit: true
lora_r: 128
lora_alpha: 128
lora_dropout: 0.05
lora_target_modules: [q_proj, k_proj, v_proj, o_proj]
lora_modules_to_save: [lm_head]
optim: paged_adamw_32bit
"""
SFT_2025 = """\
model_name_or_path: org/base-3b
model_revision: 0123abc
torch_dtype: bfloat16
attn_implementation: flash_attention_2
trust_remote_code: true
chat_template: "{%- for message in messages -%}\\n{{ message.content + eos_token }}\\n{%- endfor -%}"
dataset_mixture:
  datasets:
    - {id: org/mix, config: all, split: train, columns: [messages], weight: 0.5}
    - {id: org/mix, config: all, split: test, columns: [messages], weight: 1.0}
  test_split_size: 1000
  seed: 0
dataset_num_proc: 48
eos_token: <|im_end|>
bf16: true
do_eval: true
eval_strategy: 'no'
learning_rate: 2.0e-05
lr_scheduler_type: cosine_with_min_lr
lr_scheduler_kwargs: {min_lr_rate: 0.1}
packing: true
max_grad_norm: 0.2
max_length: 32768
num_train_epochs: 5
per_device_train_batch_size: 1
save_strategy: epoch
run_name: midtraining
"""
TRL_DPO = """\
model_name_or_path: org/small
dataset_name: org/pairs
eval_strategy: steps
per_device_train_batch_size: 2
gradient_accumulation_steps: 4
max_length: 512
loss_type: [sigmoid]
use_peft: true
use_rslora: true
lora_r: 16
lora_alpha: 8
accelerate_config: zero3
num_processes: 4
report_to: none
output_dir: out
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def write(text: str, name: str = "theirs.yaml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write


def converted(path: Path, **options: Any) -> tuple[dict[str, Any], str]:
    made = convert(path, template_name="ours.jinja", **options)
    ours = path.parent / "ours.yaml"
    ours.write_text(made.text)
    return read(ours).data, "\n".join(report(made.notes))


def test_a_recipe_of_2023(write):
    recipe, notes = converted(write(SFT_2023))
    assert recipe["stage"] == "sft" and recipe["seed"] == 42
    assert recipe["model"] == {
        "model_name_or_path": "org/base-7b", "revision": "main", "dtype": "bfloat16",
        "attn_implementation": "flash_attention_2",
    }  # fmt: skip
    assert recipe["data"]["train"] == [
        {"path": "org/chats", "split": "train_sft"},
        {"path": "org/more-chats", "split": "train_sft", "fraction": 0.25},
    ]
    assert [each["split"] for each in recipe["data"]["eval"]] == ["test_sft", "test_sft"]
    # what its script did, and no key said
    assert recipe["data"]["packing"] == "wrapped" and recipe["data"]["loss_on"] == "all"
    assert recipe["data"]["empty_system_turn"] is True and recipe["data"]["chat_template"] == "zephyr"
    assert recipe["data"]["add_bos_token"] is True and recipe["data"]["append_eos_token"] is True
    assert recipe["train"]["global_batch_size"] == 32 * 2 * 8 and recipe["launch"]["processes"] == 8
    assert recipe["train"]["optim"] == "adamw_torch" and "save_steps" not in recipe["train"]
    assert recipe["train"]["report_to"] == ["tensorboard"] and recipe["trl"] == {"tf32": True}
    for said in ("8 is assumed", "32 x 2 x 8 = 512", "`zephyr push", "comet_ml", "which its script hard-coded",
                 "67 %", "shares took the first rows", "pin a commit", "dataset_splits"):  # fmt: skip
        assert said in notes, said


def test_a_recipe_of_2024_and_its_defaults(write):
    recipe, notes = converted(write(DPO_2024), processes=4)
    assert recipe["stage"] == "dpo" and recipe["train"]["global_batch_size"] == 8 * 2 * 4
    assert recipe["model"]["dtype"] == "float32" and recipe["data"]["empty_system_turn"] is False
    assert recipe["train"]["optim"] == "rmsprop"  # its own DPOConfig's default
    assert (recipe["data"]["max_length"], recipe["data"]["max_prompt_length"]) == (1024, 512)
    assert recipe["train"]["warmup_steps"] == 0.1 and recipe["train"]["eval_steps"] == 100
    assert (recipe["train"]["save_steps"], recipe["train"]["save_total_limit"]) == (100, 1)
    assert recipe["trl"] == {"gradient_checkpointing_kwargs": {"use_reentrant": False}}
    assert "is assumed" not in notes and "`train.optim: rmsprop`" in notes


def test_qlora_becomes_an_adapter(write):
    recipe, notes = converted(write(DPO_2024 + QLORA))
    assert recipe["model"]["quantization"] == "nf4"
    assert recipe["adapter"] == {
        "r": 128, "lora_alpha": 128, "lora_dropout": 0.05, "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"],
    }  # fmt: skip
    assert recipe["train"]["optim"] == "adamw_torch" and "paged optimizers are not there yet" in notes
    assert "double quantisation" in notes and "lora_modules_to_save (line" in notes


def test_adapter_keys_without_use_peft_do_nothing_as_they_did_there(write):
    recipe, notes = converted(write(DPO_2024 + QLORA.replace("use_peft: true", "use_peft: false")))
    assert "adapter" not in recipe and "quantization" not in recipe["model"]
    assert notes.count("without `use_peft: true` it did nothing there") == 6


def test_a_recipe_of_2025_puts_its_pooled_splits_apart(write):
    recipe, notes = converted(write(SFT_2025.replace("eval_strategy: 'no'", "eval_strategy: epoch")))
    assert recipe["data"]["train"] == [{"path": "org/mix", "name": "all", "split": "train", "fraction": 0.5}]
    assert recipe["data"]["eval"] == [{"path": "org/mix", "name": "all", "split": "test"}]
    assert "it pooled org/mix test with the training data and held out 1000 rows" in notes
    assert recipe["data"]["packing"] == "wrapped" and "Steps and loss differ" in notes
    assert recipe["data"]["empty_system_turn"] is False and recipe["data"]["chat_template"] == "ours.jinja"
    assert recipe["train"]["eval_steps"] == recipe["train"]["save_steps"] == 0.2  # an epoch of five
    assert recipe["name"] == "midtraining" and recipe["trl"]["lr_scheduler_kwargs"] == {"min_lr_rate": 0.1}


def test_without_test_splits_nothing_is_cut_off_the_training_data(write):
    text = SFT_2025.replace("    - {id: org/mix, config: all, split: test, columns: [messages], weight: 1.0}\n", "")
    recipe, notes = converted(write(text.replace("eval_strategy: 'no'", "eval_strategy: epoch")))
    assert "eval" not in recipe["data"] and "eval_steps" not in recipe["train"]
    assert "name held-out data under `data.eval`" in notes


def test_defaults_of_trl_are_written_out(write):
    recipe, notes = converted(write(TRL_DPO))
    assert recipe["stage"] == "dpo" and recipe["model"]["dtype"] == "float32" and recipe["seed"] == 42
    train = {key: recipe["train"][key] for key in ("learning_rate", "beta", "num_train_epochs", "lr_scheduler_type")}
    assert train == {"learning_rate": 1e-6, "beta": 0.1, "num_train_epochs": 3, "lr_scheduler_type": "linear"}
    assert recipe["train"]["loss_type"] == "sigmoid" and recipe["train"]["bf16"] is True
    assert recipe["train"]["eval_steps"] == recipe["train"]["logging_steps"] == 10
    assert (recipe["data"]["max_length"], recipe["data"]["max_prompt_length"]) == (512, 256)
    assert "drops pairs whose prompt fills them" in notes
    assert recipe["adapter"]["lora_alpha"] == 8 * 16**0.5 and "use_rslora" in notes
    assert recipe["adapter"]["target_modules"] == ["q_proj", "v_proj"]
    assert recipe["launch"] == {
        "micro_batch_size": 2, "processes": 4, "strategy": "zero3", "gradient_checkpointing": True,
    }  # fmt: skip
    assert recipe["train"]["global_batch_size"] == 2 * 4 * 4


def test_the_defaults_are_those_of_the_installed_trl():
    trl = pytest.importorskip("trl")
    from zephyr.recipe.convert.origin import TRL

    for kind, config in (("sft", trl.SFTConfig), ("dpo", trl.DPOConfig)):
        theirs = config(output_dir="unused", bf16=False, use_cpu=True)
        assert theirs.learning_rate == TRL.learning_rate[kind] and theirs.optim == TRL.optim[kind]
        assert theirs.max_length == TRL.max_length[kind] and theirs.logging_steps == TRL.logging_steps
        assert theirs.gradient_checkpointing == TRL.gradient_checkpointing
        assert (theirs.num_train_epochs, theirs.seed, theirs.lr_scheduler_type) == (3, 42, "linear")
    assert trl.SFTConfig(output_dir="unused", bf16=False).packing is False
    assert trl.DPOConfig(output_dir="unused", bf16=False).beta == 0.1


def test_files_and_mixtures_of_trl(write):
    text = """\
model_name_or_path: org/small
datasets:
  - {path: json, data_files: [one.jsonl, two.jsonl]}
  - {path: org/chats, name: en, fraction: 0.3}
assistant_only_loss: true
test_split_size: 0.1
"""
    recipe, notes = converted(write(text))
    assert [each["path"] for each in recipe["data"]["train"]] == ["one.jsonl", "two.jsonl", "org/chats"]
    assert "fraction" not in recipe["data"]["train"][2] and "`fraction` is a share of the mixture there" in notes
    assert recipe["data"]["loss_on"] == "assistant" and recipe["data"]["packing"] == "none"
    assert "test_split_size (line 6)" in notes


@pytest.mark.parametrize("text", [SFT_2023, DPO_2024, DPO_2024 + QLORA, SFT_2025, TRL_DPO])
def test_every_key_is_carried_or_named(write, text):
    path = write(text)
    made = convert(path, template_name="ours.jinja")
    body = made.text.partition("\nstage:")[2]
    for key, line in {
        line.split(":")[0]: n for n, line in enumerate(text.splitlines(), 1) if line[0].isalpha()
    }.items():
        assert f"theirs.yaml:{line}\n" in body or any(key == note.key for note in made.notes), key


@pytest.mark.parametrize("text", [SFT_2023, DPO_2024, DPO_2024 + QLORA, SFT_2025, TRL_DPO])
def test_what_is_written_passes_check_and_says_what_changed(write, text, capsys):
    path = write(text)
    assert main(["convert", str(path), "-o", "made/ours.yaml"]) == 0
    said = capsys.readouterr().out
    assert main(["check", "made/ours.yaml"]) == 0
    header = Path("made/ours.yaml").read_text().partition("\nstage:")[0]
    for line in said.splitlines():
        assert line.startswith(("wrote", "#")) or line in header
    assert load("made/ours.yaml").recipe.train.num_train_epochs > 0


def test_nothing_is_overwritten(write, capsys):
    path = write(SFT_2025)
    write("mine", "ours.jinja")
    assert main(["convert", str(path), "-o", "ours.yaml"]) == 1
    assert main(["convert", str(path), "-o", str(path)]) == 1
    assert capsys.readouterr().err.count("nothing is overwritten") == 2
    assert Path("ours.jinja").read_text() == "mine" and not Path("ours.yaml").exists() and path.read_text() == SFT_2025


def test_without_a_file_the_recipe_goes_to_stdout_and_the_notes_to_stderr(write, capsys):
    assert main(["convert", str(write(SFT_2023)), "--processes", "16"]) == 0
    out, err = capsys.readouterr()
    assert yaml.safe_load(out)["train"]["global_batch_size"] == 1024
    assert err.startswith("Means something else here")
    assert main(["convert", str(write(SFT_2025))]) == 1
    assert "say where with -o" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        ("# ORPOTrainer arguments\n" + DPO_2024, "a.yaml", "a recipe for ORPO (a comment says `ORPO`)"),
        (DPO_2024, "orpo/config_full.yaml", "its path says `orpo`"),
        (DPO_2024 + "loss_type: kto_pair\n", "a.yaml", "a recipe for KTO (`loss_type` is `kto_pair`)"),
        ("model_name_or_path: x\ndataset_name: y\nnum_generations: 8\n", "a.yaml", "a recipe for GRPO"),
        ("stage: sft\nseed: 1\n", "a.yaml", "is a Zephyr recipe already"),
        ("distributed_type: FSDP\n", "a.yaml", "a configuration of accelerate"),
        ("base_model: x\ndatasets: [{path: y}]\n", "a.yaml", "neither a recipe of alignment-handbook"),
        ("- a\n- b\n", "a.yaml", "a recipe is a mapping"),
        ("a: [1\n", "a.yaml", "not closed"),
        (
            DPO_2024.replace("max_prompt_length: 512", "max_prompt_length: 2048"),
            "a.yaml",
            "max_prompt_length: found",
        ),
        (SFT_2023.replace("cosine", "warmup_stable_decay"), "a.yaml", "train.lr_scheduler_type: found"),
        (DPO_2024 + "loss_type: [sigmoid, sft]\n", "a.yaml", "train.loss_type: found a list"),
    ],
)
def test_what_cannot_become_a_recipe_is_refused(write, text, name, said):
    with pytest.raises(UserError) as error:
        convert(write(text, name))
    assert said in str(error.value)


def test_a_dataset_named_after_another_method_is_no_recipe_of_it(write):
    recipe, _ = converted(write(DPO_2024.replace("org/pairs", "org/orpo-dpo-mix")))
    assert recipe["data"]["train"][0]["path"] == "org/orpo-dpo-mix"


def test_the_stage_is_found_in_the_path_or_said(write):
    plain = "model_name_or_path: x/y\ndataset_mixer: {a/b: 1.0}\nmax_seq_length: 64\n"
    assert converted(write(plain, "gpt2/cpt/full.yaml"))[0]["stage"] == "cpt"
    assert converted(write(plain, "gpt2/sft/full.yaml"))[0]["stage"] == "sft"
    recipe, _ = converted(write(plain + "text_column: body\n"), stage="cpt")
    assert recipe["data"]["train"][0]["columns"] == {"text": "body"} and "chat_template" not in recipe["data"]
    assert recipe["data"]["add_bos_token"] is True and recipe["data"]["append_eos_token"] is True


def test_a_misspelt_key_is_named(write):
    _, notes = converted(write(SFT_2023.replace("learning_rate:", "learning_rat:")))
    assert "learning_rat (line 16): no key of TRL's" in notes and "meant `learning_rate`?" in notes


def test_a_template_file_is_copied_beside_the_recipe(write):
    write("{{ messages }}", "templates/mine.jinja")
    path = write(TRL_DPO + "chat_template_path: templates/mine.jinja\n")
    assert main(["convert", str(path), "-o", "made/ours.yaml"]) == 0
    shutil.rmtree("templates")
    assert Path("made/ours.jinja").read_text() == "{{ messages }}"
    assert Path(load("made/ours.yaml").recipe.data.chat_template) == Path("made/ours.jinja").resolve()
