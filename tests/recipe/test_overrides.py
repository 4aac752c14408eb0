from dataclasses import field
from typing import Literal

import pytest

from zephyr.recipe import RECIPES, RecipeError, load
from zephyr.recipe.overrides import place
from zephyr.recipe.sections import Launch, section


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("train.beta=0.05", "train.beta", 0.05),
        ("--train.beta=0.05", "train.beta", 0.05),
        ("--beta=5e-2", "train.beta", 0.05),
        ("beta=1", "train.beta", 1.0),
        ("seed=7", "seed", 7),
        ("bf16=true", "train.bf16", True),
        ("name=a run", "name", "a run"),
        ('description="7"', "description", "7"),
        ("eval_steps=null", "train.eval_steps", None),
        ("data.train[0].rows=100", "data.train[0].rows", 100),
        ("data.train.0.rows=100", "data.train[0].rows", 100),
        ("data.train=[{path: org/x, rows: 5}]", "data.train[0].rows", 5),
        ("data.train[0].columns={prompt: question}", "data.train[0].columns.prompt", "question"),
        ("trl.neftune_noise_alpha=5", "trl.neftune_noise_alpha", 5),
    ],
)
def test_an_override_reaches_its_key(lab, override, key, value):
    from zephyr.recipe.loaded import leaves, plain
    from zephyr.recipe.problems import dotted

    loaded = load(lab / "dpo.yaml", [override])
    values = {dotted(parts): each for parts, each in leaves(plain(loaded.recipe))}
    assert values[key] == value
    assert type(values[key]) is type(value)
    assert str(loaded.origins[key]) == "override"
    assert loaded.origins[key].override == override
    assert loaded.overrides == (override,)


def test_a_part_of_a_dotted_name_is_enough(lab):
    text = (lab / "sft.yaml").read_text().replace("{model_name_or_path: org/base}", "{config: {model_type: mistral}}")
    (lab / "sft.yaml").write_text(text)
    recipe = load(lab / "sft.yaml", ["config.hidden_size=64", "tokenizer_name_or_path=org/x"]).recipe
    assert recipe.model.config == {"model_type": "mistral", "hidden_size": 64}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.betta=1", "override train.betta=1: train.betta: there is no such key; did you mean `train.beta`?"),
        ("--betta=0.05", "override --betta=0.05: betta: there is no such key; did you mean `train.beta`?"),
        ("train.beta=high", "override train.beta=high: train.beta: found `high`; a number is expected"),
        ("--beta", "override --beta: no value; write `--beta=VALUE`, without a space"),
        ("--torch_dtype=bfloat16", "override --torch_dtype=bfloat16: torch_dtype: write `model.dtype=bfloat16` "
                                   "(transformers renamed it)"),
        ("rows=5", "override rows=5: rows: belongs under `data.train[0]` or `data.eval[0]`"),
        ("data.train[3].rows=5", "override data.train[3].rows=5: `data.train` has 1 entry; "
                                 "write `data.train[0]...` for the first"),
        ("data.eval[0].rows=5", "override data.eval[0].rows=5: `data.eval` has 0 entries"),
        ("stage=sft", "override stage=sft: `stage` can't be overridden; it says which recipe this is"),
        ("name=[a", "override name=[a: name: `[a` is no YAML value; put it in quotes for text"),
        ("max_steps=5", "override max_steps=5: max_steps: write `train.num_train_epochs`; "
                        "a part of an epoch (0.1) is allowed"),
        ("zzz=5", "override zzz=5: zzz: there is no such key; at the top may stand `name`, `description`, "
                  "`output_dir`, `stage`, `seed`, `model`, `data`, `train`, `launch`, `adapter`, `trl` and `expect`"),
    ],
)  # fmt: skip
def test_an_override_that_fits_nothing(lab, override, message):
    with pytest.raises(RecipeError) as error:
        load(lab / "dpo.yaml", [override])
    assert str(error.value) == message


def test_a_short_name_of_several_keys_is_refused(monkeypatch):
    @section
    class TwoLaunches:
        stage: Literal["two"]
        here: Launch = field(default_factory=Launch)  # type: ignore[arg-type]
        there: Launch = field(default_factory=Launch)  # type: ignore[arg-type]

    monkeypatch.setitem(RECIPES, "two", TwoLaunches)
    with pytest.raises(RecipeError) as error:
        place("two", "processes", "--processes=8")
    assert str(error.value) == (
        "override --processes=8: `processes` may be `here.processes` or `there.processes`; write the whole name"
    )


def test_everywhere_reaches_every_recipe_that_has_the_key(lab):
    loaded = load(lab / "report.yaml", everywhere=["seed=5", "beta=0.5"])
    sft, dpo = (each.loaded for each in loaded.inputs)
    world = sft.inputs[0].loaded
    assert (sft.recipe.seed, dpo.recipe.seed, world.recipe.seed, dpo.recipe.train.beta) == (5, 5, 5, 0.5)
    assert loaded.overrides == ()
    assert sft.overrides == ("seed=5",)
    assert dpo.overrides == ("seed=5", "beta=0.5")


def test_a_recipes_own_override_goes_over_everywhere(lab):
    assert load(lab / "dpo.yaml", ["seed=1"], everywhere=["seed=5"]).recipe.seed == 1


def test_everywhere_that_no_recipe_has_is_refused(lab):
    with pytest.raises(
        RecipeError, match=r"override betta=1: betta: there is no such key; did you mean `train.beta`\?"
    ):
        load(lab / "dpo.yaml", everywhere=["betta=1"])


def test_a_dotted_key_of_a_studys_grid_is_offered_as_one_that_works(lab):
    study = lab / "study.yaml"
    study.write_text("stage: study\ntitle: t\nrecipe: dpo.yaml\ngrid: {beta: [0.1, 0.5]}\n")
    with pytest.raises(RecipeError) as error:
        load(study, ["grid.train.beta=[0.1, 0.2]"])
    offered = "grid={train.beta: [0.1, 0.2]}"
    assert f"write '{offered}', which stands for the whole `grid`" in str(error.value)
    assert "--everywhere" not in str(error.value)
    assert load(study, [offered]).recipe.grid == {"train.beta": [0.1, 0.2]}
    with pytest.raises(RecipeError) as error:
        load(study, ["grid.data.train[0].rows=[1, 2]"])
    offered = 'grid={"data.train[0].rows": [1, 2]}'
    assert f"write '{offered}'" in str(error.value)
    assert load(study, [offered]).recipe.grid == {"data.train[0].rows": [1, 2]}
