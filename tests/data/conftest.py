"""Small tokenizers trained on the spot, and recipes around them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from zephyr.recipe.schema import RECIPES

SHARED = Path(__file__).parents[2] / "../shared/data"

TEXTS = [
    "What is the capital of France? The capital of France is Paris, on the Seine.",
    "Write a poem about the sea.\n\nThe sea is blue and wide,\nit comes and goes with the tide.",
    "<|system|>\n<|user|>\n<|assistant|>\n def add(a, b):\n    return a + b\n\n\n\n 12 + 30 = 42.",
    "Grüße, naïve café, 日本語!",
] * 20  # fmt: skip


@pytest.fixture(scope="session")
def byte_level(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A byte-level BPE tokenizer (as GPT-2's and the mini world's) in a directory of its own."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<unk>", "<s>", "</s>"]
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    return _saved(tokenizer, tmp_path_factory.mktemp("byte_level"))


@pytest.fixture(scope="session")
def sentencepiece(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BPE tokenizer built like Mistral-7B's tokenizer.json: a prepended ▁, no pre-tokenizer, bytes for the rest."""
    tokenizer = tokenizers.Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    special = ["<unk>", "<s>", "</s>", *(f"<0x{n:02X}>" for n in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=special[:3], show_progress=False)
    tokenizer.train_from_iterator((text.replace("\n", " ") for text in TEXTS), trainer)
    content = json.loads(tokenizer.to_str())
    vocabulary = content["model"]["vocab"]
    for token in special[3:]:
        vocabulary.setdefault(token, len(vocabulary))
    return _saved(tokenizers.Tokenizer.from_str(json.dumps(content)), tmp_path_factory.mktemp("sentencepiece"))


def _saved(tokenizer: tokenizers.Tokenizer, folder: Path) -> Path:
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "pad_token": "</s>",
        "model_max_length": 100000,
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture
def shared() -> Path:
    """Real data beside the checkout; a test that uses them is skipped where they are absent."""
    if not SHARED.is_dir():
        pytest.skip("the real data (../shared/data) are not here")
    return SHARED


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Write rows as JSON lines (text is written as it is) and say where."""

    def write_rows(rows: list[Any] | str, name: str = "train.jsonl") -> str:
        text = rows if isinstance(rows, str) else "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return write_rows


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("ZEPHYR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def source(path: Any) -> Any:
    """A source given as a path, or as it is."""
    return path if isinstance(path, dict) else {"path": str(path)}


@pytest.fixture
def make_recipe(byte_level: Path) -> Callable[..., Any]:
    """A recipe of a stage on given data: `make_recipe("sft", train=path, loss_on="assistant")`."""

    def make(stage: str, train: Any, eval: Any = None, tokenizer: Path = byte_level, seed: int = 3, **data: Any) -> Any:
        training = {"learning_rate": 1e-3, "global_batch_size": 2, "num_train_epochs": 1, "lr_scheduler_type": "linear"}
        if stage == "dpo":
            training["beta"] = 0.1
            data.setdefault("max_prompt_length", 64)
        data.setdefault("max_length", 128)
        trains = train if isinstance(train, list) else [train]
        evals = [] if eval is None else eval if isinstance(eval, list) else [eval]
        return RECIPES[stage](
            stage=stage,
            seed=seed,
            model={"config": {"model_type": "mistral"}, "tokenizer_name_or_path": str(tokenizer)},
            data={"train": [source(one) for one in trains], "eval": [source(one) for one in evals], **data},
            train=training,
            launch={"micro_batch_size": 1},
        )

    return make
