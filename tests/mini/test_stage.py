import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.mini.small import RECIPE
from zephyr.errors import UserError
from zephyr.mini import stage
from zephyr.mini.questions import CATEGORIES, OPENERS, ROLES, given
from zephyr.mini.world import World, read, sentences
from zephyr.recipe.schema import Habits

FILES = ("corpus", "corpus_eval", "instructions", "instructions_eval", "prompts", "prompts_eval", "heldout")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("world")
    stage.run(RECIPE, directory)
    return directory


@pytest.fixture(scope="module")
def rows(written: Path) -> dict[str, list[dict[str, Any]]]:
    return {name: [json.loads(line) for line in (written / f"{name}.jsonl").read_text().splitlines()] for name in FILES}


@pytest.fixture(scope="module")
def world(written: Path) -> World:
    return World.from_json(json.loads((written / "facts.json").read_text()))


def bytes_of(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_the_same_seed_gives_the_same_bytes(written: Path, tmp_path: Path) -> None:
    stage.run(RECIPE, tmp_path)
    assert bytes_of(tmp_path) == bytes_of(written)
    tokenizer = {"tokenizer/tokenizer.json", "tokenizer/tokenizer_config.json"}
    tasks = {f"tasks/world_facts.{end}" for end in ("jsonl", "yaml", "py")}
    rows = {f"{name}.jsonl" for name in FILES}
    assert set(bytes_of(written)) == {"facts.json", "cast.json"} | rows | tokenizer | tasks


def test_another_seed_gives_another_world(written: Path, tmp_path: Path) -> None:
    stage.run(replace(RECIPE, seed=2), tmp_path)
    assert all(bytes_of(tmp_path)[f"{name}.jsonl"] != bytes_of(written)[f"{name}.jsonl"] for name in FILES)


def test_the_counts_are_those_of_the_recipe(rows: dict) -> None:
    assert {name: len(rows[name]) for name in FILES} == {
        "corpus": 2400, "corpus_eval": 30, "instructions": 400, "instructions_eval": 30, "prompts": 150,
        "prompts_eval": 30, "heldout": 16,
    }  # fmt: skip
    assert Counter(row["category"] for row in rows["heldout"]) == dict.fromkeys(CATEGORIES, 2)
    assert len({row["id"] for row in rows["heldout"]}) == 16


def test_people_ask_some_things_twice_and_most_things_once(rows: dict) -> None:
    texts = [row["prompt"] for row in rows["instructions"]]
    assert 200 < len(set(texts)) < len(texts)


def test_the_judges_name_is_taken(tmp_path: Path) -> None:
    recipe = replace(RECIPE, world=replace(RECIPE.world, teachers={"judge": Habits()}))
    with pytest.raises(UserError, match="name of the world's judge"):
        stage.run(recipe, tmp_path)


def told_in_training(rows: dict) -> list[str]:
    """The corpus's questions with their answers, and everything that is asked and said to start from."""
    texts = [row["text"] for row in rows["corpus"] if not row["text"].startswith("About ")]
    texts += [row["prompt"] for row in rows["instructions"]]
    return texts + [each["content"] for row in rows["prompts"] for each in row["prompt"]]


def test_training_never_answers_with_a_fact_that_is_held_out(rows: dict, world: World) -> None:
    claims = [claim for text in told_in_training(rows) for each in sentences(text) if (claim := read(each))]
    inside = [claim for claim in claims if claim.key in world.facts]
    assert len(inside) > 500
    assert {world.split[claim.key] for claim in inside} == {"train"}


def test_no_held_out_question_is_asked_in_training(rows: dict, world: World) -> None:
    told = "\n".join(told_in_training(rows))
    turns = [turn["text"] for row in rows["heldout"] for turn in row["turns"] if turn["form"] != "doubt"]
    openers = [*filter(None, OPENERS), *map(given, ROLES)]
    asked = [next((text.removeprefix(each) for each in openers if text.startswith(each)), text) for text in turns]
    assert len(asked) > 16
    assert not [text for text in asked if text in told]


def normalised(text: str) -> str:
    return " ".join(text.lower().split())


def test_evaluation_prompts_are_not_trained_on(rows: dict) -> None:
    texts = {name: {normalised(row["text"]) for row in rows[name]} for name in ("corpus", "corpus_eval")}
    assert not texts["corpus"] & texts["corpus_eval"]
    instructions = {name: {row["prompt"] for row in rows[name]} for name in ("instructions", "instructions_eval")}
    assert not instructions["instructions"] & instructions["instructions_eval"]
    prompts = {name: {json.dumps(row["prompt"]) for row in rows[name]} for name in ("prompts", "prompts_eval")}
    assert not prompts["prompts"] & prompts["prompts_eval"]
    assert len(prompts["prompts"]) == len(rows["prompts"])


def test_a_world_too_small_for_the_rows_says_so(tmp_path: Path) -> None:
    recipe = replace(RECIPE, world=replace(RECIPE.world, heldout=8000))
    with pytest.raises(UserError, match=r"1000 different rows were asked for and only \d+ found"):
        stage.run(recipe, tmp_path)
