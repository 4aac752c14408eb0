"""`zephyr run RECIPE --slurm CLUSTER`: the batch script of a run, written into its run directory and submitted.

srun starts one task per process, without accelerate's launcher (rank.py says why), so what Slurm sends reaches the
training processes themselves. They finish the optimizer step, write a checkpoint and end:

- the time limit nears: SIGUSR1 to the steps, `warning_s` before (`--signal`); the script then requeues the job;
- preemption with a grace time: SIGTERM to the steps; the same;
- preemption without, a failing node, `scontrol requeue`: Slurm requeues by itself (`--requeue`), after SIGTERM to
  everything and its KillWait (30 s by default);
- `scancel`: SIGTERM to the script too, which ends it, so nothing is queued again.
"""

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import zephyr
from zephyr.errors import UserError
from zephyr.launch.cluster import Cluster, directives, read_cluster
from zephyr.launch.command import Command, command
from zephyr.provenance import now
from zephyr.recipe import Loaded, resolved_yaml
from zephyr.recipe.problems import shown
from zephyr.recipe.schema import EvaluateRecipe, TrainRecipe
from zephyr.run import missing_inputs, missing_message, run_name, status, write_atomically, write_json

SCRIPT, RECORD = "submit.slurm", "slurm.json"
"""In the run directory: the batch script, and which job it became."""
SHARED = ("--everywhere", "--outputs")
"""Options, each with a value, that hold for the inputs of a recipe too."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A run as Slurm is to start it."""

    loaded: Loaded
    words: tuple[str, ...]
    """What follows `zephyr run` in it."""
    cluster: Cluster
    cluster_file: Path
    machines: int
    tasks: int
    """Processes on each machine."""
    gpus: int
    """GPUs on each machine."""


def submit(
    loaded: Loaded, words: Sequence[str], cluster_file: Path, *, print_only: bool = False, with_inputs: bool = False
) -> None:
    """Submits a run, and before it (`with_inputs`) those that it needs; or prints the scripts and writes nothing.

    Args:
        loaded: the recipe.
        words: what was typed after `zephyr run`: the recipe, overrides, `--everywhere`, `--outputs`.
        cluster_file: YAML, see cluster.py.

    Raises:
        UserError: a mistake in the cluster's file, a missing input, a job that is queued already, no sbatch.
    """
    cluster = read_cluster(cluster_file)
    if status(loaded) == "finished":
        print(f"{run_name(loaded)}  finished before, nothing to submit: {shown(loaded.run_dir)}")
        return
    missing = missing_inputs(loaded)
    if missing and not with_inputs:
        raise UserError(f"{missing_message(loaded, missing)} --slurm {shown(cluster_file)}")
    runs = [*missing, loaded]
    typed = {each.run_dir: tuple(words) if each is loaded else (str(each.file), *_shared(words)) for each in runs}
    if print_only:
        print("\n".join(script(_job(each, typed[each.run_dir], cluster, cluster_file)) for each in runs), end="")
        return
    require_sbatch(loaded, cluster_file)
    queued = queued_job(loaded.run_dir)
    if queued:
        raise UserError(_queued_already(loaded, *queued))
    submit_all(runs, cluster, cluster_file)


def submit_all(
    runs: Sequence[Loaded],
    cluster: Cluster,
    cluster_file: Path,
    also_after: Mapping[Path, Path] = MappingProxyType({}),
) -> dict[Path, str]:
    """Submits runs, inputs first, each after the jobs of its inputs; those that are queued already stay as they are.

    Args:
        runs: the runs.
        cluster: what jobs ask for.
        cluster_file: where that stands.
        also_after: run directory -> that of another run, no input of it, after which it starts.

    Returns:
        The job of each run directory.
    """
    jobs = {each.run_dir: waiting[0] for each in runs if (waiting := queued_job(each.run_dir))}
    for each in runs:
        needs = [*(item.loaded.run_dir for item in each.inputs), also_after.get(each.run_dir)]
        after = [jobs[run_dir] for run_dir in needs if run_dir in jobs]
        if each.run_dir in jobs:
            print(f"{run_name(each)}  is job {jobs[each.run_dir]} already")
            continue
        # what runs is the recipe as it is now, however the file is edited while the job waits
        job = _job(each, (str(each.run_dir),), cluster, cluster_file)
        jobs[each.run_dir] = _submit(job, list(dict.fromkeys(after)))
    return jobs


def _shared(words: Sequence[str]) -> tuple[str, ...]:
    at = [n for n, word in enumerate(words) if word in SHARED]
    return tuple(word for n in at for word in words[n : n + 2])


