"""Reads run directories: the files every stage writes, and the runs that one run was made from."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from zephyr.errors import UserError
from zephyr.recipe.reader import read


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one run directory holds."""

    directory: Path
    """Where it is, absolute."""
    recipe_text: str
    """The resolved recipe as written."""
    recipe: dict[str, Any]
    """The resolved recipe as data."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """Versions, hardware, seed, times, inputs, data; empty when the run was killed before writing it."""
    result: dict[str, Any] = field(default_factory=dict)
    """The numbers of a finished run; empty for an unfinished one."""
    metrics: tuple[dict[str, Any], ...] = ()
    """Rows of metrics.jsonl in order of step, a step logged twice (an interrupted run) with its last row."""
    answers: tuple[dict[str, Any], ...] = ()
    """Rows of answers.jsonl: the judged dialogues of an `evaluate` run."""
    label: str = ""
    """Name shown instead of its own, where another run of the chain has the same."""

    @property
    def stage(self) -> str:
        """The stage that ran: `cpt`, `sft`, `dpo`, ..."""
        return str(self.recipe["stage"])

    @property
    def name(self) -> str:
        """Name shown: the result's, the recipe's, or the last two folders."""
        shown = self.label or self.result.get("name") or self.recipe.get("name")
        return str(shown or f"{self.directory.parent.name}/{self.directory.name}")

    @property
    def finished(self) -> bool:
        """Whether the run wrote its result."""
        return self.result.get("status") == "finished"

    @property
    def run_id(self) -> str | None:
        """Hash of what determines the outcome, where it is recorded."""
        return self.result.get("run_id") or (self.recipe.get("resolved") or {}).get("run_id")

    @property
    def shown_recipe(self) -> str:
        """The resolved recipe without its last section, which only the toolkit reads."""
        kept = self.recipe_text.split("\nresolved:\n")[0].rstrip().splitlines()
        while kept and kept[-1].startswith("#"):
            kept.pop()
        return "\n".join(kept).rstrip() + "\n"

    @cached_property
    def train_rows(self) -> tuple[dict[str, Any], ...]:
        """Metrics logged while training."""
        return tuple(row for row in self.metrics if "loss" in row)

    @cached_property
    def eval_rows(self) -> tuple[dict[str, Any], ...]:
        """Metrics on the held-out split; their keys start with `eval_`."""
        return tuple(row for row in self.metrics if "eval_loss" in row)


@dataclass(frozen=True, kw_only=True)
class Chain:
    """Runs in the order they were made, inputs first, and what is wrong with the links between them."""

    runs: tuple[Run, ...]
    notes: tuple[str, ...] = ()
    """Inputs that are gone or were run again since."""


def is_run(directory: Path) -> bool:
    """Whether a directory is a run directory: it has the resolved recipe in it."""
    return (directory / "recipe.yaml").is_file()


def read_run(directory: Path) -> Run:
    """Reads a run directory, finished or not.

    Raises:
        UserError: it is no run directory, or a file in it is broken (with file and line).
    """
    directory = directory.resolve()
    if not is_run(directory):
        raise UserError(_no_run(directory))
    recipe_text = (directory / "recipe.yaml").read_text()
    return Run(
        directory=directory,
        recipe_text=recipe_text,
        recipe=_recipe(directory / "recipe.yaml"),
        provenance=_json(directory / "provenance.json"),
        result=_json(directory / "result.json"),
        metrics=_by_step(_json_lines(directory / "metrics.jsonl")),
        answers=tuple(_json_lines(directory / "answers.jsonl")),
    )


def read_chain(directories: Iterable[Path]) -> Chain:
    """Reads runs and all that they were made from, inputs before what uses them, each once.

    A `report` run is left out: it stands for its inputs.
    """
    found: dict[Path, Run] = {}
    notes: list[str] = []
    for directory in directories:
        _collect(read_run(directory), found, notes)
    runs = [run for run in found.values() if run.stage != "report"]
    return Chain(runs=_named_apart(runs), notes=tuple(dict.fromkeys(notes)))


def _named_apart(runs: list[Run]) -> tuple[Run, ...]:
    """Runs of the same name get their seed beside it, or where that is the same too, their folder."""
    alike = Counter(run.name for run in runs)
    same_seed = Counter((run.name, run.recipe.get("seed")) for run in runs)
    named = []
    for run in runs:
        seed = run.recipe.get("seed")
        folder = f"{run.directory.parent.name}/{run.directory.name}"
        apart = f"seed {seed}" if same_seed[run.name, seed] == 1 else folder
        named.append(replace(run, label=f"{run.name}, {apart}") if alike[run.name] > 1 else run)
    return tuple(named)


def anchor(run: Run) -> str:
    """The run's place in a report: what links to it and what belongs to it are named after this."""
    return "run-" + "".join(letter if letter.isalnum() else "-" for letter in run.name.lower()).strip("-")


