"""The trap of a stale reference: the dSFT model is trained again into the same folder, then dDPO starts from it again.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/stale_reference.py

Four sides, each a process (ZeRO-3: two, on a CPU) with caches of its own: stock TRL with `precompute_ref_log_probs` and
`zephyr run`, plain and under ZeRO-3. Each trains from model A, then, once A's files were overwritten with model B, by
the very same command. Policy and reference are the same weights at the first step, so its margin must be 0 and its loss
ln 2 = 0.693147; anything else is a reference that isn't the model. Last figures: benchmarks/README.md.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

PAIRS, MINUTES = 32, 4
RECIPE = """\
stage: dpo
seed: 7
model: {{model_name_or_path: {folder}/model}}
data: {{train: [{{path: {folder}/pairs.jsonl}}], max_length: 128, max_prompt_length: 64}}
train: {{learning_rate: 1e-6, global_batch_size: 8, num_train_epochs: 1, lr_scheduler_type: constant, beta: 0.1,
        logging_steps: 1}}
launch: {{micro_batch_size: 4, gradient_checkpointing: false, processes: {processes}, strategy: {strategy}}}
"""
ZERO3 = Path(__file__).parents[1] / "recipes" / "accelerate_configs" / "zero3.yaml"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--side", choices=("plain", "zero3"), help=argparse.SUPPRESS)
    options.add_argument("--only", choices=("plain", "zero3"), help="one of the two alone")
    options.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.side:
        stock(given.folder, zero3=given.side == "zero3")
        return
    with tempfile.TemporaryDirectory() as work:
        print(f"{'':24}{'first loss of A':>18}{'margin':>10}   {'of B, same folder':>18}{'margin':>10}")
        for side in (given.only,) if given.only else ("plain", "zero3"):
            for name, run in (("stock TRL", run_stock), ("zephyr run", run_ours)):
                folder = Path(work) / f"{name.split()[0]}-{side}"
                write_inputs(folder)
                found = []
                for seed in (0, 1):
                    write_model(folder, seed)
                    found += run(folder, side, seed)
                label = f"{name}, {'one process' if side == 'plain' else 'ZeRO-3, two'}"
                print(f"{label:24}{found[0]:18.6f}{found[1]:10.5f}   {found[2]:18.6f}{found[3]:10.5f}", flush=True)


def write_inputs(folder: Path) -> None:
    """A tokenizer, and pairs of the same few words."""
    import numpy as np
    from tokenizers import ByteLevelBPETokenizer

    from zephyr.data.tokens.template import template_source

    draw = np.random.default_rng(0)
    words = ["".join(draw.choice(list("abcdefgh"), 3)) for _ in range(60)]
    rows = [{side: " ".join(draw.choice(words, 12)) for side in ("prompt", "chosen", "rejected")} for _ in range(PAIRS)]
    (folder / "model").mkdir(parents=True)
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(words, vocab_size=400, special_tokens=["<s>", "</s>", "<pad>"])
    tokenizer.save(str(folder / "model" / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>",
                "pad_token": "<pad>", "chat_template": template_source("zephyr", None, "")}  # fmt: skip
    (folder / "model" / "tokenizer_config.json").write_text(json.dumps(settings))


def write_model(folder: Path, seed: int) -> None:
    """A random model of another seed, over whatever is there."""
    from transformers import MistralConfig, MistralForCausalLM, set_seed

    set_seed(seed)
    shape = MistralConfig(vocab_size=400, hidden_size=64, num_hidden_layers=2, num_attention_heads=4,
                          num_key_value_heads=2, intermediate_size=128, max_position_embeddings=512,
                          sliding_window=None, bos_token_id=0, eos_token_id=1, pad_token_id=2)  # fmt: skip
    model = MistralForCausalLM(shape)
    for weight in model.parameters():  # sharper than a new model, as a trained one is
        weight.data *= 3 if weight.dim() > 1 else 1
    model.save_pretrained(folder / "model")


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "HF_HOME": str(folder / "hf"), "HF_HUB_OFFLINE": "1", "ZEPHYR_CACHE": str(folder / "cache"),
            "DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": "1"}  # fmt: skip


def run_stock(folder: Path, side: str, seed: int) -> list[float]:
    """First loss and margin of TRL alone."""
    accelerate = [str(Path(sys.executable).with_name("accelerate")), "launch", "--config_file", str(ZERO3),
                  "--num_processes", "2", "--main_process_port", "0"]  # fmt: skip
    words = [*(accelerate if side == "zero3" else [sys.executable]), __file__, "--side", side, "--folder", str(folder)]
    more = {"ACCELERATE_TORCH_DEVICE": "cpu"} if side == "zero3" else {}
    done = subprocess.run(words, env=environment(folder) | more, capture_output=True, text=True, timeout=MINUTES * 60)
    if done.returncode:
        raise SystemExit(done.stdout[-2000:] + done.stderr[-4000:])
    row = json.loads((folder / "first.json").read_text())
    return [row["loss"], row["rewards/margins"]]


def run_ours(folder: Path, side: str, seed: int) -> list[float]:
    """First loss and margin of `zephyr run`; another output folder, since a finished run is not made again."""
    processes, strategy = (1, "single") if side == "plain" else (2, "zero3")
    recipe = folder / "dpo.yaml"
    recipe.write_text(RECIPE.format(folder=folder, processes=processes, strategy=strategy))
    out = folder / f"out-{seed}"
    words = [str(Path(sys.executable).with_name("zephyr")), "run", str(recipe), f"output_dir={out}"]
    done = subprocess.run(words, env=environment(folder), capture_output=True, text=True, timeout=MINUTES * 60)
    if done.returncode:
        raise SystemExit(done.stdout[-2000:] + done.stderr[-4000:])
    row = json.loads((out / "metrics.jsonl").read_text().splitlines()[0])
    return [row["loss"], row["rewards/margins"]]


def stock(folder: Path, *, zero3: bool) -> None:
    """What a script around `DPOTrainer` does; leaves the first step's log in `first.json`."""
    from datasets import load_dataset
    from transformers import AutoTokenizer
    from trl import DPOConfig, DPOTrainer

    more: dict[str, Any] = {"ddp_backend": "gloo"} if zero3 else {"use_cpu": True}
    arguments = DPOConfig(
        output_dir=str(folder / "stock"), seed=7, learning_rate=1e-6, max_steps=1, beta=0.1, logging_steps=1,
        bf16=False, per_device_train_batch_size=4, gradient_accumulation_steps=1 if zero3 else 2, max_length=128,
        report_to="none", precompute_ref_log_probs=True, activation_checkpointing=False, save_strategy="no", **more,
    )  # fmt: skip
    trainer = DPOTrainer(
        model=str(folder / "model"),
        args=arguments,
        train_dataset=load_dataset("json", data_files=str(folder / "pairs.jsonl"), split="train"),
        processing_class=AutoTokenizer.from_pretrained(folder / "model"),
    )
    trainer.train()
    if trainer.is_world_process_zero():
        (folder / "first.json").write_text(json.dumps(trainer.state.log_history[0]))


if __name__ == "__main__":
    main()
