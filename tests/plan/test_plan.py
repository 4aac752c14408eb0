"""`zephyr plan`: exact where the data is here, honest where it isn't, and without torch or network."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from zephyr.plan.plan import as_json, make_plan
from zephyr.plan.show import show
from zephyr.recipe import load

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "recipes").glob("*/*.yaml"))
RECIPES = [each for each in RECIPES if each.parent.name != "accelerate_configs"]


def shown(path: Path, other: Path | None = None, overrides: tuple[str, ...] = (), **where: Path) -> str:
    console = Console(width=120, record=True, file=Path("/dev/null").open("w"))  # noqa: SIM115
    show(make_plan(load(path, overrides, **where)), console, load(other) if other else None)
    return console.export_text()


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_shipped_recipe_is_planned_without_network(recipe: Path, tmp_path: Path):
    plan = make_plan(load(recipe, outputs=tmp_path))
    assert plan.state == "new"
    data = as_json(plan)
    assert {"stage", "run_id", "run_dir", "inputs", "values"} <= set(data)
    if plan.batch:
        keys = {"global_batch_size", "processes", "micro_batch_size", "gradient_accumulation_steps", "steps",
                "warmup_steps", "tokens"}  # fmt: skip
        assert keys <= set(data)
    assert shown(recipe, outputs=tmp_path)


def test_counts_of_local_data_are_exact(tiny: Path):
    plan = make_plan(load(tiny / "cpt.yaml", outputs=tiny / "outputs"))
    train = plan.counts["train"]
    lines = (tiny / "text.jsonl").read_text().splitlines()
    assert train["rows_read"] == train["rows_used"] == len(lines)
    assert train["sequences"] == -(-train["tokens"] // 32)  # wrapped: cut every 32 tokens, nothing dropped
    assert plan.steps is not None and plan.steps.steps == 6 * -(-train["sequences"] // 4)
    assert "rows read" in shown(tiny / "cpt.yaml", outputs=tiny / "outputs")


def test_a_missing_input_leaves_its_counts_open_and_names_the_command(tiny: Path):
    text = shown(tiny / "dpo.yaml", outputs=tiny / "outputs")
    assert "not known yet" in text and "--with-inputs" in text
    assert text.index("zephyr run") < text.index("sft.yaml", text.index("zephyr run"))


def test_every_value_says_where_it_is_from(tiny: Path):
    values = as_json(make_plan(load(tiny / "cpt.yaml", ["--learning_rate=0.5"], outputs=tiny / "o")))["values"]
    assert values["train.learning_rate"] == {"value": 0.5, "from": "override"}
    assert values["seed"] == {"value": 1, "from": "cpt.yaml:2"}
    assert values["train.weight_decay"]["from"] == "default"


def test_difference_from_another_recipe(tiny: Path):
    other = tiny / "other.yaml"
    other.write_text("extends: cpt.yaml\ntrain: {learning_rate: 3e-3}\n")
    text = shown(tiny / "cpt.yaml", other, outputs=tiny / "outputs")
    table = text[text.index("Difference") :]
    assert "train.learning_rate" in table and "0.003" in table and "num_train_epochs" not in table


def test_plan_and_check_import_no_torch(tiny: Path):
    code = (
        "import sys; from zephyr.cli import main\n"
        "status = main(['plan', 'cpt.yaml', '--json']) or main(['check', 'dpo.yaml'])\n"
        "assert status == 0 and not {'torch', 'transformers', 'trl'} & set(sys.modules), sorted(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tiny)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout[: done.stdout.rindex("}") + 1])["stage"] == "cpt"
