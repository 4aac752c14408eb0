"""dDPO from text to a saved model: ours against stock TRL, both sides alternating in one run, parity first.

    export OMP_NUM_THREADS=1
    .venv/bin/python benchmarks/dpo_speed.py --rounds 3
    .venv/bin/python benchmarks/dpo_speed.py --rounds 3 --pairs ../shared/data/ultrafeedback/train.jsonl

Arms: `stock` is TRL's DPOTrainer with the defaults of `trl dpo` (activations recomputed, reference in memory); `tuned`
is the best that TRL's options give (activations kept, reference precomputed by TRL); `first` is `zephyr run` with
nothing cached; `further` is another run of a sweep, with data and reference known. All train the same pairs in the same
order from the same weights, so that their losses can be compared; no pair is long enough to be truncated, where the
rules of both differ. Imports count for nobody. CPU seconds of this process, since other jobs don't change them; wall
seconds beside them. `--products mkl`: ours without oneDNN's products, as on processors where MKL is as fast; stock has
what PyTorch gives it in any case. Last figures: benchmarks/README.md.
"""

import argparse
import contextlib
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from tokenizers import ByteLevelBPETokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer, MistralConfig, set_seed
from trl import DPOConfig, DPOTrainer

from zephyr.data.tokens.template import template_source
from zephyr.recipe import load
from zephyr.run import execute
from zephyr.train import products
from zephyr.train.exact_steps import ExactSteps

PARITY = 2e-5
"""Largest difference of a step's loss from stock's."""
MAX_LENGTH, MAX_PROMPT = 1024, 512
LENGTHS = {"prompt": 185, "chosen": 315, "rejected": 280}
"""Mean tokens of lognormal lengths, fitted to UltraFeedback's pairs."""
RECIPE = """\
stage: dpo
seed: 7
model: {{model_name_or_path: {folder}/model}}
data: {{train: [{{path: {folder}/pairs.jsonl}}], max_length: 1024, max_prompt_length: 512}}
train: {{learning_rate: 5e-5, global_batch_size: {batch}, num_train_epochs: {epochs}, lr_scheduler_type: linear,
        warmup_steps: 0.1, beta: 0.1, logging_steps: 1}}
launch: {{micro_batch_size: {micro}, gradient_checkpointing: false}}
"""


class Stock(ExactSteps, DPOTrainer):
    """TRL's trainer as it is, with our order of rows, so that its losses are comparable step by step."""


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--pairs", type=Path, help="JSON lines of prompt, chosen, rejected; default: drawn lengths")
    options.add_argument("--rows", type=int, default=24, help="pairs trained on")
    options.add_argument("--epochs", type=int, default=3)
    options.add_argument("--batch", type=int, default=12, help="pairs of an optimizer step")
    options.add_argument("--micro", type=int, default=4, help="pairs of a forward pass")
    options.add_argument("--products", choices=("auto", "mkl"), default="auto", help="library of ours for products")
    options.add_argument("--arms", nargs="+", default=["stock", "tuned", "first", "further"])
    given = options.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    if given.products == "mkl":
        products.onednn_is_faster = lambda: False  # type: ignore[assignment]
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        described = write_inputs(folder, given)
        print(described + f"; our products by {'oneDNN' if products.onednn_is_faster() else 'MKL'}")
        arms: dict[str, Callable[[int], np.ndarray]] = {
            "stock": lambda k: stock(folder, given, tuned=False),
            "tuned": lambda k: stock(folder, given, tuned=True),
            "first": lambda k: ours(folder, given, cache=f"cache-{k}", name=f"first-{k}"),
            "further": lambda k: ours(folder, given, cache="cache-kept", name=f"further-{k}"),
        }
        if "further" in given.arms:
            ours(folder, given, cache="cache-kept", name="fills-the-cache")
        seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in given.arms}
        losses: dict[str, np.ndarray] = {}
        for k in range(given.rounds):
            for name in given.arms if k % 2 == 0 else reversed(given.arms):
                started, used = time.perf_counter(), time.process_time()
                losses[name] = arms[name](k)
                seconds[name].append((time.process_time() - used, time.perf_counter() - started))
            if k == 0 and not parity(losses):
                return 1
        report(seconds)
    return 0


