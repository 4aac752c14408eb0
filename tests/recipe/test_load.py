import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.recipe.conftest import CHECKOUT
from tests.recipe.texts import DPO, SFT, changed

from zephyr.recipe import RecipeError, load
from zephyr.recipe.loaded import difference, leaves, plain
from zephyr.recipe.problems import dotted


def test_a_recipe_that_is_named_is_replaced_by_what_it_makes(lab, tmp_path):
    loaded = load("lab/dpo.yaml")
    outputs = tmp_path / "outputs/lab"
    assert loaded.file == lab / "dpo.yaml"
    assert loaded.run_dir == outputs / "dpo"
    assert loaded.recipe.model.model_name_or_path == str(outputs / "sft/model")
    assert loaded.recipe.data.train[0].path == str(outputs / "world/prompts.jsonl")
    assert loaded.recipe.data.train[0].name is None
    assert [(each.field, each.loaded.file.name, each.path) for each in loaded.inputs] == [
        ("model.model_name_or_path", "sft.yaml", outputs / "sft/model"),
        ("data.train[0].path", "world.yaml", outputs / "world/prompts.jsonl"),
    ]
    assert loaded.inputs[0].loaded.inputs[0].loaded is loaded.inputs[1].loaded


def test_what_each_key_means_by_a_recipe(write, tmp_path):
    write("sft.yaml", changed(SFT, ("org/base}", "org/base, tokenizer_name_or_path: world.yaml}")))
    path = write("eval.yaml", """\
stage: evaluate
seed: 1
models: {base: org/base, "dSFT 1.0": sft.yaml}
benchmarks: {world: {path: world.yaml}, leaderboard: {tasks: [world_facts], include: world.yaml}}
generation: {max_new_tokens: 8}
""")  # fmt: skip
    loaded = load(path)
    outputs = tmp_path / "outputs/lab"
    assert loaded.recipe.models == {"base": "org/base", "dSFT 1.0": str(outputs / "sft/model")}
    assert loaded.recipe.benchmarks.world.path == str(outputs / "world")
    assert loaded.recipe.benchmarks.leaderboard.include == str(outputs / "world/tasks")
    fields = [each.field for each in loaded.inputs]
    assert fields == ["models.dSFT 1.0", "benchmarks.world.path", "benchmarks.leaderboard.include"]
    sft = loaded.inputs[0].loaded.recipe
    assert sft.model.tokenizer_name_or_path == str(outputs / "world/tokenizer")
    assert load("lab/report.yaml").recipe.runs == [str(outputs / "sft"), str(outputs / "dpo")]


def test_only_a_world_makes_tasks_and_a_directory_of_them_stays_what_it_is(lab, write):
    head = "stage: evaluate\nseed: 1\nmodels: {base: org/base}\n"
    text = head + "benchmarks: {leaderboard: {tasks: [own], include: WHERE}}"
    with pytest.raises(RecipeError, match="a recipe of stage sft makes no tasks; those of `world` do"):
        load(write("eval.yaml", text.replace("WHERE", "sft.yaml")))
    (lab / "own").mkdir()
    loaded = load(write("eval.yaml", text.replace("WHERE", "own")))
    assert loaded.recipe.benchmarks.leaderboard.include == str(lab / "own")


def test_a_finished_run_can_be_named_by_its_directory(lab, write):
    from zephyr.recipe import resolved_yaml

    sft = load(lab / "sft.yaml")
    sft.run_dir.mkdir(parents=True)
    (sft.run_dir / "recipe.yaml").write_text(resolved_yaml(sft))
    by_directory = load(write("dpo2.yaml", changed(DPO, ("sft.yaml", "outputs/lab/sft"))))
    assert by_directory.inputs[0].path == sft.run_dir / "model"
    assert by_directory.run_id == load(lab / "dpo.yaml").run_id
    assert load(sft.run_dir).run_id == sft.run_id


