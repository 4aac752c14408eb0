"""HSDP for real: the commands of two machines, both started here, shard inside each and keep a copy on both."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from zephyr.launch.command import command
from zephyr.recipe import load
from zephyr.run import execute


@pytest.mark.skipif(sys.platform != "linux", reason="two machines' processes on one need Linux")
def test_two_machines_train_as_one_process_does(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZEPHYR_CACHE", str(tiny / "cache"))
    alone = load(tiny / "sft.yaml", outputs=tiny / "outputs")
    for each in (*(item.loaded for item in alone.inputs), alone):
        execute(each)
    words = [str(tiny / "sft.yaml"), "launch.processes=4", "launch.machines=2", "launch.micro_batch_size=1",
             "launch.strategy=fsdp2", "launch.shard_within_machine=true", "launch.device=cpu",
             f"output_dir={tiny}/hsdp"]  # fmt: skip
    loaded = load(words[0], words[1:], outputs=tiny / "outputs")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = []
    for rank in range(2):
        made = command(loaded, [*words, "--outputs", str(tiny / "outputs")], machine_rank=rank, address="127.0.0.1",
                       port=port)  # fmt: skip
        environment = {**os.environ, **made.environment, "OMP_NUM_THREADS": "1"}
        started.append(subprocess.Popen(made.words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        text=True))  # fmt: skip
    said = "".join(each.communicate(timeout=300)[0] for each in started)
    assert [each.returncode for each in started] == [0, 0], said[-4000:]
    together, by_one = (
        json.loads((run_dir / "result.json").read_text())["numbers"] for run_dir in (tiny / "hsdp", alone.run_dir)
    )
    assert "micro-batch 1 x 4 processes" in said
    for name in ("train_loss", "eval_loss"):
        assert together[name] == pytest.approx(by_one[name], abs=5e-6)
