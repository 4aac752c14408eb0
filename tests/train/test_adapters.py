"""Adapters end to end on a tiny model: what trains, what stays to the bit, and a first dDPO loss of ln 2."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.conftest import write_tiny
from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline

from zephyr.errors import UserError
from zephyr.evaluate.load import load_model, model_path
from zephyr.recipe import load
from zephyr.run import execute
from zephyr.train import dpo, sft
from zephyr.train.adapters import build

ROOT = Path(__file__).parents[2]
LORA = ["adapter.r=4", "adapter.lora_alpha=8"]
DORA = [*LORA, "adapter.method=dora"]
NF4 = ["model.quantization=nf4"]
DROPOUT = ["adapter.lora_dropout=0.3"]


def run(folder: Path, stage: str, name: str, *overrides: str) -> tuple[dict, Path]:
    loaded = load(folder / f"{stage}.yaml", [*overrides, f"output_dir={folder / name}"], outputs=folder / "outputs")
    return execute(loaded), loaded.run_dir


@pytest.fixture(scope="module")
def starts(tmp_path_factory: pytest.TempPathFactory, tiny_tokenizer: Path) -> Path:
    """A folder with a whole model (`base/model`) and three adapters on it (`lora`, `dora`, `qlora`)."""
    folder = write_tiny(tmp_path_factory.mktemp("starts"), tiny_tokenizer)
    for recipe in folder.glob("*.yaml"):  # 4-bit blocks are 64 weights long
        text = recipe.read_text().replace("hidden_size: 32", "hidden_size: 64")
        recipe.write_text(text.replace("intermediate_size: 64", "intermediate_size: 128"))
    run(folder, "cpt", "base", "num_train_epochs=2")
    start = f"model_name_or_path={folder}/base/model"
    for name, overrides in (("lora", LORA), ("dora", DORA), ("qlora", [*LORA, *NF4])):
        run(folder, "sft", name, start, *overrides, *DROPOUT)
    return folder


def test_an_adapter_run_leaves_the_adapter_and_what_loads_it(starts: Path):
    model = starts / "lora" / "model"
    assert {each.name for each in model.iterdir()} == {
        "adapter_config.json", "adapter_model.safetensors", "tokenizer.json", "tokenizer_config.json",
        "chat_template.jinja", "generation_config.json", "README.md",
    }  # fmt: skip
    config = json.loads((model / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(starts / "base" / "model")
    assert (config["r"], config["lora_alpha"], config["lora_dropout"], config["use_dora"]) == (4, 8, 0.3, False)
    assert json.loads((starts / "dora" / "model" / "adapter_config.json").read_text())["use_dora"] is True
    card = (starts / "qlora" / "model" / "README.md").read_text()
    assert "library_name: peft" in card and "a LoRA adapter of rank 4, alpha 8, on all linear layers, over" in card
    assert f'tokenizer="{starts / "qlora" / "model"}"' in card  # transformers would take the base's
    for name in ("lora", "dora", "qlora"):
        numbers = json.loads((starts / name / "result.json").read_text())["numbers"]
        assert numbers["eval_loss"] < numbers["eval_loss_before"] - 0.1


def test_an_adapter_loads_as_anyone_would_and_as_evaluation_does(starts: Path):
    path = starts / "lora" / "model"
    tokenizer = AutoTokenizer.from_pretrained(path)
    ids = tokenizer("what is the ball", return_tensors="pt")
    ours = load_model(model_path(str(starts / "lora")), dtype="auto")
    with torch.no_grad():
        theirs = AutoModelForCausalLM.from_pretrained(path).eval()(**ids).logits
        assert torch.equal(ours(**ids).logits, theirs)
        base = AutoModelForCausalLM.from_pretrained(starts / "base" / "model").eval()(**ids).logits
    assert (base - theirs).abs().max() > 0.1
    assert ours.generation_config.eos_token_id == tokenizer.eos_token_id
    chat = pipeline("text-generation", model=str(path), tokenizer=str(path))
    answer = chat([{"role": "user", "content": "what is the ball"}], max_new_tokens=4, do_sample=False)
    assert answer[0]["generated_text"][-1]["role"] == "assistant"


def watched(monkeypatch: pytest.MonkeyPatch, stage: Any) -> dict[str, Any]:
    """Keeps the stage's trainer, and a copy of all its weights from before the first step."""
    seen: dict[str, Any] = {}

    def keep(*arguments: Any, **keywords: Any) -> Any:
        seen["trainer"] = build(*arguments, **keywords)
        seen["stack"] = arguments[2].name
        seen["before"] = {name: weight.detach().clone() for name, weight in seen["trainer"].model.named_parameters()}
        seen["trains"] = {name for name, weight in seen["trainer"].model.named_parameters() if weight.requires_grad}
        return seen["trainer"]

    monkeypatch.setattr(stage, "build", keep)
    return seen


