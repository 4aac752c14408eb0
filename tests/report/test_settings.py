import json

from zephyr.report.read import read_chain, read_run
from zephyr.report.settings import what_ran


def values(table):
    return {row[0].text: row[1].text for row in table.rows}


def test_settings_show_the_batch_arithmetic_and_name_the_runs_they_came_from(runs):
    chain = read_chain([runs["dpo"]])
    shown = values(what_ran(chain.runs[-1], chain.runs))
    arithmetic, steps = shown["batch"].split("; ")
    assert arithmetic == "8 pairs × 1 process × 2 accumulation steps = 16 pairs per step"
    assert steps == "110 steps, 11 of them warmup"
    assert shown["model"] == "mini/sft"
    assert shown["data"] == "mini/world, pairs.jsonl"
    assert shown["beta, loss"] == "0.1, sigmoid"
    assert shown["learning rate"] == "0.002, cosine, warmup 10 % of the steps"
    assert shown["time"] == "1 min 24 s, 9,056 tokens per second (median)"


def test_world_says_what_its_teachers_do_wrong(runs):
    teachers = {"teacher": {"boilerplate": 0.4, "terse": 0.0}, "careful": {"terse": 0.0}}
    recipe = {"stage": "world", "seed": 1, "world": {"people": 16, "teachers": teachers}}
    (runs["world"] / "recipe.yaml").write_text(json.dumps(recipe))
    shown = values(what_ran(read_run(runs["world"])))
    assert shown["bad habits of `teacher`"] == "boilerplate 0.4 (shares)"
    assert shown["bad habits of `careful`"] == "none"
