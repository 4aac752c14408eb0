"""The stage: files as published, counts and samples, one outcome whatever the workers and kills."""

import json
import signal
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import write_rows

from zephyr.data.filter import stage
from zephyr.data.filter.duplicates import Seen, bands, near_signature
from zephyr.data.filter.stage import run
from zephyr.errors import UserError
from zephyr.recipe import load
from zephyr.recipe.filter import NearDuplicates

RECIPE = """\
stage: filter
seed: {seed}
data:
  train: [{{path: {train}}}]
  eval: {eval}
  eval_share: {share}
filters: {filters}
workers: {workers}
"""
PLACES = ("garden", "harbour", "station", "market", "castle", "bridge", "forest", "library", "mill", "tower")


def raw(n: int) -> dict[str, Any]:
    """A dialogue as in UltraChat's files; every prompt is another."""
    asked = f"which way is the {PLACES[n % 10]} from the {PLACES[n // 10 % 10]} on day {n}?"
    return {"id": str(n), "data": [asked, f"Take the left path {n} times. then ask again.", "Thanks!", "Welcome."]}


def make(folder: Path, rows: list[dict], name: str = "run", **given: Any) -> tuple[Any, Path]:
    """A recipe over rows, and an empty run directory."""
    settings = {"seed": 1, "eval": "[]", "share": 0, "filters": "{structure: {}}", "workers": 1} | given
    train = write_rows(folder / "train.jsonl", rows)
    (folder / f"{name}.yaml").write_text(RECIPE.format(train=train, **settings))
    (folder / name).mkdir()
    return load(folder / f"{name}.yaml").recipe, folder / name


def read(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_raw_ultrachat_comes_out_as_published(tmp_path: Path):
    recipe, folder = make(tmp_path, [raw(n) for n in range(3)], filters="{thanks: {}, truecase: {}}")
    result = run(recipe, folder)
    rows = read(folder / "train.jsonl")
    assert rows[2] == {
        "prompt": "Which way is the station from the garden on day 2?",
        "prompt_id": sha256(rows[2]["prompt"].encode()).hexdigest(),
        "messages": [
            {"role": "user", "content": "Which way is the station from the garden on day 2?"},
            {"role": "assistant", "content": "Take the left path 2 times. Then ask again."},
        ],
    }
    assert result["numbers"] == {"rows_read": 3, "train": 3, "eval": 0, "changed_thanks": 3, "changed_truecase": 3}
    assert result["changed"]["truecase: turns"] == 6 and not (folder / "eval.jsonl").exists()
    assert not (folder / "work").exists()
    assert {each["filter"] for each in read(folder / "changed.jsonl")} == {"thanks", "truecase"}


def test_what_is_dropped_is_counted_and_shown(tmp_path: Path):
    rows: list[dict] = [raw(n) for n in range(5)]
    rows[1]["data"][1] = "As an AI language model, I don't walk."
    rows[2]["data"] = ["Which way?", ""]
    rows[3] = {"other": 1}
    recipe, folder = make(tmp_path, rows, filters="{refusals: {}}")
    result = run(recipe, folder)
    assert result["dropped"] == {
        "refusals: identity (en)": 1,
        "structure: empty answer": 1,
        "unreadable: other columns than the first row": 1,
    }
    assert result["numbers"]["rows_read"] == 5 and result["numbers"]["train"] == 2 and result["warnings"]
    shown = {each["reason"]: each for each in read(folder / "dropped.jsonl")}
    assert shown["identity (en)"]["line"] == 2 and "I don't walk" in shown["identity (en)"]["text"]
    assert shown["identity (en)"]["prompt"] == raw(1)["data"][0]


ALL = """{structure: {}, thanks: {}, truecase: {}, format: {}, language: {keep: [en]}, refusals: {}, helpfulness: {},
  length: {}, exact_duplicates: {on: prompt}, near_duplicates: {on: prompt, max_similarity: 0.8},
  subset: {rows: 100}}"""


def outcome(folder: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in sorted(folder.glob("*.jsonl"))}


def test_workers_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stage, "ROWS_PER_PART", 64)
    rows = [raw(n % 250) for n in range(300)]
    results = []
    for workers in (1, 2):
        recipe, folder = make(tmp_path, rows, f"by{workers}", filters=ALL, share=0.2, workers=workers)
        results.append((run(recipe, folder) | {"provenance": None}, outcome(folder)))
    assert results[0] == results[1]
    result, files = results[0]
    assert result["dropped"]["exact_duplicates: equal to one kept before"] == 50
    assert result["numbers"]["train"] == 100 and 20 < len(files["eval.jsonl"].splitlines()) < 80


def test_parts_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    outcomes = []
    for size in (7, 1000):
        monkeypatch.setattr(stage, "ROWS_PER_PART", size)
        recipe, folder = make(tmp_path, [raw(n % 90) for n in range(100)], f"by{size}", filters=ALL, share=0.2)
        run(recipe, folder)
        outcomes.append(outcome(folder))
    assert outcomes[0] == outcomes[1]


