"""`zephyr merge`: the merged model is the adapter's, or there is none."""

from pathlib import Path

import pytest
import torch
from tests.conftest import write_tiny
from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline

from zephyr.cli import main
from zephyr.errors import UserError
from zephyr.evaluate.load import load_model
from zephyr.recipe import load
from zephyr.run import execute
from zephyr.train import merge as merging
from zephyr.train.merge import Merged, distance, logits, merge

ADAPTERS = {
    "lora": ["adapter.r=4", "adapter.lora_alpha=8"],
    "dora": ["adapter.r=4", "adapter.lora_alpha=8", "adapter.method=dora"],
    "qlora": ["adapter.r=4", "adapter.lora_alpha=8", "model.quantization=nf4"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_tokenizer: Path) -> Path:
    """Runs of adapters (`lora`, `dora`, `qlora`) on a whole model (`base`)."""
    found = write_tiny(tmp_path_factory.mktemp("merge"), tiny_tokenizer)
    for recipe in found.glob("*.yaml"):  # 4-bit blocks are 64 weights long
        text = recipe.read_text().replace("hidden_size: 32", "hidden_size: 64")
        recipe.write_text(text.replace("intermediate_size: 64", "intermediate_size: 128"))
    execute(load(found / "cpt.yaml", ["num_train_epochs=2", f"output_dir={found}/base"]))
    for name, overrides in ADAPTERS.items():
        start = [f"model_name_or_path={found}/base/model", f"output_dir={found}/{name}"]
        execute(load(found / "sft.yaml", [*start, *overrides]))
    return found


@pytest.mark.parametrize("name", list(ADAPTERS))
def test_merged_logits_are_the_adapters(folder: Path, tmp_path: Path, name: str):
    merged = merge(str(folder / name), tmp_path / "whole")
    expected = logits(load_model(str(folder / name / "model"), dtype="auto"))
    whole = AutoModelForCausalLM.from_pretrained(merged.output).eval()
    torch.testing.assert_close(logits(whole), expected, rtol=1e-4, atol=1e-4)
    assert merged.dtype == "float32" and merged.difference < 1e-5 < 1e-2 < merged.effect
    assert not any("lora" in key for key in whole.state_dict())
    if name == "qlora":  # rounding to 4 bits is far more than that of merging, and far less than what was learnt
        assert merged.quantized is not None and 1e-3 < merged.quantized < merged.effect
        assert "trained over 4-bit weights" in " ".join(merged.sentences())
    else:
        assert merged.quantized is None


def test_the_command_leaves_a_model_that_anything_loads(folder: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["merge", str(folder / "lora")]) == 0
    output = folder / "lora" / "merged"
    assert {each.name for each in output.iterdir()} == {
        "config.json", "model.safetensors", "generation_config.json", "tokenizer.json", "tokenizer_config.json",
        "chat_template.jinja", "README.md",
    }  # fmt: skip
    assert f"model: {output}" in capsys.readouterr().out
    tokenizer = AutoTokenizer.from_pretrained(output)
    assert AutoModelForCausalLM.from_pretrained(output).generation_config.eos_token_id == tokenizer.eos_token_id
    chat = pipeline("text-generation", model=str(output))
    assert chat([{"role": "user", "content": "what is the ball"}], max_new_tokens=4)[0]["generated_text"]
    card = (output / "README.md").read_text()
    assert "Merged in float32" in card and f'model="{output}")' in card and "library_name: transformers" in card
    assert main(["merge", str(folder / "lora")]) == 1
    assert f"{output} exists" in capsys.readouterr().err


def test_a_directory_that_is_no_run_needs_an_output(folder: Path, tmp_path: Path):
    adapter = tmp_path / "copied"
    (folder / "lora" / "model").rename(adapter)
    try:
        with pytest.raises(UserError, match="-o DIR"):
            merge(str(adapter))
        merged = merge(str(adapter), tmp_path / "whole")
    finally:
        adapter.rename(folder / "lora" / "model")
    assert "an adapter on" in (merged.output / "README.md").read_text()


def test_a_whole_model_is_refused(folder: Path, tmp_path: Path):
    with pytest.raises(UserError, match="is a whole model, not an adapter"):
        merge(str(folder / "base"), tmp_path / "whole")


def test_a_merged_model_that_is_not_the_adapters_is_not_kept(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write = merging._write

    def damaged(source, draft, tokenizer, dtype):
        found = write(source, draft, tokenizer, dtype)
        model = AutoModelForCausalLM.from_pretrained(draft)
        model.model.layers[1].mlp.down_proj.weight.data *= 1.05
        model.save_pretrained(draft)
        return found

    monkeypatch.setattr(merging, "_write", damaged)
    with pytest.raises(UserError, match="is not the adapter's"):
        merge(str(folder / "lora"), tmp_path / "whole")
    assert not any(tmp_path.iterdir())


def test_bfloat16_is_checked_by_its_own_tolerance(folder: Path, tmp_path: Path):
    merged = merge(str(folder / "lora"), tmp_path / "whole", dtype="bfloat16")
    assert 1e-4 < merged.difference < merging.TOLERANCE[torch.bfloat16]
    assert AutoModelForCausalLM.from_pretrained(merged.output).dtype == torch.bfloat16


@pytest.mark.parametrize(("effect", "warned"), [(0.5, False), (0.005, True)])
def test_a_small_adapter_lost_in_rounding_is_said(tmp_path: Path, effect: float, warned: bool):
    merged = Merged(output=tmp_path, dtype="bfloat16", difference=0.004, effect=effect)
    assert ("lost in rounding" in " ".join(merged.sentences())) is warned


def test_distance_is_a_share_of_the_second():
    assert distance(torch.tensor([3.0, 3.0]), torch.tensor([2.0, 2.0])) == pytest.approx(0.5)
