import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import zephyr
from zephyr.errors import UserError
from zephyr.recipe import load
from zephyr.recipe.commands import check, copy_recipe, list_recipes
from zephyr.recipe.shipped import SCHEMA, recipe_files, shipped_recipes
from zephyr.study.expand import expand

RECIPES = recipe_files(shipped_recipes())


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_every_shipped_recipe_loads_and_points_editors_at_the_schema(file):
    load(file)
    depth = len(file.relative_to(shipped_recipes()).parts) - 1
    assert file.read_text().splitlines()[0] == f"# yaml-language-server: $schema={'../' * depth}{SCHEMA}"


def test_the_shipped_are_listed_with_what_they_are(capsys):
    assert list_recipes() == 0
    lines = capsys.readouterr().out.splitlines()
    names = [line.split()[0] for line in lines[: len(RECIPES)]]
    assert sorted(names) == sorted(str(file.relative_to(shipped_recipes()).with_suffix("")) for file in RECIPES)
    assert names.index("mini/world") < len(names)


def test_a_copy_has_all_it_needs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert copy_recipe("zephyr-7b-beta/dpo", Path("mine")) == 0
    said = capsys.readouterr().out.splitlines()
    assert "wrote mine/zephyr-7b-beta/dpo.yaml" in said
    assert "wrote mine/zephyr-7b-beta/sft.yaml" in said
    copied = load("mine/zephyr-7b-beta/dpo.yaml")
    assert copied.run_id == load(shipped_recipes() / "zephyr-7b-beta/dpo.yaml").run_id
    assert all(file.is_relative_to(tmp_path) for file in (copied.file, copied.inputs[0].loaded.file))
    assert copy_recipe("recipes/zephyr-7b-beta/dpo.yaml", Path("mine")) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "recipes/zephyr-7b-beta/dpo.yaml is in mine already, unchanged"


def test_a_copied_variant_brings_what_it_extends_and_reads(tmp_path):
    copy_recipe("zephyr-7b-gemma/dpo", tmp_path)
    for file in ("zephyr-7b-gemma/chatml.jinja", "zephyr-7b-gemma/sft.yaml", "zephyr-7b-beta/handbook-2024/dpo.yaml"):
        assert (tmp_path / file).is_file()
    copied = load(tmp_path / "zephyr-7b-gemma/dpo.yaml")
    assert all(file.is_relative_to(tmp_path) for file in (*copied.files, *copied.inputs[0].loaded.files))


@pytest.mark.parametrize("name", ["mini/studies/table-3-seeds", "zephyr-7b-beta/studies/binarization"])
def test_a_copied_study_brings_all_that_its_rows_are_made_from(tmp_path, name):
    copy_recipe(name, tmp_path)
    shipped, copied = (
        expand(load(root / f"{name}.yaml", ["seeds=[1]"], outputs=tmp_path), outputs=tmp_path)
        for root in (shipped_recipes(), tmp_path)
    )
    runs = [each.loaded for each in copied.works]
    assert [each.run_id for each in runs] == [each.loaded.run_id for each in shipped.works]
    assert all(file.is_relative_to(tmp_path) for each in runs for file in each.files)


def test_a_folder_is_copied_whole(tmp_path):
    copy_recipe("accelerate_configs", tmp_path)
    copied = {file.name for file in (tmp_path / "accelerate_configs").iterdir()}
    assert copied == {file.name for file in (shipped_recipes() / "accelerate_configs").iterdir()}


def test_a_users_file_is_not_overwritten(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "mine/zephyr-7b-beta/sft.yaml"
    mine.parent.mkdir(parents=True)
    mine.write_text("stage: sft\n")
    with pytest.raises(UserError, match=r"^nothing copied: mine/zephyr-7b-beta/sft.yaml would be overwritten"):
        copy_recipe("zephyr-7b-beta/dpo", Path("mine"))
    assert mine.read_text() == "stage: sft\n"
    assert [file.name for file in mine.parent.iterdir()] == ["sft.yaml"]


@pytest.mark.parametrize("name", ["mini/nope", "../src", "nope"])
def test_a_name_that_is_not_there(tmp_path, name):
    with pytest.raises(UserError, match=rf"^there is no shipped recipe `{name}`; there are mini/"):
        copy_recipe(name, tmp_path)


def test_check_says_one_line_a_good_recipe(lab, capsys):
    assert check(["lab/sft.yaml", "lab/dpo.yaml"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "lab/sft.yaml: right; stage sft, run directory outputs/lab/sft",
        "lab/dpo.yaml: right; stage dpo, run directory outputs/lab/dpo",
    ]


def test_check_shows_every_mistake_of_every_file_once(lab, write, capsys):
    write("sft.yaml", (lab / "sft.yaml").read_text().replace("learning_rate", "lr"))
    assert check(["lab"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "lab/world.yaml: right; stage world, run directory outputs/lab/world",
        "lab/sft.yaml:10: train.lr: write `learning_rate: 2e-5`",
        "1 mistake",
    ]


def test_a_folder_without_recipes(tmp_path, capsys):
    assert check([tmp_path]) == 1
    assert "no recipe in" in capsys.readouterr().out


def test_recipes_are_found_inside_an_installed_package(tmp_path):
    """The wheel has them at zephyr/recipes, without a checkout around."""
    package = tmp_path / "zephyr"
    shutil.copytree(Path(zephyr.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(shipped_recipes(), package / "recipes")
    code = "from zephyr.recipe.shipped import copy, shipped_recipes; print(shipped_recipes()); copy('mini', Path('x'))"
    code = f"from pathlib import Path; {code}"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout.splitlines()[0] == str(package / "recipes"), done.stderr
    assert (tmp_path / "x/mini/world.yaml").is_file()
