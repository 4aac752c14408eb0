"""The scripted models of a mini world over HTTP: the default run asks through the same client as a hosted model."""

from pathlib import Path

from tests.mini.small import RECIPE
from tests.teacher.asking import ask_all, call
from zephyr.mini.stage import run
from zephyr.recipe.teacher import LanguageModel
from zephyr.teacher.call import Answer


def test_a_worlds_models_are_served_and_asked(tmp_path: Path):
    world = tmp_path / "world"
    world.mkdir()
    run(RECIPE, world)
    name = next(iter(RECIPE.world.teachers))
    model = LanguageModel(model=name, world=str(world))
    text = "Write two sentences about Ana."
    found = [each for _, each in ask_all(model, [call(text, seed=n, temperature=1.0) for n in range(3)], tmp_path)]
    assert all(isinstance(each, Answer) and each.text for each in found), found
    again = ask_all(model, [call(text, seed=0, temperature=1.0)], tmp_path / "again", offline=True)
    assert next(again)[1].text == found[0].text
