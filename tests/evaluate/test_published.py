import hashlib

import pytest

from zephyr.errors import UserError
from zephyr.evaluate.published import Published, obtain


@pytest.fixture
def file(tmp_path):
    source = tmp_path / "there" / "question.jsonl"
    source.parent.mkdir()
    source.write_text("one\n")
    digest = hashlib.sha256(b"one\n").hexdigest()
    return source, Published(what="the questions", url=source.as_uri(), sha256=digest, licence="MIT")


def test_a_file_is_fetched_once_and_kept(tmp_path, file):
    source, published = file
    found = obtain(published, tmp_path / "cache")
    source.unlink()
    assert obtain(published, tmp_path / "cache") == found
    assert (found.name, found.read_text()) == ("question.jsonl", "one\n")


def test_what_is_damaged_here_is_fetched_again(tmp_path, file):
    _, published = file
    obtain(published, tmp_path / "cache").write_text("on")
    assert obtain(published, tmp_path / "cache").read_text() == "one\n"


def test_what_changed_there_is_refused_and_not_kept(tmp_path, file):
    source, published = file
    source.write_text("two\n")
    with pytest.raises(UserError, match="now holds something else than was published"):
        obtain(published, tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("question.jsonl"))


def test_without_a_network_the_way_out_is_named(tmp_path, file):
    source, published = file
    source.unlink()
    with pytest.raises(UserError, match=r"could not be had from .*\n.*\nWays out: a network; or the file by hand"):
        obtain(published, tmp_path / "cache")
