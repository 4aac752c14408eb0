"""`auto`: the least sharding that fits, no recomputation unless needed, the largest micro-batch that divides."""

from dataclasses import replace
from pathlib import Path

import pytest

from zephyr.plan.batch import batch_of
from zephyr.plan.choose import ENOUGH_TOKENS, ROOM, Choice, choose
from zephyr.plan.devices import DEVICES
from zephyr.plan.job import job_of
from zephyr.plan.memory import memory_of
from zephyr.plan.plan import make_plan
from zephyr.plan.shape import SHIPPED
from zephyr.recipe import load
from zephyr.recipe.schema import TrainRecipe

ZEPHYR = Path(__file__).parents[2] / "recipes" / "zephyr-7b-beta"
AUTO = ("launch.strategy=auto", "launch.micro_batch_size=auto", "launch.gradient_checkpointing=auto")
MISTRAL = SHIPPED["mistralai/Mistral-7B-v0.1"]


def recipe(stage: str, *overrides: str) -> TrainRecipe:
    """A Zephyr recipe with everything left to `auto`."""
    found = load(ZEPHYR / f"{stage}.yaml", [*AUTO, *overrides]).recipe
    assert isinstance(found, TrainRecipe)
    return found


def gib(found: TrainRecipe, choice: Choice, processes: int) -> float:
    """Memory that a choice needs."""
    return memory_of(job_of(found, MISTRAL, strategy=choice.strategy, processes=processes,
                            micro_batch_size=choice.micro_batch_size,
                            checkpointing=choice.gradient_checkpointing)).gib  # fmt: skip


@pytest.mark.parametrize(
    ("stage", "device", "processes", "strategy"),
    [
        ("sft", "a100-80gb", 16, "zero2"),
        ("sft", "h200-141gb", 8, "zero2"),
        ("sft", "rtx-4090-24gb", 16, "zero3"),
        ("dpo", "a100-40gb", 16, "zero2"),
        ("dpo", "mi300x-192gb", 1, "single"),
    ],
)
def test_the_least_that_fits(stage: str, device: str, processes: int, strategy: str):
    found = recipe(stage, f"launch.device={device}", f"launch.processes={processes}", "launch.machines=1")
    choice = choose(found, shape=MISTRAL)
    room = ROOM * DEVICES[device].memory_gib
    assert choice.strategy == strategy and gib(found, choice, processes) <= room
    order = ["ddp", "zero2", "zero3"]
    for less in order[: order.index(strategy)] if strategy in order else []:
        assert (
            gib(found, replace(choice, strategy=less, micro_batch_size=1, gradient_checkpointing=True), processes)
            > room
        )


def test_recomputation_only_where_it_is_needed():
    roomy = choose(recipe("dpo", "launch.device=a100-80gb"), shape=MISTRAL)
    close = choose(recipe("sft", "launch.device=a100-40gb", "launch.micro_batch_size=8"), shape=MISTRAL)
    assert not roomy.gradient_checkpointing and close.gradient_checkpointing


def test_the_largest_micro_batch_that_divides_and_no_larger_than_pays():
    found = recipe("sft", "launch.device=b200-192gb", "launch.strategy=zero3")
    choice = choose(found, shape=MISTRAL)
    assert choice.micro_batch_size * 2048 == ENOUGH_TOKENS
    odd = recipe("sft", "launch.device=b200-192gb", "launch.strategy=zero3", "train.global_batch_size=112")
    assert choose(odd, shape=MISTRAL).micro_batch_size == 7
    assert batch_of(odd, shape=MISTRAL).gradient_accumulation_steps == 1


def test_what_the_recipe_says_is_kept():
    found = load(ZEPHYR / "sft.yaml", ["launch.device=t4-16gb"]).recipe
    assert choose(found) == Choice(strategy="zero3", micro_batch_size=8, gradient_checkpointing=True)


def test_4_bit_weights_are_never_sharded():
    overrides = ("adapter.r=16", "adapter.lora_alpha=16", "model.quantization=nf4", "model.dtype=bfloat16")
    choice = choose(recipe("sft", "launch.device=rtx-4090-24gb", *overrides), shape=MISTRAL)
    assert choice.strategy == "ddp"


@pytest.mark.parametrize(("device", "recomputed"), [("null", True), ("cpu", False)])
def test_without_known_memory_a_large_model_is_sharded(device: str, recomputed: bool):
    choice = choose(recipe("sft", f"launch.device={device}"), shape=MISTRAL)
    assert choice == Choice(strategy="zero3", micro_batch_size=8, gradient_checkpointing=recomputed)


def test_without_known_memory_a_small_or_unknown_model_is_not(tiny: Path):
    found = load(tiny / "cpt.yaml", ["launch.micro_batch_size=auto", "train.global_batch_size=12"]).recipe
    assert choose(found, 1) == Choice(strategy="single", micro_batch_size=6, gradient_checkpointing=False)
    assert choose(found, 2) == Choice(strategy="ddp", micro_batch_size=6, gradient_checkpointing=False)
    unknown = recipe("sft", "launch.device=null", "model.model_name_or_path=someone/some-model", "model.revision=null")
    assert choose(unknown).strategy == "ddp"


def test_plan_and_training_choose_the_same():
    loaded = load(ZEPHYR / "sft.yaml", [*AUTO])
    plan = make_plan(loaded)
    assert plan.choice == choose(loaded.recipe, 16)  # type: ignore[arg-type]
    assert plan.batch == batch_of(loaded.recipe, 16)  # type: ignore[arg-type]
