"""Rows to token ids of dDPO: ours against TRL's, alternating, each in a process of its own; ids compared first.

    .venv/bin/python benchmarks/preparation_speed.py ../shared/data/ultrafeedback/train.jsonl --rounds 3 --threads 1 2

`--threads` are cores given to each side: TRL's `dataset_num_proc`, and the Rust tokenizer's threads of ours. Seconds
are of reading, rendering, tokenising and writing Arrow, without imports: of CPU, child processes included, which other
jobs hardly change, and of the clock. Last figures: benchmarks/README.md.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RECIPE = """\
stage: dpo
seed: 1
model: {{model_name_or_path: {model}}}
data: {{train: [{{path: {rows}}}], max_length: 100000, max_prompt_length: 50000, max_unusable_share: 0.1}}
train: {{learning_rate: 1e-5, global_batch_size: 8, num_train_epochs: 1, lr_scheduler_type: linear, beta: 0.1}}
launch: {{micro_batch_size: 1}}
"""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("rows", type=Path, help="JSON lines of prompt, chosen, rejected")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    options.add_argument("--side", choices=("ours", "trl"), help=argparse.SUPPRESS)
    options.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.side:
        print(json.dumps((ours if given.side == "ours" else trl)(given.folder, given.threads[0])))
        return
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        inputs(folder, given.rows)
        for threads in given.threads:
            ratios: tuple[list[float], list[float]] = ([], [])
            digests = set()
            for k in range(given.rounds):
                found: dict[str, list[float]] = {}
                for side in ("ours", "trl") if k % 2 else ("trl", "ours"):
                    found[side], digest = one(folder, side, threads, k)
                    digests.add(digest)
                for n in (0, 1):
                    ratios[n].append(found["trl"][n] / found["ours"][n])
            told = "the same ids" if len(digests) == 1 else "OTHER IDS: no ratio is worth anything"
            cpu, wall = (f"{statistics.median(each):.2f} ({min(each):.2f} to {max(each):.2f})" for each in ratios)
            print(f"{threads} thread(s), TRL / ours: CPU {cpu}, wall {wall}, {given.rounds} rounds; {told}", flush=True)


def inputs(folder: Path, rows: Path) -> None:
    """A tokenizer of 32,000 words at most, trained on the rows; the rows that both sides take; a recipe."""
    from tokenizers import ByteLevelBPETokenizer

    from zephyr.data.tokens.template import template_source

    model = folder / "model"
    model.mkdir()
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train([str(rows)], vocab_size=32_000, special_tokens=["<s>", "</s>", "<pad>"])
    tokenizer.save(str(model / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>",
                "pad_token": "<pad>", "chat_template": template_source("zephyr", None, "")}  # fmt: skip
    (model / "tokenizer_config.json").write_text(json.dumps(settings))
    (model / "config.json").write_text(json.dumps({"model_type": "mistral", "vocab_size": 32_000}))
    kept = [row for row in map(json.loads, rows.open()) if usable(row)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in kept))
    (folder / "dpo.yaml").write_text(RECIPE.format(model=model, rows=folder / "rows.jsonl"))


def usable(row: dict) -> bool:
    texts = [row[key].strip() for key in ("prompt", "chosen", "rejected")]
    return all(texts) and texts[1] != texts[2]


def one(folder: Path, side: str, threads: int, number: int) -> tuple[list[float], str]:
    """Seconds and a digest of the ids."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": str(threads),
                   "TOKENIZERS_PARALLELISM": "true" if side == "ours" and threads > 1 else "false",
                   "ZEPHYR_CACHE": str(folder / f"cache-{threads}-{number}"),
                   "HF_HOME": str(folder / f"hf-{threads}-{number}"),
                   "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}  # fmt: skip
    words = [sys.executable, __file__, "unused", "--side", side, "--folder", str(folder), "--threads", str(threads)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    seconds, digest = json.loads(done.stdout.strip().splitlines()[-1])
    return seconds, digest


def clocks() -> list[float]:
    """CPU seconds of this process and its children, and the clock's."""
    return [sum(os.times()[:4]), time.perf_counter()]


def since(started: list[float]) -> list[float]:
    return [now - before for now, before in zip(clocks(), started, strict=True)]


def ours(folder: Path, threads: int) -> tuple[list[float], str]:
    import datasets  # noqa: F401

    from zephyr.data import prepare
    from zephyr.recipe import DpoRecipe, load

    recipe = load(folder / "dpo.yaml").recipe
    assert isinstance(recipe, DpoRecipe)
    started = clocks()
    found = prepare(recipe).train
    return since(started), digest_of(found)


def trl(folder: Path, threads: int) -> tuple[list[float], str]:
    from datasets import load_dataset
    from transformers import AutoTokenizer
    from trl import DPOConfig, DPOTrainer

    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    arguments = DPOConfig(output_dir=str(folder / "out"), bf16=False, report_to="none", max_length=100_000,
                          dataset_num_proc=threads if threads > 1 else None)  # fmt: skip
    trainer = DPOTrainer.__new__(DPOTrainer)
    trainer._tokenizer = tokenizer
    started = clocks()
    rows = load_dataset("json", data_files=str(folder / "rows.jsonl"), split="train").map(as_turns)
    found = trainer._prepare_dataset(rows, tokenizer, arguments, "train")
    return since(started), digest_of(found)


def as_turns(row: dict) -> dict:
    turns = {side: [{"role": "assistant", "content": row[side]}] for side in ("chosen", "rejected")}
    return {"prompt": [{"role": "system", "content": ""}, {"role": "user", "content": row["prompt"]}], **turns}


def digest_of(dataset: object) -> str:
    import hashlib

    from zephyr.train.reference_store import pair_keys

    return hashlib.sha256(b"".join(pair_keys(dataset))).hexdigest()


if __name__ == "__main__":
    main()
