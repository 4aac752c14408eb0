"""The study's own run directory: what makes it the same study when it is read again, and its result."""

import json
from pathlib import Path

from zephyr.provenance import now, provenance
from zephyr.recipe import load, resolved_yaml
from zephyr.run import run_name, write_atomically, write_json
from zephyr.study.expand import Study, expand
from zephyr.study.state import states_of

OPTIONS = "options.json"
"""What was said beside the study's file: `--everywhere`, `--outputs`."""


def begin(study: Study) -> None:
    """Writes the resolved recipe, the options, and where and with what it runs."""
    directory = study.loaded.run_dir
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "result.json").unlink(missing_ok=True)  # of an earlier state of the study, or of its runs
    write_atomically(directory / "recipe.yaml", resolved_yaml(study.loaded))
    write_json(directory / "provenance.json", provenance(study.loaded))
    outputs = str(study.outputs.resolve()) if study.outputs else None
    write_json(directory / OPTIONS, {"everywhere": list(study.everywhere), "outputs": outputs})


def reopen(directory: Path) -> Study:
    """The study of a directory, as it was last run.

    Raises:
        RecipeError: recipes that it names are gone, or have mistakes now.
    """
    options = json.loads((directory / OPTIONS).read_text())
    outputs = Path(options["outputs"]) if options["outputs"] else None
    return expand(load(directory), everywhere=options["everywhere"], outputs=outputs)


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