def _job(loaded: Loaded, words: tuple[str, ...], cluster: Cluster, cluster_file: Path) -> Job:
    recipe = loaded.recipe
    training = isinstance(recipe, TrainRecipe)
    machines = recipe.launch.machines if isinstance(recipe, TrainRecipe) else 1
    tasks = recipe.launch.processes // machines if isinstance(recipe, TrainRecipe) else 1
    on_gpus = cluster.gpus != "none" and (not isinstance(recipe, TrainRecipe) or recipe.launch.device != "cpu")
    if isinstance(recipe, TrainRecipe) and recipe.train.bf16 and not on_gpus:
        raise UserError(
            f"{shown(loaded.file)}: `train.bf16: true` needs GPUs, and this job would ask for none "
            f"(`gpus` in {shown(cluster_file)}, `launch.device`).\n  On CPUs: train.bf16=false"
        )
    gpus = (tasks if training or isinstance(recipe, EvaluateRecipe) else 0) if on_gpus else 0
    return Job(loaded=loaded, words=words, cluster=cluster, cluster_file=cluster_file, machines=machines,
               tasks=tasks, gpus=gpus)  # fmt: skip


def run_script_of(loaded: Loaded, cluster: Cluster, cluster_file: Path) -> str:
    """The batch script of a run that is started from its run directory."""
    return script(_job(loaded, (str(loaded.run_dir),), cluster, cluster_file))


def script(job: Job) -> str:
    """The batch script."""
    started = command(job.loaded, job.words, address="$MASTER_ADDR", port="$MASTER_PORT")
    result = shlex.quote(str(job.loaded.run_dir / "result.json"))
    return "\n".join(
        [
            "#!/bin/bash -l" if job.cluster.modules else "#!/bin/bash",
            f"# zephyr {zephyr.__version__}: {job.loaded.file} on {job.cluster_file.resolve()}",
            *(f"#SBATCH {line}" for line in _directives(job)),
            "",
            "set -e",
            *_setting_up(job, started),
            "",
            'echo "job $SLURM_JOB_ID on $SLURM_JOB_NODELIST, start $((${SLURM_RESTART_COUNT:-0} + 1)), $(date)"',
            *TASK,
            "status=0",
            _srun(started.words),
            "",
            "# A run that was told to stop has written a checkpoint and ended well, without a result.",
            f"if [ $status = 0 ] && [ ! -e {result} ]; then status=75; fi",
            "if [ $status = 75 ]; then",
            '  echo "stopped, and queued again to continue, $(date)"',
            '  scontrol requeue "$SLURM_JOB_ID" ||',
            '    echo "this cluster requeues no jobs; the command that submitted this one continues it"',
            "fi",
            "exit $status",
            "",
        ]
    )


TASK = (
    "",
    "# srun ends with the highest status of all processes. One killed by the signal to stop (128 + 10 or 15) had not",
    "# begun, or lost another that failed: 75. A failure is made at least 128, so that it is what counts.",
    """task='trap : USR1 TERM; "$@"; ended=$?""",
    """case $ended in 0) ;; 75 | 138 | 143) exit 75 ;; *) exit $((ended | 128)) ;; esac'""",
)
"""The shell around each process."""


def _directives(job: Job) -> list[str]:
    log = str(job.loaded.run_dir).replace("%", "%%") + "/slurm-%j.out"
    options = [
        f"--job-name={run_name(job.loaded)}",
        f"--nodes={job.machines}",
        f"--ntasks-per-node={job.tasks}",
        *directives(job.cluster, job.gpus),
        f"--chdir={Path.cwd()}",
        f"--output={log}",
        "--open-mode=append",
        "--requeue",
        f"--signal=USR1@{job.cluster.warning_s}",
    ]
    return [quoted(option) for option in options]


def quoted(option: str) -> str:
    """As sbatch reads a line: a value with spaces in double quotes."""
    name, equals, value = option.partition("=")
    return f'{name}="{value}"' if equals and any(sign in value for sign in " \t'#") else option


