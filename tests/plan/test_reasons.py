"""The plan says why `auto` chose what it chose, and the figures in the sentences are those of the formulas."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from zephyr.plan.choose import ROOM, choose
from zephyr.plan.devices import DEVICES
from zephyr.plan.job import Job, job_of
from zephyr.plan.memory import memory_of
from zephyr.plan.reasons import reasons, traffic
from zephyr.plan.shape import SHIPPED
from zephyr.recipe import load
from zephyr.recipe.schema import TrainRecipe

ZEPHYR = Path(__file__).parents[2] / "recipes" / "zephyr-7b-beta"
AUTO = ("launch.strategy=auto", "launch.micro_batch_size=auto", "launch.gradient_checkpointing=auto")
MISTRAL = SHIPPED["mistralai/Mistral-7B-v0.1"]
N = MISTRAL.parameters


def told(stage: str, *overrides: str) -> tuple[Job, str]:
    """The chosen job, and all that is said of it."""
    recipe = load(ZEPHYR / f"{stage}.yaml", overrides).recipe
    assert isinstance(recipe, TrainRecipe)
    choice = choose(recipe, shape=MISTRAL)
    job = job_of(recipe, MISTRAL, strategy=choice.strategy, processes=recipe.launch.processes,
                 micro_batch_size=choice.micro_batch_size, checkpointing=choice.gradient_checkpointing)  # fmt: skip
    return job, "\n".join(reasons(recipe, choice, job, DEVICES[str(recipe.launch.device)]))


def test_the_papers_ddpo_keeps_activations_and_shards_no_weights():
    job, text = told("dpo", *AUTO)
    assert (job.strategy, job.checkpointing, job.rows, job.reference) == ("zero2", False, 4, "none")
    assert "looked up" in text and "no layer is computed twice" in text
    assert (
        f"zero3 would only move bytes: {6 * N / 1e9:.0f} GB a step and GPU, where zero2 moves {4 * N / 1e9:.0f}" in text
    )
    assert "a process's whole share of the global batch" in text
    assert "1.2 s of each step" in text and "launch.machines=1 launch.processes=8" in text
    for less in re.findall(r"(\w+) would need (\d+) GiB", text):
        assert less[0] == "ddp" and int(less[1]) > ROOM * 80


def test_on_one_machine_nothing_is_said_of_networks():
    _, text = told("dpo", *AUTO, "launch.machines=1", "launch.processes=8", "launch.device=h100-80gb")
    assert "network" not in text and "4 would not fit" in text


def test_recomputation_is_explained_by_what_would_not_fit():
    job, text = told("dpo", *AUTO, "launch.machines=1", "launch.processes=8", "launch.device=l40s-48gb")
    found = re.search(r"with them kept it would be (\d+) GiB of (\d+) even with micro-batch 1", text)
    assert job.checkpointing and found and int(found[1]) > int(found[2])


def test_a_reference_in_memory_is_not_said_to_be_looked_up():
    _, text = told("dpo", *AUTO, "trl.sync_ref_model=true")
    assert "looked up" not in text and "micro-batch" in text


def test_a_recipe_that_leaves_nothing_open_is_told_nothing():
    assert told("dpo")[1] == "" and told("sft")[1] == ""


@pytest.mark.parametrize(
    ("strategy", "accumulation", "expected"),
    [("zero2", 1, 4 * N), ("zero3", 1, 6 * N), ("zero2", 4, 10 * N), ("zero3", 4, 24 * N), ("ddp", 4, 8 * N)],
)
def test_bytes_of_a_step(strategy: str, accumulation: int, expected: float):
    """Two bytes a weight in 16 bits; DDP holds and sums float32."""
    job = Job(shape=MISTRAL, rows=4, length=1024, strategy=strategy, processes=8, accumulation=accumulation)
    assert traffic(job) == expected
    assert traffic(replace(job, strategy="single", processes=1)) == 0


def test_pairs_without_padding_need_no_mask_and_no_copies_of_keys():
    recipe = load(ZEPHYR / "dpo.yaml", ["model.attn_implementation=sdpa"]).recipe
    padded = load(ZEPHYR / "dpo.yaml", ["model.attn_implementation=sdpa", "launch.padding_free=false"]).recipe
    found = []
    for each in (recipe, padded):
        assert isinstance(each, TrainRecipe)
        job = job_of(each, MISTRAL, strategy="zero2", processes=16, micro_batch_size=2, checkpointing=False)
        found.append(memory_of(job).parts["activations"])
    copies = 32 * 4096 * 2 * 2 * (4096 - 1024)  # layers, tokens, keys and values, bytes, width of 32 less 8 heads
    masks = 32 * 4096 * 2 * 1024
    assert found[1] - found[0] == copies + masks
