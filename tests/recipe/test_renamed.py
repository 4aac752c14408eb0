"""The table of other toolkits' keys must not drift from the schema, nor from TRL."""

import re

import pytest

from zephyr.recipe import RECIPES
from zephyr.recipe.keys import keys_of, named
from zephyr.recipe.renamed import IN_SECTION, KEYS, VALUES
from zephyr.recipe.trl_keys import known_keys
from zephyr.recipe.unknown import advice

OURS = {key.dotted for stage in RECIPES for key in keys_of(stage).values()}


def test_no_key_of_ours_is_called_renamed():
    for stage in ("cpt", "sft", "dpo"):
        assert not [key for key in KEYS if named(stage, key)]


def test_a_word_that_the_stage_uses_itself_is_not_translated():
    assert advice("evaluate", ("batch_size",)).endswith(" or `generation`")
    assert advice("sft", ("batch_size",)).startswith("write `train.global_batch_size`")


@pytest.mark.parametrize("key", KEYS)
def test_the_advice_names_keys_that_exist(key):
    text = KEYS[key].format(value="5")
    for mentioned in re.findall(r"`((?:model|data|train|launch)\.\w+)", text):
        assert mentioned in OURS
    for top in re.findall(r"`(\w+): ", text):
        assert any(key.split(".")[-1] == top for key in OURS) or top == "extends"


def test_the_advice_inside_sections_names_keys_that_exist():
    for section, table in IN_SECTION.items():
        prefix = "data.train[]." if section == "source" else f"{section}."
        for text in table.values():
            assert (
                any(f"{prefix}{word}" in OURS for word in re.findall(r"\w+", text.format(value="5")))
                or "data.eval" in text
            )


def test_the_advice_on_values_is_a_choice():
    choices = {key.leaf: key.choices for stage in RECIPES for key in keys_of(stage).values() if key.choices}
    for key, table in VALUES.items():
        for value, text in table.items():
            assert value not in choices[key]
            for word in re.findall(r"write `(\w+)`", text):
                assert word in choices[key]


@pytest.mark.parametrize("stage", ["cpt", "sft", "dpo"])
def test_every_argument_of_trl_has_an_answer(stage):
    known = known_keys(stage)
    if not known:
        pytest.skip("TRL is not installed")
    unanswered = [
        key for key in known if "there is no such key; " in advice(stage, ("train", key)) and not named(stage, key)
    ]
    assert unanswered == []


@pytest.mark.parametrize(
    "key",
    ["max_seq_length", "torch_dtype", "warmup_ratio", "dataset_mixer", "dataset_mixture", "dataset_splits",
     "overwrite_output_dir", "per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps",
     "evaluation_strategy", "eval_strategy", "do_eval", "use_flash_attention_2", "preprocessing_num_workers",
     "hub_model_id", "push_to_hub", "report_to", "logging_strategy", "assistant_only_loss", "completion_only_loss",
     "packing_strategy", "truncation_mode", "tf32", "use_peft", "lora_r", "lora_alpha", "lora_dropout",
     "lora_target_modules", "save_strategy", "save_total_limit", "log_level", "remove_unused_columns",
     "gradient_checkpointing_kwargs", "load_in_4bit", "model_revision", "chat_template_path", "model_init_kwargs"],
)  # fmt: skip
def test_the_keys_of_the_alignment_handbook_have_an_answer(key):
    assert "there is no such key" not in advice("sft", (key,))
