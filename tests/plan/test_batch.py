"""The arithmetic of a step: what divides, what doesn't, and how many steps follow."""

from pathlib import Path

import pytest

from zephyr.errors import UserError
from zephyr.plan.batch import batch_of, steps_of
from zephyr.recipe import load

ROOT = Path(__file__).parents[2]
SFT, DPO = (ROOT / "recipes" / "zephyr-7b-beta" / f"{stage}.yaml" for stage in ("sft", "dpo"))


@pytest.mark.parametrize(
    ("recipe", "processes", "accumulation"), [(SFT, 16, 4), (SFT, 8, 8), (SFT, 1, 64), (DPO, 16, 1), (DPO, 4, 4)]
)
def test_the_papers_batches_on_any_number_of_processes(recipe: Path, processes: int, accumulation: int):
    batch = batch_of(load(recipe).recipe, processes)
    assert batch.gradient_accumulation_steps == accumulation
    assert batch.micro_batch_size * batch.processes * batch.gradient_accumulation_steps == batch.global_batch_size
    assert str(batch).startswith(
        f"{batch.global_batch_size} = micro-batch {batch.micro_batch_size} x {processes} process"
    )


def test_a_batch_that_does_not_divide_is_refused_with_the_nearest_that_do():
    with pytest.raises(UserError) as refused:
        batch_of(load(DPO).recipe, 12)
    message = str(refused.value)
    assert "32" in message and "12 processes" in message and "24" in message and "48" in message


def test_the_papers_steps():
    sft, dpo = load(SFT).recipe, load(DPO).recipe
    assert (steps_of(sft, 139_427).steps, steps_of(sft, 139_427).warmup_steps) == (273, 28)
    assert steps_of(dpo, 61_966).steps == 5811  # the published run's count


@pytest.mark.parametrize(
    ("override", "steps", "warmup"),
    [
        ("num_train_epochs=0.5", 5, 1),
        ("num_train_epochs=2.5", 25, 3),
        ("warmup_steps=7", 10, 7),
        ("warmup_steps=0", 10, 0),
    ],
)
def test_steps_of_part_epochs_and_warmup(override: str, steps: int, warmup: int):
    recipe = load(SFT, ["global_batch_size=128", override]).recipe
    assert (steps_of(recipe, 1200).steps, steps_of(recipe, 1200).warmup_steps) == (steps, warmup)
