import csv
import json
import math

import pytest

from tests.evaluate.conftest import annotated
from zephyr.errors import UserError
from zephyr.evaluate.alpaca_eval.files import (
    V1_BASELINE,
    Output,
    baseline_of,
    fingerprint,
    pairs,
    read_annotations,
    read_outputs,
    write_annotations,
    write_outputs,
)
from zephyr.evaluate.alpaca_eval.judging import as_seen, is_switched, messages, parse_logprobs, parse_ranking
from zephyr.evaluate.alpaca_eval.score import compare, win_rates

TEMPLATE = (
    "<|im_start|>system\nRank.\n<|im_end|>\n<|im_start|>user\nAsked: {instruction}\n"
    "1: {output_1}\n2: {output_2}\nAnswer {'model': ...}\n<|im_end|>"
)


def read(tmp_path, rows):
    file = tmp_path / "annotations.json"
    file.write_text(json.dumps(rows))
    return read_annotations(file)


def rate(tmp_path, rows):
    (found,) = win_rates(read(tmp_path, rows))
    return found


@pytest.mark.parametrize(
    ("completion", "preference"),
    [
        ("[{'model': 'model_1', 'rank': 1}, {'model': 'model_2', 'rank': 2}]", 1),
        ('[{"model": "model_2", "rank": 1}, {"model": "model_1", "rank": 2}]', 2),
        ("[{'model': 'model_1', 'rank': 3}, {'model': 'model_2', 'rank': 1}]", None),
        ("[{'model': 'model_2', 'rank': 1}]", None),
        ("[{'model': 'model_1'}]", None),
        ("model_1 is better", None),
        ("__import__('os').getcwd()", None),
        ("[[[", None),
        ("", None),
        ("7", None),
    ],
)
def test_a_ranking_is_read(completion, preference):
    assert parse_ranking(completion) == preference


def test_log_probabilities_weigh_the_two_names():
    assert parse_logprobs({"m": math.log(0.2), "M": math.log(0.6), "The": math.log(0.1)}) == pytest.approx(1.75)
    assert parse_logprobs({"m": -0.1, "The": -3.0}) == 1
    assert parse_logprobs({"M": -9.0}) == 2
    assert parse_logprobs({"m": -900.0, "M": -900.0}) == 1.5  # no overflow
    assert parse_logprobs({"The": -0.1}) is None
    assert parse_logprobs({}) is None


def test_the_instruction_alone_decides_the_order():
    switched = [is_switched(f"Instruction {n}") for n in range(400)]
    assert switched == [is_switched(f"Instruction {n}") for n in range(400)]
    assert 160 < sum(switched) < 240
    assert switched[:8] == [False, False, False, False, True, False, False, True]  # AlpacaEval's own seed, not another


def test_a_preference_is_turned_back():
    assert [as_seen(each, switched=True) for each in (1, 2, 1.5, 1.25)] == [2, 1, 1.5, 1.75]
    assert as_seen(1.25, switched=False) == 1.25


@pytest.mark.parametrize("number", [0, 4])
def test_the_judge_sees_the_answers_in_that_order(number):
    instruction = f"Instruction {number}"
    system, user = messages(TEMPLATE, instruction, "{output_2}", "theirs")
    first, second = ("theirs", "{output_2}") if is_switched(instruction) else ("{output_2}", "theirs")
    assert system == {"role": "system", "content": "Rank."}
    assert user["content"] == f"Asked: {instruction}\n1: {first}\n2: {second}\nAnswer {{'model': ...}}"


def test_another_prompt_is_refused():
    with pytest.raises(UserError, match=r"lacks \{output_2\}"):
        messages(TEMPLATE.replace("{output_2}", ""), "a", "b", "c")
    with pytest.raises(UserError, match="starts with 'Rank"):
        messages("Rank {instruction} {output_1} {output_2}", "a", "b", "c")


def test_the_win_rate_counts_draws_as_halves_and_drops_what_was_not_read(tmp_path):
    preferences = [2, 2.0, 1, 0, 1.5, None, float("nan"), 3, "2"]
    found = rate(tmp_path, [annotated(n, each) for n, each in enumerate(preferences)])
    assert (found.wins, found.losses, found.draws, found.n, found.n_failed) == (2, 1, 2, 5, 4)
    assert found.rate.value == 60
    assert found.standard_error == pytest.approx(100 * math.sqrt(0.7 / 4 / 5))
    assert (found.length, found.baseline_length) == (15, 5)
    low, high = found.rate.interval
    assert low < 60 < high


def test_a_weighted_judge_gives_parts(tmp_path):
    found = rate(tmp_path, [annotated(n, each) for n, each in enumerate([1.9, 1.8, 1.4])])
    assert found.rate.value == pytest.approx(70) and (found.wins, found.losses, found.draws) == (2, 1, 0)


