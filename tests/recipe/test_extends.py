import pytest
from tests.recipe.texts import DPO, changed

from zephyr.recipe import RecipeError, load


def test_mappings_merge_lists_are_replaced_and_origins_survive(write):
    write("base/dpo.yaml", changed(DPO, ("sft.yaml", "../sft.yaml"), ("path: world.yaml", "path: ../world.yaml")))
    write("middle.yaml", "extends: base/dpo.yaml\ntrain: {beta: 0.5, optim: rmsprop}\n")
    path = write("dpo2.yaml", "# mine\nextends: middle.yaml\n\ntrain:\n  beta: 0.7\ndata:\n  train: [{path: org/x}]\n")
    loaded = load(path)
    assert loaded.recipe.train.beta == 0.7
    assert loaded.recipe.train.optim == "rmsprop"
    assert loaded.recipe.train.learning_rate == 5e-7
    assert [source.path for source in loaded.recipe.data.train] == ["org/x"]
    assert loaded.recipe.data.train[0].name is None
    origins = loaded.origins
    assert str(origins["train.beta"]) == "dpo2.yaml:5"
    assert str(origins["train.optim"]) == "middle.yaml:2"
    assert str(origins["train.learning_rate"]) == "dpo.yaml:11"
    assert str(origins["data.train[0].path"]) == "dpo2.yaml:7"
    assert str(origins["data.train[0].name"]) == "default"
    assert str(origins["train.weight_decay"]) == "default"
    assert [file.name for file in loaded.files] == ["dpo2.yaml", "middle.yaml", "dpo.yaml"]
    assert loaded.run_dir.parts[-3:] == ("outputs", "lab", "dpo2")


def test_a_reference_is_relative_to_the_file_that_says_it(write, lab):
    write("base/dpo.yaml", changed(DPO, ("sft.yaml", "../sft.yaml"), ("path: world.yaml", "path: ../world.yaml")))
    loaded = load(write("far/away/dpo2.yaml", "extends: ../../base/dpo.yaml\n"))
    assert loaded.inputs[0].loaded.file == lab / "sft.yaml"


def test_null_takes_a_key_of_the_base_away(write):
    text = "extends: sft.yaml\nmodel:\n  model_name_or_path: null\n  config: {model_type: mistral}\n"
    recipe = load(write("a.yaml", text + "  tokenizer_name_or_path: org/x\n")).recipe
    assert recipe.model.model_name_or_path is None
    assert recipe.model.config == {"model_type": "mistral"}


def test_mistakes_are_named_with_the_file_that_makes_them(write):
    write("base.yaml", changed(DPO, ("  beta: 0.1", "  betta: 0.1")))
    path = write("a.yaml", "extends: base.yaml\ntrain:\n  learning_rat: 1e-6\n")
    with pytest.raises(RecipeError) as error:
        load(path)
    assert str(error.value).splitlines() == [
        "lab/a.yaml:3: train.learning_rat: there is no such key; did you mean `learning_rate`?",
        "lab/base.yaml:15: train.betta: there is no such key; did you mean `beta`?",
    ]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.yaml": "extends: b.yaml\n", "b.yaml": "extends: c.yaml\n", "c.yaml": "extends: b.yaml\n"},
         "lab/c.yaml:1: extends: these recipes extend each other in a circle: lab/b.yaml -> lab/c.yaml -> lab/b.yaml"),
        ({"a.yaml": "extends: a.yaml\n"},
         "lab/a.yaml:1: extends: these recipes extend each other in a circle: lab/a.yaml -> lab/a.yaml"),
        ({"a.yaml": "\nextends: stf.yaml\n"},
         "lab/a.yaml:2: extends: there is no `stf.yaml` in lab; "
         "there are a.yaml, dpo.yaml, report.yaml, sft.yaml, world.yaml"),
        ({"a.yaml": "extends: [sft.yaml]\n"},
         "lab/a.yaml:1: extends: found `['sft.yaml']`; one path of a recipe is expected, relative to this file"),
    ],
)  # fmt: skip
def test_extends_that_leads_nowhere(write, files, message):
    for name, text in files.items():
        path = write(name, text)
    with pytest.raises(RecipeError) as error:
        load(path.with_name("a.yaml"))
    assert str(error.value) == message
