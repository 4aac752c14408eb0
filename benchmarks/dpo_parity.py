"""How far dDPO of ours is from stock TRL's, beside how far stock is from itself where only rounding differs.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/dpo_parity.py

50 optimizer steps in float32 of the same pairs from the same weights: largest difference of a step's loss, and distance
between the final weights as a share of the distance travelled. Stock beside itself: in the way that `trl dpo` runs it
(micro-batches of 4, reference in memory, activations recomputed) and in ways as right, which add up the same numbers in
another order: another micro-batch for the same step, eager attention instead of fused, two threads instead of one.
Last figures: benchmarks/README.md.
"""

import argparse
import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from peft import LoraConfig
from tokenizers import ByteLevelBPETokenizer
from transformers import MistralConfig, MistralForCausalLM, PreTrainedTokenizerFast, set_seed
from trl import DPOConfig, DPOTrainer

from zephyr.train import products
from zephyr.train.exact_steps import ExactSteps
from zephyr.train.guards import GuardedDPOTrainer

STEPS, ROWS, BATCH = 50, 80, 8
WIDTHS = {"small": {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2},
          "large": {"hidden_size": 128, "intermediate_size": 344, "num_attention_heads": 4, "num_key_value_heads": 2},
          }  # fmt: skip


class Stock(ExactSteps, DPOTrainer):
    """TRL's trainer as it is, with our order of rows and rows that are tokenised."""

    _prepare_dataset = GuardedDPOTrainer._prepare_dataset


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--model", choices=WIDTHS, default="small")
    options.add_argument("--adapter", action="store_true", help="train LoRA of rank 4 instead of all weights")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as work:
        ways: dict[str, Callable[[Path], Any]] = {
            "stock, again": lambda folder: stock(folder, given),
            "stock, reference precomputed": lambda folder: stock(folder, given, precompute_ref_log_probs=True),
            "stock, activations kept": lambda folder: stock(folder, given, activation_checkpointing=False),
            "stock, micro-batches of 2": lambda folder: stock(folder, given, micro=2),
            "stock, micro-batches of 8": lambda folder: stock(folder, given, micro=8),
            "stock, eager attention": lambda folder: stock(folder, given, attn_implementation="eager"),
            "stock, two threads": lambda folder: with_threads(2, lambda: stock(folder, given)),
            "ours, products by MKL": lambda folder: ours(folder, given, onednn=False),
            "ours, products by oneDNN": lambda folder: ours(folder, given, onednn=True),
        }
        folder = Path(work)
        begin = write_start(folder, given)
        torch.set_num_threads(1)
        losses, weights = stock(folder, given)
        start = begin if not given.adapter else first_adapter(folder, given)
        travelled = float(torch.norm(weights - start))
        print(f"{weights.numel():,} weights train; loss {losses[0]:.4f} to {losses[-5:].mean():.4f}; beside stock with"
              " micro-batches of 4:\n" + f"{'':32}{'loss':>10}{'weights':>10}", flush=True)  # fmt: skip
        for name, way in ways.items():
            other, ended = way(folder)
            worst, apart = np.abs(other - losses).max(), float(torch.norm(ended - weights)) / travelled
            print(f"{name:32}{worst:10.1e}{apart:10.1e}", flush=True)


def write_start(folder: Path, given: argparse.Namespace) -> torch.Tensor:
    """A random model and a tokenizer; its weights in a row."""
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(["a few words"], vocab_size=300, special_tokens=["<s>", "</s>", "<pad>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    set_seed(0)
    model = MistralForCausalLM(
        MistralConfig(vocab_size=400, num_hidden_layers=2, pad_token_id=2, sliding_window=None, **WIDTHS[given.model])
    )
    model.save_pretrained(folder / "start")
    return flat(model)


def first_adapter(folder: Path, given: argparse.Namespace) -> torch.Tensor:
    return flat(trainer(Stock, folder, given).model)


def pairs() -> Dataset:
    """Pairs of lognormal lengths, a tenth of UltraFeedback's for speed."""
    draw = np.random.default_rng(0)

    def ids(mean: float) -> list[int]:
        return draw.integers(3, 400, max(1, int(draw.lognormal(np.log(mean), 0.6)))).tolist()

    return Dataset.from_list([{"prompt_ids": ids(19), "chosen_ids": ids(31), "rejected_ids": ids(28)}
                              for _ in range(ROWS)])  # fmt: skip


def trainer(kind: type, folder: Path, given: argparse.Namespace, *, micro: int = 4, attn_implementation: str = "sdpa",
            **more: Any) -> Any:  # fmt: skip
    settings = {
        "output_dir": str(folder / "out"), "report_to": "none", "disable_tqdm": True, "max_length": None, "bf16": False,
        "activation_checkpointing": True, "per_device_train_batch_size": micro, "save_strategy": "no",
        "gradient_accumulation_steps": BATCH // micro, "logging_steps": 1, "dataloader_pin_memory": False,
        "max_steps": STEPS, "learning_rate": 2e-3 if given.adapter else 1e-3, "loss_type": ["sigmoid"],
        "model_init_kwargs": {"dtype": "float32", "attn_implementation": attn_implementation}, "seed": 0,
    } | more  # fmt: skip
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"), pad_token="<pad>", eos_token="</s>"
    )
    adapter = (
        {"peft_config": LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear")} if given.adapter else {}
    )
    return kind(model=str(folder / "start"), args=DPOConfig(**settings), train_dataset=pairs(),
                processing_class=tokenizer, **adapter)  # fmt: skip


def stock(folder: Path, given: argparse.Namespace, **more: Any) -> tuple[np.ndarray, torch.Tensor]:
    return trained(trainer(Stock, folder, given, **more))


def ours(folder: Path, given: argparse.Namespace, *, onednn: bool) -> tuple[np.ndarray, torch.Tensor]:
    products.onednn_is_faster, products.LEAST = lambda: onednn, 0  # type: ignore[assignment]
    made = trainer(GuardedDPOTrainer, folder, given, precompute_ref_log_probs=True)
    made.run_dir = folder
    made.leave_out_padding(True)
    made.fill_reference(None)
    return trained(made)


def with_threads(number: int, run: Callable[[], Any]) -> Any:
    torch.set_num_threads(number)
    try:
        return run()
    finally:
        torch.set_num_threads(1)


def trained(made: Any) -> tuple[np.ndarray, torch.Tensor]:
    """Losses of the steps, and the weights that trained."""
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        made.train()
    losses = np.array([row["loss"] for row in made.state.log_history if "loss" in row])
    assert len(losses) == STEPS
    return losses, flat(made.model)


def flat(model: Any) -> torch.Tensor:
    return torch.cat([weight.detach().flatten() for weight in model.parameters() if weight.requires_grad]).clone()


if __name__ == "__main__":
    main()
