import json
from itertools import combinations
from pathlib import Path

import pytest
from tests.data.scored import completion, four_models, row

from zephyr.cli import main
from zephyr.data.binarize import stage as binarize
from zephyr.data.binarize.strategies import STRATEGIES
from zephyr.data.ultrafeedback import RATING_NO_NUMBER, TEN_FOR_ONE, TEN_FOR_ONE_DOUBTFUL, corrected, from_ultrafeedback
from zephyr.data.usable import read_split
from zephyr.errors import UserError
from zephyr.recipe import BinarizeRecipe, load


@pytest.fixture
def binarized(tmp_path, write):
    """Runs the stage on rows and returns its files' rows, `result` beside them."""

    def make(rows, strategy="zephyr_paper", eval=None, seed=3, name="run", data=None, **rules):
        path = write(rows, f"{name}-rows.jsonl")
        sources = {"train": [{"path": path}]}
        if eval:
            sources["eval"] = [{"path": write(eval, f"{name}-eval.jsonl")}]
        recipe = BinarizeRecipe(
            stage="binarize", seed=seed, data=sources | (data or {}), binarize={"strategy": strategy, **rules}
        )
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        result = binarize.run(recipe, folder)
        found = {each.stem: [json.loads(line) for line in each.read_text().splitlines()]
                 for each in folder.glob("*.jsonl")}  # fmt: skip
        return found | {"result": result, "folder": folder}

    return make


GOOD = completion("good", 8, (5, 4, 5, "N/A"), "a")
BAD = completion("bad", 3, (2, 2, 1, 1), "b")


def many(n):
    return [row(f"question {i}", GOOD, BAD, completion("middling", 5, (3, 3, 3, 3), "c")) for i in range(n)]


def test_a_pair_in_the_published_schema(binarized):
    found = binarized([row("Hi", BAD, GOOD)])
    assert found["train"] == [
        {
            "prompt": "Hi",
            "prompt_id": "3639efcd08abb273b1619e82e78c29a7df02c1051b1820e99fc395dcaa3326b8",  # sha256 of "Hi"
            "chosen": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "good"}],
            "rejected": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "bad"}],
            "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "good"}],
            "score_chosen": pytest.approx(14 / 3),
            "score_rejected": 1.5,
            "chosen_model": "a",
            "rejected_model": "b",
            "source": "flan",
        }
    ]
    assert found["result"]["numbers"]["pairs_train"] == 1 and "eval" not in found


