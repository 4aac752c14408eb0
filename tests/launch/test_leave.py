"""Processes that trained together end together: none while another still writes."""

import subprocess
import sys
from pathlib import Path

PROCESS = """
import sys, time
from pathlib import Path
import torch
from accelerate import PartialState
from zephyr.processes import leave_processes

state, result = PartialState(cpu=True), Path(sys.argv[1])
assert state.num_processes == 2
if state.is_main_process:
    time.sleep(2)
    result.write_text("whole")
leave_processes()
assert result.read_text() == "whole"
assert not torch.distributed.is_initialized()
"""


def test_no_process_ends_while_the_first_writes(tmp_path: Path):
    script = tmp_path / "process.py"
    script.write_text(PROCESS)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run([*torchrun, str(script), str(tmp_path / "result")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_one_process_alone_has_nothing_to_leave():
    code = "import sys, zephyr.processes as p; p.leave_processes(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
