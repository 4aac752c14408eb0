"""The recipe's values arrive in TRL's configs under the installed version's names."""

import dataclasses
from pathlib import Path

import pytest
from trl import DPOConfig, SFTConfig

from zephyr.plan.batch import batch_of
from zephyr.recipe import load
from zephyr.recipe.trl_keys import FIXED, OWNED, known_keys, trl_problems
from zephyr.train.to_trl import dpo_arguments, sft_arguments, shared_arguments


def test_every_key_we_write_exists_and_is_owned(tiny: Path):
    for stage, config in (("sft", SFTConfig), ("dpo", DPOConfig)):
        recipe = load(tiny / f"{stage}.yaml").recipe
        written = set(shared_arguments(recipe, tiny, batch_of(recipe)))
        assert written <= {each.name for each in dataclasses.fields(config)}
        assert written <= set(OWNED) | set(FIXED)


def test_keys_read_from_source_text_are_the_fields(tiny: Path):
    for stage, config in (("sft", SFTConfig), ("cpt", SFTConfig), ("dpo", DPOConfig)):
        assert known_keys(stage) >= {each.name for each in dataclasses.fields(config) if not each.name.startswith("_")}


def test_values_arrive(tiny: Path):
    overrides = ["learning_rate=3e-4", "optim=rmsprop", "weight_decay=0.1", "adam_beta2=0.95", "warmup_steps=0.2"]
    recipe = load(tiny / "dpo.yaml", [*overrides, "beta=0.3", "loss_type=ipo", "max_grad_norm=0.5"]).recipe
    arguments = dpo_arguments(recipe, tiny, batch_of(recipe))
    assert (arguments.learning_rate, arguments.optim, arguments.weight_decay) == (3e-4, "rmsprop", 0.1)
    assert (arguments.adam_beta2, arguments.warmup_steps, arguments.max_grad_norm) == (0.95, 0.2, 0.5)
    assert (arguments.beta, arguments.loss_type, arguments.seed) == (0.3, ["ipo"], 1)
    assert arguments.per_device_train_batch_size * arguments.gradient_accumulation_steps == 4
    assert arguments.gradient_checkpointing is False and arguments.bf16 is False  # TRL's own defaults are True


def test_anything_else_passes_through_trl(tiny: Path):
    recipe = load(tiny / "sft.yaml", ["trl.neftune_noise_alpha=5", "trl.dataloader_num_workers=1"]).recipe
    arguments = sft_arguments(recipe, tiny, batch_of(recipe))
    assert (arguments.neftune_noise_alpha, arguments.dataloader_num_workers) == (5, 1)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("lr_scheduler_kwarg", "did you mean `lr_scheduler_kwargs`"),
        ("report_to", "write `train.report_to` instead"),
        ("eval_on_start", "set by the toolkit"),
        ("max_length", "write `data.max_length` instead"),
        ("ld_alpha", None),
    ],
)
def test_keys_under_trl(key: str, expected: str | None):
    problems = trl_problems("dpo", [key])
    assert problems == [] if expected is None else expected in problems[0]
