"""Shapes of models: as many weights as transformers and PEFT make, found without torch or network."""

import json
from pathlib import Path
from typing import Any

import pytest

from zephyr.plan.shape import SHIPPED, adapter_parameters, from_config, loaded_dtype, shape_of, shape_of_loaded
from zephyr.recipe import load
from zephyr.recipe.sections import Adapter, Model
from zephyr.recipe.shipped import shipped_recipes

SMALL = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4, "vocab_size": 50}
CONFIGS: list[dict[str, Any]] = [
    {"model_type": "mistral", "num_key_value_heads": 2},
    {"model_type": "mistral", "num_key_value_heads": 4, "head_dim": 32, "tie_word_embeddings": True},
    {"model_type": "llama"},
    {"model_type": "llama", "num_key_value_heads": 1, "attention_bias": True, "mlp_bias": True},
    {"model_type": "smollm3", "num_key_value_heads": 2, "pad_token_id": 0},
    {"model_type": "gemma", "num_key_value_heads": 1, "head_dim": 16},
    {"model_type": "gemma2", "num_key_value_heads": 2, "head_dim": 16},
    {"model_type": "qwen2", "num_key_value_heads": 2},
    {"model_type": "qwen2", "num_key_value_heads": 4, "tie_word_embeddings": True},
    {"model_type": "qwen3", "num_key_value_heads": 2, "head_dim": 16},
]


def on_meta(config: dict[str, Any]) -> Any:
    """transformers' model without memory for its weights, so that even a large one is made at once."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(AutoConfig.for_model(**config))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config["model_type"])
def test_as_many_weights_as_transformers_makes(config: dict[str, Any]):
    shape = from_config(SMALL | config)
    assert shape is not None
    model = on_meta(SMALL | config)
    assert shape.parameters == sum(each.numel() for each in model.parameters())
    linear = {name.rsplit(".", 1)[-1]: (each.in_features, each.out_features)
              for name, each in model.model.layers[0].named_modules() if hasattr(each, "in_features")}  # fmt: skip
    assert shape.matrices == linear


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("mistralai/Mistral-7B-v0.1", 7_241_732_096),
        ("google/gemma-7b", 8_537_680_896),
        ("HuggingFaceTB/SmolLM2-1.7B", 1_711_376_384),
        ("HuggingFaceTB/SmolLM2-360M", 361_821_120),
        ("HuggingFaceTB/SmolLM2-135M", 134_515_008),
        ("TinyLlama/TinyLlama_v1.1", 1_100_048_384),
    ],
)
def test_shipped_models_have_their_published_weights(name: str, parameters: int):
    assert SHIPPED[name].parameters == parameters


def test_mistrals_weights_in_products():
    assert SHIPPED["mistralai/Mistral-7B-v0.1"].in_products == 7_110_393_856


@pytest.mark.parametrize("named", ["all-linear", ["q_proj", "v_proj"], ["down_proj"]])
@pytest.mark.parametrize("method", ["lora", "dora"])
def test_as_many_adapter_weights_as_peft_makes(method: str, named: Any):
    from peft import LoraConfig, get_peft_model

    config = SMALL | {"model_type": "mistral", "num_key_value_heads": 2}
    shape = from_config(config)
    assert shape is not None
    wanted = LoraConfig(r=8, target_modules=named, use_dora=method == "dora", task_type="CAUSAL_LM")
    model = get_peft_model(on_meta(config), wanted)
    trained = sum(each.numel() for each in model.parameters() if each.requires_grad)
    adapter = Adapter(**{"method": method, "r": 8, "lora_alpha": 8, "target_modules": named})
    assert adapter_parameters(shape, adapter) == trained


def test_a_local_models_config_is_read(tmp_path: Path):
    (tmp_path / "config.json").write_text(json.dumps(SMALL | CONFIGS[0] | {"dtype": "bfloat16"}))
    shape = shape_of(Model(**{"model_name_or_path": str(tmp_path)}))
    assert shape is not None and (shape.layers, shape.kv_heads, shape.dtype) == (3, 2, "bfloat16")


def test_an_adapter_has_the_shape_of_what_it_stands_on(tmp_path: Path):
    (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "google/gemma-7b"}))
    assert shape_of(Model(**{"model_name_or_path": str(tmp_path)})) == SHIPPED["google/gemma-7b"]


@pytest.mark.parametrize(
    "config",
    [{"model_type": "mamba"}, {"model_type": "mistral"}, SMALL | {"model_type": "llama", "num_local_experts": 8}],
)
def test_what_cannot_be_counted_is_not_guessed(config: dict[str, Any]):
    assert from_config(config) is None


def test_a_model_that_a_recipe_has_yet_to_make_has_that_recipes_shape(tiny: Path):
    shape = shape_of_loaded(load(tiny / "dpo.yaml", outputs=tiny / "outputs"))
    made = shape_of_loaded(load(tiny / "cpt.yaml", outputs=tiny / "outputs"))
    assert shape is not None and shape == made and shape.layers == 2


def test_the_vocabulary_is_the_tokenizers_where_the_config_has_none(tiny: Path, tiny_tokenizer: Path):
    words = len(json.loads((tiny_tokenizer / "tokenizer.json").read_text())["model"]["vocab"])
    shape = shape_of_loaded(load(tiny / "cpt.yaml", outputs=tiny / "outputs"))
    assert shape is not None and shape.vocabulary == words


@pytest.mark.parametrize(
    ("overrides", "dtype"),
    [
        (["model.dtype=auto"], "float32"),  # whole weights that train in bf16
        (["model.dtype=bfloat16"], "bfloat16"),
        (["model.dtype=auto", "train.bf16=false"], "auto"),
        (["model.dtype=auto", "adapter={r: 8, lora_alpha: 8}"], "auto"),  # frozen weights stay as they are
    ],
)
def test_whole_weights_that_train_in_bf16_are_loaded_in_float32(overrides: list[str], dtype: str):
    assert loaded_dtype(load(shipped_recipes() / "zephyr-7b-beta" / "dpo.yaml", overrides).recipe) == dtype


@pytest.mark.parametrize(("dtype", "moved"), [("bfloat16", (0.0, 0.02)), ("float32", (0.9, 1.0))])
def test_why_at_the_learning_rate_of_ddpo_hardly_a_weight_of_16_bits_moves(dtype: str, moved: tuple[float, float]):
    import torch

    draw = torch.Generator().manual_seed(0)
    start = (torch.randn(300, 300, generator=draw) * 0.02).to(getattr(torch, dtype))  # weights as Mistral's are
    weight = torch.nn.Parameter(start.clone())
    optimizer = torch.optim.AdamW([weight], lr=5e-7, weight_decay=0)
    for _ in range(100):
        weight.grad = (torch.randn(300, 300, generator=draw) + 0.5).to(weight.dtype)
        optimizer.step()
    assert moved[0] <= (weight != start).float().mean().item() <= moved[1]
