"""`accelerate launch` of both scripts with two CPU processes, as on GPUs: ZeRO-3 shards the real weights."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from zephyr.recipe import load
from zephyr.run import execute

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "recipes" / "accelerate_configs"
TOLERANCE = 2e-4
"""Largest difference of a weight: sums in another order, in float32, over some ten Adam steps of size 1e-2."""


def launch(script: str, recipe: Path, outputs: Path, *overrides: str, config: str = "zero3") -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ZEPHYR_OUTPUTS": str(outputs)}
    done = subprocess.run(
        [str(Path(sys.executable).parent / "accelerate"), "launch", "--config_file", str(CONFIGS / f"{config}.yaml"),
         "--main_process_port", "0", str(ROOT / "scripts" / script), str(recipe), *overrides],
        capture_output=True, text=True, env=environment, timeout=600, cwd=recipe.parent,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]


@pytest.mark.skipif(sys.platform != "linux", reason="DeepSpeed on a CPU needs Linux")
def test_zero3_on_two_processes_gives_the_weights_of_one(tiny: Path):
    pytest.importorskip("deepspeed")
    alone, sharded = tiny / "outputs", tiny / "sharded"
    for recipe in tiny.glob("*.yaml"):
        text = recipe.read_text().replace("learning_rate: 1e-2", "learning_rate: 1e-3")
        # unpacked, so that 32 rows make whole batches of 4: two processes fill up a smaller one by repetition
        text = text.replace("max_length: 64\n", "max_length: 64\n  packing: none\n")
        recipe.write_text(text.replace("micro_batch_size: 4", "micro_batch_size: 2"))
    for stage, script in (("cpt", "run_sft.py"), ("sft", "run_sft.py"), ("dpo", "run_dpo.py")):
        execute(load(tiny / f"{stage}.yaml", outputs=alone))
        if stage == "cpt":  # both start from the same random model
            (sharded / tiny.name).mkdir(parents=True)
            (sharded / tiny.name / "cpt").symlink_to(alone / tiny.name / "cpt")
            continue
        launch(script, tiny / f"{stage}.yaml", sharded)
        runs = [each / tiny.name / stage for each in (alone, sharded)]
        results = [json.loads((each / "result.json").read_text()) for each in runs]
        assert [each["batch"]["processes"] for each in results] == [1, 2]
        assert [each["batch"]["gradient_accumulation_steps"] for each in results] == [2, 1]
        assert results[0]["batch"]["steps"] == results[1]["batch"]["steps"]
        assert results[0]["numbers"]["eval_loss"] == pytest.approx(results[1]["numbers"]["eval_loss"], abs=1e-4)
        weights = [
            AutoModelForCausalLM.from_pretrained(each / "model", dtype=torch.float32).state_dict() for each in runs
        ]
        assert max(float((weights[0][key] - weights[1][key]).abs().max()) for key in weights[0]) < TOLERANCE
