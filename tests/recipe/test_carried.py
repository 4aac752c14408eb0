import json
import random
import shutil

import pytest
from tests.recipe.texts import DPO, SFT, changed

from zephyr.recipe import RecipeError, difference, load, resolved_yaml
from zephyr.recipe.carried import scalar_text
from zephyr.recipe.reader import read


def written(loaded):
    """The resolved recipe in its run directory."""
    loaded.run_dir.mkdir(parents=True, exist_ok=True)
    path = loaded.run_dir / "recipe.yaml"
    path.write_text(resolved_yaml(loaded))
    return path


def same(a, b):
    """Whether two recipes are the same run of the same recipes."""
    assert (a.recipe, a.run_id, a.run_dir, a.file, a.overrides) == (b.recipe, b.run_id, b.run_dir, b.file, b.overrides)
    assert [(each.field, each.path) for each in a.inputs] == [(each.field, each.path) for each in b.inputs]
    for one, other in zip(a.inputs, b.inputs, strict=True):
        same(one.loaded, other.loaded)
    assert difference(a, b) == []
    return True


@pytest.mark.parametrize("name", ["world", "sft", "dpo", "report"])
def test_a_resolved_recipe_loads_as_the_same_run(lab, name):
    loaded = load(f"lab/{name}.yaml", ["name=one"], everywhere=["seed=3"])
    assert same(load(written(loaded)), loaded)
    assert resolved_yaml(load(written(loaded))).splitlines()[-10:] == resolved_yaml(loaded).splitlines()[-10:]


ODD = [
    "", " ", "yes", "null", "1e5", "a: b", "a #b", "#", "- x", "'", '"', "\\", "é ü 漢字", "🙂", "two\nlines", "tab\t",
    "{a}", "[b]", "*c", "&d", "!e", "%f", "@g", "`h`", "trailing ", "x:", "a\x85b", "\u2028", "<<", "~", "?", ".5",
]  # fmt: skip


def any_value(rng):
    numbers = [rng.random() * 10 ** rng.randint(-30, 30), rng.randint(-9, 9)]
    return rng.choice([rng.choice(ODD), *numbers, True, None, [], {}, [[1], {"x": rng.choice(ODD)}]])


@pytest.mark.parametrize("seed", range(20))
def test_any_values_survive(write, seed):
    rng = random.Random(seed)
    config = {"model_type": "mistral"} | {rng.choice(ODD) + "k": any_value(rng) for _ in range(4)}
    model = json.dumps({"tokenizer_name_or_path": "org/x", "config": config}, ensure_ascii=False)
    # YAML reads these two as line ends where they are not escaped
    model = model.replace("\x85", "\\u0085").replace("\u2028", "\\u2028")
    description = json.dumps(rng.choice(ODD[:20]), ensure_ascii=False)
    text = changed(SFT, ("{model_name_or_path: org/base}", model), ("seed: 1", f"seed: 1\ndescription: {description}"))
    loaded = load(write("sft.yaml", text))
    assert loaded.recipe.model.config == config
    assert same(load(written(loaded)), loaded)


@pytest.mark.parametrize("text", ODD)
def test_any_text_is_written_so_that_it_is_read_back(tmp_path, text):
    path = tmp_path / "a.yaml"
    path.write_text(f"a: {scalar_text(text)}\n")
    assert read(path).data == {"a": text}


def test_it_needs_none_of_the_files_it_came_from(lab, tmp_path):
    loaded = load("lab/report.yaml")
    path = written(loaded)
    shutil.rmtree(lab)
    assert same(load(path), loaded)


def test_it_does_not_change_when_those_files_do(write):
    loaded = load("lab/dpo.yaml")
    path = written(loaded)
    write("sft.yaml", changed(SFT, ("2e-5", "9e-5")))
    write("dpo.yaml", changed(DPO, ("beta: 0.1", "beta: 0.9")))
    assert same(load(path), loaded)


def test_a_moved_run_lives_where_it_is_now(lab, tmp_path):
    loaded = load("lab/dpo.yaml")
    written(loaded)
    shutil.move(loaded.run_dir, tmp_path / "kept")
    moved = load(tmp_path / "kept/recipe.yaml")
    assert moved.run_dir == tmp_path / "kept"
    assert moved.run_id == loaded.run_id


def test_overrides_on_it_make_another_run_unless_they_are_no_science(lab, tmp_path):
    loaded = load("lab/dpo.yaml")
    path = written(loaded)
    assert load(path, ["micro_batch_size=4"]).run_id == loaded.run_id
    assert load(path, ["beta=0.3"]).run_id == load("lab/dpo.yaml", ["beta=0.3"]).run_id != loaded.run_id
    assert load(path, ["beta=0.3"]).overrides == ("beta=0.3",)
    other = load(path, ["model_name_or_path=org/x"])
    assert [each.field for each in other.inputs] == ["data.train[0].path"]
    assert load(path, ["output_dir=else"]).run_dir == tmp_path / "else"


def test_an_edited_one_is_another_run(lab):
    loaded = load("lab/dpo.yaml")
    path = written(loaded)
    path.write_text(path.read_text().replace("beta: 0.1 ", "beta: 0.3 "))
    assert load(path).run_id == load("lab/dpo.yaml", ["beta=0.3"]).run_id


def test_everywhere_is_refused_on_it(lab):
    path = written(load("lab/dpo.yaml"))
    with pytest.raises(RecipeError, match="can't reach the recipes that this run used; load the recipe it came from"):
        load(path, everywhere=["seed=2"])


def test_a_damaged_section_is_refused(lab):
    path = written(load("lab/dpo.yaml"))
    path.write_text(path.read_text().replace("  recipes:", "  recipe:"))
    with pytest.raises(RecipeError, match=r"recipe.yaml:\d+: resolved: written by zephyr .* and damaged .*start again"):
        load(path)


def test_it_reads_well(lab):
    text = resolved_yaml(load("lab/dpo.yaml", ["--beta=0.05"]))
    head = text.split("# Written and read by zephyr alone")[0]
    assert f"from {lab}/dpo.yaml" in head
    assert "\n# with --beta=0.05.\n" in head
    said = {tuple(line.split()) for line in head.splitlines()}
    assert {("beta:", "0.05", "#", "override"), ("optim:", "adamw_torch", "#", "default")} <= said
    assert ("learning_rate:", "5e-7", "#", "dpo.yaml:11") in said
    columns = {line.index("#") for line in head.splitlines()[3:] if "#" in line and str(lab.parent) not in line}
    assert len(columns) == 1