def test_nothing_read_is_no_rate(tmp_path):
    found = rate(tmp_path, [annotated(1, None)])
    assert found.rate is None and found.standard_error is None and (found.n, found.n_failed) == (0, 1)


def test_models_are_compared_on_common_instructions(tmp_path):
    ours = [annotated(n, 2 if n % 10 else 1) for n in range(200)]
    theirs = [annotated(n, 2 if n % 3 else 1, generator_2="theirs") for n in range(100)]
    other = [annotated(n, 2, generator_2="other", annotator="another") for n in range(100)]
    found = {each.model: each for each in win_rates(read(tmp_path, [*ours, *theirs, *other]))}
    difference = compare(found["theirs"], found["ours"])
    assert difference.n == 100 and difference.separable
    assert difference.value == pytest.approx(90 - 66)
    assert str(compare(found["ours"], found["other"])).startswith("other judges or baselines")


def test_files_come_back_as_they_were_meant(tmp_path):
    found = read(tmp_path, [annotated(1, 2), annotated(2, None), annotated(3, 0)])
    write_annotations(tmp_path / "again.json", found)
    assert read_annotations(tmp_path / "again.json") == found
    assert [each.preference for each in found] == [2, None, 1.5]
    assert [(each.instruction, each.output, each.generator) for each in baseline_of(found)][1:] == [
        ("Instruction 2", "short", "text_davinci_003"), ("Instruction 3", "short", "text_davinci_003")
    ]  # fmt: skip
    outputs = [Output(instruction="a", output="é", generator="ours", dataset="own")]
    write_outputs(tmp_path / "outputs.json", outputs)
    assert read_outputs(tmp_path / "outputs.json") == outputs


def test_answers_are_paired_by_instruction():
    def output(instruction, generator):
        return Output(instruction=instruction, output="", generator=generator, dataset="")

    baseline, model = [output("a", "x"), output("b", "x")], [output("b", "y"), output("a", "y"), output("c", "y")]
    assert [(b.instruction, m.instruction) for b, m in pairs(baseline, model)] == [("a", "a"), ("b", "b")]
    assert fingerprint(baseline) == fingerprint(baseline[::-1]) != fingerprint(baseline[:1])
    with pytest.raises(UserError, match="1 of the baseline's 2 instructions are not answered, the first 'b'"):
        pairs(baseline, model[1:])


def test_wrong_files_are_named(tmp_path):
    file = tmp_path / "outputs.json"
    file.write_text('[{"instruction": "a", "output": "b"}, {"instruction": "a", "output": "c"}]')
    with pytest.raises(UserError, match="answers one instruction more than once: 'a'"):
        read_outputs(file)
    file.write_text('[{"instruction": "a"}]')
    with pytest.raises(UserError, match="row 1: has no `output`; its fields are instruction"):
        read_outputs(file)
    file.write_text('[{"instruction": "a", "output": 3}]')
    with pytest.raises(UserError, match=r"row 1: `output` is '3'. Expected text"):
        read_outputs(file)


MODELS = ("zephyr-7b-beta", "falcon-40b-instruct", "llama-2-70b-chat-hf")


@pytest.mark.parametrize("model", MODELS)
def test_stored_annotations_give_the_leaderboards_figures(shared, model):
    folder = shared / "alpaca_eval"
    with (folder / "alpaca_eval_gpt4_leaderboard.csv").open() as lines:
        published = next(row for row in csv.DictReader(lines) if row[""] == model)
    (found,) = win_rates(read_annotations(folder / model / "annotations.json"))
    assert found.rate.value == pytest.approx(float(published["win_rate"]), abs=1e-9)
    assert found.standard_error == pytest.approx(float(published["standard_error"]), abs=1e-9)
    counts = [int(published[name]) for name in ("n_wins", "n_wins_base", "n_draws", "n_total", "avg_length")]
    assert [found.wins, found.losses, found.draws, found.n, int(found.length)] == counts
    assert found.n + found.n_failed == 805


def test_real_files_are_read(shared):
    folder = shared / "alpaca_eval"
    model = read_outputs(folder / "zephyr-7b-beta/model_outputs.json")
    other = read_outputs(folder / "text_davinci_003/model_outputs.json")
    annotations = read_annotations(folder / "zephyr-7b-beta/annotations.json")
    baseline = baseline_of(annotations)
    assert fingerprint(baseline) == V1_BASELINE != fingerprint(other)  # results/ holds later answers under that name
    joined = [(b.instruction, b.output, m.output) for b, m in pairs(baseline, model)]
    assert joined == [(each.instruction, each.output_1, each.output_2) for each in annotations]
    template = (folder / "alpaca_eval_gpt4_prompt.txt").read_text()
    roles = [each["role"] for each in messages(template, *joined[0])]
    assert roles == ["system", "user"]