def write_inputs(folder: Path, given: argparse.Namespace) -> str:
    """A tokenizer, a random model of 4.5 M weights, and pairs that fit the window; says what they are like."""
    draw = np.random.default_rng(0)
    rows = drawn(draw, 4 * given.rows) if given.pairs is None else [json.loads(row) for row in given.pairs.open()]
    texts = [row[key] for row in rows for key in ("prompt", "chosen", "rejected")]
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(texts, vocab_size=2048, special_tokens=["<s>", "</s>", "<pad>"])
    (folder / "model").mkdir()
    tokenizer.save(str(folder / "model" / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>",
                "pad_token": "<pad>", "chat_template": template_source("zephyr", None, "")}  # fmt: skip
    (folder / "model" / "tokenizer_config.json").write_text(json.dumps(settings))
    set_seed(0)
    shape = MistralConfig(vocab_size=2048, hidden_size=256, num_hidden_layers=4, num_attention_heads=8,
                          num_key_value_heads=2, intermediate_size=688, max_position_embeddings=2048,
                          sliding_window=None, bos_token_id=0, eos_token_id=1, pad_token_id=2)  # fmt: skip
    model = AutoModelForCausalLM.from_config(shape, dtype=torch.float32)
    model.save_pretrained(folder / "model")

    def tokens(text: str) -> int:
        return len(tokenizer.encode(text).ids)

    sizes = [(tokens(row["prompt"]) + 20, tokens(row["chosen"]) + 4, tokens(row["rejected"]) + 4) for row in rows]
    fit = [n for n, (p, c, r) in enumerate(sizes) if p <= MAX_PROMPT and p + max(c, r) <= MAX_LENGTH and c > 5 < r]
    usable = [n for n in fit if rows[n]["chosen"] != rows[n]["rejected"]]
    taken = sorted(draw.choice(usable, given.rows, replace=False))
    lines = [json.dumps({key: rows[n][key] for key in ("prompt", "chosen", "rejected")}) + "\n" for n in taken]
    (folder / "pairs.jsonl").write_text("".join(lines))
    settings = RECIPE.format(folder=folder, batch=given.batch, epochs=given.epochs, micro=given.micro)
    (folder / "dpo.yaml").write_text(settings)
    means = np.mean([sizes[n] for n in taken], axis=0).round()
    return (
        f"{sum(p.numel() for p in model.parameters()):,} weights; {len(taken)} of {len(rows)} pairs, mean tokens:"
        f" prompt {means[0]:.0f}, chosen {means[1]:.0f}, rejected {means[2]:.0f}; {given.epochs} epochs, steps of"
        f" {given.batch}, micro-batches of {given.micro}"
    )


def drawn(draw: np.random.Generator, n: int) -> list[dict[str, str]]:
    """Pairs of random words with lognormal lengths, about a token a word, cut as the recipe's rule would."""
    words = ["".join(draw.choice(list("abcdefghijklmnop"), draw.integers(2, 6))) for _ in range(900)]

    def length(mean: float) -> int:
        return max(8, int(draw.lognormal(np.log(mean) - 0.18, 0.6)))  # a lognormal's mean is exp(0.6 ** 2 / 2) higher

    rows = []
    for _ in range(n):
        prompt = min(length(LENGTHS["prompt"]), MAX_PROMPT - 40)
        room = MAX_LENGTH - prompt - 60
        sizes = {"prompt": prompt, **{side: min(length(LENGTHS[side]), room) for side in ("chosen", "rejected")}}
        rows.append({side: " ".join(draw.choice(words, size)) for side, size in sizes.items()})
    return rows


def stock(folder: Path, given: argparse.Namespace, *, tuned: bool) -> np.ndarray:
    """TRL from text to a saved model; the losses."""
    rows = [json.loads(line) for line in (folder / "pairs.jsonl").open()]
    turns = [
        {
            "prompt": [{"role": "system", "content": ""}, {"role": "user", "content": row["prompt"]}],
            **{side: [{"role": "assistant", "content": row[side]}] for side in ("chosen", "rejected")},
        }
        for row in rows
    ]
    out = folder / "stock"
    with quiet():
        trainer = Stock(
            model=str(folder / "model"),
            args=DPOConfig(
                output_dir=str(out), seed=7, learning_rate=5e-5, warmup_steps=0.1, num_train_epochs=given.epochs,
                per_device_train_batch_size=given.micro, gradient_accumulation_steps=given.batch // given.micro,
                beta=0.1, max_length=MAX_LENGTH, logging_steps=1, report_to="none", disable_tqdm=True, bf16=False,
                save_strategy="no", dataloader_pin_memory=False, activation_checkpointing=not tuned,
                precompute_ref_log_probs=tuned,
            ),
            train_dataset=Dataset.from_list(turns),
            processing_class=AutoTokenizer.from_pretrained(folder / "model"),
        )  # fmt: skip
        trainer.train()
        trainer.save_model(str(out))
    shutil.rmtree(out)
    return np.array([row["loss"] for row in trainer.state.log_history if "loss" in row])


def ours(folder: Path, given: argparse.Namespace, *, cache: str, name: str) -> np.ndarray:
    """`zephyr run` in this process; the losses."""
    os.environ["ZEPHYR_CACHE"] = str(folder / cache)
    loaded = load(folder / "dpo.yaml", [f"output_dir={folder}/{name}"])
    with quiet():
        execute(loaded)
    numbers = json.loads((loaded.run_dir / "result.json").read_text())["numbers"]
    if name == "fills-the-cache":
        print(
            f"per real token: {numbers['tokens/padded']:.2f} padded, {numbers['tokens/computed']:.2f} computed by ours"
        )
    rows = [json.loads(line) for line in (loaded.run_dir / "metrics.jsonl").open()]
    return np.array([row["loss"] for row in rows if "loss" in row])


@contextlib.contextmanager
def quiet() -> Any:
    with (
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        yield


def parity(losses: dict[str, np.ndarray]) -> bool:
    """Whether every arm's losses are the first one's; says how far they are apart."""
    names = list(losses)
    worst = {name: float(np.abs(losses[name] - losses[names[0]]).max()) for name in names[1:]}
    told = ", ".join(f"{name} {value:.1e}" for name, value in worst.items())
    right = all(value <= PARITY for value in worst.values())
    print(f"parity: largest difference of {len(losses[names[0]])} losses to {names[0]}: {told}"
          + ("" if right else f"  MORE THAN {PARITY}: no ratio is worth anything"), flush=True)  # fmt: skip
    return right


def report(seconds: dict[str, list[tuple[float, float]]]) -> None:
    """Medians, and ratios within each round with their spread."""
    for name, rounds in seconds.items():
        used, wall = (statistics.median(values) for values in zip(*rounds, strict=True))
        print(f"{name:8} CPU {used:6.1f} s   wall {wall:6.1f} s")
    for slow in ("stock", "tuned"):
        for fast in ("tuned", "first", "further"):
            if slow != fast and slow in seconds and fast in seconds:
                print(f"{slow} / {fast}: {spread(seconds[slow], seconds[fast])}")
    if {"stock", "first", "further"} <= seconds.keys():
        four = [(4 * s[0], 4 * s[1]) for s in seconds["stock"]]
        sweep = [tuple(a + 3 * b for a, b in zip(*each, strict=True))
                 for each in zip(seconds["first"], seconds["further"], strict=True)]  # fmt: skip
        print(f"four stock launches / a sweep of four (a first and three further, added up): {spread(four, sweep)}")


def spread(slow: list[Any], fast: list[Any]) -> str:
    ratios = [sorted(a[n] / b[n] for a, b in zip(slow, fast, strict=True)) for n in (0, 1)]
    cpu, wall = (f"{statistics.median(each):.2f} ({each[0]:.2f} to {each[-1]:.2f})" for each in ratios)
    return f"CPU {cpu}, wall {wall}, {len(slow)} rounds"


if __name__ == "__main__":
    sys.exit(main())
