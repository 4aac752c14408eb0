"""`make recipes`: the table of the shipped recipes, made from their headers and their plans."""

import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zephyr.plan.plan import as_json, make_plan
from zephyr.recipe import Loaded, load
from zephyr.recipe.dialogues import DialoguesRecipe
from zephyr.recipe.feedback import FeedbackRecipe
from zephyr.recipe.schema import TrainRecipe
from zephyr.recipe.shipped import all_shipped, shipped_recipes
from zephyr.study.expand import expand
from zephyr.study.plan.plan import make_study_plan

STUDY_COLUMNS = ("study", "what", "rows", "runs", "(alone)", "on", "hours", "(alone)", "cost of calls", "expect")
COLUMNS = ("recipe", "what", "on", "global batch", "steps", "GiB per GPU", "hours", "expect")
HEAD = """\
<!-- Made by `make recipes` from the headers and the plans; change those instead. -->

# Recipes

`zephyr recipes` lists them, `zephyr recipes NAME` copies one out with all that it needs, `zephyr plan NAME` says what
it will do. Each file opens with its source, what it needs, what to expect and the command; a folder's README says where
sources disagree and how near a run should come.
"""
STUDIES = """\
## Studies

A study is rows that differ in named settings, and one table of them ([docs/studies.md](../docs/studies.md)). Equal work
is done once: in brackets, what the rows would come to if each were run alone. `zephyr plan NAME` says what is shared.
"""
TAIL = """\
Global batch = micro-batch x processes x accumulation: on other hardware it is cut in another way, and the training is
the same. Steps follow from the number of sequences that a recipe expects, with its source. GiB and hours are the
plan's for the hardware named, with FlashAttention-2; hours are without evaluation, at the share of the GPU's peak that
`launch.mfu` says (40 %).

The 7B recipes are planned and tested up to the trainer's door; they were not trained here, for want of the hardware.

- `accelerate_configs/` go to `accelerate launch --config_file`. They hold no science; precision, batch and accumulation
  come from the recipe.
- `clusters/` hold what Slurm has to be told: partition, account, modules. No science either.
- `recipe.schema.json` lets an editor complete and check recipes, through the first line of each (`make schema`).
"""


def catalogue() -> str:
    """The text of `recipes/README.md`: the same on every machine, whatever was run or downloaded there."""
    with tempfile.TemporaryDirectory() as empty:
        made: dict[bool, list[tuple[str, ...]]] = {True: [], False: []}
        for each in all_shipped():
            row = _study_row if each.stage == "study" else _row
            made[each.stage == "study"].append(row(shipped_recipes() / f"{each.name}.yaml", each.name, Path(empty)))
    studies = f"{STUDIES}\n{_table(STUDY_COLUMNS, made[True])}"
    return f"{HEAD}\n{_table(COLUMNS, made[False])}\n{TAIL}\n{studies}"


def header(file: Path) -> dict[str, list[str]]:
    """What the comment above a recipe says by name (`Needs`, `Takes`, `Expect`, `Command`): name -> its paragraphs.

    A name is followed by two spaces or more; indented lines below it continue its text.
    """
    found: dict[str, list[str]] = {}
    name = None
    for line in _comment(file):
        entry = re.match(r"# ([A-Z][a-z ]{1,7}?)  +(\S.*)", line)
        if entry:
            name = entry[1]
            found.setdefault(name, []).append(entry[2])
        elif name and line.startswith("#  "):
            found[name][-1] = " ".join([found[name][-1].removesuffix("\\").rstrip(), line[1:].strip()])
        else:
            name = None
    return found


def _comment(file: Path) -> Iterator[str]:
    for line in file.read_text().splitlines():
        if not line.startswith("#"):
            return
        yield line


def _row(file: Path, name: str, outputs: Path) -> tuple[str, ...]:
    loaded = _loaded(file, outputs)
    plan = as_json(make_plan(loaded))
    says = header(file)
    return (
        f"`{name}`",
        loaded.recipe.description or "",
        _hardware(loaded),
        _batch(plan),
        _number(plan.get("steps")),
        _number(plan.get("memory_gib_per_gpu") if plan.get("device_memory_gib") else None),
        _number(plan.get("hours")),
        says.get("Expect", [""])[0],
    )


def _study_row(file: Path, name: str, outputs: Path) -> tuple[str, ...]:
    study = expand(load(file, outputs=outputs), outputs=outputs)
    plan = make_study_plan(study)
    trained = [each.work.loaded for each in plan.runs if isinstance(each.work.loaded.recipe, TrainRecipe)]
    return (
        f"`{name}`",
        study.recipe.description or "",
        f"{len(study.rows)}" + (f" x {len(study.recipe.seeds)} seeds" if study.recipe.seeds else ""),
        _number(plan.once.runs),
        _number(plan.alone.runs),
        ", ".join(dict.fromkeys(map(_hardware, trained))),
        _number(plan.once.hours),
        _number(plan.alone.hours),
        _number(plan.once.cost),
        header(file).get("Expect", [""])[0],
    )


def _loaded(file: Path, outputs: Path) -> Loaded:
    """The recipe, its attention kernel not left to what is installed here."""
    loaded = load(file, outputs=outputs)
    recipe = loaded.recipe
    if isinstance(recipe, TrainRecipe) and recipe.launch.device not in (None, "cpu"):
        return load(file, ["model.attn_implementation=flash_attention_2"], outputs=outputs)
    return loaded


def _hardware(loaded: Loaded) -> str:
    """The hardware a recipe is written for; those that name none are for a CPU."""
    recipe = loaded.recipe
    if isinstance(recipe, DialoguesRecipe | FeedbackRecipe):
        asked = recipe.teacher if isinstance(recipe, DialoguesRecipe) else recipe.judge
        return "endpoints" if asked.base_url else "CPU"
    if not isinstance(recipe, TrainRecipe) or recipe.launch.device is None:
        return "CPU"
    return f"{recipe.launch.processes} x {recipe.launch.device.upper()}"


def _batch(plan: dict[str, Any]) -> str:
    if "global_batch_size" not in plan:
        return ""
    cut = (plan["micro_batch_size"], plan["processes"], plan["gradient_accumulation_steps"])
    return f"{plan['global_batch_size']} = {' x '.join(map(str, cut))}"


def _number(value: Any) -> str:
    """A count as it is, a measure with two figures."""
    if value is None:
        return ""
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def _table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [columns, ("---",) * len(columns), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |\n" for line in lines)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(catalogue())
