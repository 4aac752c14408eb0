"""Ours beside the paper's: which rows are found, what is inside the tolerance, what is not compared."""

import json

import pytest
from tests.report.conftest import write_run

from zephyr.report.against import paper_tables, published_score, scores_against_paper, tolerance, training_against_card
from zephyr.report.paper import published
from zephyr.report.read import read_run
from zephyr.report.stage import report_directory


def score(value, judge="gpt-4", **other):
    return {"score": value, "interval": [value - 0.6, value + 0.6], "n": 160, "n_failed": 2, "judge": judge, **other}


@pytest.fixture
def evaluated(tmp_path):
    scores = {
        "zephyr-7b-beta": {
            "mt_bench": score(7.13),
            "alpaca_eval": score(88.0, "alpaca_eval_gpt4", standard_error=1.1, length=1400.0),
            "mmlu": score(60.2),
        },
        "dSFT": {"mt_bench": score(6.2)},
        "by another": {"mt_bench": score(9.0)},
        "dSFT-2": {"mt_bench": score(6.2, "llama-3-70b")},
    }
    recipe = {"stage": "evaluate", "seed": 1, "models": {name: name for name in scores}}
    return write_run(tmp_path / "evaluate", recipe, numbers={}, scores=scores, comparisons=[], warnings=[])


def rows(table):
    return {row[0].text: [cell.text for cell in row[1:]] for row in table.rows}


def test_ours_paper_difference_and_tolerance(evaluated):
    found = rows(scores_against_paper(read_run(evaluated), "mt_bench"))
    assert found["zephyr-7b-beta (Zephyr 7B)"] == [
        "7.13", "6.53 to 7.73", "160", "2", "7.34", "−0.21", "yes (±0.30)"
    ]  # fmt: skip
    assert found["dSFT (dSFT-1)"][4:] == ["6.64", "−0.44", "no (±0.30)"]
    assert found["dSFT-2 (dSFT-2)"][-1] == "not compared: judged by llama-3-70b, the paper by gpt-4"
    assert len(found) == 3  # what the paper does not have is no row


def test_standard_errors_make_the_tolerance_where_they_are_known(evaluated):
    table = scores_against_paper(read_run(evaluated), "alpaca_eval")
    assert rows(table)["zephyr-7b-beta (Zephyr 7B)"][4:] == ["90.60 ± 1.03", "−2.60", "yes (±2.95)"]
    assert tolerance("alpaca_eval", 1.1, 1.03) == pytest.approx(1.96 * (1.1**2 + 1.03**2) ** 0.5)
    assert tolerance("alpaca_eval", None, 1.03) == pytest.approx(1.96 * 1.03 * 2**0.5)
    assert tolerance("alpaca_eval", 1.1, None) is None
    assert tolerance("mt_bench", None, None) == 0.3


def test_a_conflict_between_sources_stands_under_the_table(evaluated):
    table = scores_against_paper(read_run(evaluated), "mmlu")
    assert "Conflict: academic scores is 61.44 in the paper, 61.07 elsewhere" in table.note
    assert rows(table)["zephyr-7b-beta (Zephyr 7B)"][-2:] == ["−1.24", "no (±0.80)"]


def test_other_benchmarks_are_not_the_papers(runs):
    assert scores_against_paper(read_run(runs["evaluate"]), "world") is None


def test_names_lead_to_the_papers_rows():
    assert published_score("Llama-2-70b-chat-hf", "alpaca_eval").value == 92.66
    assert published_score("llama-2-70b-chat-hf", "arc").value == 67.32
    assert published_score("ddpo + dsft", "alpaca_eval").standard_error == 1.22
    assert published_score("dSFT", "arc") is None
    assert published_score("mpt-7b-chat", "alpaca_eval") is None
    assert published_score("my zephyr", "mt_bench") is None
    rows = {tuple(row[:2]) for part in ("chat", "academic") for row in published()[part]["rows"]}
    assert {tuple(found) for found in published()["names"].values()} <= rows


def card_run(tmp_path, recipe, numbers):
    directory = write_run(tmp_path / "dpo", {"stage": "dpo", "seed": 42}, numbers=numbers, warnings=[])
    record = json.loads((directory / "provenance.json").read_text())
    (directory / "provenance.json").write_text(json.dumps(record | {"recipe_file": recipe}))
    return read_run(directory)


def test_training_stands_beside_its_model_card(tmp_path):
    numbers = {"eval_loss": 0.5023, "eval_rewards/accuracies": 0.70, "eval_rewards/margins": 1.0, "tokens_seen": 5.0}
    table = training_against_card(card_run(tmp_path, "recipes/zephyr-7b-beta/handbook-2024/dpo.yaml", numbers))
    assert rows(table) == {
        "held-out loss": ["0.5023", "0.5042", "−0.0019", "yes (0.495 to 0.505)"],
        "preference accuracy": ["0.7000", "0.7539", "−0.0539", "no (0.750 to 0.790)"],
        "reward margin": ["1.0000", "0.9980", "+0.0020", "yes (0.900 to 1.100)"],
    }
    assert "zephyr-7b-dpo-full" in table.note


@pytest.mark.parametrize("recipe", ["recipes/mini/dpo.yaml", "mine/dpo.yaml", "other-zephyr-7b-beta/dpo.yaml", ""])
def test_another_recipe_has_no_card(tmp_path, recipe):
    assert training_against_card(card_run(tmp_path, recipe, {"eval_loss": 0.75})) is None


def test_cards_name_shipped_recipes_and_say_why():
    from zephyr.recipe.shipped import shipped_recipes

    for card in published()["training"]:
        assert (shipped_recipes() / f"{card['recipe']}.yaml").is_file()
        assert card["source"] and ("why" in card) == ("within" in card)
        for key, (low, high) in card.get("within", {}).items():
            assert low < high
            assert low <= card["numbers"].get(key, low) <= high


def test_the_papers_tables_are_whole():
    chat, academic, ablation, radar = paper_tables()
    assert (len(chat.rows), len(academic.rows), len(ablation.rows), len(radar.rows)) == (14, 11, 4, 8)
    assert "digitised" in radar.title and "digitised" in radar.note
    by_model = {column.title: at for at, column in enumerate(radar.columns)}
    assert radar.rows[0][by_model["Claude 1"]].text == "–"  # covered by another series in the figure
    means = [sum(row[at].value for row in radar.rows) / 8 for at in (by_model["Zephyr"], by_model["GPT-4"])]
    assert means == pytest.approx([7.34, 8.99], abs=0.05)  # Table 1


def test_the_report_shows_them(evaluated):
    pytest.importorskip("matplotlib", reason="the extra `report` is not installed")
    page = report_directory(evaluated).read_text()
    text = (evaluated / "report.md").read_text()
    for written in (page, text):
        assert "Ours and the paper" in written and "MT-Bench by category, digitised" in written
        assert "another model, on other benchmarks" not in written
    data = json.loads((evaluated / "report.json").read_text())
    scores = next(each for each in data["tables"] if each["id"].startswith("scores-alpaca_eval"))
    assert scores["columns"][5] == "length" and scores["rows"][0][5] == 1400.0
    assert {"paper-chat", "paper-academic", "paper-ablation", "paper-radar"} <= {each["id"] for each in data["tables"]}
