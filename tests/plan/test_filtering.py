"""What the plan says of a filter recipe."""

from pathlib import Path

from tests.conftest import write_rows

from zephyr.plan.filtering import outline
from zephyr.recipe import load

RECIPE = """\
stage: filter
seed: 1
data: {train: [{path: raw.jsonl}, {path: someone/dialogues, rows: 1000}], eval_share: 0.1}
filters: {subset: {rows: 500}, truecase: {}, near_duplicates: {on: prompt, max_similarity: 0.8}, thanks: null}
"""


def test_reads_filters_makes(tmp_path: Path):
    write_rows(tmp_path / "raw.jsonl", [{"data": ["Hi", "Hello"]}])
    (tmp_path / "filter.yaml").write_text(RECIPE)
    lines = dict(outline(load(tmp_path / "filter.yaml").recipe))
    assert lines["reads"] == "raw.jsonl, 1,000 of someone/dialogues (not on this machine)"
    assert lines["filters"] == "truecase -> near_duplicates -> subset"
    assert lines["makes"] == "train.jsonl and eval.jsonl (at most 500 in train)"
    assert "benchmarks" not in lines and lines["takes"].startswith("about ")
