"""FLOPs, hours, cost and disk: the published run's figures, and what changes them."""

from pathlib import Path

import pytest

from zephyr.plan.choose import choose
from zephyr.plan.devices import DEVICES
from zephyr.plan.job import job_of
from zephyr.plan.plan import make_plan
from zephyr.plan.shape import shape_of_loaded
from zephyr.plan.stack import stack_of
from zephyr.plan.work import Tokens, Work, disk_of, tokens_of, work_of
from zephyr.recipe import load
from zephyr.recipe.sections import Launch

ZEPHYR = Path(__file__).parents[2] / "recipes" / "zephyr-7b-beta"
A100 = DEVICES["a100-80gb"]


def work(stage: str, *overrides: str, tokens: Tokens | None = None) -> Work:
    """What a Zephyr recipe computes."""
    loaded = load(ZEPHYR / f"{stage}.yaml", overrides)
    recipe, shape = loaded.recipe, shape_of_loaded(loaded)
    choice = choose(recipe, shape=shape)
    job = job_of(recipe, shape, strategy=choice.strategy, processes=16, micro_batch_size=choice.micro_batch_size,
                 checkpointing=choice.gradient_checkpointing)  # fmt: skip
    found = tokens or tokens_of(recipe, None)
    assert found is not None
    return work_of(recipe, job, found)


def test_the_papers_sft_takes_under_two_hours_at_40_percent():
    sft = work("sft")
    assert sft.tokens.count == 139_427 * 2048 and sft.tokens.basis == "expected"
    assert sft.model_flops == pytest.approx(1.264e19, rel=1e-3)
    assert sft.hours(A100, 16, 0.4) == pytest.approx(1.76, abs=0.005)
    assert sft.hours(A100, 16, 1.0) == pytest.approx(0.70, abs=0.005)


def test_the_papers_dpo_with_its_reference_computed_once():
    pairs = Tokens(count=61_966 * 989, sequences=61_966 * 2, basis="expected")
    found = work("dpo", tokens=pairs)  # 3 epochs of 3 forward passes' worth, and one of the reference: 10 of the 12
    assert found.model_flops == pytest.approx(1.055e19 * 10 / 12, rel=2e-3)
    assert found.hours(A100, 16, 0.4) == pytest.approx(1.22, abs=0.01)


def test_recomputation_is_a_forward_pass_more_for_the_hardware_and_none_for_the_model():
    kept, recomputed = (work("sft", f"launch.gradient_checkpointing={each}") for each in ("false", "true"))
    assert recomputed.model_flops == kept.model_flops == kept.hardware_flops
    assert recomputed.hardware_flops / recomputed.model_flops == pytest.approx(4 / 3)


def test_frozen_weights_need_no_gradient_of_their_own():
    whole, adapter = work("sft"), work("sft", "adapter.r=16", "adapter.lora_alpha=16")
    assert adapter.model_flops / whole.model_flops == pytest.approx(2 / 3, abs=0.01)


def test_tokens_are_counted_ones_then_expected_ones_then_full_rows():
    recipe = load(ZEPHYR / "dpo.yaml", ["expect.tokens=50000000"]).recipe
    assert tokens_of(recipe, {"tokens": 700, "sequences": 4}) == Tokens(count=700, sequences=8, basis="counted")
    found = tokens_of(recipe, None)
    assert found is not None and (found.count, found.basis) == (50_000_000, "expected")
    full = tokens_of(load(ZEPHYR / "dpo.yaml", ["expect.tokens=null"]).recipe, None)
    assert full is not None and (full.count, full.basis) == (61_966 * 2 * 1024, "at most")
    assert tokens_of(load(ZEPHYR / "sft.yaml", ["expect.sequences=null"]).recipe, None) is None


@pytest.mark.parametrize(("strategy", "bytes_"), [("zero3", 16), ("zero2", 14), ("fsdp2", 12)])
def test_a_checkpoint_holds_weights_and_optimizer(strategy: str, bytes_: int):
    loaded = load(ZEPHYR / "sft.yaml", [f"launch.strategy={strategy}"])
    job = job_of(loaded.recipe, shape_of_loaded(loaded), strategy=strategy, processes=16, micro_batch_size=8,
                 checkpointing=True)  # fmt: skip
    disk = disk_of(loaded.recipe, job, stack_of(loaded.recipe))
    assert disk.checkpoint == bytes_ * 7_241_732_096  # 16: 101 GB and 14.5 GB of gathered 16-bit weights, as published
    assert disk.peak == 2 * disk.checkpoint + disk.model
    without = load(ZEPHYR / "sft.yaml", ["train.save_steps=null"]).recipe
    unsaved = disk_of(without, job, stack_of(without))
    assert unsaved.checkpoint == unsaved.left == 0 and unsaved.peak == disk.model
    at_the_end = load(ZEPHYR / "sft.yaml", ["train.save_steps=null", "launch.leave_checkpoint=true"]).recipe
    last = disk_of(at_the_end, job, stack_of(at_the_end))
    assert last.checkpoint == last.left == disk.checkpoint == disk.left and last.peak == disk.left + disk.model


def test_an_adapter_of_another_shape_keeps_its_merged_start_on_disk_and_no_copy_in_memory():
    plan = make_plan(load(ZEPHYR / "qlora" / "dpo.yaml"))
    assert plan.stack is not None and plan.stack.name == "adapter-on-merged" and plan.reckoning is not None
    assert plan.reckoning.disk.start == 2 * 7_241_732_096
    assert plan.reckoning.memory.parts["reference"] == 0
    sft = make_plan(load(ZEPHYR / "qlora" / "sft.yaml"))
    assert sft.reckoning is not None and sft.reckoning.disk.start == 0


def test_every_device_of_a_recipe_has_its_figures():
    import typing

    named = typing.get_args(typing.get_type_hints(Launch)["device"])
    names = {name for each in named for name in typing.get_args(each)}
    assert names - {"cpu"} == set(DEVICES)
