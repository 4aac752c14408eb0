"""The shape of a model, from its `config.json` alone: what memory and FLOPs are reckoned from. No torch, no network."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from zephyr.recipe import Loaded
from zephyr.recipe.schema import TrainRecipe, WorldRecipe
from zephyr.recipe.sections import Adapter, Model


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A decoder of the Llama family: RMSNorm, rotary positions, grouped-query attention, gated MLP."""

    model_type: str
    """transformers' name of the architecture."""
    layers: int
    """Decoder layers."""
    hidden: int
    """Width of the residual stream."""
    intermediate: int
    """Width of the gated MLP."""
    heads: int
    """Query heads."""
    kv_heads: int
    """Key and value heads."""
    head_dim: int
    """Width of a head."""
    vocabulary: int
    """Rows of the embedding."""
    tied: bool = False
    """Whether the output layer is the embedding."""
    qkv_bias: bool = False
    """Whether query, key and value projections have a bias."""
    output_bias: bool = False
    """Whether the attention's output projection has a bias."""
    mlp_bias: bool = False
    """Whether the MLP's projections have a bias."""
    dtype: str = "float32"
    """Precision of the published weights."""

    @property
    def matrices(self) -> dict[str, tuple[int, int]]:
        """Linear layers of one decoder layer: name -> (inputs, outputs)."""
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        return {
            "q_proj": (self.hidden, queries), "k_proj": (self.hidden, keys), "v_proj": (self.hidden, keys),
            "o_proj": (queries, self.hidden), "gate_proj": (self.hidden, self.intermediate),
            "up_proj": (self.hidden, self.intermediate), "down_proj": (self.intermediate, self.hidden),
        }  # fmt: skip

    @property
    def matrix_parameters(self) -> int:
        """Weights in the linear layers of all decoder layers, without the output layer."""
        return self.layers * sum(rows * columns for rows, columns in self.matrices.values())

    @property
    def layer_parameters(self) -> int:
        """Weights of one decoder layer."""
        outputs = {name: columns for name, (_, columns) in self.matrices.items()}
        biases = self.qkv_bias * sum(outputs[name] for name in ("q_proj", "k_proj", "v_proj"))
        biases += self.output_bias * outputs["o_proj"]
        biases += self.mlp_bias * sum(outputs[name] for name in ("gate_proj", "up_proj", "down_proj"))
        norms = 4 if self.model_type == "gemma2" else 2
        of_heads = 2 * self.head_dim if self.model_type == "qwen3" else 0
        return self.matrix_parameters // self.layers + biases + norms * self.hidden + of_heads

    @property
    def embedding(self) -> int:
        """Weights of the embedding, and as many again of the output layer unless they are tied."""
        return self.vocabulary * self.hidden

    @property
    def parameters(self) -> int:
        """All weights."""
        return self.layers * self.layer_parameters + self.hidden + self.embedding * (1 if self.tied else 2)

    @property
    def in_products(self) -> int:
        """Weights that take part in a matrix product for every token: the look-up of the embedding does not."""
        return self.matrix_parameters + self.embedding


def adapter_parameters(shape: Shape, adapter: Adapter) -> int:
    """Weights that an adapter adds and trains: r x (inputs + outputs) per linear layer; DoRA adds a magnitude each."""
    per_layer = sum(
        adapter.r * (rows + columns) + (columns if adapter.method == "dora" else 0)
        for rows, columns in targets(shape, adapter).values()
    )
    return per_layer * shape.layers


def targets(shape: Shape, adapter: Adapter) -> dict[str, tuple[int, int]]:
    """The linear layers of a decoder layer that get an adapter."""
    named = adapter.target_modules
    return {name: size for name, size in shape.matrices.items() if named == "all-linear" or name in named}


# ------------------------------------------------------------------ where a shape is found

