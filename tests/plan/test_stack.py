"""Which weights train and which are the reference, for every start and adapter; without torch."""

import subprocess
import sys
from pathlib import Path

import pytest

from zephyr.errors import UserError
from zephyr.plan.stack import decide, require_same_adapter, stack_of
from zephyr.recipe import load

LORA = ["adapter.r=4", "adapter.lora_alpha=8"]


def recipe(tiny: Path, stage: str, *overrides: str):
    return load(tiny / f"{stage}.yaml", overrides, outputs=tiny / "outputs").recipe


@pytest.mark.parametrize(
    ("overrides", "adapter_start", "name", "reference"),
    [
        ([], False, "full-on-full", "a frozen copy of the start"),
        (LORA, False, "adapter-on-base", "the same weights with the adapter switched off: no second model"),
        (LORA, True, "adapter-on-adapter", "a frozen copy of the start's adapter, on the same weights"),
        ([], True, "full-on-adapter", "a frozen copy of the start, merged alike"),
    ],
)
def test_each_start_and_adapter_has_one_stack(
    tiny: Path, overrides: list[str], adapter_start: bool, name: str, reference: str
):
    comparing = decide(recipe(tiny, "dpo", *overrides), starts_from_adapter=adapter_start)
    alone = decide(recipe(tiny, "sft", *overrides), starts_from_adapter=adapter_start)
    assert (comparing.name, comparing.reference) == (name, reference)
    assert alone.name == name and alone.reference is None and "reference" not in alone.sentences()
    assert (comparing.frozen is None) == (not overrides)
    assert ("adapter" in comparing.leaves) == bool(overrides)


def test_sentences_name_the_adapter_and_the_four_bits(tiny: Path):
    overrides = [*LORA, "adapter.method=dora", "adapter.target_modules=[q_proj, v_proj]", "model.quantization=nf4"]
    told = decide(recipe(tiny, "dpo", *overrides), starts_from_adapter=False).sentences()
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


def test_another_shape_than_the_starts_is_refused_with_every_difference(tiny: Path):
    (tiny / "lora.yaml").write_text((tiny / "sft.yaml").read_text() + "adapter: {r: 4, lora_alpha: 8}\n")
    overrides = ["model_name_or_path=lora.yaml", "adapter.r=16", "adapter.lora_alpha=8", "adapter.method=dora"]
    loaded = load(tiny / "dpo.yaml", overrides, outputs=tiny / "outputs")
    with pytest.raises(UserError) as refused:
        stack_of(loaded.recipe, loaded.inputs)
    message = str(refused.value)
    assert "adapter.r: 4 there, 16 here" in message and "adapter.method: lora there, dora here" in message
    assert "lora_alpha" not in message and "zephyr merge" in message


def test_the_same_shape_passes_whatever_the_dropout(tiny: Path):
    adapter = recipe(tiny, "dpo", *LORA, "adapter.lora_dropout=0.5").adapter
    assert adapter is not None
    require_same_adapter(adapter, {"r": 4, "lora_alpha": 8, "lora_dropout": 0.0}, "start")


def test_deciding_needs_no_torch():
    code = "import sys, zephyr.plan.stack; sys.exit(bool({'torch', 'transformers', 'peft'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