def test_local_paths_are_relative_to_the_recipe_then_to_the_working_directory(write, tmp_path):
    (tmp_path / "here.jsonl").touch()
    write("both.jsonl", "")
    (tmp_path / "both.jsonl").touch()
    names = ("both.jsonl", "here.jsonl", "absent.jsonl", "./folder", "org/name")
    entries = "".join(f"    - path: {name}\n" for name in names)
    text = changed(SFT, ("    - path: world.yaml\n      name: instructions\n", entries))
    paths = [source.path for source in load(write("sft.yaml", text)).recipe.data.train]
    assert paths == [
        str(tmp_path / "lab/both.jsonl"), str(tmp_path / "here.jsonl"), str(tmp_path / "lab/absent.jsonl"),
        str(tmp_path / "lab/folder"), "org/name",
    ]  # fmt: skip
    typed = load("lab/sft.yaml", ["data.train=[{path: both.jsonl}]"]).recipe.data.train[0].path
    assert typed == str(tmp_path / "both.jsonl")


def test_where_runs_live(lab, tmp_path, monkeypatch):
    assert load("lab/sft.yaml").run_dir == tmp_path / "outputs/lab/sft"
    monkeypatch.setenv("ZEPHYR_OUTPUTS", str(tmp_path / "scratch"))
    assert load("lab/sft.yaml").run_dir == tmp_path / "scratch/lab/sft"
    assert load("lab/sft.yaml", outputs=tmp_path / "o").run_dir == tmp_path / "o/lab/sft"
    assert load("lab/sft.yaml", ["output_dir=mine"]).run_dir == tmp_path / "mine"


