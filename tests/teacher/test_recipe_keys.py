"""What a recipe may say about models that are asked, and what of it identifies a run."""

from pathlib import Path

import pytest

from zephyr.recipe import load
from zephyr.recipe.problems import RecipeError

RECIPE = """\
stage: dialogues
seed: 1
teacher: {{model: some-model{teacher}}}
sampling: {{temperature: 0.7, max_tokens: 100}}
dialogues: {{seeds: [{{path: seeds.jsonl}}], count: 5, turns: [1]}}
budget: {{{budget}}}
"""
AT = ", base_url: http://localhost:8000/v1"


def recipe(folder: Path, teacher: str, budget: str = "") -> Path:
    (folder / "seeds.jsonl").write_text('{"prompt": "hello"}\n')
    file = folder / "dialogues.yaml"
    file.write_text(RECIPE.format(teacher=teacher, budget=budget))
    return file


@pytest.mark.parametrize(
    ("teacher", "budget", "said"),
    [
        (AT + ", world: w", "", "behind an endpoint or of a mini world"),
        (", base_url: localhost:8000", "", "http://localhost:8000/v1"),
        (", base_url: 'https://me:secret@host/v1'", "", "without user, password or query"),
        (", base_url: https://host/v1/chat/completions", "", "write `https://host/v1`"),
        (", api_key_env: SOME_KEY", "", "only an endpoint takes a key"),
        (AT + ", price_per_million_input_tokens: 1", "", "`price_per_million_output_tokens` is missing"),
        (AT, "max_cost: 5", "without the prices of `teacher`"),
        (AT + ", extra_body: {n: 4}", "", "can't be set"),
        (", extra_body: {top_k: 4}", "", "nothing is sent to a model that runs in this process"),
    ],
)
def test_keys_that_do_not_fit_each_other_are_refused(tmp_path: Path, teacher: str, budget: str, said: str):
    with pytest.raises(RecipeError, match=said) as error:
        load(recipe(tmp_path, teacher, budget))
    assert "dialogues.yaml:" in str(error.value)
    assert "secret" not in str(error.value)


def test_a_key_written_where_its_variable_belongs_is_not_repeated(tmp_path: Path):
    key = "sk-proj-abcdefghijklmnop1234567890"
    with pytest.raises(RecipeError, match="name of an environment variable is expected") as error:
        load(recipe(tmp_path, f"{AT}, api_key_env: {key}"))
    assert key not in str(error.value)


def test_prices_of_nothing_allow_a_budget(tmp_path: Path):
    free = AT + ", price_per_million_input_tokens: 0, price_per_million_output_tokens: 0"
    assert load(recipe(tmp_path, free, "max_cost: 5")).recipe.budget.max_cost == 5


def run_id(folder: Path, teacher: str, budget: str = "") -> str:
    return load(recipe(folder, teacher, budget)).run_id


def test_how_and_when_a_model_is_asked_is_no_science(tmp_path: Path):
    plain = run_id(tmp_path, AT)
    for same in (", max_concurrency: 3", ", timeout_s: 5", ", api_key_env: A_KEY", ", max_attempts: 2",
                 ", requests_per_minute: 5"):  # fmt: skip
        assert run_id(tmp_path, AT + same) == plain
    assert run_id(tmp_path, AT, "max_requests: 7") == plain
    assert run_id(tmp_path, AT + ", extra_body: {top_k: 5}") != plain
    assert run_id(tmp_path, ", base_url: http://localhost:8001/v1") != plain


def test_where_a_model_is_served_is_science_unless_its_revision_says_which_it_is(tmp_path: Path):
    ids = [run_id(tmp_path, f", revision: abc, base_url: http://localhost:{port}/v1") for port in (8000, 8001)]
    assert ids[0] == ids[1] != run_id(tmp_path, AT)


def test_the_name_that_an_endpoint_knows_is_no_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "some-model").mkdir()
    monkeypatch.chdir(tmp_path)
    file = recipe(tmp_path, AT)
    assert load(file).recipe.teacher.model == "some-model"
    assert load(recipe(tmp_path, "")).recipe.teacher.model == str(tmp_path / "some-model")