def test_killed_and_started_again(tmp_path: Path):
    """SIGKILL in the middle: the same command ends with the same bytes, goes on from the parts that are done."""
    rows = [raw(n) for n in range(7000)]
    make(tmp_path, rows, "whole", filters=ALL)
    make(tmp_path, rows, "killed", filters=ALL, workers=2)
    command = [sys.executable, "-m", "zephyr", "run", "--outputs", str(tmp_path / "out")]
    subprocess.run([*command, str(tmp_path / "whole.yaml")], check=True, capture_output=True)
    once = subprocess.Popen([*command, str(tmp_path / "killed.yaml")], stderr=subprocess.DEVNULL)
    work = tmp_path / "out" / tmp_path.name / "killed" / "work"
    deadline = time.monotonic() + 60
    while not list(work.glob("*.pickle")) and once.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    once.send_signal(signal.SIGKILL)
    once.wait()
    done = list(work.glob("*.pickle"))
    assert 0 < len(done) <= 4
    before = set(done)
    recipe = load(tmp_path / "killed.yaml", outputs=tmp_path / "out").recipe
    submitted: list[int] = []
    original = stage._Pool.submit
    stage._Pool.submit = lambda self, part: (submitted.append(part.number), original(self, part))[1]  # type: ignore
    try:
        run(recipe, work.parent)
    finally:
        stage._Pool.submit = original  # type: ignore[method-assign]
    assert len(submitted) + len(before) >= 4 and not {int(each.stem) for each in before} & set(submitted)
    assert outcome(work.parent) == outcome(tmp_path / "out" / tmp_path.name / "whole")


def test_other_content_starts_anew(tmp_path: Path):
    recipe, folder = make(tmp_path, [raw(n) for n in range(4)])
    (folder / "work").mkdir()
    (folder / "work" / "inputs.json").write_text("another file's hash")
    (folder / "work" / "00000.pickle").write_bytes(b"of another file")
    assert run(recipe, folder)["numbers"]["train"] == 4


def test_no_prompt_in_two_splits(tmp_path: Path):
    rows = [raw(n % 60) for n in range(120)]
    for row in rows[60:]:
        row["data"][0] = "  " + row["data"][0].upper()
    recipe, folder = make(tmp_path, rows, share=0.3)
    run(recipe, folder)
    prompts = [
        {row["prompt"].casefold().strip() for row in read(folder / f"{name}.jsonl")} for name in ("train", "eval")
    ]
    assert prompts[0] and prompts[1] and not prompts[0] & prompts[1]
    held_out = write_rows(tmp_path / "held_out.jsonl", [raw(3), raw(1000)])
    recipe, folder = make(tmp_path, rows, "named", eval=f"[{{path: {held_out}}}]")
    result = run(recipe, folder)
    assert result["dropped"] == {"splits: prompt is in eval too": 2} and result["numbers"]["eval"] == 2


def test_the_subset_is_drawn_by_the_seed(tmp_path: Path):
    drawn = []
    for seed in (1, 1, 2):
        name = f"run{len(drawn)}"
        recipe, folder = make(tmp_path, [raw(n) for n in range(200)], name, seed=seed, filters="{subset: {rows: 20}}")
        run(recipe, folder)
        drawn.append([row["prompt"] for row in read(folder / "train.jsonl")])
    assert len(drawn[0]) == 20 and drawn[0] == drawn[1] != drawn[2]
    smaller, folder = make(tmp_path, [raw(n) for n in range(200)], "smaller", filters="{subset: {rows: 5}}")
    run(smaller, folder)
    assert {row["prompt"] for row in read(folder / "train.jsonl")} < set(drawn[0])


def test_near_duplicates_name_the_one_that_was_kept(tmp_path: Path):
    long = "Please describe the whole way from the old mill by the river to the harbour at the northern end of the city"
    rows = [{"data": [f"{long}{end}", f"Go {end}."]} for end in (" today", " now", "")]
    rows.insert(1, {"data": ["An altogether different question about cats and their long tails", "Long."]})
    recipe, folder = make(tmp_path, rows, filters="{near_duplicates: {on: prompt, max_similarity: 0.7}}")
    assert run(recipe, folder)["dropped"] == {"near_duplicates: similar to one kept before": 2}
    assert {each["text"] for each in read(folder / "dropped.jsonl")} == {f"{long} today"}
    recipe, folder = make(tmp_path, rows, "whole", filters="{exact_duplicates: {on: dialogue}}")
    assert run(recipe, folder)["numbers"]["train"] == 4


def test_minhash_finds_what_is_similar_and_nothing_else():
    settings = NearDuplicates(on="prompt", max_similarity=0.8)
    seen, n_found = Seen(settings), 0
    base = [[f"w{number}x{place}" for place in range(100)] for number in range(100)]

    def signed(said: list[str]) -> Any:
        return near_signature([{"role": "user", "content": " ".join(said)}], settings)

    for number, said in enumerate(base):
        assert seen.similar(signed(said), number) is None
    for number, said in enumerate(base):
        n_found += seen.similar(signed([*said[:-3], "a", "b", "c"]), 1000 + number) == number  # 0.94 alike
        assert seen.similar(signed([*said[:60], *(f"{number}y{n}" for n in range(40))]), 2000 + number) is None  # 0.4
    assert n_found >= 98
    assert bands(128, 0.8) in (16, 32) and bands(128, 0.99) < bands(128, 0.5)


def test_text_that_is_no_unicode_is_dropped(tmp_path: Path):
    rows = [raw(0), {"data": ["Which way is it from here?", "half a character: \ud83d"]}]
    recipe, folder = make(tmp_path, rows)
    assert run(recipe, folder)["dropped"] == {"structure: not Unicode text": 1}


def test_nothing_left_says_what_took_it(tmp_path: Path):
    recipe, folder = make(tmp_path, [raw(1)], filters="{length: {min_words: 100}}")
    with pytest.raises(UserError, match="length: too few words 1"):
        run(recipe, folder)


def test_rows_of_no_dialogue_are_refused_before_any_work(tmp_path: Path):
    recipe, folder = make(tmp_path, [{"question": "?", "answer": "!"}])
    with pytest.raises(UserError, match="question, answer"):
        run(recipe, folder)


def test_a_missing_library_is_named_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    recipe, folder = make(tmp_path, [raw(1)], filters="{near_duplicates: {on: prompt, max_similarity: 0.8}}")
    with pytest.raises(UserError, match="rensa"):
        run(recipe, folder)
