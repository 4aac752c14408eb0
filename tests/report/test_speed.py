import json

from zephyr.report.contents import contents
from zephyr.report.read import read_chain, read_run
from zephyr.report.speed import speed

MEASURED = {
    "tokens_per_second": 3120.4, "tokens/padded": 1.7, "tokens/computed": 0.81, "training_s": 84.0,
    "time/data": 0.001, "time/evaluation": 0.1, "time/saving": 0.03,
}  # fmt: skip


def measured(directory, **more):
    result = json.loads((directory / "result.json").read_text())
    result["numbers"] |= MEASURED
    (directory / "result.json").write_text(json.dumps(result | more))
    return {row[0].text: row[1].text for row in speed(read_run(directory)).rows}


def test_speed_says_what_the_run_measured(runs):
    shown = measured(runs["dpo"], reference={"digest": "c0ffee", "pairs": 40, "computed": 24, "seconds": 1.23})
    assert shown == {
        "real tokens per second": "3,120",
        "per real token, padded rows have": "1.70",
        "per real token, computed were": "0.81",
        "time": "1 min 24 s of steps; of the whole 10 % evaluating, 3 % saving",
        "reference": "24 pairs computed in 1.2 s, 16 known from before",
    }


def test_a_gpus_share_and_memory_are_shown_where_there_is_one(runs):
    metrics = runs["sft"] / "metrics.jsonl"
    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    metrics.write_text("".join(json.dumps(row | ({"mfu": 0.41} if "loss" in row else {})) + "\n" for row in rows))
    result = json.loads((runs["sft"] / "result.json").read_text())
    result["numbers"]["peak_memory_gib"] = 51.64
    (runs["sft"] / "result.json").write_text(json.dumps(result))
    shown = {row[0].text: row[1].text for row in speed(read_run(runs["sft"])).rows}
    assert shown["MFU, share of the devices' peak"] == "41 %" and shown["peak memory of a GPU"] == "51.6 GiB"


def test_only_what_trains_has_a_speed_and_it_is_in_the_report(runs):
    assert speed(read_run(runs["world"])) is None
    measured(runs["dpo"])
    titles = {section.run.stage: [table.title for table in section.tables]
              for section in contents("t", read_chain([runs["evaluate"]])).sections}  # fmt: skip
    assert "Speed" in titles["dpo"] and "Speed" not in titles["world"]


def test_an_unfinished_run_shows_what_it_has_logged(runs):
    (runs["dpo"] / "result.json").unlink()
    metrics = runs["dpo"] / "metrics.jsonl"
    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    metrics.write_text("".join(json.dumps(row | {"tokens_per_second": 100 + n}) + "\n" for n, row in enumerate(rows)))
    shown = {row[0].text: row[1].text for row in speed(read_run(runs["dpo"])).rows}
    assert 100 <= int(shown["real tokens per second"]) <= 100 + len(rows)
