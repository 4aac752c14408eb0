"""A task of srun gets what `accelerate launch` would give to the process it starts."""

import os
import sys
from pathlib import Path

import pytest

from zephyr.launch.command import command
from zephyr.launch.rank import launched, place
from zephyr.recipe import load

TASK = {
    "SLURM_PROCID": "5", "SLURM_LOCALID": "1", "SLURM_NODEID": "1", "SLURM_NTASKS": "8", "SLURM_NNODES": "2",
    "MASTER_ADDR": "node1", "MASTER_PORT": "20000",
}  # fmt: skip


def test_a_tasks_place_among_the_processes():
    assert place(TASK) == {
        "RANK": "5", "LOCAL_RANK": "1", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4", "GROUP_RANK": "1",
        "MASTER_ADDR": "node1", "MASTER_PORT": "20000",
    }  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="DeepSpeed on a CPU needs Linux")
@pytest.mark.parametrize("machines", [1, 2])
@pytest.mark.parametrize(
    ("strategy", "given"),
    [
        ("ddp", {"ACCELERATE_MIXED_PRECISION": "no"}),
        ("zero2", {"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_ZERO_STAGE": "2"}),
        ("zero3", {"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_ZERO_STAGE": "3"}),
        ("fsdp2", {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}),
    ],
)
def test_accelerate_says_what_it_would_set(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, strategy: str, given: dict[str, str], machines: int
):
    pytest.importorskip("deepspeed")
    monkeypatch.setenv("DS_ACCELERATOR", "cpu")
    settings = ["launch.processes=4", "launch.micro_batch_size=1", f"launch.strategy={strategy}"]
    loaded = load(tiny / "cpt.yaml", [*settings, f"launch.machines={machines}"])
    before = dict(os.environ)
    words, environment = launched(command(loaded, ["cpt.yaml", "seed=2"], address="node1").words[2:])
    assert words == [sys.executable, "-m", "zephyr", "run", "cpt.yaml", "seed=2"]
    assert environment.items() >= given.items()
    assert dict(os.environ) == before