def changed(seen: dict[str, Any]) -> set[str]:
    now = dict(seen["trainer"].model.named_parameters())
    return {name for name, weight in seen["before"].items() if not torch.equal(weight, now[name].detach())}


STACKS = [
    ("full-on-full", "base", []),
    ("adapter-on-base", "base", [*LORA, *DROPOUT]),
    ("adapter-on-base", "base", DORA),
    ("adapter-on-base", "base", [*LORA, *NF4]),
    ("adapter-on-base", "base", [*DORA, *NF4]),
    ("adapter-on-adapter", "lora", [*LORA, *DROPOUT]),
    ("adapter-on-adapter", "dora", DORA),
    ("adapter-on-adapter", "qlora", [*LORA, *NF4, *DROPOUT]),
    ("adapter-on-merged", "qlora", ["adapter.r=8", "adapter.lora_alpha=8", *NF4]),
    ("adapter-on-merged", "lora", [*LORA, "adapter.target_modules=[q_proj]"]),
    ("full-on-adapter", "lora", []),
]


@pytest.mark.parametrize(("stack", "start", "overrides"), STACKS)
def test_every_stack_starts_at_ln_2_and_trains_only_what_it_says(
    starts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stack: str, start: str, overrides: list[str]
):
    seen = watched(monkeypatch, dpo)
    result, run_dir = run(
        starts, "dpo", str(tmp_path / "run"), *overrides, f"model_name_or_path={starts}/{start}/model",
        "num_train_epochs=0.5",
    )  # fmt: skip
    assert seen["stack"] == stack
    assert result["numbers"]["first_loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert result["numbers"]["eval_rewards/margins_before"] == pytest.approx(0, abs=1e-6)
    assert result["numbers"]["eval_loss"] < math.log(2)
    assert changed(seen) == seen["trains"]
    assert (run_dir / "start").exists() == (stack == "adapter-on-merged")
    assert next(load_model(str(run_dir / "model"), dtype="auto").parameters()).isfinite().all()
    whole = not overrides
    assert all(whole or ("lora_" in name and ".default" in name) for name in seen["trains"])
    assert all(weight.dtype == torch.float32 for name, weight in seen["before"].items() if name in seen["trains"])
    assert bool(seen["trains"] - {name for name in seen["before"] if "lora_" in name}) is whole


def test_the_reference_of_a_continued_adapter_is_that_adapter_on_its_base(
    starts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    seen = watched(monkeypatch, dpo)
    start = starts / "lora" / "model"
    _, run_dir = run(starts, "dpo", str(tmp_path / "run"), *LORA, f"model_name_or_path={start}", "num_train_epochs=0.5")
    now = {name: weight.detach() for name, weight in seen["trainer"].model.named_parameters()}
    for name, weight in load_file(start / "adapter_model.safetensors").items():
        assert torch.equal(now[name.replace(".weight", ".ref.weight")], weight)
        assert torch.equal(seen["before"][name.replace(".weight", ".default.weight")], weight)
    for name, weight in load_file(starts / "base" / "model" / "model.safetensors").items():
        found = [kept for kept in now if kept.replace(".base_layer", "").endswith(name)]
        assert len(found) == 1 and torch.equal(now[found[0]], weight)
    left = json.loads((run_dir / "model" / "adapter_config.json").read_text())
    assert left["base_model_name_or_path"] == str(starts / "base" / "model")
    assert not (run_dir / "model" / "ref").exists()


def test_gradients_through_four_bits_are_those_of_the_weights_they_stand_for(
    starts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    seen = watched(monkeypatch, sft)
    run(starts, "sft", str(tmp_path / "run"), *LORA, *NF4, f"model_name_or_path={starts}/base/model")
    model, ids = seen["trainer"].model.train(), torch.arange(5, 25)[None]

    def gradients() -> dict[str, torch.Tensor]:
        model.zero_grad()
        model(input_ids=ids).logits.log_softmax(-1).square().mean().backward()
        return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.requires_grad}

    through_four_bits = gradients()
    from bitsandbytes.functional import dequantize_4bit

    for layer in list(model.modules()):
        quantised = getattr(layer, "base_layer", None)
        if quantised is not None:
            plain = torch.nn.Linear(quantised.in_features, quantised.out_features, bias=False)
            plain.weight.data = dequantize_4bit(quantised.weight.data, quantised.weight.quant_state)
            layer.base_layer = plain.requires_grad_(False)
    for name, expected in gradients().items():
        torch.testing.assert_close(through_four_bits[name], expected, rtol=1e-3, atol=1e-7)


def test_adapters_train_the_same_with_recomputed_activations(starts: Path, tmp_path: Path):
    losses = []
    for recompute in ("true", "false"):
        overrides = [*LORA, f"model_name_or_path={starts}/base/model", f"gradient_checkpointing={recompute}"]
        result, _ = run(starts, "sft", str(tmp_path / recompute), *overrides)
        losses.append(result["numbers"]["eval_loss"])
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    assert losses[0] < result["numbers"]["eval_loss_before"] - 0.1


@pytest.mark.skipif(sys.platform != "linux", reason="DeepSpeed on a CPU needs Linux")
def test_zero3_on_two_processes_continues_an_adapter_like_one(starts: Path, tmp_path: Path):
    pytest.importorskip("deepspeed")
    overrides = [*LORA, f"model_name_or_path={starts}/lora/model", "num_train_epochs=0.5"]
    run(starts, "dpo", str(tmp_path / "one"), *overrides)
    done = subprocess.run(
        [str(Path(sys.executable).parent / "accelerate"), "launch", "--main_process_port", "0", "--config_file",
         str(ROOT / "recipes" / "accelerate_configs" / "zero3.yaml"), str(ROOT / "scripts" / "run_dpo.py"),
         str(starts / "dpo.yaml"), *overrides, f"output_dir={tmp_path}/two"],
        capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=600, cwd=starts,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    result = json.loads((tmp_path / "two" / "result.json").read_text())
    assert result["batch"]["processes"] == 2
    assert result["numbers"]["first_loss"] == pytest.approx(math.log(2), abs=1e-6)
    one, two = (load_file(tmp_path / each / "model" / "adapter_model.safetensors") for each in ("one", "two"))
    assert set(one) == set(two)
    assert max(float((one[name] - two[name]).abs().max()) for name in one) < 1e-6  # float32 sums in another order
    assert not (tmp_path / "two" / "model" / "ref").exists()


def refused(starts: Path, *overrides: str) -> str:
    with pytest.raises(UserError) as error:
        run(starts, "dpo", "refused", *overrides)
    assert not (starts / "refused" / "model").exists()
    return str(error.value)


def test_layers_that_are_not_there_are_named_with_those_that_are(starts: Path):
    message = refused(starts, f"model_name_or_path={starts}/base/model", *LORA, "adapter.target_modules=[q_proj, w1]")
    assert "no linear layer called `w1`" in message
    assert "down_proj, gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj" in message and "lm_head," not in message


def test_missing_packages_are_named_with_the_command(starts: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("zephyr.train.quantized.find_spec", lambda name: None)
    message = refused(starts, f"model_name_or_path={starts}/base/model", *LORA, *NF4)
    assert "bitsandbytes" in message and "pip install 'zephyr-recipes[train,qlora]'" in message
    monkeypatch.setattr("zephyr.evaluate.load.find_spec", lambda name: None)
    assert "pip install" in refused(starts, f"model_name_or_path={starts}/base/model", *LORA)


def test_four_bit_weights_are_not_sharded(starts: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ACCELERATE_DEEPSPEED_ZERO_STAGE", "3")
    message = refused(starts, f"model_name_or_path={starts}/base/model", *LORA, *NF4)
    assert "ZeRO-3" in message and "launch.strategy=ddp" in message


def test_a_base_that_has_gone_is_named(starts: Path, tmp_path: Path):
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    config = json.loads((starts / "lora" / "model" / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = str(tmp_path / "gone")
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"adapter on .*gone, which is not there"):
        load_model(str(adapter), dtype="auto")
