"""`zephyr score` as a stranger meets it."""

import gzip
import json
import subprocess
import sys

import pytest

from tests.evaluate.conftest import annotated, judged, judgment, lines
from zephyr.cli import main

MT_BENCH_KEYS = ("model", "score", "turn_1", "turn_2", "by_category", "n", "n_failed", "interval")
ALPACA_EVAL_KEYS = (
    "model", "win_rate", "standard_error", "interval", "wins", "losses", "draws", "n", "n_failed",
)  # fmt: skip


@pytest.fixture
def judgments(tmp_path):
    return lines(tmp_path / "gpt-4_single.jsonl", [*judged("weak", 5.5), *judged("strong", 6.2)])


@pytest.fixture
def annotations(tmp_path):
    file = tmp_path / "annotations.json"
    file.write_text(json.dumps([annotated(n, None if n == 7 else 2 if n % 4 else 1) for n in range(40)]))
    return file


def score(capsys, *words) -> str:
    status = main(["score", *map(str, words)])
    told = capsys.readouterr()
    assert status == 0, told.err
    return told.out


def refused(capsys, *words) -> str:
    assert main(["score", *map(str, words)]) == 1
    told = capsys.readouterr()
    assert told.out == "" and "Traceback" not in told.err
    return told.err


def flat(text: str) -> str:
    return " ".join(text.split())


def test_json_of_judgments(capsys, judgments):
    strong, weak = json.loads(score(capsys, judgments, "--json"))
    for each in (strong, weak):
        assert set(MT_BENCH_KEYS) <= set(each)
        assert (each["n"], each["n_failed"], len(each["by_category"])) == (160, 0, 8)
        assert each["interval"][0] < each["score"] < each["interval"][1]
        assert each["score"] == pytest.approx((each["turn_1"] + each["turn_2"]) / 2)
        assert each["score"] == pytest.approx(sum(each["by_category"].values()) / 8)
    assert (strong["model"], weak["model"]) == ("strong", "weak")
    gain, loss = strong["compared"][0], weak["compared"][0]
    assert gain["with"] == "weak" and gain["separable"] and gain["difference"] == -loss["difference"] > 0
    assert gain["interval"] == [-bound for bound in reversed(loss["interval"])]


def test_json_of_annotations(capsys, annotations):
    (found,) = json.loads(score(capsys, annotations, "--json"))
    assert set(ALPACA_EVAL_KEYS) <= set(found)
    assert (found["wins"], found["losses"], found["draws"], found["n"], found["n_failed"]) == (29, 10, 0, 39, 1)
    assert found["win_rate"] == pytest.approx(100 * 29 / 39)
    assert found["interval"][0] < found["win_rate"] < found["interval"][1]
    assert (found["length"], found["baseline_length"], found["judge"]) == (15, 5, "alpaca_eval_gpt4")


def test_the_tables_say_n_failures_interval_and_verdict(capsys, judgments, annotations):
    told = flat(score(capsys, judgments, annotations))
    assert "MT-Bench, single answers rated by gpt-4" in told
    assert "AlpacaEval against text_davinci_003, judged by alpaca_eval_gpt4" in told
    for word in ("95 %", "n", "failed", "length", "writing", "humanities", "strong over weak", "separable", "29/10/0"):
        assert word in told
    assert "never a zero" in told and "tend to prefer the longer one" in told


def test_several_files_stand_in_one_table_when_comparable(capsys, tmp_path, annotations):
    other = tmp_path / "other.json"
    other.write_text(json.dumps([annotated(n, 1, generator_2="theirs") for n in range(40)]))
    told = flat(score(capsys, annotations, other, annotations))
    assert told.count("AlpacaEval against") == 1 and "ours over theirs" in told and "39 separable" in told
    assert [each["model"] for each in json.loads(score(capsys, other, annotations, "--json"))] == ["ours", "theirs"]


def test_other_judges_are_in_other_tables(capsys, tmp_path):
    rows = [judgment(81, 1, 9), judgment(82, 1, 5), judgment(81, 1, 2, judge=["own", "single-v1"])]
    told = flat(score(capsys, lines(tmp_path / "j.jsonl", rows)))
    assert "rated by gpt-4" in told and "rated by own" in told and "difference" not in told.replace("differences", "")


def test_one_model_judged_in_two_files_keeps_two_rows(capsys, tmp_path):
    first = lines(tmp_path / "first.jsonl", judged("ours", 6))
    second = lines(tmp_path / "second.jsonl", judged("ours", 6, seed=1))
    found = json.loads(score(capsys, first, second, "--json"))
    assert [each["model"] for each in found] == ["ours", "ours"]
    assert {each["file"] for each in found} == {str(first), str(second)}
    assert found[0]["compared"][0]["with"].endswith(f"({found[1]['file']})")


def test_nothing_rated_is_shown_as_such(capsys, tmp_path):
    file = lines(tmp_path / "j.jsonl", [judgment(81, 1, -1), judgment(81, 2, -1)])
    (found,) = json.loads(score(capsys, file, "--json"))
    assert (found["score"], found["interval"], found["n"], found["n_failed"]) == (None, None, 0, 2)
    assert "incomplete: 158 of MT-Bench's 160 turns were not judged" in flat(score(capsys, file))


