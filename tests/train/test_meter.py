"""What a run says of its own speed."""

import json
from pathlib import Path

import pytest
import torch
from transformers import MistralConfig

from zephyr.plan.devices import DEVICES
from zephyr.plan.shape import from_config
from zephyr.recipe import load
from zephyr.run import execute
from zephyr.train.meter import device_named, flops_per_token
from zephyr.train.progress import Peak, progress_line


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("NVIDIA H100 80GB HBM3", "h100-80gb"), ("NVIDIA A100-SXM4-40GB", "a100-80gb"), ("NVIDIA L4", "l4-24gb"),
        ("NVIDIA L40S", "l40s-48gb"), ("NVIDIA GeForce RTX 4090", "rtx-4090-24gb"), ("NVIDIA RTX 4000", None),
        ("NVIDIA H100 PCIe", None), ("NVIDIA H100 NVL", None), ("NVIDIA H200", "h200-141gb"),
        ("Tesla T4", "t4-16gb"), ("AMD Instinct MI300X", "mi300x-192gb"),
    ],
)  # fmt: skip
def test_devices_are_known_by_their_own_names(name: str, key: str | None):
    found = device_named(name)
    assert (found.tflops if found else None) == (DEVICES[key].tflops if key else None)


def test_operations_of_a_token_are_those_that_torch_counts():
    from torch.utils.flop_counter import FlopCounterMode
    from transformers import MistralForCausalLM

    config = MistralConfig(vocab_size=300, hidden_size=64, num_hidden_layers=3, num_attention_heads=4,
                           num_key_value_heads=2, intermediate_size=96, attn_implementation="eager")  # fmt: skip
    model, ids = MistralForCausalLM(config), torch.randint(0, 300, (1, 128))
    with FlopCounterMode(display=False) as counter:
        model(ids).logits.sum().backward()
    shape = from_config(config.to_dict())
    assert shape is not None
    # eager attention computes the upper triangle too: twice what a causal model needs
    square = 3 * 4 * shape.layers * shape.heads * shape.head_dim * 128 / 2
    assert 128 * (flops_per_token(shape, 128, adapter=False) + square) == pytest.approx(
        counter.get_total_flops(), rel=0.02
    )


def test_mfu_and_what_takes_long_are_on_the_line():
    assert Peak(flops_per_token=6e9, flops_per_second=1e15).share(50_000) == pytest.approx(0.3)
    row = {"step": 5, "loss": 0.5, "learning_rate": 1e-4, "tokens_per_second": 50_000, "mfu": 0.3,
           "time/data": 0.02, "time/evaluation": 0.41, "time/saving": 0.0}  # fmt: skip
    line = progress_line(row, 10, 60.0)
    assert "MFU 30%" in line and "evaluation 41%" in line and "data" not in line and "saving" not in line


def test_a_run_says_what_it_padded_computed_and_waited_for(tiny: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ZEPHYR_CACHE", str(tiny / "cache"))
    for stage in ("cpt", "sft"):
        execute(load(tiny / f"{stage}.yaml", outputs=tiny / "outputs"))
    loaded = load(tiny / "dpo.yaml", ["save_steps=8"], outputs=tiny / "outputs")
    numbers = execute(loaded)["numbers"]
    # most of a tiny pair is its prompt, which is computed once of twice: just above a half remains
    assert numbers["tokens/padded"] > 1 > numbers["tokens/computed"] > 0.5
    shares = [numbers[f"time/{kind}"] for kind in ("data", "evaluation", "saving")]
    assert all(0 < share < 1 for share in shares) and sum(shares) < 1
    rows = [json.loads(line) for line in (loaded.run_dir / "metrics.jsonl").read_text().splitlines()]
    assert all({"tokens/padded", "time/data"} <= row.keys() for row in rows if "loss" in row)
