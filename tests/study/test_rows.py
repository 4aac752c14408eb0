"""Rows, grids and keys of a study's file, and what is said of mistakes in it."""

from pathlib import Path

import pytest

from zephyr.recipe import RecipeError, load, resolved_yaml
from zephyr.recipe.shipped import shipped_recipes
from zephyr.study import figures_known
from zephyr.study.expand import Study, expand

STUDY = """\
stage: study
title: Tiny
recipe: dpo.yaml
"""


def expanded(folder: Path, text: str, *overrides: str) -> Study:
    """The study of a text, beside the tiny recipes."""
    file = folder / "study.yaml"
    file.write_text(STUDY + text)
    return expand(load(file, overrides, outputs=folder / "outputs"), outputs=folder / "outputs")


def refusal(folder: Path, text: str) -> str:
    """What is said of a study that has a mistake."""
    with pytest.raises(RecipeError) as found:
        expanded(folder, text)
    return str(found.value).replace(f"{folder}/", "")


def test_every_combination_of_the_grid_is_a_row_after_the_named_ones(tiny: Path) -> None:
    study = expanded(tiny, "rows: {dSFT: {recipe: sft.yaml}}\ngrid: {beta: [0.1, 0.5], sft.seed: [1, 2]}\n"
                     "labels: {sft.seed: data order}\n")  # fmt: skip
    assert [row.name for row in study.rows] == [
        "dSFT", "beta 0.1, data order 1", "beta 0.1, data order 2", "beta 0.5, data order 1", "beta 0.5, data order 2",
    ]  # fmt: skip
    assert study.rows[3].wanted.point == (("beta", 0.5), ("data order", 1))
    assert study.compare_with == "dSFT"


def test_excluded_combinations_are_left_out(tiny: Path) -> None:
    study = expanded(tiny, "grid: {beta: [0.1, 0.5], loss_type: [sigmoid, ipo]}\n"
                     "exclude: [{beta: 0.5, loss_type: ipo}]\n")  # fmt: skip
    assert [row.name for row in study.rows] == [
        "beta 0.1, loss_type sigmoid", "beta 0.1, loss_type ipo", "beta 0.5, loss_type sigmoid",
    ]  # fmt: skip


def test_equal_work_is_one_run_and_what_differs_has_a_directory_of_its_own(tiny: Path) -> None:
    study = expanded(tiny, "grid: {beta: [0.1, 0.5]}\n")
    names = [work.loaded.run_dir.name for work in study.works]
    plain, varied = (row.cells[0].model for row in study.rows)
    assert plain and varied
    assert names == ["cpt", "sft", "dpo", f"dpo-{varied.run_id[:8]}"]
    assert plain.run_id == load(tiny / "dpo.yaml").run_id  # beta 0.1 is what the file says
    assert study.works[1].wanted_by == (("beta 0.1", None), ("beta 0.5", None))
    assert study.works[3].needs == (study.works[1].loaded.run_dir,)


def test_what_a_key_changes_below_reaches_what_is_made_from_it(tiny: Path) -> None:
    study = expanded(tiny, "grid: {sft.num_train_epochs: [2, 3]}\n")
    assert [len({work.loaded.run_id for work in study.works if work.loaded.file.stem == stem})
            for stem in ("cpt", "sft", "dpo")] == [1, 2, 2]  # fmt: skip


def test_kept_recipes_are_not_changed_with_all_they_are_made_from(tiny: Path) -> None:
    (tiny / "more.yaml").write_text("extends: sft.yaml\nmodel: {model_name_or_path: sft.yaml}\n")
    text = "rows: {a: {recipe: more.yaml, set: {sft.num_train_epochs: 3}}}\n"
    assert [len(expanded(tiny, text + keep).works) for keep in ("", "keep: [cpt.yaml]\n")] == [3, 3]
    said = refusal(tiny, text + "keep: [sft.yaml]\n")
    assert "sets `train.num_train_epochs` of" in said and "not made from, or which `keep` keeps" in said


def test_seeds_reach_every_recipe_and_rows_share_what_is_equal(tiny: Path) -> None:
    study = expanded(tiny, "seeds: [1, 2]\nrows: {dSFT: {recipe: sft.yaml}, dSFT + dDPO: {}}\n")
    assert [cell.seed for cell in study.rows[0].cells] == [1, 2]
    assert len(study.works) == 6
    assert {work.loaded.recipe.seed for work in study.works} == {1, 2}  # type: ignore[union-attr]


def test_no_epochs_is_the_model_that_training_starts_from(tiny: Path) -> None:
    study = expanded(tiny, "grid: {num_train_epochs: [0, 2]}\n")
    made = study.rows[0].cells[0].model
    assert made and made.file.stem == "sft" and made.run_dir.name == "sft"
    assert [work.loaded.run_dir.name for work in study.works] == ["cpt", "sft", "dpo"]


