from pathlib import Path

import jsonschema
import pytest
from tests.recipe.texts import DPO, REPORT, SFT, changed

from zephyr.recipe.json_schema import schema
from zephyr.recipe.reader import read
from zephyr.recipe.shipped import recipe_files

RECIPES = recipe_files(Path(__file__).parents[2] / "recipes")


@pytest.fixture(scope="module")
def validator():
    jsonschema.Draft7Validator.check_schema(schema())
    return jsonschema.Draft7Validator(schema())


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_every_shipped_recipe_is_right(validator, file):
    assert [error.message for error in validator.iter_errors(read(file).data)] == []


GOOD = [
    SFT, DPO, REPORT, "extends: sft.yaml\n", "extends: sft.yaml\ntrain: {learning_rate: 1}\n",
    "stage: dpo\nextends: dpo.yaml\ntrain: {beta: 1}\nlaunch: {processes: 8}\n",
    "extends: sft.yaml\nmodel: {model_name_or_path: null, config: {model_type: x}}\n",
]  # fmt: skip
BAD = [
    (changed(SFT, ("learning_rate", "learning_rat")), "'learning_rat' was unexpected"),
    (changed(SFT, ("  learning_rate: 2e-5\n", "")), "'learning_rate' is a required property"),
    (changed(SFT, ("name: instructions", "nam: dialogues")), "'nam' was unexpected"),
    (changed(SFT, ("cosine", "cosin")), "'cosin' is not one of"),
    (changed(SFT, ("max_length: 256", 'max_length: "256"')), "'256' is not of type 'integer'"),
    (changed(SFT, ("stage: sft", "stage: sfft")), "'sfft' is not one of"),
    (changed(SFT, ("stage: sft\n", "")), "is not valid under any of the given schemas"),
    (changed(SFT, ("seed: 1", "seed: 1\nbeta: 1")), "'beta' was unexpected"),
    ("stage: sft\nextends: dpo.yaml\ntrain: {beta: 1}\n", "'beta' was unexpected"),
    ("extends: dpo.yaml\ntrain: {betta: 1}\n", "is not valid under any of the given schemas"),
    ("stage: dpo\nextends: dpo.yaml\ndata: {train: [{split: x}]}\n", "'path' is a required property"),
]


def errors_of(validator, tmp_path, text):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    return [error.message for error in validator.iter_errors(read(path).data)]


@pytest.mark.parametrize("text", GOOD)
def test_good(validator, tmp_path, text):
    assert errors_of(validator, tmp_path, text) == []


@pytest.mark.parametrize(("text", "message"), BAD, ids=[message for _, message in BAD])
def test_bad(validator, tmp_path, text, message):
    assert any(message in error for error in errors_of(validator, tmp_path, text))


def test_an_editor_has_one_thing_to_say_about_one_mistake(validator, tmp_path):
    errors = errors_of(validator, tmp_path, changed(DPO, ("beta: 0.1", "beta: high")))
    assert errors == ["'high' is not of type 'number'"]


def test_every_key_is_documented():
    undocumented = [
        f"{name}.{key}"
        for name, definition in schema()["$defs"].items()
        for key, value in definition["properties"].items()
        if "description" not in value and key != "stage" and "$ref" not in value
    ]
    assert undocumented == []
