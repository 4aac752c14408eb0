"""A cluster's file: what its Slurm wants to be told (partition, account, time limit, modules), and no science."""

import difflib
import json
import re
from dataclasses import field
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

from pydantic import Field, TypeAdapter, ValidationError

from zephyr.recipe.keys import Key
from zephyr.recipe.messages import sentence
from zephyr.recipe.problems import Origin, Parts, Problem, RecipeError, dotted, listed, shown
from zephyr.recipe.reader import Document, read
from zephyr.recipe.sections import section
from zephyr.recipe.shipped import shipped_recipes
from zephyr.recipe.validate import inside_any

TIME = re.compile(r"(\d+-\d{1,2}(:\d{2}){0,2}|\d+:\d{2}(:\d{2})?|UNLIMITED)")
"""`24:00:00`, `90:00` (minutes), `2-12`, `2-12:00:00`; not a bare number."""
OURS = {
    "partition": "partition", "account": "account", "qos": "qos", "time": "time_limit", "constraint": "constraint",
    "gres": "gpus", "gpus-per-node": "gpus", "gpus": "gpus", "gpus-per-task": "gpus", "mem": "memory",
    "cpus-per-task": "cpus_per_task", "exclusive": "exclusive", "signal": "warning_s", "export": "environment",
    "nodes": None, "ntasks": None, "ntasks-per-node": None, "job-name": None, "output": None, "error": None,
    "open-mode": None, "requeue": None, "no-requeue": None, "dependency": None, "chdir": None, "array": None,
}  # fmt: skip
"""sbatch's options that are written by us -> the key that says it here; None: it follows from the recipe."""
SHORT = {"p": "partition", "A": "account", "q": "qos", "t": "time", "C": "constraint", "G": "gpus", "a": "array",
         "c": "cpus-per-task", "N": "nodes", "n": "ntasks", "J": "job-name", "o": "output", "e": "error",
         "d": "dependency", "D": "chdir"}  # fmt: skip
RENAMED = {
    "time": "time_limit", "walltime": "time_limit", "timeout": "time_limit", "gres": "gpus", "mem": "memory",
    "queue": "partition", "project": "account", "env": "environment", "cpus": "cpus_per_task", "signal": "warning_s",
}  # fmt: skip
NEITHER_SHELL_NOR_SLURM = re.compile(r"[^\w.,:;&|!*()\[\]+/@=-]")


@section
class Cluster:
    """What Slurm is told besides what follows from the recipe."""

    time_limit: str
    """Longest time of a job, as Slurm writes it (`24:00:00`, `2-12:00:00`); a longer run is queued again to go on."""
    partition: str | None = None
    """Partition (queue). Default: the cluster's."""
    account: str | None = None
    """Account that pays. Default: yours."""
    qos: str | None = None
    """Quality of service. Default: none is asked for."""
    constraint: str | None = None
    """Features that nodes must have (`a100&nvlink`). Default: none."""
    gpus: Literal["gres", "gpus-per-node", "none"] = "gres"
    """How GPUs are asked for: `--gres=gpu:8`, `--gpus-per-node=8`, or not at all (CPU nodes)."""
    gpu_type: str | None = None
    """Type of GPU in that (`a100` for `--gres=gpu:a100:8`). Default: any."""
    cpus_per_task: int | None = Field(default=None, gt=0)
    """CPU cores a process, that is a GPU. Default: the cluster's."""
    memory: str | None = None
    """Main memory of a node (`480G`; `0`: all of it). Default: the cluster's."""
    exclusive: bool = False
    """Whether nodes are shared with nobody."""
    warning_s: int = Field(default=300, ge=1, le=65535)
    """Seconds before the time limit at which training is told to stop: longer than a step and a checkpoint take."""
    modules: list[str] = field(default_factory=list)
    """Environment modules to load (`cuda/12.8`)."""
    setup: list[str] = field(default_factory=list)
    """Shell lines before the run (`source ~/venv/bin/activate`); one that fails ends the job."""
    environment: dict[str, str] = field(default_factory=dict)
    """Variables for all processes (`NCCL_SOCKET_IFNAME: ib0`)."""
    sbatch: list[str] = field(default_factory=list)
    """Further options of sbatch, one a line (`--mail-type=END`)."""


def read_cluster(file: Path) -> Cluster:
    """Reads a cluster's file.

    Raises:
        RecipeError: with every mistake in it, by file and line.
    """
    if not file.exists():
        raise RecipeError([_missing(file)])
    document = read(file)
    if "stage" in document.data or len([key for key in document.data if inside_any(key)]) > 1:
        text = "this is a recipe; --slurm takes a cluster's file (recipes/clusters/slurm.yaml is one)"
        document.problems.add(document.mark(("stage",)).origin, "", text)
        document.problems.refuse()
    data = {key: value for key, value in document.data.items() if value is not None}  # `account:` says nothing
    found: Cluster | None = None
    try:
        found = TypeAdapter(Cluster).validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        for each in error.errors(include_url=False):
            _note(each, document)
    for parts, text in _cross_checks(data):
        document.problems.add(document.mark(parts).origin, parts, text)
    document.problems.refuse()
    assert found is not None
    return found


def _missing(file: Path) -> Problem:
    clusters = sorted({*file.resolve().parent.glob("*.yaml"), *(shipped_recipes() / "clusters").glob("*.yaml")})
    there = f"; there are {listed(map(shown, clusters), 'and')}" if clusters else ""
    return Problem(origin=Origin(file=file), key="", text=f"there is no such file{there}")