def test_values_may_name_recipes_from_the_study_s_folder(tiny: Path) -> None:
    folder = tiny / "studies"
    folder.mkdir()
    file = folder / "study.yaml"
    rows = "rows:\n  straight: {recipe: ../dpo.yaml, set: {model.model_name_or_path: ../cpt.yaml}}\n"
    file.write_text(f"stage: study\ntitle: t\n{rows}")
    study = expand(load(file, outputs=tiny / "o"), outputs=tiny / "o")
    assert [work.loaded.file.stem for work in study.works] == ["cpt", "dpo"]


def test_the_recipe_s_directory_is_left_to_another_run_that_is_there(tiny: Path) -> None:
    taken = load(tiny / "dpo.yaml", ["beta=0.7"], outputs=tiny / "outputs")
    taken.run_dir.mkdir(parents=True)
    (taken.run_dir / "recipe.yaml").write_text(resolved_yaml(taken))
    study = expanded(tiny, "grid: {beta: [0.1, 0.7]}\n")
    plain, there = (row.cells[0].model for row in study.rows)
    assert plain and plain.run_dir.name == f"dpo-{plain.run_id[:8]}"
    assert there and there.run_dir == taken.run_dir


MISTAKES = [
    ("grid: {trian.beta: [1, 2]}\n", "study.yaml:4: `trian.beta` is no key of"),
    ("grid: {trian.beta: [1, 2]}\n", "did you mean `train.beta`"),
    ("grid: {sft.train.learing_rate: [1, 2]}\n", "did you mean `sft.train.learning_rate`"),
    ("grid: {sfft.train.learning_rate: [1, 2]}\n", "did you mean `sft.train.learning_rate`"),
    ("grid: {betta: [0.1]}\n", "did you mean `train.beta`"),
    ("grid: {beta: []}\n", "grid.beta: a list of values that differ is expected"),
    ("grid: {beta: [0.1, 0.1]}\n", "grid.beta: found `0.1` twice; a list of values that differ is expected"),
    ("grid: {beta: [1, 1.0]}\n", "grid.beta: found `1` twice"),
    ("grid: {beta: [0.1, 0.10000001]}\n", "two rows would be called `beta 0.1`; write values that a table tells apart"),
    ("rows: {beta 0.1: {}}\ngrid: {beta: [0.1, 0.2]}\n", "two rows would be called `beta 0.1`; rename the named one"),
    (
        "grid: {beta: [0.1], loss_type: [sigmoid]}\nlabels: {beta: x, loss_type: x}\n",
        "study.yaml:5: labels.loss_type: `beta` and `loss_type` would both be called `x`",
    ),
    (
        "grid: {beta: [0.1], loss_type: [sigmoid]}\nlabels: {beta: loss_type}\n",
        "study.yaml:5: labels.beta: `beta` and `loss_type` would both be called `loss_type`",
    ),
    ("rows: {a: {}}\nkeep: [other.yaml]\n", "study.yaml:5: keep[0]: no row is made from other.yaml"),
    (
        "rows:\n  a: {}\n  third: {set: {data.max_length: 2}}\n",
        "(row `third`, study.yaml:6)",
    ),
    ("grid:\n  adapter.r: [2, 4]\n", "(rows `adapter.r 2` and `adapter.r 4`, study.yaml:5)"),
    ("grid:\n  adapter.r: [2, 4, 8, 16]\n", "(rows `adapter.r 2`, `adapter.r 4` and 2 more, study.yaml:5)"),
    (
        "rows: {a: {set: {train: {beta: 0.3}}}}\n",
        "study.yaml:4: train: would replace the whole section `train` of dpo.yaml; write `train.beta: 0.3`",
    ),
    ("grid: {beta: [0.1]}\nexclude: [{beta: 0.1}]\n", "study.yaml:5: exclude: leaves no row of the grid"),
    ("grid: {beta: [0.1, -1]}\n", "study.yaml:4: train.beta: found `-1`; a number above 0 is expected"),
    ("grid: {beta: [0.1]}\nexclude: [{beta: 0.2}]\n", "not among the axis's `0.1`"),
    ("grid: {beta: [0.1]}\nlabels: {bta: b}\n", "labels.bta: no axis of the grid, whose axes are `beta`"),
    ("grid: {beta: [0.1]}\ncompare_with: dSFT\n", "compare_with: found `dSFT`; one of the rows is expected"),
    ("rows: {a: {recipe: sfft.yaml}}\n", "there is no recipe `sfft.yaml`"),
    ("rows: {a: {recipe: sft.yaml, set: {dpo.beta: 1}}}\n", "`dpo.beta` is no key of"),
    ("rows: {a: {model: x/y, set: {beta: 1}}}\n", "keep `model`, or `recipe` and `set`"),
    ("rows: {a: {model: x/y}}\n", "study.yaml:4: a: a model that is there already has no figures without `evaluate`"),
    ("", "no row: write `rows`, or `recipe` and `grid`"),
    ("seeds: [1, 1]\nrows: {a: {}}\n", "a seed stands there twice"),
    ("grid: {beta: [0.1], train.beta: [0.3]}\n", "`beta` and `train.beta` are the same key of"),
    (
        "rows: {a: {set: {sft.train.num_train_epochs: 2, sft.num_train_epochs: 3}}}\n",
        "are the same key of",
    ),
    ("seeds: [1, 2]\ngrid: {seed: [1, 2]}\n", "seed: `seeds` gives every recipe its seed"),
    ("seeds: [1, 2]\ngrid: {sft.seed: [1, 2]}\n", "sft.seed: `seeds` gives every recipe its seed"),
    ("rows: {a: {}}\ncurves: [rewards/acc]\n", "study.yaml:5: curves[0]: no training logs `rewards/acc`; did you mean"),
    ("rows: {a: {}}\ncolumns: [world/score]\n", "no run measures `world`: the study's `evaluate` is not there"),
    ("rows: {a: {}}\ncolumns: [eval_los]\n", "columns[0]: no run has `eval_los`"),
    ("evaluate: sft.yaml\nrows: {a: {}}\n", "found a recipe of stage sft; one of stage evaluate is expected"),
]


