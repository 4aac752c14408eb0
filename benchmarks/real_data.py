"""Real data through the whole training path: dSFT on instruction rows, then dDPO on UltraFeedback pairs, a tiny model.

    .venv/bin/python benchmarks/real_data.py --instructions alpaca.json --pairs train.jsonl --pairs-eval test.jsonl

Trains a tokenizer on the given files, writes two recipes beside it and runs them with `zephyr run`. It shows that real
rows pass the sources, template, truncation and both trainers; a model this small learns style, not knowledge.
Last figures: benchmarks/README.md.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from tokenizers import ByteLevelBPETokenizer

ZEPHYR = Path(sys.executable).parent / "zephyr"
HELD_OUT = 100
"""Instruction rows kept for evaluation: the last ones of the file."""
SFT = """\
stage: sft
seed: 42
model:
  config: {{model_type: mistral, hidden_size: 128, num_hidden_layers: 3, num_attention_heads: 4, num_key_value_heads: 2,
           intermediate_size: 384, tie_word_embeddings: true, max_position_embeddings: 1024}}
  tokenizer_name_or_path: tokenizer
data:
  train: [{{path: instructions.jsonl}}]
  eval: [{{path: instructions_eval.jsonl}}]
  max_length: 512
train: {{learning_rate: 2e-3, global_batch_size: 8, num_train_epochs: 3, lr_scheduler_type: cosine, warmup_steps: 0.1}}
launch: {{micro_batch_size: 8}}
"""
DPO = """\
stage: dpo
seed: 42
model: {{model_name_or_path: sft.yaml}}
data:
  train: [{{path: {pairs}}}]
  eval: [{{path: {pairs_eval}}}]
  max_length: 512
  max_prompt_length: 256
  max_unusable_share: 0.05
train: {{learning_rate: 1e-4, global_batch_size: 16, num_train_epochs: 1, lr_scheduler_type: linear,
        warmup_steps: 0.1, beta: 0.1}}
launch: {{micro_batch_size: 4}}
"""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--instructions", "--pairs", "--pairs-eval"):
        options.add_argument(name, type=lambda path: Path(path).resolve(), required=True)
    options.add_argument("--outputs", type=Path, default=Path("outputs/real_data"))
    arguments = options.parse_args()
    folder = arguments.outputs.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    train_tokenizer(folder / "tokenizer", [arguments.instructions, arguments.pairs])
    rows = [json.dumps(row) + "\n" for row in json.loads(arguments.instructions.read_text())]
    (folder / "instructions.jsonl").write_text("".join(rows[:-HELD_OUT]))
    (folder / "instructions_eval.jsonl").write_text("".join(rows[-HELD_OUT:]))
    (folder / "sft.yaml").write_text(SFT.format())
    (folder / "dpo.yaml").write_text(DPO.format(pairs=arguments.pairs, pairs_eval=arguments.pairs_eval))
    for stage in ("sft", "dpo"):
        subprocess.run([str(ZEPHYR), "run", str(folder / f"{stage}.yaml"), "--outputs", str(folder)], check=True)
    for result in sorted(folder.rglob("result.json")):
        print(json.dumps(json.loads(result.read_text()), indent=1))


def train_tokenizer(folder: Path, files: list[Path]) -> None:
    if (folder / "tokenizer.json").is_file():
        return
    folder.mkdir(exist_ok=True)
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train([str(file) for file in files], vocab_size=4096, special_tokens=["<s>", "</s>", "<pad>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    special = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 1024, **special}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


if __name__ == "__main__":
    main()