def test_one_question_has_no_interval(capsys, tmp_path):
    file = lines(tmp_path / "j.jsonl", [judgment(81, 1, 9), judgment(81, 2, 5)])
    (found,) = json.loads(score(capsys, file, "--json"))
    assert (found["score"], found["interval"], found["by_category_interval"]) == (7, None, {"writing": None})
    assert "ours 7.00 – 9.00 5.00 2 0" in flat(score(capsys, file))
    (tmp_path / "one.json").write_text(json.dumps([annotated(1, 2)]))
    (found,) = json.loads(score(capsys, tmp_path / "one.json", "--json"))
    assert (found["win_rate"], found["standard_error"], found["interval"]) == (100, None, None)
    assert "ours 100.00 – 1/0/0 1 0" in flat(score(capsys, tmp_path / "one.json"))


def test_many_models_are_compared_with_their_neighbours(capsys, tmp_path):
    rows = [row for skill in range(6) for row in judged(f"m{skill}", 2 + skill)]
    told = flat(score(capsys, lines(tmp_path / "j.jsonl", rows)))
    assert told.count(" over m") == 5 and "--json has all 15 pairs" in told


def test_own_questions_give_the_categories(capsys, tmp_path):
    file = lines(tmp_path / "j.jsonl", [judgment(1, 1, 9), judgment(2, 1, 3)])
    questions = [{"question_id": n, "category": name, "turns": ["?"]} for n, name in ((1, "cooking"), (2, "sums"))]
    told = score(capsys, file, "--questions", lines(tmp_path / "question.jsonl", questions), "--json")
    assert json.loads(told)[0]["by_category"] == {"cooking": 9, "sums": 3}


def test_a_compressed_file_is_read(capsys, tmp_path, judgments):
    packed = tmp_path / "packed.jsonl.gz"
    packed.write_bytes(gzip.compress(judgments.read_bytes()))
    assert [each["score"] for each in json.loads(score(capsys, packed, "--json"))] == [
        each["score"] for each in json.loads(score(capsys, judgments, "--json"))
    ]


OTHERS = {
    "answers": ('{"question_id": 81, "model_id": "m", "choices": []}', "FastChat's answers of a model, which no judge"),
    "questions": ('{"question_id": 81, "category": "math", "turns": []}', "MT-Bench's questions"),
    "pairs": ('{"question_id": 81, "model_1": "a", "g1_winner": "model_1"}', "FastChat's judgments of pairs"),
    "outputs": ('[{"instruction": "a", "output": "b", "generator": "m"}]', "AlpacaEval's outputs of a model"),
    "prompts": ('{"name": "a", "prompt_template": "", "system_prompt": ""}', "FastChat's prompts for the judge"),
    "else": ('{"prompt": "a", "chosen": "b"}', "objects with chosen, prompt"),
    "number": ("3", "holds 3"),
    "empty list": ("[]", "holds no row"),
    "list of numbers": ("[1, 2]", "not a JSON object"),
    "nothing": ("", "is empty"),
    "prose": ("model,score\nours,8\n", "is not JSON"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_anything_else_is_named_with_what_is_expected(capsys, tmp_path, kind):
    content, said = OTHERS[kind]
    file = tmp_path / "found.json"
    file.write_text(content)
    told = refused(capsys, file)
    assert str(file) in told and said in told
    assert "MT-Bench" in told and "model_judgment" in told and "annotations.json" in told


def test_missing_files_directories_and_binaries(capsys, tmp_path, judgments):
    assert "there is no such file" in refused(capsys, judgments, tmp_path / "none.json")
    told = refused(capsys, tmp_path)
    assert "is a directory. Name its files; it holds gpt-4_single.jsonl" in told
    (tmp_path / "bytes.json").write_bytes(bytes(range(256)))
    assert "is not JSON" in refused(capsys, tmp_path / "bytes.json")
    (tmp_path / "cut.json.gz").write_bytes(gzip.compress(b"[]")[:12])
    assert "can't be read" in refused(capsys, tmp_path / "cut.json.gz")


def test_a_bad_line_is_named(capsys, tmp_path, judgments):
    judgments.write_text(judgments.read_text()[:-40])
    assert f"{judgments}: line 320 can't be read: invalid JSON" in refused(capsys, judgments)
    wrong = lines(tmp_path / "wrong.jsonl", [judgment(81, 1, 8), {"question_id": 82, "model": "m", "score": 3}])
    assert f"{wrong}:2: has no `judge`" in refused(capsys, wrong)


def test_it_starts_without_torch(judgments):
    check = (
        "import sys; from zephyr.cli import main; main(['score', sys.argv[1]]);"
        "sys.exit(bool({'torch', 'datasets', 'transformers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", check, judgments], capture_output=True).returncode == 0


def test_real_files_in_one_call(capsys, shared):
    files = [shared / f"alpaca_eval/{name}/annotations.json" for name in ("falcon-40b-instruct", "zephyr-7b-beta")]
    found = json.loads(score(capsys, shared / "mt_bench/model_judgment/gpt-4_single.jsonl", *files, "--json"))
    assert len(found) == 6
    zephyr = next(each for each in found if each["model"] == "zephyr-7b-beta")
    assert round(zephyr["win_rate"], 4) == 90.5978 and round(zephyr["standard_error"], 4) == 1.0287
    assert (zephyr["wins"], zephyr["losses"], zephyr["draws"], zephyr["n"], zephyr["n_failed"]) == (727, 75, 1, 803, 2)
    assert zephyr["compared"][0]["separable"] and round(zephyr["length"]) == 1445
