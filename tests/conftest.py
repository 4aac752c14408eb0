"""What tests of several folders share: a tiny tokenizer, tiny rows, tiny recipes."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

WORDS = (
    "the", "red", "ball", "is", "in", "box", "what", "colour", "where", "does", "ana",
    "live", "she", "lives", "near", "sea", "hello", "world", "answer", "question",
)  # fmt: skip


@pytest.fixture(autouse=True)
def leaves_the_process_as_it_was() -> Iterator[None]:
    """Tests share a process, in an order that differs from machine to machine: none may change it for the next."""
    before = settings_of_the_process()
    yield
    after = settings_of_the_process()
    assert {name: after[name] for name in before} == before


def settings_of_the_process() -> dict[str, object]:
    """Variables that runs read and, once torch is there, its threads, on which the last digit of a sum depends."""
    names = ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "HF_HUB_OFFLINE", "ZEPHYR_OUTPUTS", "ZEPHYR_CACHE")
    found: dict[str, object] = {name: os.environ.get(name) for name in names}
    torch = sys.modules.get("torch")
    return found if torch is None else {**found, "threads of torch": torch.get_num_threads()}


@pytest.fixture
def one_thread() -> Iterator[None]:
    """For models so small that several threads only wait for one another."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of a byte-level BPE tokenizer with <s>, </s>, <pad>."""
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<s>", "</s>", "<pad>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator([" ".join(WORDS)] * 50, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>",
    }  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def write_rows(path: Path, rows: list[dict]) -> Path:
    """Writes rows as JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def tiny(tmp_path: Path, tiny_tokenizer: Path) -> Path:
    """A folder with data and three recipes (cpt, sft, dpo) of a two-layer model that train in seconds on a CPU."""
    return write_tiny(tmp_path, tiny_tokenizer)


def write_tiny(folder: Path, tokenizer: Path) -> Path:
    """Writes that folder."""
    texts = [{"text": f"{a} {b} is {c}"} for a in WORDS[:6] for b in WORDS[6:12] for c in WORDS[12:14]]
    chats = [
        {"messages": [{"role": "user", "content": f"what is {a} {b}"},
                      {"role": "assistant", "content": f"the {b} {a}"}]}
        for a in WORDS[:6] for b in WORDS[:6]
    ]  # fmt: skip
    pairs = [
        {"prompt": f"where does {a} live {b}", "chosen": f"{a} lives near the {b}", "rejected": f"hello {b} {a} box"}
        for a in WORDS[:6] for b in WORDS[:6]
    ]  # fmt: skip
    for name, rows, held_out in (("text", texts, 8), ("chat", chats, 4), ("pairs", pairs, 4)):
        write_rows(folder / f"{name}.jsonl", rows[:-held_out])
        write_rows(folder / f"{name}_eval.jsonl", rows[-held_out:])
    for stage, text in RECIPES.items():
        (folder / f"{stage}.yaml").write_text(text.format(tokenizer=tokenizer))
    return folder


RECIPES = {
    "cpt": """\
stage: cpt
seed: 1
model:
  config: {{model_type: mistral, hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 2, num_key_value_heads: 1,
           intermediate_size: 64, max_position_embeddings: 128}}
  tokenizer_name_or_path: {tokenizer}
data:
  train: [{{path: text.jsonl}}]
  eval: [{{path: text_eval.jsonl}}]
  max_length: 32
train: {{learning_rate: 1e-2, global_batch_size: 4, num_train_epochs: 6,
        lr_scheduler_type: cosine, warmup_steps: 0.1, logging_steps: 1}}
launch: {{micro_batch_size: 2}}
""",
    "sft": """\
stage: sft
seed: 1
model: {{model_name_or_path: cpt.yaml}}
data:
  train: [{{path: chat.jsonl}}]
  eval: [{{path: chat_eval.jsonl}}]
  max_length: 64
train: {{learning_rate: 1e-2, global_batch_size: 4, num_train_epochs: 2,
        lr_scheduler_type: cosine, warmup_steps: 2, logging_steps: 1}}
launch: {{micro_batch_size: 4}}
""",
    "dpo": """\
stage: dpo
seed: 1
model: {{model_name_or_path: sft.yaml}}
data:
  train: [{{path: pairs.jsonl}}]
  eval: [{{path: pairs_eval.jsonl}}]
  max_length: 128
  max_prompt_length: 64
train: {{learning_rate: 1e-3, global_batch_size: 4, num_train_epochs: 2,
        lr_scheduler_type: linear, warmup_steps: 0.1, beta: 0.1, logging_steps: 1}}
launch: {{micro_batch_size: 2}}
""",
}
