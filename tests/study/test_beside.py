"""The paper beside a study: by row name, and by epochs."""

from pathlib import Path

import pytest
from tests.made_study import finish, made_up

from zephyr.report.paper import published
from zephyr.study.expand import Study
from zephyr.study.report.beside import beside_the_paper, epochs_of
from zephyr.study.report.columns import columns_of
from zephyr.study.report.entries import entries
from zephyr.study.report.outcome import read_study
from zephyr.study.report.table import Tabled

TABLE_3 = """\
rows:
  base: {recipe: cpt.yaml}
  dDPO - dSFT: {set: {model.model_name_or_path: cpt.yaml}}
  dSFT-1: {recipe: sft.yaml}
  dDPO + dSFT: {}
compare_with: dSFT-1
evaluate: evaluate.yaml
paper: table 3
"""
EPOCHS = """\
grid: {sft.num_train_epochs: [1, 2], train.num_train_epochs: [0, 1, 3]}
labels: {sft.num_train_epochs: dSFT, train.num_train_epochs: dDPO}
evaluate: evaluate.yaml
paper: figure 3
"""


def tabled(study: Study) -> Tabled:
    outcome = read_study(study)
    columns, _ = columns_of(study, outcome.rows)
    return Tabled(outcome=outcome, columns=columns, entries=entries(outcome, columns))


def test_table_3_stands_beside_rows_of_its_names_with_its_differences(tiny: Path) -> None:
    study = made_up(tiny, TABLE_3)
    finish(study, lambda row, seed: {"base": 1.5, "dDPO - dSFT": 3.0, "dSFT-1": 6.5, "dDPO + dSFT": 6.0}[row])
    found = tabled(study)
    beside = beside_the_paper(found, between=" ")
    rows = {row[0].text: row for row in beside.table.rows}
    assert list(rows) == ["dDPO - dSFT", "dSFT-1", "dSFT-2", "dDPO + dSFT"]
    # 7.00 - 6.64 and 86.07 - 85.65, whose standard errors are 1.22 and 1.23; 30.76 - 85.65
    assert [cell.text for cell in rows["dDPO + dSFT"][1:5]] == [
        "7.00",
        "+0.36",
        "86.07 ± 1.22",
        "+0.42 (not separable)",
    ]
    assert rows["dDPO - dSFT"][4].text == "−54.89 (separable)"
    ours = found.entries["dDPO + dSFT", "world/score"]
    assert rows["dDPO + dSFT"][5].value[0] == ours.figure.value
    assert rows["dDPO + dSFT"][6].value[0] == ours.compared.difference < 0
    assert [cell.text for cell in rows["dSFT-2"][5:]] == ["–", "–"]  # no row of this study
    assert beside.shape[0].endswith("here (world score): the same way.")
    assert beside.shape[1].endswith("here (world score): the other way round.")
    assert "can't be compared" in beside.context and "1.22 and 1.23" in beside.caveats[0]


def test_a_base_row_that_the_paper_has_not_leaves_its_differences_out(tiny: Path) -> None:
    study = made_up(tiny, TABLE_3.replace("compare_with: dSFT-1", "compare_with: base"))
    finish(study, lambda row, seed: 5.0)
    beside = beside_the_paper(tabled(study))
    assert all(row[2].text == "–" and row[4].text == "–" for row in beside.table.rows)
    assert beside.shape == ()


def test_figure_3_is_matched_by_the_epochs_of_the_runs(tiny: Path) -> None:
    study = made_up(tiny, EPOCHS)
    finish(study, lambda row, seed: 6 + 0.1 * len(row))
    assert [epochs_of(study, row.name) for row in study.rows] == [(1, 0), (1, 1), (1, 3), (2, 0), (2, 1), (2, 3)]
    beside = beside_the_paper(tabled(study))
    assert [[row[0].text, row[1].value] for row in beside.table.rows] == [
        ["1 epoch of dSFT", 6.64], ["1 of dSFT and 1 of dDPO", 7.0], ["1 of dSFT and 3 of dDPO", 7.34],
    ]  # fmt: skip
    assert all(row[5].value for row in beside.table.rows)


def test_the_papers_points_are_those_of_its_tables(tiny: Path) -> None:
    """Only numbers that are printed; never what was measured on the figure."""
    paper = published()
    by_name = {row["name"]: row for row in paper["ablation"]["rows"]}
    one, two, three = paper["epochs"]["points"]
    assert (one["mt_bench"], one["alpaca_eval"]) == (by_name["dSFT-1"]["mt_bench"], by_name["dSFT-1"]["alpaca_eval"])
    assert (two["mt_bench"], two["alpaca_eval"]) == tuple(
        by_name["dDPO + dSFT"][key] for key in ("mt_bench", "alpaca_eval")
    )
    headline = paper["headline"]["scores"]
    assert (three["mt_bench"], three["alpaca_eval"]) == (headline["mt_bench"], headline["alpaca_eval"])


@pytest.mark.parametrize("paper", ["", "paper: table 3\n"])
def test_a_study_that_asks_for_no_paper_or_measures_nothing_has_none(tiny: Path, paper: str) -> None:
    study = made_up(tiny, "grid: {beta: [0.1, 0.5]}\ncolumns: [eval_loss]\n" + paper)
    finish(study, lambda row, seed: 6.0)
    assert beside_the_paper(tabled(study)) is None
