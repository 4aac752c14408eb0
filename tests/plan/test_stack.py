"""Which weights train and which are the reference, for every start and adapter; without torch."""

import subprocess
import sys
from pathlib import Path

import pytest

from zephyr.plan.stack import Start, decide, same_shape, stack_of
from zephyr.recipe import load

LORA = ["adapter.r=4", "adapter.lora_alpha=8"]


def recipe(tiny: Path, stage: str, *overrides: str):
    return load(tiny / f"{stage}.yaml", overrides, outputs=tiny / "outputs").recipe


@pytest.mark.parametrize(
    ("overrides", "start", "name", "reference"),
    [
        ([], "whole", "full-on-full", "a frozen copy of the start"),
        (LORA, "whole", "adapter-on-base", "the same weights with the adapter switched off: no second model"),
        (LORA, "same adapter", "adapter-on-adapter", "a frozen copy of the start's adapter, on the same weights"),
        (LORA, "other adapter", "adapter-on-merged", "the same weights with the adapter switched off: no second model"),
        ([], "other adapter", "full-on-adapter", "a frozen copy of the start, merged alike"),
    ],
)
def test_each_start_and_adapter_has_one_stack(
    tiny: Path, overrides: list[str], start: Start, name: str, reference: str
):
    comparing = decide(recipe(tiny, "dpo", *overrides), start)
    alone = decide(recipe(tiny, "sft", *overrides), start)
    assert (comparing.name, comparing.reference) == (name, reference)
    assert alone.name == name and alone.reference is None and "reference" not in alone.sentences()
    assert (comparing.frozen is None) == (not overrides)
    assert ("adapter" in comparing.leaves) == bool(overrides)


def test_sentences_name_the_adapter_and_the_four_bits(tiny: Path):
    overrides = [*LORA, "adapter.method=dora", "adapter.target_modules=[q_proj, v_proj]", "model.quantization=nf4"]
    told = decide(recipe(tiny, "dpo", *overrides), "whole").sentences()
    assert told["trains"] == "a new DoRA adapter (r 4, alpha 8) on q_proj, v_proj"
    assert told["frozen"] == "the weights below it (nf4: 4 bits each)"
    assert list(told) == ["trains", "frozen", "reference", "leaves"]


def test_an_input_that_has_not_been_run_counts_by_its_recipe(tiny: Path):
    (tiny / "lora.yaml").write_text((tiny / "sft.yaml").read_text() + "adapter: {r: 4, lora_alpha: 8}\n")
    loaded = load(tiny / "dpo.yaml", ["model_name_or_path=lora.yaml", *LORA], outputs=tiny / "outputs")
    assert not loaded.inputs[0].path.exists()
    assert stack_of(loaded.recipe, loaded.inputs).name == "adapter-on-adapter"
    whole = load(tiny / "dpo.yaml", LORA, outputs=tiny / "outputs")
    assert stack_of(whole.recipe, whole.inputs).name == "adapter-on-base"


def test_an_input_of_another_shape_is_merged_first(tiny: Path):
    (tiny / "lora.yaml").write_text((tiny / "sft.yaml").read_text() + "adapter: {r: 4, lora_alpha: 8}\n")
    loaded = load(tiny / "dpo.yaml", ["model_name_or_path=lora.yaml", "adapter.r=16", "adapter.lora_alpha=8"])
    assert stack_of(loaded.recipe, loaded.inputs).name == "adapter-on-merged"


@pytest.mark.parametrize(
    ("saved", "same"),
    [
        ({}, True),
        ({"lora_dropout": 0.9}, True),
        ({"r": 8}, False),
        ({"lora_alpha": 4}, False),
        ({"use_dora": True}, False),
        ({"target_modules": ["v_proj", "q_proj"]}, True),
        ({"target_modules": ["q_proj"]}, False),
    ],
)
def test_the_same_shape_is_rank_scale_method_and_layers(tiny: Path, saved: dict, same: bool):
    adapter = recipe(tiny, "dpo", *LORA, "adapter.target_modules=[q_proj, v_proj]").adapter
    assert adapter is not None
    whole = {"r": 4, "lora_alpha": 8, "use_dora": False, "target_modules": ["q_proj", "v_proj"]}
    assert same_shape(adapter, whole | saved) is same


def test_a_saved_adapter_is_found_on_disk(tiny: Path):
    start = tiny / "start"
    start.mkdir()
    (start / "adapter_config.json").write_text('{"r": 4, "lora_alpha": 8, "target_modules": ["q_proj"]}')
    assert stack_of(recipe(tiny, "dpo", f"model_name_or_path={start}", *LORA)).name == "adapter-on-adapter"
    assert stack_of(recipe(tiny, "dpo", f"model_name_or_path={start}")).name == "full-on-adapter"


def test_deciding_needs_no_torch():
    code = "import sys, zephyr.plan.stack; sys.exit(bool({'torch', 'transformers', 'peft'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
