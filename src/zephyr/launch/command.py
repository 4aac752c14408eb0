"""The `accelerate launch` command that a recipe's `launch` section means, and the environment it needs."""

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from zephyr.errors import UserError
from zephyr.plan.choose import choose
from zephyr.recipe import Loaded
from zephyr.recipe.schema import TrainRecipe
from zephyr.recipe.shipped import shipped_recipes

LAUNCHED = "ZEPHYR_LAUNCHED"
"""Set for processes that `zephyr run` started: they leave it to that one to say how the run ended."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """What starts one machine's processes."""

    words: list[str]
    """The command line."""
    environment: dict[str, str] = field(default_factory=dict)
    """Variables set besides those that are set already."""

    def __str__(self) -> str:
        """As one would type it in a shell, `$NAME` left for the shell."""
        variables = [f"{name}={shlex.quote(value)}" for name, value in self.environment.items()]
        return " ".join([*variables, *(word if word.startswith("$") else shlex.quote(word) for word in self.words)])


def command(
    loaded: Loaded,
    words: Sequence[str],
    *,
    machine_rank: str | int = 0,
    address: str | None = None,
    port: str | int | None = None,
) -> Command:
    """The command for one machine.

    Args:
        loaded: the training recipe.
        words: the recipe, overrides and options as they were typed after `zephyr run`.
        machine_rank: which of the machines; `$SLURM_PROCID` where a shell will know.
        address: host of machine 0; needed from two machines on.
        port: where machine 0 listens. Default: a free one on one machine, 29500 on several.

    Raises:
        UserError: several machines, and no address.
    """
    recipe = loaded.recipe
    assert isinstance(recipe, TrainRecipe)
    launch, strategy = recipe.launch, choose(recipe).strategy
    if launch.machines > 1 and address is None:
        raise UserError(_several_machines(launch.machines))
    program = [str(Path(sys.executable).with_name("accelerate")), "launch"]
    settings = ["--config_file", str(config_file(strategy)), "--num_processes", str(launch.processes)]
    settings += ["--num_machines", str(launch.machines)]
    settings += _machine(launch.machines, machine_rank, address, port)
    settings += _sharding(strategy, recipe)
    if on_cpu(recipe) and strategy in ("ddp", "fsdp2"):
        settings.append("--use_cpu")
    environment = {LAUNCHED: "1"}
    if on_cpu(recipe) and "OMP_NUM_THREADS" not in os.environ:
        here = max(launch.processes // launch.machines, 1)
        environment["OMP_NUM_THREADS"] = str(max((os.cpu_count() or 1) // here, 1))
    return Command(words=[*program, *settings, "-m", "zephyr", "run", *words], environment=environment)


def _machine(machines: int, rank: str | int, address: str | None, port: str | int | None) -> list[str]:
    if machines == 1:
        return ["--main_process_port", str(port or 0)]
    return ["--machine_rank", str(rank), "--main_process_ip", str(address), "--main_process_port", str(port or 29500),
            "--rdzv_backend", "static"]  # fmt: skip


def _sharding(strategy: str, recipe: TrainRecipe) -> list[str]:
    """HSDP: whole copies over machines, shards inside one. ZeRO-3's (hpZ) is an argument of DeepSpeed, in to_trl."""
    launch = recipe.launch
    if strategy != "fsdp2" or not launch.shard_within_machine or launch.machines == 1:
        return []
    inside = launch.processes // launch.machines
    return ["--use_parallelism_config", "true",
            "--parallelism_config_dp_replicate_size", str(launch.machines),
            "--parallelism_config_dp_shard_size", str(inside)]  # fmt: skip


def _several_machines(machines: int) -> str:
    return (
        f"`launch.machines: {machines}`: each machine has to be started.\n"
        "  Under Slurm:   zephyr run RECIPE --slurm recipes/clusters/slurm.yaml\n"
        "  By hand:       zephyr run RECIPE --print shows the command to type on each machine\n"
        "  On this one:   zephyr run RECIPE launch.machines=1 launch.processes=..."
    )


def config_file(strategy: str) -> Path:
    """The shipped accelerate configuration of a strategy."""
    return shipped_recipes() / "accelerate_configs" / f"{strategy}.yaml"


def on_cpu(recipe: TrainRecipe) -> bool:
    """Whether the run will be on CPUs: the recipe says so, or there is no GPU driver here."""
    if recipe.launch.device is not None:
        return recipe.launch.device == "cpu"
    return not any(Path("/dev").glob("nvidia[0-9]*")) and not Path("/dev/kfd").exists()


def needs_launcher(loaded: Loaded) -> bool:
    """Whether `zephyr run` has to start more processes: the recipe plans several, and none started this one."""
    recipe = loaded.recipe
    return isinstance(recipe, TrainRecipe) and recipe.launch.processes > 1 and "WORLD_SIZE" not in os.environ


def start(loaded: Loaded, words: Sequence[str]) -> int:
    """Starts the recipe's processes on this machine and waits for them; returns the launcher's exit status."""
    started = command(loaded, words)
    return subprocess.run(started.words, env={**os.environ, **started.environment}).returncode
