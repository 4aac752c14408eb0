"""The `accelerate launch` command that a recipe's `launch` section means, and the environment it needs."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

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
    if not isinstance(recipe, TrainRecipe) or recipe.launch.processes == 1:
        return Command(words=[str(Path(sys.executable).with_name("zephyr")), "run", *words])
    launch, strategy = recipe.launch, choose(recipe).strategy
    if launch.machines > 1 and address is None:
        raise UserError(_several_machines(launch.machines))
    program = [str(Path(sys.executable).with_name("accelerate")), "launch"]
    settings = ["--config_file", str(config_file(strategy)), "--num_processes", str(launch.processes)]
    settings += ["--num_machines", str(launch.machines)]
    settings += _machine(launch.machines, machine_rank, address, port)
    settings += _sharding(strategy, recipe)
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
    # accelerate looks for --use_fsdp on the command line before it reads the file that says so
    return ["--use_fsdp", "--fsdp_version", "2", "--use_parallelism_config",
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
    return visible_gpus() == 0


def needs_launcher(loaded: Loaded) -> bool:
    """Whether `zephyr run` has to start more processes: the recipe plans several, and no launcher started this one."""
    recipe, started = loaded.recipe, "WORLD_SIZE" in os.environ or LAUNCHED in os.environ
    return isinstance(recipe, TrainRecipe) and recipe.launch.processes > 1 and not started


def require_gpus(loaded: Loaded) -> None:
    """Refuses to start more processes on this machine than it has GPUs; without any GPU they run on the CPU.

    Raises:
        UserError: with the ways out.
    """
    recipe, gpus = loaded.recipe, visible_gpus()
    assert isinstance(recipe, TrainRecipe)
    here = recipe.launch.processes // recipe.launch.machines
    if gpus == 0 and recipe.launch.device in (None, "cpu") and not recipe.train.bf16:
        return
    if gpus < here:
        found = f"{gpus} GPU{'' if gpus == 1 else 's'}" if gpus else "no GPU"
        raise UserError(
            f"`launch.processes: {recipe.launch.processes}` means {here} on this machine, which has {found}.\n"
            f"  Use what is here:  launch.machines=1 launch.processes={max(gpus, 1)}   (the same training, slower)\n"
            "  On a cluster:      zephyr run RECIPE --slurm recipes/clusters/slurm.yaml"
        )


def visible_gpus() -> int:
    """GPUs of this machine that a process may use; no torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([each for each in visible.split(",") if each.strip() not in ("", "-1")])
    return len(list(Path("/dev").glob("nvidia[0-9]*"))) or len(list(Path("/dev/dri").glob("renderD*"))) * _is_amd()


def _is_amd() -> bool:
    return Path("/dev/kfd").exists()


def start(started: Command) -> int:
    """Starts a recipe's processes on this machine and waits for them; returns the launcher's exit status.

    A signal is handed to the training processes and not to accelerate's launcher, which would kill them after 30 s,
    in the middle of a large checkpoint: they finish the step, write one, and end by themselves.
    """
    process = subprocess.Popen(started.words, env={**os.environ, **started.environment}, start_new_session=True)
    asked: list[int] = []

    def forward(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        if asked.count(signal.SIGINT) > 1:  # typed twice: at once
            os.killpg(process.pid, signal.SIGKILL)
        for each in children(process.pid):
            os.kill(each, signal.SIGUSR1)

    before = {each: signal.signal(each, forward) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}
    try:
        return process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def children(launcher: int) -> list[int]:
    """The training processes that a launcher has started."""
    import psutil  # brought by accelerate

    started = psutil.Process(launcher).children()
    return [each.pid for each in started if "RANK" in each.environ()]