@pytest.mark.parametrize(("text", "said"), MISTAKES)
def test_a_mistake_is_refused_with_place_and_way_out(tiny: Path, text: str, said: str) -> None:
    (tiny / "other.yaml").write_text("extends: sft.yaml\n")
    assert said in refusal(tiny, text)


@pytest.mark.parametrize(
    "text",
    [
        "grid: {beta: [0.1, 0.1]}\n",
        "grid: {beta: [0.1], loss_type: [ipo, ipo]}\n",
        "evaluate: dpo.yaml\nrows: {a: {}}\n",
    ],
)
def test_a_mistake_is_said_once_and_alone(tiny: Path, text: str) -> None:
    assert len(refusal(tiny, text).splitlines()) == 1


def test_a_section_that_may_be_absent_is_set_whole(tiny: Path) -> None:
    study = expanded(tiny, "rows: {LoRA: {set: {adapter: {r: 2, lora_alpha: 4}}}}\n")
    adapter = study.works[-1].loaded.recipe.adapter  # type: ignore[union-attr]
    assert adapter is not None and (adapter.r, adapter.lora_alpha) == (2, 4)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ("world/scor", "`world` has no figure `scor`; did you mean `world/score`"),
        ("wrld/score", "no run has `wrld/score`: the study's `evaluate` measures `world`; did you mean `world/score`"),
        ("mt_bench/score", "no run measures `mt_bench`: the study's `evaluate` measures `world`"),
        ("world/interval", "`world` has no figure `interval`"),
    ],
)
def test_a_column_that_no_run_can_have_is_refused(tmp_path: Path, columns: str, said: str) -> None:
    with pytest.raises(RecipeError) as found:
        expand(load(shipped_recipes() / "mini/studies/table-3.yaml", [f"columns=[{columns}]"]), outputs=tmp_path)
    assert said in str(found.value)


def test_every_figure_that_training_reports_or_a_table_compares_is_known() -> None:
    from zephyr.study.report.compare import EARNED
    from zephyr.train import loop, meter

    assert figures_known.REPORTED == loop.REPORTED
    assert {f"time/{each}" for each in meter.KINDS} < set(figures_known.OF_TRAINING)
    for benchmark, path in EARNED:
        assert "/".join(path) in (*figures_known.FIGURES[benchmark], *figures_known.OF_ANY_BENCHMARK)


def test_a_study_means_the_same_read_from_its_own_directory(tiny: Path) -> None:
    (tiny / "studies").mkdir()
    file = tiny / "studies" / "study.yaml"
    rows = "  straight: {recipe: ../dpo.yaml, set: {model.model_name_or_path: ../cpt.yaml}}\n"
    grid = "recipe: ../dpo.yaml\ngrid: {model.model_name_or_path: [../sft.yaml, ../cpt.yaml]}\n"
    file.write_text(f"stage: study\ntitle: t\nrows:\n{rows}{grid}")
    loaded = load(file, outputs=tiny / "o")
    loaded.run_dir.mkdir(parents=True)
    (loaded.run_dir / "recipe.yaml").write_text(resolved_yaml(loaded))
    again = expand(load(loaded.run_dir, outputs=tiny / "o"), outputs=tiny / "o")
    assert [each.loaded.run_dir for each in again.works] == [
        each.loaded.run_dir for each in expand(loaded, outputs=tiny / "o").works
    ]
    assert again.loaded.run_dir == loaded.run_dir


def test_a_model_that_is_there_is_found_from_the_study_s_folder(tiny: Path) -> None:
    (tiny / "mymodel").mkdir()
    (tiny / "evaluate.yaml").write_text(
        "stage: evaluate\nseed: 1\nmodels: {x: sft.yaml}\nbenchmarks: {leaderboard: {}}\n"
    )
    for name in ("mymodel", "./mymodel", str(tiny / "mymodel")):
        study = expanded(tiny, f"evaluate: evaluate.yaml\nrows: {{a: {{model: {name}}}}}\n")
        assert study.works[0].loaded.recipe.models == {"model": str(tiny / "mymodel")}  # type: ignore[union-attr]
    said = refusal(tiny, "evaluate: evaluate.yaml\nrows: {a: {model: ./nomodel}}\n")
    assert "there is no directory `./nomodel`; one with a model is expected, or a Hub id" in said
