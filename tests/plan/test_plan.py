"""`zephyr plan`: exact where the data is here, honest where it isn't, and without torch or network."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from tests.test_run import finished

from zephyr.made_of import outdated
from zephyr.plan.plan import as_json, make_plan
from zephyr.plan.show import show
from zephyr.recipe import load

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "recipes").glob("*/**/*.yaml"))
RECIPES = [each for each in RECIPES if each.parent.name not in ("accelerate_configs", "clusters")]


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


def test_a_directory_with_another_recipes_run_is_taken_and_not_outdated(tiny: Path) -> None:
    finished(tiny / "cpt.yaml", tiny / "outputs")
    other = make_plan(load(tiny / "cpt.yaml", ["train.num_train_epochs=2.2"], outputs=tiny / "outputs"))
    assert other.state == "taken"
    page = shown(tiny / "cpt.yaml", overrides=("num_train_epochs=2.2",), outputs=tiny / "outputs")
    assert "holds the run of another recipe" in page and "have changed" not in page
    (tiny / "text.jsonl").write_text('{"text": "the red ball"}\n' * 40)
    assert make_plan(load(tiny / "cpt.yaml", outputs=tiny / "outputs")).state == "outdated"
    assert outdated(other.loaded) == {}


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


ZEPHYR = ROOT / "recipes" / "zephyr-7b-beta"


def narrow(path: Path, *overrides: str) -> str:
    """The page as it is in a terminal of 80 columns."""
    console = Console(width=80, record=True, file=Path("/dev/null").open("w"))  # noqa: SIM115
    show(make_plan(load(path, overrides)), console)
    text = console.export_text()
    return text[: text.index("Values and where")]


def test_the_page_says_what_a_run_needs_and_takes():
    page = narrow(ZEPHYR / "sft.yaml", "launch.price_per_gpu_hour=2")
    assert "all weights: 7,241,732,096" in page and "zero3, micro-batch 8 (8 x 2,048 tokens)" in page
    assert "a100-80gb" in page and "fits" in page and "does not fit" not in page
    assert "1.76 at 40%" in page and "28 GPU-hours = 56 at 2 an" in page and "33% more work" in page
    assert all(len(line) <= 80 for line in page.splitlines())


def test_the_page_names_policy_and_reference_of_an_adapter():
    page = narrow(ZEPHYR / "dpo.yaml", "adapter.r=16", "adapter.lora_alpha=16", "launch.strategy=ddp")
    assert "(0.58% of all)" in page and "adapter switched off" in page and "frozen" in page


def test_what_does_not_fit_says_what_to_change_and_the_change_fits():
    full = ["launch.device=a100-40gb", "launch.micro_batch_size=32", "launch.gradient_checkpointing=false"]
    data = as_json(make_plan(load(ZEPHYR / "sft.yaml", full)))
    assert data["fits"] is False and data["memory_gib_per_gpu"] > 40 and data["to_fit"]
    for ways in data["to_fit"]:
        changed = as_json(make_plan(load(ZEPHYR / "sft.yaml", [*full, *ways])))
        assert changed["fits"] is True, ways
    page = narrow(ZEPHYR / "sft.yaml", *full)
    assert "does not fit" in page and " ".join(data["to_fit"][0]) in page


@pytest.mark.parametrize("device", ["rtx-4090-24gb", "h100-80gb"])
def test_ways_out_of_one_small_card_fit(device: str):
    small = [f"launch.device={device}", "launch.processes=1", "launch.machines=1", "launch.strategy=single",
             "launch.micro_batch_size=1", "launch.gradient_checkpointing=auto"]  # fmt: skip
    ways = as_json(make_plan(load(ZEPHYR / "dpo.yaml", small)))["to_fit"]
    assert any(each.startswith("adapter.r=") for way in ways for each in way)
    for way in ways:
        assert as_json(make_plan(load(ZEPHYR / "dpo.yaml", [*small, *way])))["fits"] is True, way


@pytest.mark.parametrize("recipe", [each for each in RECIPES if each.stem in ("sft", "dpo")], ids=str)
def test_memory_of_every_shipped_training_recipe_is_known_and_fits(recipe: Path, tmp_path: Path):
    data = as_json(make_plan(load(recipe, outputs=tmp_path)))
    assert data["memory_gib_per_gpu"] is not None and data["fits"] is not False
    if recipe.parent.name != "mini":
        assert data["hours"] is not None and data["hours"] > 0


def test_figures_for_programs_and_none_invented():
    data = as_json(make_plan(load(ZEPHYR / "dpo.yaml")))
    assert data["memory_gib_per_gpu"] == pytest.approx(sum(data["memory_gib"].values()), abs=0.01)
    assert data["gpu_hours"] == pytest.approx(16 * data["hours"], abs=0.01) and data["cost"] is None
    assert (data["strategy"], data["gradient_checkpointing"], data["fits"]) == ("zero3", False, True)
    unknown = ["model.model_name_or_path=someone/some-model", "launch.device=null"]
    nothing = as_json(make_plan(load(ZEPHYR / "dpo.yaml", unknown)))
    assert nothing["memory_gib_per_gpu"] is None and nothing["hours"] is None and nothing["fits"] is None
    assert "hf download someone/some-model config.json" in narrow(ZEPHYR / "dpo.yaml", *unknown).replace("\n", " ")


def test_without_a_device_memory_is_told_and_hours_are_not():
    data = as_json(make_plan(load(ZEPHYR / "sft.yaml", ["launch.device=null"])))
    assert data["memory_gib_per_gpu"] > 10 and data["hours"] is None and data["fits"] is None
    assert "launch.device=" in narrow(ZEPHYR / "sft.yaml", "launch.device=null")