LLAMA_FAMILY: dict[str, dict[str, Any]] = {
    "llama": {}, "mistral": {"num_key_value_heads": 8},
    "smollm3": {"num_key_value_heads": 4, "tie_word_embeddings": True},
    "qwen2": {"num_key_value_heads": 32, "qkv_bias": True}, "qwen3": {"num_key_value_heads": 32, "head_dim": 128},
    "gemma": {"num_key_value_heads": 16, "head_dim": 256, "tie_word_embeddings": True},
    "gemma2": {"num_key_value_heads": 4, "head_dim": 256, "tie_word_embeddings": True},
}  # fmt: skip
"""Architectures known -> what transformers assumes where `config.json` is silent."""

_MISTRAL_7B = Shape(model_type="mistral", layers=32, hidden=4096, intermediate=14336, heads=32, kv_heads=8,
                    head_dim=128, vocabulary=32000, dtype="bfloat16")  # fmt: skip
_GEMMA_7B = Shape(model_type="gemma", layers=28, hidden=3072, intermediate=24576, heads=16, kv_heads=16,
                  head_dim=256, vocabulary=256000, tied=True, dtype="bfloat16")  # fmt: skip
SHIPPED: dict[str, Shape] = {
    **dict.fromkeys(
        ("mistralai/Mistral-7B-v0.1", "HuggingFaceH4/mistral-7b-sft-alpha", "HuggingFaceH4/mistral-7b-sft-beta",
         "HuggingFaceH4/zephyr-7b-alpha", "HuggingFaceH4/zephyr-7b-beta", "alignment-handbook/zephyr-7b-sft-full",
         "alignment-handbook/zephyr-7b-dpo-full", "argilla/notus-7b-v1"), _MISTRAL_7B),
    **dict.fromkeys(("google/gemma-7b", "HuggingFaceH4/zephyr-7b-gemma-sft-v0.1", "HuggingFaceH4/zephyr-7b-gemma-v0.1"),
                    _GEMMA_7B),
    "HuggingFaceTB/SmolLM2-1.7B": Shape(model_type="llama", layers=24, hidden=2048, intermediate=8192, heads=32,
                                        kv_heads=32, head_dim=64, vocabulary=49152, tied=True, dtype="bfloat16"),
    "HuggingFaceTB/SmolLM2-360M": Shape(model_type="llama", layers=32, hidden=960, intermediate=2560, heads=15,
                                        kv_heads=5, head_dim=64, vocabulary=49152, tied=True, dtype="bfloat16"),
    "HuggingFaceTB/SmolLM2-135M": Shape(model_type="llama", layers=30, hidden=576, intermediate=1536, heads=9,
                                        kv_heads=3, head_dim=64, vocabulary=49152, tied=True, dtype="bfloat16"),
    **dict.fromkeys(
        ("TinyLlama/TinyLlama_v1.1", "TinyLlama/TinyLlama-1.1B-intermediate-step-1431k-3T"),
        Shape(model_type="llama", layers=22, hidden=2048, intermediate=5632, heads=32,
              kv_heads=4, head_dim=64, vocabulary=32000, dtype="float32")),
}  # fmt: skip
"""Models that shipped recipes name, by their published `config.json`: planned before anything is downloaded."""


def shape_of(model: Model) -> Shape | None:
    """The shape of a recipe's model, or None where nothing on this machine tells it.

    Looked for in the recipe's own `config`, a local directory, the table of shipped models and the Hub's cache.
    """
    if model.config is not None:
        return from_config(_completed(model.config, model.tokenizer_name_or_path))
    return _named(model.model_name_or_path or "", model.revision)


def _named(name: str, revision: str | None) -> Shape | None:
    adapter = Path(name) / "adapter_config.json"
    if name and adapter.is_file():  # an adapter has the shape of what it stands on
        base = json.loads(adapter.read_text())
        return _named(base["base_model_name_or_path"], base.get("revision"))
    found = None if name in SHIPPED else _config_file(name, revision)
    return from_config(json.loads(found.read_text())) if found else SHIPPED.get(name)


