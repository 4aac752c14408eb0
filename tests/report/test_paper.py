from zephyr.report.paper import beside_the_paper, published
from zephyr.report.read import read_run


def test_paper_tables_have_a_source_and_agree_with_each_other():
    paper = published()
    for part in ("ablation", "headline", "by_category", "chat", "academic"):
        assert paper[part]["source"].startswith("arXiv:2310.16944, ")
    for part in ("chat", "academic"):
        assert all(len(row) == len(paper[part]["columns"]) for row in paper[part]["rows"])
    chat = next(row for row in paper["chat"]["rows"] if row[0] == "Zephyr")
    academic = next(row for row in paper["academic"]["rows"] if row[0] == "Zephyr")
    headline = paper["headline"]["scores"]
    assert chat[3:] == [headline["mt_bench"], headline["alpaca_eval"]]
    assert academic[3:] == [headline[name] for name in ("arc", "hellaswag", "mmlu", "truthfulqa")]
    digitised = paper["by_category"]["mt_bench"].values()
    assert abs(sum(digitised) / len(digitised) - headline["mt_bench"]) < 0.05  # read off a figure, +-0.05


def test_our_rows_stand_beside_the_papers(runs):
    run = read_run(runs["evaluate"])
    scores, differences = beside_the_paper(run, "world")
    ours = {row[0].text: row[4].value for row in scores.rows}
    assert ours["dSFT-1"] == run.result["scores"]["dSFT"]["world"]["score"]
    assert ours["dSFT-2"] is None
    assert [[cell.text for cell in row] for row in differences.rows] == [
        ["dDPO + dSFT over dSFT-1", "+0.36", "+0.42", "+0.31 (−0.05 to 0.67)"]
    ]


def test_models_that_are_no_row_of_the_paper_get_no_comparison(runs):
    run = read_run(runs["evaluate"])
    run.result["scores"] = {"my model": run.result["scores"]["dSFT"], "dSFT": run.result["scores"]["dSFT"]}
    assert beside_the_paper(run, "world") is None