def test_recipes_in_nested_folders_of_two_families_do_not_share_a_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("ZEPHYR_OUTPUTS", str(tmp_path / "o"))
    for name in ("recipes/a/qlora/sft.yaml", "recipes/b/qlora/sft.yaml", "recipes/sft.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("stage: report\ntitle: all\nruns: [elsewhere]\n")
    found = [load(tmp_path / f"recipes/{each}.yaml").run_dir for each in ("a/qlora/sft", "b/qlora/sft", "sft")]
    assert found == [tmp_path / "o" / each for each in ("a/qlora/sft", "b/qlora/sft", "recipes/sft")]


def test_two_recipes_that_would_write_to_one_directory_are_refused(write):
    write("other/lab/sft.yaml", changed(SFT, ("world.yaml", "../../world.yaml"), ("seed: 1", "seed: 2")))
    with pytest.raises(
        RecipeError, match=r"would write to outputs/lab/sft, and so would lab/sft.yaml; give one of them"
    ):
        load(write("report2.yaml", "stage: report\ntitle: x\nruns: [sft.yaml, other/lab/sft.yaml]\n"))


def test_circles_are_refused_with_the_chain(write):
    write("sft.yaml", changed(SFT, ("org/base", "dpo.yaml")))
    with pytest.raises(RecipeError) as error:
        load("lab/dpo.yaml")
    assert str(error.value) == (
        "lab/sft.yaml:3: model.model_name_or_path: these recipes need each other in a circle: "
        "lab/dpo.yaml -> lab/sft.yaml -> lab/dpo.yaml"
    )


def test_every_value_has_an_origin(lab):
    loaded = load("lab/dpo.yaml", ["beta=0.2"])
    keys = [dotted(parts) for parts, _ in leaves(plain(loaded.recipe))]
    assert sorted(loaded.origins) == sorted(keys)
    assert str(loaded.origins["train.learning_rate"]) == "dpo.yaml:11"
    assert str(loaded.origins["model.model_name_or_path"]) == "dpo.yaml:3"


SAME = [
    ("a comment", "seed: 1", "# why\nseed:   1"),
    ("order", "stage: dpo\nseed: 1\n", "seed: 1\nstage: dpo\n"),
    ("hardware", "{micro_batch_size: 8}", "{micro_batch_size: 4, processes: 2, eval_micro_batch_size: 1}"),
    ("its name", "seed: 1", "seed: 1\nname: x\ndescription: y\noutput_dir: z"),
    ("logging", "  beta: 0.1", "  beta: 0.1\n  logging_steps: 1\n  save_steps: 100"),
    ("a default written out", "  beta: 0.1", "  beta: 0.1\n  loss_type: sigmoid\n  weight_decay: 0"),
    ("the way a number is written", "5e-7", "0.0000005"),
]


@pytest.mark.parametrize(("what", "old", "new"), SAME, ids=[what for what, _, _ in SAME])
def test_the_same_work_has_the_same_identity(write, what, old, new):
    before = load("lab/dpo.yaml")
    after = load(write("dpo2.yaml", changed(DPO, (old, new))))
    assert after.run_id == before.run_id


@pytest.mark.parametrize(
    ("recipe", "tolerance"),
    [
        ("feedback", "max_set_aside_share=0.9"),
        ("feedback", "max_unusable_share=0.9"),
        ("dialogues", "dialogues.max_set_aside_share=0.9"),
        ("binarize", "data.max_unusable_share=0.9"),
    ],
)
def test_how_many_rows_may_fail_is_no_science(recipe, tolerance):
    file = CHECKOUT / f"recipes/mini/{recipe}.yaml"
    assert load(file, [tolerance]).run_id == load(file).run_id != load(file, ["seed=99"]).run_id


def test_the_identity_does_not_depend_on_the_place(lab, tmp_path, monkeypatch):
    before = load("lab/report.yaml", everywhere=["seed=2"], outputs=tmp_path / "a").run_id
    shutil.copytree(lab, tmp_path / "elsewhere/my_lab")
    monkeypatch.chdir("/")
    after = load(tmp_path / "elsewhere/my_lab/report.yaml", everywhere=["seed=2"], outputs=tmp_path / "b").run_id
    assert after == before
    assert len(after) == 16
    assert set(after) <= set("0123456789abcdef")


OTHER = [
    ("seed: 1", "seed: 2"), ("5e-7", "6e-7"), ("beta: 0.1", "beta: 0.2"), ("max_length: 256", "max_length: 255"),
    ("name: prompts", "name: instructions"), ("name: prompts", "name: prompts\n      rows: 9"), ("sft.yaml", "org/x"),
    ("  beta: 0.1", "  beta: 0.1\n  optim: rmsprop"), ("launch:", "trl: {neftune_noise_alpha: 5}\nlaunch:"),
    ("  max_length: 256", "  max_length: 256\n  empty_system_turn: false"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new"), OTHER)
def test_other_work_has_another_identity(write, old, new):
    before = load("lab/dpo.yaml")
    assert load(write("dpo2.yaml", changed(DPO, (old, new)))).run_id != before.run_id


def test_other_inputs_make_other_work(write):
    before = load("lab/dpo.yaml").run_id
    write("sft.yaml", changed(SFT, ("2e-5", "3e-5")))
    assert load("lab/dpo.yaml").run_id != before


def test_difference(write, lab):
    write("sft2.yaml", changed(SFT, ("2e-5", "3e-5")))
    path = write("dpo2.yaml", changed(DPO, ("beta: 0.1", "beta: 0.2\n  optim: rmsprop"), ("sft.yaml", "sft2.yaml")))
    assert sorted(difference(load("lab/dpo.yaml"), load(path))) == [
        ("model.model_name_or_path", str(lab / "sft.yaml"), str(lab / "sft2.yaml")),
        ("train.beta", 0.1, 0.2),
        ("train.optim", "adamw_torch", "rmsprop"),
    ]
    assert difference(load("lab/dpo.yaml"), load("lab/dpo.yaml", ["name=x"])) == []
    against_sft = {key: (a, b) for key, a, b in difference(load("lab/dpo.yaml"), load("lab/sft.yaml"))}
    assert against_sft["train.beta"] == (0.1, None)
    assert against_sft["data.packing"] == (None, "wrapped")
    assert against_sft["stage"] == ("dpo", "sft")


def test_nothing_heavy_is_imported():
    heavy = "{'torch', 'transformers', 'datasets', 'numpy', 'rich', 'trl'}"
    code = f"import sys; from zephyr.recipe import load; load(sys.argv[1]); assert not {heavy} & set(sys.modules)"
    recipe = Path(__file__).parents[2] / "recipes/mini/world.yaml"
    subprocess.run([sys.executable, "-c", code, str(recipe)], check=True)