def shape_of_loaded(loaded: Loaded) -> Shape | None:
    """The same for a loaded recipe, whose model another recipe may still have to make: that one's shape then."""
    model = getattr(loaded.recipe, "model", None)
    if not isinstance(model, Model):
        return None
    made = {each.field: each.loaded for each in loaded.inputs}
    tokenizer = made.get("model.tokenizer_name_or_path")
    if model.config is not None and tokenizer is not None and isinstance(tokenizer.recipe, WorldRecipe):
        return from_config({"vocab_size": tokenizer.recipe.world.vocabulary, **model.config})
    shape = shape_of(model)
    maker = made.get("model.model_name_or_path")
    if shape is not None or maker is None:
        return shape
    shape = shape_of_loaded(maker)
    return replace(shape, dtype=saved_dtype(maker, shape)) if shape else None


def loaded_dtype(recipe: TrainRecipe) -> str:
    """Precision that weights are loaded in; `auto`: the checkpoint's.

    Where whole weights train under bfloat16 autocast, `auto` is float32 whatever shards them: kept in bfloat16, most
    would not move at all at a learning rate of 5e-7, whose steps are smaller than half of its spacing.
    """
    whole = recipe.adapter is None and recipe.train.bf16
    return "float32" if whole and recipe.model.dtype == "auto" else recipe.model.dtype


def saved_dtype(maker: Loaded, shape: Shape) -> str:
    """The precision in which a training recipe leaves its model: the one it loads it in."""
    recipe = maker.recipe
    if not isinstance(recipe, TrainRecipe):
        return shape.dtype
    wanted = loaded_dtype(recipe)
    if wanted != "auto":
        return wanted
    return "float32" if recipe.model.config is not None else shape.dtype


def from_config(config: dict[str, Any]) -> Shape | None:
    """The shape that a `config.json` describes; None for an architecture that is not of the Llama family."""
    model_type = config.get("model_type", "")
    if model_type not in LLAMA_FAMILY or config.get("num_local_experts"):
        return None
    silent = LLAMA_FAMILY[model_type]

    def value(key: str, default: Any = None) -> Any:
        return silent.get(key, default) if config.get(key) is None else config[key]

    hidden, heads = value("hidden_size"), value("num_attention_heads")
    sizes = (hidden, heads, value("num_hidden_layers"), value("intermediate_size"), value("vocab_size"))
    if any(not isinstance(each, int) for each in sizes):
        return None
    bias = bool(value("attention_bias", False))
    return Shape(
        model_type=model_type,
        layers=value("num_hidden_layers"),
        hidden=hidden,
        intermediate=value("intermediate_size"),
        heads=heads,
        kv_heads=value("num_key_value_heads", heads),
        head_dim=value("head_dim", hidden // heads),
        vocabulary=value("vocab_size"),
        tied=bool(value("tie_word_embeddings", False)),
        qkv_bias=bias or bool(silent.get("qkv_bias", False)),
        output_bias=bias,
        mlp_bias=bool(value("mlp_bias", False)),
        dtype=str(value("dtype", value("torch_dtype", "float32"))).removeprefix("torch."),
    )


def _config_file(name: str, revision: str | None) -> Path | None:
    local = Path(name) / "config.json"
    if name and local.is_file():
        return local
    if not name or name.startswith("/"):
        return None
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(name, "config.json", revision=revision)
    return Path(cached) if isinstance(cached, str) else None


def _completed(config: dict[str, Any], tokenizer: str | None) -> dict[str, Any]:
    """With the tokenizer's vocabulary, as `train/model.py` completes it."""
    path = Path(tokenizer or "") / "tokenizer.json"
    if "vocab_size" in config or tokenizer is None or not path.is_file():
        return config
    data = json.loads(path.read_text())
    ids = list(data.get("model", {}).get("vocab", {}).values()) + [each["id"] for each in data.get("added_tokens", [])]
    return {"vocab_size": max((each for each in ids if isinstance(each, int)), default=0) + 1, **config}
