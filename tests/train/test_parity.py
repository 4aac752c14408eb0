"""Hardware changes the speed, never the result: one process, accumulation, DDP, ZeRO-2, ZeRO-3 and FSDP2 agree.

Real processes on a CPU, started by `zephyr run` and by `accelerate launch`. Both data sets end an epoch
in a smaller step that two processes can't share evenly.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tests.conftest import write_tiny
from transformers import AutoModelForCausalLM

from zephyr.recipe import load
from zephyr.run import execute

ROOT = Path(__file__).parents[2]
LOSS_TOLERANCE, WEIGHT_TOLERANCE = 5e-6, 1e-5
"""Sums of the same float32 numbers in another order: a relative 6e-8 a sum, grown by some ten steps of Adam with
learning rates up to 1e-2. Seen: 1e-6 and 1.4e-7 (benchmarks/README.md). One row more or less changes both by 1e-2."""
EDITS = {
    "sft": (("max_length: 64", "max_length: 61"), ("micro_batch_size: 4", "micro_batch_size: 2")),  # 25 sequences by 4
    "dpo": (("pairs.jsonl", "pairs.jsonl, rows: 31"), ("global_batch_size: 4", "global_batch_size: 8"),
            ("micro_batch_size: 2", "micro_batch_size: 4")),
}  # fmt: skip
CASES = [
    ("accumulated", 1, "single", "1"), ("ddp", 2, "ddp", None), ("zero2", 2, "zero2", None),
    ("zero3", 2, "zero3", None), ("fsdp2", 2, "fsdp2", None),
]  # fmt: skip
"""A cache of its own for each, so that dDPO's reference is computed under every strategy."""


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, tiny_tokenizer: Path) -> Path:
    """The recipes, and their runs in one process."""
    folder = write_tiny(tmp_path_factory.mktemp("parity"), tiny_tokenizer)
    for stage, edits in EDITS.items():
        recipe = folder / f"{stage}.yaml"
        text = recipe.read_text()
        for old, new in edits:
            assert old in text
            text = text.replace(old, new)
        recipe.write_text(text)
    for stage in ("cpt", "sft", "dpo"):
        execute(load(folder / f"{stage}.yaml", outputs=folder / "outputs"))
    return folder


def started(words: list[str], folder: Path, name: str) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ZEPHYR_OUTPUTS": str(folder / "outputs"),
                   "ZEPHYR_CACHE": str(folder / "caches" / name)}  # fmt: skip
    done = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=600, cwd=folder)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]


def compare(alone: Path, other: Path) -> dict[str, float]:
    """Largest differences of losses, held-out numbers and weights; both made the same steps."""
    results = [json.loads((each / "result.json").read_text()) for each in (alone, other)]
    assert results[0]["batch"]["steps"] == results[1]["batch"]["steps"]
    rows = [[json.loads(line) for line in (each / "metrics.jsonl").read_text().splitlines()] for each in (alone, other)]
    losses = [[row["loss"] for row in each if "loss" in row] for each in rows]
    weights = [AutoModelForCausalLM.from_pretrained(each / "model", dtype=torch.float32).state_dict()
               for each in (alone, other)]  # fmt: skip
    held_out = [{key: value for key, value in each["numbers"].items() if key.startswith("eval_")} for each in results]
    assert len(losses[0]) == len(losses[1]) and held_out[0].keys() == held_out[1].keys()
    return {
        "losses": max(abs(a - b) for a, b in zip(*losses, strict=True)),
        "held_out": max(abs(held_out[0][key] - held_out[1][key]) for key in held_out[0]),
        "weights": max(float((weights[0][key] - weights[1][key]).abs().max()) for key in weights[0]),
    }


@pytest.mark.skipif(sys.platform != "linux", reason="DeepSpeed on a CPU needs Linux")
@pytest.mark.parametrize("stage", ["sft", "dpo"])
@pytest.mark.parametrize(("name", "processes", "strategy", "micro"), CASES)
def test_the_same_training(alone: Path, stage: str, name: str, processes: int, strategy: str, micro: str | None):
    if strategy.startswith("zero"):
        pytest.importorskip("deepspeed")
    out = alone / f"{stage}-{name}"
    words = [str(Path(sys.executable).with_name("zephyr")), "run", f"{stage}.yaml", f"launch.processes={processes}"]
    words += [f"launch.strategy={strategy}", f"output_dir={out}", "launch.eval_micro_batch_size=3"]
    started(words + ([f"launch.micro_batch_size={micro}"] if micro else []), alone, f"{stage}-{name}")
    differences = compare(alone / "outputs" / alone.name / stage, out)
    assert differences["losses"] < LOSS_TOLERANCE and differences["held_out"] < LOSS_TOLERANCE, differences
    assert differences["weights"] < WEIGHT_TOLERANCE, differences


@pytest.mark.skipif(sys.platform != "linux", reason="DeepSpeed on a CPU needs Linux")
@pytest.mark.parametrize(("processes", "strategy", "recompute"), [(1, "single", "false"), (2, "zero3", "true")])
def test_pairs_padded_as_trl_does_give_the_same(alone: Path, processes: int, strategy: str, recompute: str):
    out = alone / f"padded-{strategy}"
    started([str(Path(sys.executable).with_name("zephyr")), "run", "dpo.yaml", f"launch.processes={processes}",
             f"launch.strategy={strategy}", f"output_dir={out}", "launch.padding_free=false",
             f"launch.gradient_checkpointing={recompute}"], alone, out.name)  # fmt: skip
    log = [(each / "log.txt").read_text() for each in (alone / "outputs" / alone.name / "dpo", out)]
    assert "padded" not in log[0]  # the run alone went without padding
    differences = compare(alone / "outputs" / alone.name / "dpo", out)
    assert differences["losses"] < LOSS_TOLERANCE and differences["weights"] < WEIGHT_TOLERANCE, differences


@pytest.mark.skipif(sys.platform != "linux", reason="DeepSpeed on a CPU needs Linux")
def test_under_accelerate_launch_the_processes_found_win(alone: Path):
    pytest.importorskip("deepspeed")
    out = alone / "sft-script"
    config = ROOT / "recipes/accelerate_configs/zero3.yaml"
    started([str(Path(sys.executable).with_name("accelerate")), "launch", "--config_file", str(config),
             "--main_process_port", "0", str(ROOT / "scripts/run_sft.py"), "sft.yaml", f"output_dir={out}"],
            alone, "script")  # fmt: skip
    batch = json.loads((out / "result.json").read_text())["batch"]
    assert (batch["processes"], batch["micro_batch_size"], batch["gradient_accumulation_steps"]) == (2, 2, 1)
    assert compare(alone / "outputs" / alone.name / "sft", out)["weights"] < WEIGHT_TOLERANCE
