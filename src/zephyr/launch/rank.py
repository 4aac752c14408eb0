"""One task of Slurm's `srun` becomes one process of an `accelerate launch` command.

    srun python -m zephyr.launch.rank accelerate launch --config_file ... -m zephyr run RECIPE

accelerate's launcher starts a machine's processes and stands above them. Slurm signals every process of a job, that
launcher too: SIGUSR1 ends it at once, and on SIGTERM it kills the processes below it after 30 seconds, in the middle of
a large checkpoint; it also turns their exit status into 1. So here srun starts every process itself: each gets the
environment that accelerate's own code makes of the command, its place from Slurm, and nothing stands between it and
Slurm's signals.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any
from unittest import mock


def place(task: Mapping[str, str]) -> dict[str, str]:
    """What torch.distributed reads, from Slurm's variables of a task; machines have equally many tasks."""
    here = int(task["SLURM_NTASKS"]) // int(task["SLURM_NNODES"])
    return {
        "RANK": task["SLURM_PROCID"],
        "LOCAL_RANK": task["SLURM_LOCALID"],
        "WORLD_SIZE": task["SLURM_NTASKS"],
        "LOCAL_WORLD_SIZE": str(here),
        "GROUP_RANK": task["SLURM_NODEID"],
        "MASTER_ADDR": task["MASTER_ADDR"],
        "MASTER_PORT": task["MASTER_PORT"],
    }


def launched(words: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The command line and the environment of one process that `accelerate launch *words` would start.

    accelerate runs up to where it hands over to torch's launcher.
    """
    from accelerate.commands import launch

    arguments = launch.launch_command_parser().parse_args(list(words))
    arguments.main_process_port = 0  # else it asks whether the port is taken, and the first rank has taken it
    started: dict[str, Any] = {}

    def instead(_: object) -> None:
        started.update(os.environ)

    with mock.patch("torch.distributed.run.run", instead):
        launch.launch_command(arguments)
    if not started:
        raise RuntimeError("this accelerate starts processes in another way than by torch.distributed.run")
    program = [sys.executable, *(["-m"] if arguments.module else []), arguments.training_script]
    return [*program, *arguments.training_script_args], started


def main() -> None:
    """Becomes the process."""
    from zephyr.processes import prepare_environment

    prepare_environment()  # accelerate imports DeepSpeed, which looks for its device at once
    words, environment = launched(sys.argv[sys.argv.index("launch") + 1 :])
    os.execve(words[0], words, environment | place(os.environ))


if __name__ == "__main__":
    main()