def lineage(run: Run, runs: Iterable[Run]) -> tuple[Run, ...]:
    """Those of the runs that the run was made from, inputs first, and itself."""
    known = {each.directory: each for each in runs}
    found: dict[Path, Run] = {}

    def add(each: Run) -> None:
        for recorded in each.provenance.get("inputs", []):
            source = input_directory(each, recorded)
            if source in known and source not in found:
                add(known[source])
        found[each.directory] = each

    add(run)
    return tuple(found.values())


def in_words(path: str, runs: Iterable[Run]) -> str:
    """A path inside one of the runs as the run's name and the file; any other path or Hub id as it is."""
    for run in runs:
        if Path(path).is_relative_to(run.directory):
            inside = str(Path(path).relative_to(run.directory))
            return run.name if inside in (".", "model", "tokenizer") else f"{run.name}, {inside}"
    return path


def _collect(run: Run, found: dict[Path, Run], notes: list[str], above: tuple[Path, ...] = ()) -> None:
    """Adds the run after its inputs (depth first)."""
    if run.directory in found or run.directory in above:
        return
    for recorded in run.provenance.get("inputs", []):
        source = input_directory(run, recorded)
        if source is None:
            notes.append(f"{run.name}: its input {recorded.get('recipe') or recorded['path']} is no longer there.")
            continue
        used = read_run(source)
        if recorded.get("run_id") and used.run_id and recorded["run_id"] != used.run_id:
            notes.append(f"{run.name}: its input {used.name} has since been replaced by another run.")
        _collect(used, found, notes, (*above, run.directory))
    found[run.directory] = run


def input_directory(run: Run, recorded: dict[str, Any]) -> Path | None:
    """Run directory of one of the run's recorded inputs; None when it is gone.

    Runs that were moved together are found beside the run that used them.
    """
    named = Path(recorded.get("run_dir") or recorded["path"])
    for candidate in (named, named.parent):
        if is_run(candidate):
            return candidate.resolve()
    beside = run.directory.parent / named.name
    if is_run(beside) and recorded.get("run_id") in (None, read_run(beside).run_id):
        return beside
    return None


def _recipe(file: Path) -> dict[str, Any]:
    try:
        recipe = read(file).data  # as recipes are read: `on` is a name there, not a truth value
    except UserError as error:
        raise UserError(f"{error}\n  Run the recipe again to have it rewritten.") from None
    if not isinstance(recipe, dict) or "stage" not in recipe:
        raise UserError(f"{file}: no `stage` in it, so this is not the recipe of a run.")
    return recipe


def _json(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        return json.loads(file.read_text())
    except json.JSONDecodeError as error:
        raise UserError(f"{file}:{error.lineno}: not readable as JSON ({error.msg}). Run the recipe again.") from None


def _json_lines(file: Path) -> list[dict[str, Any]]:
    """Rows of a JSON-lines file; a last line cut short (a killed or running process) is left out."""
    if not file.is_file():
        return []
    lines = file.read_text().splitlines()
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError as error:
            if number < len(lines):
                raise UserError(f"{file}:{number}: not readable as JSON ({error.msg}): {line[:80]}") from None
    return rows


def _by_step(rows: list[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Rows in order of step; a run continued from a checkpoint logs the steps after it twice: the last row counts."""
    latest: dict[tuple[int, bool], dict[str, Any]] = {}
    for row in rows:
        latest[row.get("step", 0), "eval_loss" in row] = row
    return tuple(latest[key] for key in sorted(latest))


def _no_run(directory: Path) -> str:
    if not directory.is_dir():
        return f"{directory}: no such directory. Expected a run directory, such as outputs/mini/dpo."
    below = sorted(file.parent for file in directory.glob("*/recipe.yaml")) + sorted(
        file.parent for file in directory.glob("*/*/recipe.yaml")
    )
    ways = [f"    zephyr report {each}" for each in below[:8]]
    lines = [f"{directory} is no run directory: it has no recipe.yaml."]
    return "\n".join(
        [*lines, *(["  Runs below it:", *ways] if ways else ["  A run directory is what `zephyr run` makes."])]
    )
