import json

from zephyr.report import run_tables
from zephyr.report.read import read_chain, read_run


def values(table):
    return {row[0].text: row[1].text for row in table.rows}


def test_overview_has_a_row_per_run_with_its_losses(runs):
    table = run_tables.overview(read_chain([runs["evaluate"]]).runs)
    assert [row[0].text for row in table.rows] == ["mini/world", "mini/cpt", "mini/sft", "mini/dpo", "mini/evaluate"]
    dpo = [cell.text for cell in table.rows[3]]
    assert dpo[2:4] == ["110", "81,234"]
    assert dpo[4].startswith("0.693 → 0.5")
    assert dpo[5:] == ["0.693 → 0.570", "1 min 24 s", "finished"]
    assert table.note == "Together 7 min 01 s."


def test_data_counts_say_what_was_not_usable_and_why(runs):
    table = run_tables.data_counts(read_run(runs["sft"]))
    train = dict(zip((column.title for column in table.columns), (cell.text for cell in table.rows[0]), strict=True))
    assert train["rows read"] == "1,812" and train["not usable"] == "12" and train["tokens"] == "81,234"
    assert table.rows[1][0].text == "held-out"
    assert table.note == "Not usable: empty answer 7, chosen equal to rejected 5."


def test_unusable_reasons_of_both_splits_are_added_up(runs):
    result = runs["sft"] / "result.json"
    data = json.loads(result.read_text())
    data["data"]["eval"]["unusable"] = {"empty answer": 2, "unknown role": 1}
    result.write_text(json.dumps(data))
    note = run_tables.data_counts(read_run(runs["sft"])).note
    assert note == "Not usable: empty answer 9, chosen equal to rejected 5, unknown role 1."


def test_before_and_after_of_an_unfinished_run_come_from_the_metrics(runs):
    (runs["dpo"] / "result.json").unlink()
    run = read_run(runs["dpo"])
    before, after = run_tables.before_and_after(run, "rewards/accuracies")
    assert (before, after) == (0.5, 0.8)


def test_held_out_metrics_before_and_after(runs):
    rows = [[cell.text for cell in row] for row in run_tables.held_out(read_run(runs["dpo"])).rows]
    assert rows[:2] == [["loss", "0.693", "0.570"], ["preference accuracy", "0.500", "0.800"]]
    assert run_tables.held_out(read_run(runs["world"])) is None


def test_provenance_names_versions_hardware_and_inputs(runs):
    shown = values(run_tables.provenance(read_run(runs["dpo"])))
    assert shown["Python and packages"] == "Python 3.11.2, torch 2.13.0, trl 1.16.0"
    assert shown["hardware"] == "2 cores of Xeon, 7.8 GiB; no GPU"
    assert shown["zephyr"] == "0.1.0, commit c0ffeec0ffee"
