"""The study's own run directory: what makes it the same study when it is read again, and its result."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from zephyr.errors import UserError
from zephyr.provenance import now, provenance
from zephyr.recipe import load, resolved_yaml
from zephyr.recipe.load import outputs_root
from zephyr.recipe.problems import shown
from zephyr.run import run_name, write_atomically, write_json
from zephyr.study.changed import RUNS, means_the_same, runs_of
from zephyr.study.expand import Study, expand
from zephyr.study.state import states_of

OPTIONS = "options.json"
"""What was said beside the study's file, and the root of its runs: `--everywhere`, `--outputs`."""


def begin(study: Study) -> None:
    """Writes the resolved recipe, the options, the runs that it means, and where and with what it runs.

    Raises:
        UserError: the directory holds something else, which is left as it is.
    """
    refuse_taken(study)
    directory = study.loaded.run_dir
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "result.json").unlink(missing_ok=True)  # of an earlier state of the study, or of its runs
    write_atomically(directory / "recipe.yaml", resolved_yaml(study.loaded))
    write_json(directory / "provenance.json", provenance(study.loaded))
    options = {"everywhere": list(study.everywhere), "outputs": str(outputs_root(study.outputs))}
    write_json(directory / OPTIONS, options)
    write_json(directory / RUNS, runs_of(study))


def refuse_taken(study: Study) -> None:
    """UserError where the study would write over something else: a run, a study of another file, foreign files."""
    directory = study.loaded.run_dir
    own = next((each.loaded for each in study.works if each.loaded.run_dir == directory), None)
    if own is not None:
        raise UserError(f"{shown(study.loaded.file)}: would write to {shown(directory)}, and so would its run of "
                        f"{shown(own.file)}; give the study another `output_dir`")  # fmt: skip
    if not directory.exists() or not any(directory.iterdir()):
        return
    written = directory / "recipe.yaml"
    if not written.is_file():
        raise UserError(
            f"{shown(directory)} exists and is no run directory (it has no recipe.yaml).\n"
            f"  Choose another: zephyr run {shown(study.loaded.file)} output_dir=..."
        )
    stage, file = _held(written)
    if stage != "study" or (file != study.loaded.file and not means_the_same(study)):
        what = "the study" if stage == "study" else f"a run (stage {stage})"
        of = f" of {shown(file)}" if file else ""
        raise UserError(
            f"{shown(directory)} holds {what}{of}, and {shown(study.loaded.file)} would write over it.\n"
            "  Ways out:\n"
            f"    keep both:        zephyr run {shown(study.loaded.file)} ... output_dir=outputs/another-name\n"
            f"    replace the old:  rm -r {shown(directory)}, then the same command"
        )


def _held(written: Path) -> tuple[str | None, Path | None]:
    """Stage of a resolved recipe, and the file it came from; the recipes that it names may be gone."""
    try:
        data: dict[str, Any] = yaml.safe_load(written.read_text())
        return data["stage"], Path(data["resolved"]["from"])
    except (yaml.YAMLError, KeyError, TypeError, AttributeError):
        return None, None


def options_in(directory: Path) -> dict[str, Any]:
    """What was said beside the file of the study that a directory holds; nothing where it holds none."""
    file = directory / OPTIONS
    return json.loads(file.read_text()) if file.is_file() else {"everywhere": [], "outputs": None}


def reopen(directory: Path, outputs: Path | None = None) -> Study:
    """The study of a directory, as it was last run.

    Args:
        directory: where `begin` wrote it.
        outputs: root of its runs, where they have been moved.

    Raises:
        RecipeError: recipes that it names are gone, or have mistakes now.
        UserError: no study was run there, or its runs are no longer where they were.
    """
    loaded = load(directory)
    if not (directory / OPTIONS).is_file():
        raise UserError(f"{shown(directory)}: the study was not run here ({OPTIONS} is missing); begin it with "
                        f"zephyr run {shown(loaded.file)}")  # fmt: skip
    options = options_in(directory)
    root = outputs or Path(options["outputs"] or outputs_root())
    if not root.is_dir():
        raise UserError(f"{shown(directory)}: its runs were in {shown(root)}, which is not there; "
                        "--outputs DIR says where they are now")  # fmt: skip
    study = expand(loaded, everywhere=options["everywhere"], outputs=root)
    return replace(study, loaded=loaded, reopened=True)


def finish(study: Study, *, failed: bool) -> None:
    """Writes the result: how many rows and runs there are, and how far they came."""
    states = states_of(each.loaded for each in study.works)
    finished = sum(each.state == "finished" for each in states.values())
    result = {
        "stage": "study",
        "name": run_name(study.loaded),
        "status": "finished" if finished == len(study.works) else "failed" if failed else "interrupted",
        "run_id": study.loaded.run_id,
        "ended": now(),
        "numbers": {"rows": len(study.rows), "runs": len(study.works), "runs_finished": finished},
    }
    write_json(study.loaded.run_dir / "result.json", result)