def _setting_up(job: Job, started: Command) -> list[str]:
    lines = [f"module load {shlex.quote(each)}" for each in job.cluster.modules] + job.cluster.setup
    lines += [f"export {name}={shlex.quote(value)}" for name, value in job.cluster.environment.items()]
    # how many threads a process gets is for the node to say, not for the machine that this is written on
    variables = {name: value for name, value in started.environment.items() if name != "OMP_NUM_THREADS"}
    lines += [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    lines.append("export OMP_NUM_THREADS=${OMP_NUM_THREADS:-${SLURM_CPUS_PER_TASK:-1}}")
    if job.cluster.cpus_per_task:
        lines.append("export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK  # srun no longer takes it over")
    # the script runs on the first node, where rank 0 will be; ports below those that Linux gives out by itself
    lines += ["export MASTER_ADDR=$(hostname)", "export MASTER_PORT=$((16384 + SLURM_JOB_ID % 16384))"]
    return lines


def _srun(words: Sequence[str]) -> str:
    """The step that runs one process a task; behind `rank`, an option of accelerate a line."""
    lines = [["srun", "--kill-on-bad-exit=1", "bash", "-c", '"$task"', "task"]]
    if "launch" in words[:2]:
        lines[0] += [sys.executable, "-m", "zephyr.launch.rank"]
    lines.append([])
    for n, word in enumerate(words):
        if word == "-m" or (word.startswith("--") and "-m" in words[n:]):
            lines.append([])
        lines[-1].append(word if word.startswith("$") else shlex.quote(word))
    return " \\\n  ".join(" ".join(each) for each in lines) + " || status=$?"


def require_sbatch(loaded: Loaded, cluster_file: Path) -> None:
    """UserError where there is no sbatch."""
    if shutil.which("sbatch") is None:
        raise UserError(
            "sbatch was not found, so this machine can't submit jobs.\n"
            "  On a login node of the cluster the same command does.\n"
            f"  To see the script here: zephyr run {shown(loaded.file)} ... --slurm {shown(cluster_file)} --print"
        )


def queued_job(run_dir: Path) -> tuple[str, str] | None:
    """The job that a run directory was submitted as, and its state, while Slurm has it queued or running."""
    record = run_dir / RECORD
    if not record.is_file():
        return None
    job = str(json.loads(record.read_text())["job"])
    done = subprocess.run(["squeue", "--noheader", f"--jobs={job}", "--format=%T"], capture_output=True, text=True)
    if done.returncode != 0 and "Invalid job id" not in done.stderr:
        raise UserError(f"squeue doesn't say whether job {job} ({shown(run_dir)}) still runs:\n  {done.stderr.strip()}")
    state = done.stdout.split()[0] if done.returncode == 0 and done.stdout.strip() else None
    return (job, state.lower()) if state else None


def _queued_already(loaded: Loaded, job: str, state: str) -> str:
    return (
        f"{run_name(loaded)} is job {job} already ({state}); two jobs would write to {shown(loaded.run_dir)}.\n"
        f"  Look:    squeue -j {job}; tail -f {_log(loaded.run_dir, job)}\n"
        f"  Cancel:  scancel {job}, then the same command"
    )


def _log(run_dir: Path, job: str) -> str:
    return shown(run_dir / f"slurm-{job}.out")


def _submit(job: Job, after: list[str]) -> str:
    """Writes the run directory's files, submits, says where to look, and returns the job's number."""
    loaded = job.loaded
    text = script(job)
    loaded.run_dir.mkdir(parents=True, exist_ok=True)
    write_atomically(loaded.run_dir / "recipe.yaml", resolved_yaml(loaded))
    write_atomically(loaded.run_dir / SCRIPT, text)
    dependency = [f"--dependency=afterok:{':'.join(after)}", "--kill-on-invalid-dep=yes"] if after else []
    words = ["sbatch", "--parsable", *dependency, str(loaded.run_dir / SCRIPT)]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode != 0:
        raise UserError(
            f"sbatch refused {shown(loaded.run_dir / SCRIPT)}:\n"
            + "\n".join(f"    {line.removeprefix('sbatch: ')}" for line in done.stderr.strip().splitlines())
            + f"\n  What is asked for comes from {shown(job.cluster_file)} and `launch` in {shown(loaded.file)}"
        )
    number = done.stdout.strip().split(";")[0]
    write_json(loaded.run_dir / RECORD, {"job": number, "submitted": now(), "cluster": str(job.cluster_file.resolve())})
    _say(job, number, after)
    return number


def _say(job: Job, number: str, after: list[str]) -> None:
    size = f"{_counted(job.machines, 'node')} x {_counted(job.tasks, 'process', 'es')}"
    size += f", {_counted(job.machines * job.gpus, 'GPU')}" if job.gpus else ""
    print(f"{run_name(job.loaded)}  job {number}: {size}{f', after job {chr(44).join(after)}' if after else ''}")
    print(f"  log      tail -f {_log(job.loaded.run_dir, number)}")
    print(f"  state    squeue -j {number}")
    print(f"  cancel   scancel {number}   (the same command continues)")


def _counted(number: int, word: str, plural: str = "s") -> str:
    return f"{number} {word}{plural if number != 1 else ''}"
