import json
from pathlib import Path

import pytest
from tests.report.test_terminal import printed

from zephyr.report.contents import contents
from zephyr.report.read import read_chain


def give_wins(directory: Path, shift: float) -> None:
    """Adds win rates to the results of a run."""
    result = json.loads((directory / "result.json").read_text())
    for n, (model, scores) in enumerate(result["scores"].items()):
        rate = 20.0 * n + shift
        scores["world"] |= {
            "baseline": "teacher", "win_rate": rate, "win_rate_interval": [rate - 3, rate + 3],
            "win_rate_standard_error": 1.53, "wins": 10 + n, "losses": 20, "draws": 10 - n, "answer_length": 52.4,
            "baseline_length": 90.2,
        }  # fmt: skip
        if model != "base":
            result["comparisons"].append(
                {"benchmark": "world_win_rate", "a": "base", "b": model, "difference": 20.0 * n,
                 "interval": [10.0, 50.0], "n": 40, "separable": True}
            )  # fmt: skip
    (directory / "result.json").write_text(json.dumps(result))


def texts(table):
    return [[cell.text for cell in row] for row in table.rows]


def test_win_rates_have_a_table_and_their_differences_another(runs):
    give_wins(runs["evaluate"], 5)
    (evaluation,) = contents("t", read_chain([runs["evaluate"]])).evaluations
    rates, differences = evaluation.wins
    assert rates.title == "Win rate against teacher"
    assert texts(rates)[1] == ["dSFT", "25.0", "22.0 to 28.0", "1.53", "40", "0", "11", "20", "9", "52"]
    assert "the baseline's have 90." in rates.note
    assert texts(differences)[1] == ["dDPO + dSFT over base", "+40.00", "10.00 to 50.00", "40", "separable"]
    assert len(evaluation.comparisons.rows) == 3  # those of the scores alone


def test_the_terminal_has_them_in_80_columns(runs):
    give_wins(runs["evaluate"], 5)
    text = printed([runs["evaluate"]])
    assert max(map(len, text.splitlines())) <= 80
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "Win rate against teacher:" in lines
    assert "dDPO + dSFT 45.0 42.0 to 48.0 40 0 12 20 8 52" in lines


def test_without_a_baseline_nothing_is_said_of_wins(runs):
    (evaluation,) = contents("t", read_chain([runs["evaluate"]])).evaluations
    assert evaluation.wins == ()
    assert "Win rate" not in printed([runs["evaluate"]])


def test_over_seeds_rates_are_means_and_wins_are_added_up(seeds):
    for shift, directory in zip((4.0, 5.0, 6.0), seeds, strict=True):
        give_wins(directory, shift)
    first = contents("t", read_chain(seeds)).evaluations[0]
    row = first.wins[0].rows[1]
    # rates 24, 25, 26: s = 1, standard error 1 / sqrt 3, half-width 4.303 / sqrt 3
    assert row[1].value == pytest.approx(25)
    assert row[2].value == pytest.approx([25 - 2.4844, 25 + 2.4844], abs=1e-3)
    assert row[3].value == pytest.approx(0.57735, abs=1e-4)
    assert [cell.text for cell in row[4:9]] == ["3", "0", "33", "60", "27"]
    assert "of all of them" in first.wins[0].note
    assert first.wins[1].rows[0][3].text == "3"