def _note(error: Any, document: Document) -> None:
    """One of pydantic's errors as a sentence with its place."""
    parts: Parts = tuple(part for part in error["loc"] if part != "[key]")
    mark = document.mark(parts)
    if error["type"] == "missing":
        text = "`time_limit` is missing: how long a job may take, such as `time_limit: 24:00:00`"
        document.problems.add(document.mark(()).origin, "", text)
    elif error["type"] == "unexpected_keyword_argument":
        document.problems.add(mark.origin, parts, _unknown(str(parts[-1])))
    elif parts != ("time_limit",):  # _cross_checks has a better sentence
        document.problems.add(mark.origin, parts, sentence(error, _key(parts), mark.typed))


def _unknown(key: str) -> str:
    names = list(get_type_hints(Cluster))
    if inside_any(key):
        return "belongs into the recipe; a cluster's file says nothing about the training"
    option = key.replace("_", "-")
    if option in OURS and OURS[option] is None:
        return "follows from the recipe (`launch.machines`, `launch.processes`, its name); take it away"
    meant = OURS.get(option) or RENAMED.get(key)
    near = difflib.get_close_matches(key, names, n=1, cutoff=0.6)
    if meant or near:
        return f"no key of a cluster's file; did you mean `{meant or near[0]}`?"
    return f"no key of a cluster's file; there are {listed(names, 'and')}; sbatch's other options go under `sbatch`"


def _key(parts: Parts) -> Key | None:
    """The key as the recipes' messages want it."""
    hints = get_type_hints(Cluster)
    if len(parts) != 1 or parts[0] not in hints:
        return None
    choices = get_args(hints[str(parts[0])]) if parts[0] == "gpus" else ()
    return Key(dotted=dotted(parts), holds="value", required=False, may_be_null=True, section=Cluster, choices=choices)


def _cross_checks(data: dict[str, Any]) -> list[tuple[Parts, str]]:
    """What types can't say: (place, sentence)."""
    found: list[tuple[Parts, str]] = []
    limit = data.get("time_limit")
    if limit is not None and not (isinstance(limit, str) and TIME.fullmatch(limit)):
        found.append(
            (("time_limit",), f"found `{limit}`; hours and minutes are expected, such as 24:00:00 or 2-12:00:00")
        )
    warning = data.get("warning_s", Cluster.warning_s)
    if isinstance(limit, str) and isinstance(warning, int) and 2 * warning > (seconds(limit) or 2 * warning):
        text = f"found `{limit}`; at least twice `warning_s` ({warning} s) is expected, or training gets no time"
        found.append((("time_limit",), text))
    for key in ("partition", "account", "qos", "constraint", "gpu_type", "memory"):
        value = data.get(key)
        if isinstance(value, str) and (not value or NEITHER_SHELL_NOR_SLURM.search(value)):
            found.append(((key,), f"found `{value}`; one word is expected"))
    if data.get("gpus") == "none" and data.get("gpu_type"):
        found.append((("gpu_type",), "says a type of GPU, and `gpus: none` that none are asked for; keep one of them"))
    for n, line in enumerate(_texts(data.get("sbatch"))):
        found += [(("sbatch", n), text) for text in _sbatch_problems(line)]
    for key in ("modules", "setup"):
        found += [((key, n), "one line is expected") for n, each in enumerate(_texts(data.get(key))) if "\n" in each]
    names = data["environment"] if isinstance(data.get("environment"), dict) else {}
    for name in names:
        if not re.fullmatch(r"[A-Za-z_]\w*", name):
            found.append((("environment", name), "no name of a variable: letters, digits and `_` are expected"))
    return found


def seconds(limit: str) -> int | None:
    """A time limit in seconds; None where there is none. Without days two numbers are minutes and seconds."""
    if not TIME.fullmatch(limit) or limit == "UNLIMITED":
        return None
    days, dash, rest = limit.rpartition("-")
    numbers = [int(each) for each in rest.split(":")]
    first = 3600 if dash or len(numbers) == 3 else 60
    return int(days or 0) * 86400 + sum(each * first // 60**n for n, each in enumerate(numbers))


def _texts(value: Any) -> list[str]:
    return [each if isinstance(each, str) else "" for each in value] if isinstance(value, list) else []


def _sbatch_problems(line: str) -> list[str]:
    if "\n" in line or not line.startswith("-"):
        return [f"found `{''.join(line.splitlines()[:1])}`; an option of sbatch is expected, such as `--mail-type=END`"]
    name = re.split(r"[=\s]", line.lstrip("-"), maxsplit=1)[0]
    name = name if line.startswith("--") else SHORT.get(name[:1], name)
    if name not in OURS:
        return []
    key = OURS[name]
    return [
        f"`--{name}` follows from the recipe; take it away" if key is None else f"write `{key}` instead of `--{name}`"
    ]


def directives(cluster: Cluster, gpus: int) -> list[str]:
    """The options of sbatch that the cluster's file means, for that many GPUs a node."""
    names = {name: getattr(cluster, name) for name in ("partition", "account", "qos", "constraint")}
    found = [f"--{name}={value}" for name, value in names.items() if value]
    found.append(f"--time={cluster.time_limit}")
    if gpus and cluster.gpus != "none":
        start = "--gres=gpu:" if cluster.gpus == "gres" else "--gpus-per-node="
        found.append(start + (f"{cluster.gpu_type}:" if cluster.gpu_type else "") + str(gpus))
    found += [f"--cpus-per-task={cluster.cpus_per_task}"] if cluster.cpus_per_task else []
    found += [f"--mem={cluster.memory}"] if cluster.memory is not None else []
    found += ["--exclusive"] if cluster.exclusive else []
    return [*found, *cluster.sbatch]
