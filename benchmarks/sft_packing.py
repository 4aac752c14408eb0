"""Packing for dSFT: what each way keeps of the data and costs, ours beside TRL's own, then the same training on both.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/sft_packing.py ../shared/data/ultrafeedback/train.jsonl

First, text to packed sequences: tokens kept, sequences, how full they are, CPU seconds; TRL's is its SFTTrainer being
made, ours `zephyr prepare`. Then one epoch on the very same packed sequences in the same order: stock TRL (documents
of `bfd_split` kept apart by position ids, as its padding-free mode does it) and `zephyr run`, alternating; the largest
difference of a step's loss first. Last figures: benchmarks/README.md.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from dpo_speed import quiet
from tokenizers import ByteLevelBPETokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer, MistralConfig, set_seed
from trl import SFTConfig, SFTTrainer

from zephyr.data import prepare
from zephyr.data.tokens.template import template_source
from zephyr.processes import prepare_environment
from zephyr.recipe import SftRecipe, load
from zephyr.run import execute
from zephyr.train.exact_steps import ExactSteps

PARITY = 2e-5
"""Largest difference of a step's loss from stock's."""
BATCH, MICRO = 8, 4
RECIPE = """\
stage: sft
seed: 7
model: {{model_name_or_path: {folder}/model}}
data: {{train: [{{path: {rows}}}], max_length: {length}, packing: {packing}, max_unusable_share: 0.1}}
train: {{learning_rate: 1e-3, global_batch_size: 8, num_train_epochs: 1, lr_scheduler_type: linear, logging_steps: 1}}
launch: {{micro_batch_size: 4, gradient_checkpointing: false}}
"""


class Stock(ExactSteps, SFTTrainer):
    """TRL's trainer as it is, with our order of sequences, so that its losses are comparable step by step."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("rows", type=Path, help="JSON lines with `prompt` and `chosen`")
    options.add_argument("--dialogues", type=int, default=1000, help="rows that are packed")
    options.add_argument("--trained", type=int, default=120, help="rows that are trained on")
    options.add_argument("--length", type=int, default=512, help="tokens of a sequence; the paper's are 2048")
    options.add_argument("--rounds", type=int, default=2)
    given = options.parse_args()
    prepare_environment()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        write_inputs(folder, given)
        os.environ["ZEPHYR_CACHE"] = str(folder / "cache")
        packing(folder, given.length)
        for way in ("wrapped", "bfd_split") if given.rounds else ():
            training(folder, way, given)


