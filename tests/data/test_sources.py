import json

import datasets
import pytest

from zephyr.data.sources import _from_hub, identity, read
from zephyr.errors import UserError
from zephyr.recipe.sections import Source


def texts(rows):
    return [row.fields["text"] for row in rows]


@pytest.fixture
def numbers(write):
    return write([{"text": str(n)} for n in range(100)])


def test_all_rows_in_order(numbers):
    assert texts(read(Source(path=numbers), seed=1)) == [str(n) for n in range(100)]


def test_a_draw_is_seeded_keeps_the_order_and_grows(numbers):
    ten = texts(read(Source(path=numbers, rows=10), seed=1))
    assert len(ten) == 10 and ten == sorted(ten, key=int)
    assert ten == texts(read(Source(path=numbers, rows=10), seed=1))
    assert ten != texts(read(Source(path=numbers, rows=10), seed=2))
    assert set(ten) < set(texts(read(Source(path=numbers, fraction=0.2), seed=1)))


def test_more_rows_than_there_are_is_refused(numbers):
    with pytest.raises(UserError, match=r"rows: 101.*there are 100"):
        list(read(Source(path=numbers, rows=101), seed=1))


def test_columns_are_renamed_and_a_missing_one_is_named(write):
    path = write([{"question": "q", "answer": "a", "prompt": "not this"}])
    found = next(iter(read(Source(path=path, columns={"prompt": "question"}), seed=1)))
    assert found.fields == {"prompt": "q", "answer": "a"}
    with pytest.raises(UserError, match=r"names quesion, but the columns are question, answer, prompt.*\n.*question\?"):
        list(read(Source(path=path, columns={"prompt": "quesion"}), seed=1))


def test_a_missing_file_names_those_that_are_near(write, tmp_path):
    write([], "dialogues.jsonl")
    with pytest.raises(UserError, match=r"no such file or directory.*\n.*dialogues\.jsonl"):
        list(read(Source(path=str(tmp_path / "dialogue.jsonl")), seed=1))


def test_a_relative_name_with_one_slash_and_an_ending_is_a_file_not_a_hub_id(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no such file"):
        list(read(Source(path="data/train.jsonl"), seed=1))


def test_a_hub_id_without_a_network_says_both_readings(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"neither here .* nor .* from the Hub"):
        list(read(Source(path="nobody/nothing", revision="a" * 40), seed=1))


def test_what_load_dataset_gives_and_the_splits_it_knows(tmp_path, monkeypatch):
    """A directory stands in for the Hub: `load_dataset` treats both alike."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "someone" / "data"
    folder.mkdir(parents=True)
    for split in ("train", "test"):
        (folder / f"{split}.jsonl").write_text(json.dumps({"text": split}) + "\n")
    assert _from_hub(Source(path="someone/data", split="test"))["text"] == ["test"]
    with pytest.raises(UserError, match=r"the split is not named\. Its splits are train, test"):
        _from_hub(Source(path="someone/data"))
    with pytest.raises(UserError, match=r'Unknown split "tset"\. Should be one of .*train.*\nWays out'):
        _from_hub(Source(path="someone/data", split="tset"))


def test_a_directory_is_read_in_the_order_of_names_and_by_split(write, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("train-00001", "train-00000", "test"):
        (folder / f"{name}.jsonl").write_text(json.dumps({"text": name}) + "\n")
    assert texts(read(Source(path=str(folder)), seed=1)) == ["test", "train-00000", "train-00001"]
    assert texts(read(Source(path=str(folder), split="train"), seed=1)) == ["train-00000", "train-00001"]
    with pytest.raises(UserError, match=r"no file for `split: dev`.*test\.jsonl"):
        list(read(Source(path=str(folder), split="dev"), seed=1))


def test_a_directory_of_several_formats_is_refused(tmp_path):
    (tmp_path / "a.jsonl").write_text("{}\n")
    (tmp_path / "info.json").write_text("{}")
    with pytest.raises(UserError, match=r"several formats \(\.json, \.jsonl\)"):
        list(read(Source(path=str(tmp_path)), seed=1))


def test_a_split_of_a_file_is_refused(numbers):
    with pytest.raises(UserError, match="a file has no splits"):
        list(read(Source(path=numbers, split="train"), seed=1))


def test_saved_data_sets_and_their_splits(tmp_path):
    one = datasets.Dataset.from_list([{"text": "a"}, {"text": "b"}])
    one.save_to_disk(tmp_path / "one")
    datasets.DatasetDict({"train": one, "test": one.select([1])}).save_to_disk(tmp_path / "several")
    assert texts(read(Source(path=str(tmp_path / "one")), seed=1)) == ["a", "b"]
    assert texts(read(Source(path=str(tmp_path / "several"), split="test"), seed=1)) == ["b"]
    with pytest.raises(UserError, match=r"the split is not named\. Its splits are train, test"):
        list(read(Source(path=str(tmp_path / "several")), seed=1))
    with pytest.raises(UserError, match=r"there is no split tset.*Did you mean test"):
        list(read(Source(path=str(tmp_path / "several"), split="tset"), seed=1))


def test_identity_is_the_content_not_the_time(write, tmp_path):
    seen = tmp_path / "seen"
    first = identity(Source(path=write([{"text": "a"}])), seen)
    assert first["sha256"] == identity(Source(path=write([{"text": "a"}])), seen)["sha256"]
    assert first["sha256"] != identity(Source(path=write([{"text": "b"}])), seen)["sha256"]
    assert len(first["sha256"]) == 64 and first["revision"] is None


def test_a_pinned_hub_revision_needs_no_network():
    found = identity(Source(path="nobody/nothing", revision="a" * 40, split="train"), seen=None)
    assert found == {"path": "nobody/nothing:train", "sha256": None, "revision": "a" * 40}