def test_several_turns_are_taken_from_prompt_before_instruction(binarized):
    turns = [
        {"role": "system", "content": "s"}, {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
    ]  # fmt: skip
    pair = binarized([row("not this", GOOD, BAD, prompt=turns, prompt_id="id")])["train"][0]
    assert pair["chosen"] == [*turns, {"role": "assistant", "content": "good"}]
    assert (pair["prompt"], pair["prompt_id"]) == ("a", "id")


def test_sides_that_cannot_be_trained_on_are_dropped_and_counted(binarized):
    found = binarized([
        row("fine", GOOD, BAD),
        row("same", GOOD, completion("good ", 2, (1, 1, 1, 1), "b")),
        row("empty", GOOD, completion(" \n", 2, (1, 1, 1, 1), "b")),
        row("cut", GOOD | {"finish_reason": "length"}, BAD),
        row("whole", GOOD | {"finish_reason": "stop"}, BAD),
        row("tied", GOOD, completion("other", 8, (5, 4, 5, "N/A"), "b")),
        row("alone", GOOD, completion("unscored", None, ("N/A",) * 4, "b")),
        row("benchmark", GOOD, BAD, source="truthful_qa"),
    ], data={"drop_sources": ["truthful_qa"]})  # fmt: skip
    assert [pair["prompt"] for pair in found["train"]] == ["fine", "whole"]
    assert found["result"]["counts"]["dropped"] == {
        "chosen equal to rejected": 1,
        "empty answer": 1,
        "answer cut at the length limit": 1,
        "no answer scored lower": 1,
        "fewer than two scored answers": 1,
        "source is left out by data.drop_sources": 1,
    }
    assert [each["excerpt"] for each in found["dropped"]] == ["same", "empty", "cut", "tied", "alone", "benchmark"]
    assert [each["line"] for each in found["dropped"]] == [2, 3, 4, 6, 7, 8]


def test_no_prompt_is_in_two_splits(binarized):
    rows = many(300)
    again = [row(each["instruction"].upper() + " ", GOOD, BAD) for each in rows[:20]]
    found = binarized([*rows, *again], eval=[*many(10), row("only here", GOOD, BAD)], data={"eval_share": 0.2})
    prompts = {split: [pair["prompt"].lower().strip() for pair in found[split]] for split in ("train", "eval")}
    assert not set(prompts["train"]) & set(prompts["eval"])
    assert "only here" in prompts["eval"] and 30 < len(set(prompts["eval"])) < 90
    counts = found["result"]["counts"]
    assert counts["repeated_prompts"] >= 20
    assert len(found["train"]) + len(found["eval"]) + counts["dropped"]["prompt is in data.train too"] == 331


def test_order_changes_nothing(binarized):
    rows = many(100)
    there = binarized(rows, data={"eval_share": 0.3})
    back = binarized(rows[::-1], name="back", data={"eval_share": 0.3})
    assert len({pair["rejected_model"] for pair in there["train"]}) == 2
    for split in ("train", "eval"):
        assert back[split][::-1] == there[split]
    other = binarized(rows, name="seed", seed=4, data={"eval_share": 0.3})
    assert [each["prompt"] for each in other["train"]] == [each["prompt"] for each in there["train"]]
    assert other["train"] != there["train"]


TEN = completion("ten", 10, (1, 2, 1, 2), "t")
PERHAPS = completion("perhaps", 10, (3, 3, 3, 3), "p")


def test_ten_for_one_is_found_and_mended_on_demand(binarized):
    rows = [row("q", TEN, GOOD, BAD), row("r", PERHAPS, GOOD, BAD), row("s", completion("x", 10, (5,) * 4), BAD)]
    kept = binarized(rows, "h4_release")
    assert kept["result"]["suspicious"] == {TEN_FOR_ONE: 1, TEN_FOR_ONE_DOUBTFUL: 1}
    assert [pair["chosen_model"] for pair in kept["train"]] == ["t", "p", "m"]
    assert kept["result"]["warnings"] == [f"{TEN_FOR_ONE}: 1", f"{TEN_FOR_ONE_DOUBTFUL}: 1"]
    mended = binarized(rows, "h4_release", name="mended", ten_for_one="correct")
    assert [pair["chosen_model"] for pair in mended["train"]] == ["a", "a", "m"]
    left_out = binarized(rows, "all_pairs", name="out", score="overall", ten_for_one="leave_out")
    assert {pair["chosen_model"] for pair in left_out["train"]} == {"a", "m"}


def test_a_corrected_score_is_one_and_a_doubtful_one_is_none():
    answers = from_ultrafeedback(row("q", TEN, PERHAPS)).answers
    assert [corrected(each, "correct").overall for each in answers] == [1.0, None]
    assert [corrected(each, "leave_out").overall for each in answers] == [None, None]
    assert [corrected(each, "keep").overall for each in answers] == [10.0, 10.0]


def test_ratings_are_text_and_na_is_no_number():
    strange = completion("s", 5, ("N/A", "4", "good", None))
    strange["fine-grained_score"] = None
    answer = from_ultrafeedback(row("q", strange)).answers[0]
    assert answer.mean == 4.0 and answer.suspicious == (RATING_NO_NUMBER,)


@pytest.mark.parametrize(
    ("judgments", "expected"),
    [
        ([4, 5], (4, 5)),
        ([{"score": 4.5, "ratings": {"honesty": 1}}, {"score": 3}], (4.5, 3)),
        (
            [{"ratings": {"honesty": 5, "helpfulness": 4, "truthfulness": None}}, {"ratings": {"honesty": "3"}}],
            (4.5, 3),
        ),
        ([{"score": None}, {"score": 3}], ()),
        (None, ()),
    ],
)
def test_judgments_keep_their_places(judgments, expected):
    answer = from_ultrafeedback(row("q", completion("a", 8, (5,), judgments=judgments))).answers[0]
    assert answer.judgments == expected


def test_the_reports_are_written(binarized):
    found = binarized(many(30))
    labels = json.loads((found["folder"] / "labels.json").read_text())
    assert labels["pairs"]["n"] == 30 and labels["models"]["a"]["chosen"] == 30
    page = (found["folder"] / "labels.md").read_text()
    assert "| pairs | 30 |" in page and "zephyr_paper on mean scores" in page
    assert found["result"]["numbers"]["ties"] == 0


def test_the_dpo_stage_reads_the_pairs(binarized):
    folder = binarized([*many(20), row("s", GOOD, BAD, prompt=[{"role": "system", "content": "s"}, *USER])])["folder"]
    from zephyr.recipe.sections import Source

    split = read_split("dpo", "train", [Source(path=str(folder / "train.jsonl"))], 1, "</s>")
    assert len(split.usable) == 21 and not split.unusable
    assert {usable.value.chosen for usable in split.usable} == {"good"}


USER = [{"role": "user", "content": "s"}]


def test_zephyr_run_and_preview_of_what_comes_of_it(write, tmp_path, byte_level, capsys, monkeypatch):
    """The commands, from a recipe to the dDPO recipe that names it."""
    monkeypatch.chdir(tmp_path)
    rows = write(many(40), "feedback.jsonl")
    (tmp_path / "binarize.yaml").write_text(
        f"stage: binarize\nseed: 1\ndata: {{train: [{{path: {rows}}}], eval_share: 0.3}}\n"
        "binarize: {strategy: zephyr_paper}\n"
    )
    (tmp_path / "dpo.yaml").write_text(
        f"stage: dpo\nseed: 1\nmodel: {{config: {{model_type: mistral}}, tokenizer_name_or_path: {byte_level}}}\n"
        "data:\n  train: [{path: binarize.yaml, name: train}]\n  eval: [{path: binarize.yaml, name: eval}]\n"
        "  max_length: 64\n  max_prompt_length: 32\nlaunch: {micro_batch_size: 1}\n"
        "train: {learning_rate: 1e-3, global_batch_size: 1, num_train_epochs: 1, beta: 0.1,"
        " lr_scheduler_type: linear}\n"
    )
    assert main(["preview", "dpo.yaml"]) == 1
    assert "zephyr run binarize.yaml" in capsys.readouterr().err
    assert main(["run", "binarize.yaml"]) == 0
    made = {file.name: file.read_bytes() for file in loaded("binarize.yaml").iterdir() if file.suffix == ".jsonl"}
    capsys.readouterr()
    assert main(["preview", "dpo.yaml"]) == 0
    shown = capsys.readouterr().out
    assert "chosen" in shown and "rows unusable" in shown
    assert main(["labels", "binarize.yaml"]) == 0
    assert f"| pairs | {len(made['train.jsonl'].splitlines())} |" in capsys.readouterr().out


def test_a_killed_run_is_made_whole_by_the_same_command(write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = write(many(40), "feedback.jsonl")
    (tmp_path / "binarize.yaml").write_text(
        f"stage: binarize\nseed: 1\ndata: {{train: [{{path: {rows}}}]}}\nbinarize: {{strategy: h4_release}}\n"
    )
    once = binarize.pair_row
    left = iter(range(15))

    def killed(*arguments):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return once(*arguments)

    monkeypatch.setattr(binarize, "pair_row", killed)
    assert main(["run", "binarize.yaml"]) == 130
    folder = loaded("binarize.yaml")
    assert not (folder / "train.jsonl").exists() and not (folder / "result.json").exists()
    monkeypatch.setattr(binarize, "pair_row", once)
    assert main(["run", "binarize.yaml"]) == 0
    assert len((folder / "train.jsonl").read_text().splitlines()) == 40
    assert not list(folder.glob(".*"))


def loaded(recipe):
    return load(recipe).run_dir


def test_unreadable_rows_are_refused_unless_allowed(binarized):
    rows = [*many(9), {"instruction": "q", "completions": "none"}]
    with pytest.raises(UserError, match=r"1 of 10 rows .* cannot be used"):
        binarized(rows)
    found = binarized(rows, name="allowed", data={"max_unusable_share": 0.1})
    assert found["result"]["counts"]["unusable"] == {"not a list of completions": 1}
    assert len(found["train"]) == 9


def test_no_pair_at_all_is_an_error_and_leaves_no_file(binarized, tmp_path):
    with pytest.raises(UserError, match=r"no pair came of 2 rows:\n +2  no answer scored lower"):
        binarized([row("q", GOOD, GOOD), row("r", GOOD, GOOD)])
    assert not list((tmp_path / "run").glob("*.jsonl"))


def test_pairs_given_to_binarize_name_what_is_read(binarized):
    with pytest.raises(UserError, match="UltraFeedback"):
        binarized([{"prompt": "q", "chosen": "a", "rejected": "b"}])


# Real scores


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_each_strategy_on_four_real_models(strategy, shared: Path, binarized):
    """The pairs there must be, counted from the sums of the three judgments: whole numbers, so that ties are exact."""
    rows = four_models(shared)
    sums = [[sum(each["judgments"]) for each in row["completions"]] for row in rows]
    assert len(sums) == 80 and {len(each) for each in sums} == {4}
    differ = sum(len(set(each)) > 1 for each in sums)
    expected = {"all_pairs": sum(a != b for each in sums for a, b in combinations(each, 2))}
    expected |= {"h4_release": 80, "h4_v1": 80}
    found = binarized(rows, strategy)
    assert len(found["train"]) == expected.get(strategy, differ)
    assert sum(found["result"]["counts"]["dropped"].values()) == (0 if strategy.startswith("h4") else 80 - differ)
    tied = sum(pair["score_chosen"] - pair["score_rejected"] < 1e-9 for pair in found["train"])
    assert found["result"]["numbers"]["ties"] == pytest.approx(tied / len(found["train"]), abs=1e-4)
    assert (tied > 0) == strategy.startswith("h4")
    assert all(pair["score_chosen"] >= pair["score_rejected"] for pair in found["train"])


def test_agreement_of_real_judgments(shared: Path, binarized):
    """Beside the same figures counted in another way."""
    rows = four_models(shared)
    found = json.loads((binarized(rows)["folder"] / "labels.json").read_text())["agreement"]
    judged = [each["judgments"] for row in rows for each in row["completions"]]
    assert (found["n_prompts"], found["n_answers"]) == (80, 320)
    assert found["all_equal"]["value"] == sum(len(set(each)) == 1 for each in judged) / 320
    same = opposite = 0
    for each_row in rows:
        for a, b in combinations([each["judgments"] for each in each_row["completions"]], 2):
            for i, k in ((0, 1), (0, 2), (1, 2)):
                product = (a[i] - b[i]) * (a[k] - b[k])
                same, opposite = same + (product > 0), opposite + (product < 0)
    assert found["same_order"] == pytest.approx(found["same_order"] | {"value": same / (same + opposite)})
    assert found["same_order"]["n"] == same + opposite
    assert 0.5 < found["reliability"] < 1


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ("{strategy: all_pairs, ties: drop}", "`all_pairs` chooses no best answer"),
        ("{strategy: zephyr_paper, ten_for_one: correct}", "write `score: overall`"),
        ("{strategy: bestworst}", "did you mean `best_worst`?"),
        ("{strategy: h4_v1, min_margin: -1}", "at least 0 is expected"),
        ("{strategy: h4_v1, margin: 1}", "min_margin"),
    ],
)
def test_mistakes_are_found_before_anything_runs(tmp_path, rules, said):
    (tmp_path / "binarize.yaml").write_text(
        f"stage: binarize\nseed: 1\ndata: {{train: [{{path: x.jsonl}}]}}\nbinarize: {rules}\n"
    )
    with pytest.raises(UserError) as error:
        load(tmp_path / "binarize.yaml")
    assert said in str(error.value) and "binarize.yaml:4" in str(error.value)
