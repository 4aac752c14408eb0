"""MT-Bench from stored answers to the page, judged by a server that answers from stored judgments."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from statistics import mean

import pytest

from tests.evaluate.benchmark_files import MtBenchFiles, write_mt_bench
from tests.evaluate.conftest import lines
from tests.evaluate.replay_server import requests, serving
from zephyr.cli import main
from zephyr.errors import UserError
from zephyr.recipe import load
from zephyr.run import execute


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZEPHYR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ZEPHYR_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.delenv("ZEPHYR_OFFLINE", raising=False)


@pytest.fixture
def files(tmp_path: Path) -> MtBenchFiles:
    return write_mt_bench(tmp_path / "mt_bench")


def write(folder: Path, text: str) -> Path:
    path = folder / "evaluate.yaml"
    path.write_text(text)
    return path


def test_stored_answers_are_judged_and_scored(files, tmp_path):
    with serving(files.known, tmp_path) as base_url:
        loaded = load(write(tmp_path, files.recipe(base_url)))
        result = execute(loaded)
    assert len(requests(tmp_path)) == 64
    for model, ratings in files.ratings.items():
        found = result["scores"][model]["mt_bench"]
        assert found["score"] == pytest.approx(mean(ratings))
        assert (found["n"], found["n_failed"], found["judge"]) == (32, 0, "gpt-4")
        assert found["turn_1"] - found["turn_2"] == pytest.approx(1)
        assert {each["n"] for each in found["by_category"].values()} == {4}
    (compared,) = result["comparisons"]
    assert (compared["a"], compared["b"], compared["difference"]) == ("strong", "weak", -5)
    judging = result["judging"]["mt_bench"]
    assert (judging["model"], judging["served"]) == ("gpt-4", {"gpt-4-0613": 64})
    assert judging["from"] == "2023-10-11T04:53:20+00:00" and judging["base_url"] == base_url
    # FastChat's format: `zephyr score` reads it
    stored = [json.loads(line) for line in (loaded.run_dir / "mt_bench/judgments.jsonl").read_text().splitlines()]
    assert {row["judgment"] for row in stored} == set(files.known.values())
    assert main(["score", str(loaded.run_dir / "mt_bench/judgments.jsonl")]) == 0
    assert result["warnings"] == []


def test_each_step_alone_and_figures_without_a_server(files, tmp_path):
    with serving(files.known, tmp_path) as base_url:
        recipe = write(tmp_path, files.recipe(base_url))
        assert main(["run", str(recipe), "until=generate"]) == 0
        assert requests(tmp_path) == []
        assert main(["run", str(recipe), "until=judge"]) == 0
        assert len(requests(tmp_path)) == 64
    run_dir = load(recipe).run_dir
    assert not (run_dir / "result.json").exists()
    assert main(["run", str(recipe)]) == 0  # the server is gone
    scores = json.loads((run_dir / "result.json").read_text())["scores"]
    assert scores["weak"]["mt_bench"]["score"] == pytest.approx(mean(files.ratings["weak"]))
    assert main(["report", str(run_dir)]) == 0
    page = (run_dir / "report.html").read_text() if (run_dir / "report.html").exists() else ""
    page = page or "".join(file.read_text() for file in run_dir.rglob("*.html"))
    assert "MT-Bench" in page and "strong" in page


def test_other_answers_in_the_same_directory_are_refused_not_mixed(files, tmp_path):
    with serving(files.known, tmp_path) as base_url:
        recipe = write(tmp_path, files.recipe(base_url))
        main(["run", str(recipe), "until=judge"])
        with pytest.raises(UserError, match="holds the run of another recipe"):
            execute(load(recipe, ["seed=1"]))


def test_a_failed_call_is_never_a_score_and_too_many_are_refused(files, tmp_path):
    unknown = list(files.known)[:3]
    known = {prompt: said for prompt, said in files.known.items() if prompt not in unknown}
    known[next(iter(known))] = "I would rather not."
    with serving(known, tmp_path) as base_url:
        recipe = write(tmp_path, files.recipe(base_url))
        with pytest.raises(UserError) as refused:
            execute(load(recipe))
        assert "4 of 32 MT-Bench judgments of strong (12.50%) came to nothing" in str(refused.value)
        assert "max_failed_share allows 0.00%" in str(refused.value)
        assert "3  refused" in str(refused.value) and "1  no rating in it" in str(refused.value)
        n_asked = len(requests(tmp_path))
        result = execute(load(recipe, ["benchmarks.mt_bench.max_failed_share=0.2"]))
    found = result["scores"]["strong"]["mt_bench"]
    assert (found["n"], found["n_failed"]) == (28, 4)
    assert found["score"] == pytest.approx(mean(files.ratings["strong"][4:]))
    assert result["warnings"] == ["MT-Bench, strong: 4 of 32 judgments failed; they are in no mean"]
    assert len(requests(tmp_path)) - n_asked == 3  # those that the server refused; no answer is asked for again


def test_repeated_judgments_all_count(files, tmp_path):
    with serving(files.known, tmp_path) as base_url:
        result = execute(load(write(tmp_path, files.recipe(base_url, repeats="2"))))
    assert len(requests(tmp_path)) == 128
    assert result["scores"]["weak"]["mt_bench"]["n"] == 64


def test_another_judge_is_marked_and_calibrated(files, tmp_path):
    with serving(files.known, tmp_path) as base_url:
        first = load(write(tmp_path, files.recipe(base_url)))
        execute(first)
    known = first.run_dir / "mt_bench/judgments.jsonl"
    kinder = {
        prompt: said.replace("[[", "[[1") if "[[0" in said else said.replace("]]", ".5]]")
        for prompt, said in files.known.items()
    }
    with serving(kinder, tmp_path) as base_url:
        recipe = write(tmp_path, files.recipe(base_url, calibration=str(known)).replace("gpt-4", "kind"))
        result = execute(load(recipe, [f"output_dir={tmp_path}/kind"]))
    found = result["judging"]["mt_bench"]["calibration"]
    assert found["offset"] == pytest.approx(0.5) and found["rank_correlation"] == pytest.approx(1)
    assert (found["n"], found["n_failed"], found["known_judge"], found["judge"]) == (64, 0, "gpt-4", "kind")
    assert [each["model"] for each in found["models"]] == ["strong", "weak"]
    (warning,) = result["warnings"]
    assert "judged by kind, not by the paper's gpt-4" in warning and "+0.50 points" in warning


def test_a_missing_reference_is_said_before_anything_is_asked(files, tmp_path):
    file = files.folder / "reference.jsonl"
    lines(file, [row for row in map(json.loads, file.read_text().splitlines()) if row["question_id"] != 112])
    with serving(files.known, tmp_path) as base_url:
        with pytest.raises(UserError, match=r"holds no reference answer to question 112 \(math\)"):
            execute(load(write(tmp_path, files.recipe(base_url))))
        assert requests(tmp_path) == []


def test_stored_answers_that_lack_a_question_are_refused(files, tmp_path):
    file = files.folder / "weak.jsonl"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))
    with (
        serving(files.known, tmp_path) as base_url,
        pytest.raises(UserError, match="does not answer 1 of 16 questions in all their turns, the first of them 152"),
    ):
        execute(load(write(tmp_path, files.recipe(base_url))))


def test_killed_halfway_it_goes_on_and_asks_nothing_twice(files, tmp_path):
    files = write_mt_bench(tmp_path / "large", tuple(range(81, 161)))
    with serving(files.known, tmp_path) as base_url:
        recipe = write(tmp_path, files.recipe(base_url))
        process = subprocess.Popen([sys.executable, "-m", "zephyr", "run", str(recipe)], env=os.environ.copy(),
                                   stderr=subprocess.DEVNULL)  # fmt: skip
        deadline = time.monotonic() + 60
        while len(requests(tmp_path)) < 150 and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        before = len(requests(tmp_path))
        assert 150 <= before < 320
        result = execute(load(recipe))
    counts = Counter(requests(tmp_path))
    assert len(counts) == 320
    # what was in flight at the kill (max_concurrency: 2) is asked again, nothing else
    assert sum(counts.values()) - 320 <= 2
    assert result["scores"]["strong"]["mt_bench"]["score"] == pytest.approx(mean(files.ratings["strong"]))


def test_the_stored_judgments_replayed_give_their_means(shared, tmp_path):
    """FastChat's judgments of four models: stored answers, judge, score, as show_result.py has them."""
    folder = shared / "mt_bench"
    stored = [json.loads(line) for line in (folder / "model_judgment/gpt-4_single.jsonl").read_text().splitlines()]
    names = {"mistral-orpo-trl": 7.1656, "mistral-orpo-capybara": 6.8187, "mistral-orpo-mix": 6.0031}
    answers = ", ".join(f"{name}: {folder}/model_answer/{name}.jsonl" for name in names)
    with serving({row["user_prompt"]: row["judgment"] for row in stored}, tmp_path) as base_url:
        recipe = write(tmp_path, (
            f"stage: evaluate\nseed: 0\njudge: {{model: gpt-4, base_url: {base_url!r}}}\nbenchmarks:\n  mt_bench:\n"
            f"    questions: {folder}/question.jsonl\n    references: {folder}/reference_answer/gpt-4.jsonl\n"
            f"    prompts: {folder}/judge_prompts.jsonl\n    answers: {{{answers}}}\n"
        ))  # fmt: skip
        result = execute(load(recipe))
    for name, expected in names.items():
        found = result["scores"][name]["mt_bench"]
        assert (found["n"], found["n_failed"]) == (160, 0)
        assert found["score"] == pytest.approx(expected, abs=5e-5)
    assert len(requests(tmp_path)) == 480