def write_inputs(folder: Path, given: argparse.Namespace) -> None:
    """A tokenizer, a random model of 3.8 M weights, dialogues of one turn each."""
    rows = [json.loads(line) for line in given.rows.open()]
    usable = [row for row in rows if row["prompt"].strip() and row["chosen"].strip()][: given.dialogues]
    turns = [{"messages": turns_of(row)} for row in usable]
    for name, part in (("all", turns), ("few", turns[: given.trained])):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(
        [turn["content"] for row in turns for turn in row["messages"]],
        vocab_size=2048,
        special_tokens=["<s>", "</s>", "<pad>"],
    )
    (folder / "model").mkdir()
    tokenizer.save(str(folder / "model" / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>",
                "pad_token": "<pad>", "chat_template": template_source("zephyr", None, "")}  # fmt: skip
    (folder / "model" / "tokenizer_config.json").write_text(json.dumps(settings))
    set_seed(0)
    shape = MistralConfig(vocab_size=2048, hidden_size=256, num_hidden_layers=4, num_attention_heads=8,
                          num_key_value_heads=2, intermediate_size=688, max_position_embeddings=2048,
                          sliding_window=None, bos_token_id=0, eos_token_id=1, pad_token_id=2)  # fmt: skip
    AutoModelForCausalLM.from_config(shape, dtype=torch.float32).save_pretrained(folder / "model")


def turns_of(row: dict) -> list[dict[str, str]]:
    """With the empty system turn that ours would add, so that both sides have the same tokens."""
    texts = {"system": "", "user": row["prompt"], "assistant": row["chosen"]}
    return [{"role": role, "content": text} for role, text in texts.items()]


def recipe(folder: Path, way: str, rows: str, length: int, name: str = "none") -> Any:
    file = folder / f"{way}-{rows}.yaml"
    file.write_text(RECIPE.format(folder=folder, rows=folder / f"{rows}.jsonl", packing=way, length=length))
    return load(file, [f"output_dir={folder}/{name}"])


def packing(folder: Path, length: int) -> None:
    """The first table."""
    whole = prepare(_recipe(folder, "bfd_split", "all", length)).counts["train"]
    print(f"{whole.rows_used:,} dialogues, {whole.tokens:,} tokens, sequences of {length}")
    print(f"{'':18}{'kept':>10}{'dropped':>9}{'sequences':>11}{'full':>7}{'CPU s':>8}")
    trl = {way: lambda way=way: _trl(folder, way, length) for way in ("wrapped", "bfd", "bfd_split")}
    ours = {way: lambda way=way: _ours(folder, way, length) for way in ("wrapped", "bfd_split")}
    for side, ways in (("TRL", trl), ("ours", ours)):
        for way, make in ways.items():
            started = time.process_time()
            lengths = make()
            seconds = time.process_time() - started
            kept, full = sum(lengths), sum(lengths) / (len(lengths) * length)
            figures = f"{kept:10,}{1 - kept / whole.tokens:9.1%}{len(lengths):11,}{full:7.1%}{seconds:8.2f}"
            print(f"{side + ' ' + way:18}{figures}", flush=True)


def _recipe(folder: Path, way: str, rows: str, length: int) -> SftRecipe:
    found = recipe(folder, way, rows, length).recipe
    assert isinstance(found, SftRecipe)
    return found


def _trl(folder: Path, way: str, length: int) -> list[int]:
    """Lengths of the sequences that TRL makes of the text."""
    rows = [json.loads(line) for line in (folder / "all.jsonl").open()]
    arguments = SFTConfig(
        output_dir=str(folder / "packed"), bf16=False, report_to="none", max_length=length, packing=True,
        packing_strategy=way, dataloader_pin_memory=False,
    )  # fmt: skip
    with quiet():
        trainer = SFTTrainer(
            model=str(folder / "model"),
            args=arguments,
            train_dataset=Dataset.from_list(rows),
            processing_class=AutoTokenizer.from_pretrained(folder / "model"),
        )
    return [len(row) for row in trainer.train_dataset["input_ids"]]


def _ours(folder: Path, way: str, length: int) -> list[int]:
    os.environ["ZEPHYR_CACHE"] = tempfile.mkdtemp(dir=folder)
    found = prepare(_recipe(folder, way, "all", length)).train
    return [len(row) for row in found["input_ids"]]


def training(folder: Path, way: str, given: argparse.Namespace) -> None:
    """Parity, then CPU seconds of an epoch."""
    rounds, length = given.rounds, given.length
    sides: dict[str, Callable[[int], np.ndarray]] = {
        "TRL": lambda k: stock(folder, way, length),
        "ours": lambda k: ours(folder, way, length, k),
    }
    prepare(_recipe(folder, way, "few", length))  # for both
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    losses = {}
    for k in range(rounds):
        for side in sides if k % 2 == 0 else reversed(sides):
            started = time.process_time()
            losses[side] = sides[side](k)
            seconds[side].append(time.process_time() - started)
    apart = float(np.abs(losses["TRL"] - losses["ours"]).max())
    ratios = sorted(a / b for a, b in zip(seconds["TRL"], seconds["ours"], strict=True))
    print(
        f"training, {way}: {len(losses['ours'])} losses apart by {apart:.1e} at most"
        + ("" if apart <= PARITY else f"  MORE THAN {PARITY}: no ratio is worth anything")
        + f"; TRL {statistics.median(seconds['TRL']):.1f}, ours {statistics.median(seconds['ours']):.1f} CPU s, ratio"
        f" {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}, {rounds} rounds)",
        flush=True,
    )


def stock(folder: Path, way: str, length: int) -> np.ndarray:
    """TRL on our packed sequences; the losses."""
    arguments = SFTConfig(
        output_dir=str(folder / "stock"), seed=7, learning_rate=1e-3, num_train_epochs=1, lr_scheduler_type="linear",
        per_device_train_batch_size=MICRO, gradient_accumulation_steps=BATCH // MICRO, max_length=None, packing=False,
        padding_free=way == "bfd_split", logging_steps=1, report_to="none", disable_tqdm=True, bf16=False,
        save_strategy="no", dataloader_pin_memory=False, activation_checkpointing=False,
    )  # fmt: skip
    with quiet():
        trainer = Stock(
            model=str(folder / "model"),
            args=arguments,
            train_dataset=prepare(_recipe(folder, way, "few", length)).train,
            processing_class=AutoTokenizer.from_pretrained(folder / "model"),
        )
        trainer.train()
        trainer.save_model(str(folder / "stock"))
    return np.array([row["loss"] for row in trainer.state.log_history if "loss" in row])


def ours(folder: Path, way: str, length: int, number: int) -> np.ndarray:
    """`zephyr run`; the losses."""
    loaded = recipe(folder, way, "few", length, f"{way}-{number}")
    with quiet():
        execute(loaded)
    rows = [json.loads(line) for line in (loaded.run_dir / "metrics.jsonl").open()]
    return np.array([row["loss"] for row in rows if "loss" in row])


if __name__ == "__main__":
    main()
