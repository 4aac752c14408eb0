import re

import pytest

from zephyr.data.counts import UnusableRow, by_reason, excerpt, refuse_unusable
from zephyr.errors import UserError


def unusable(n, reason="empty answer"):
    return [UnusableRow("train", "a.jsonl", index + 1, index, reason, f"row {index}") for index in range(n)]


def test_the_share_itself_is_allowed_and_one_row_more_is_not():
    refuse_unusable("train", 100, unusable(2), 0.02, "list")
    refuse_unusable("train", 100, [], 0.0, "list")
    with pytest.raises(UserError, match="3 of 100 rows"):
        refuse_unusable("train", 100, unusable(3), 0.02, "list")


def test_above_the_share_reasons_examples_and_ways_out_are_named():
    rows = [*unusable(2), *unusable(1, "invalid JSON")]
    with pytest.raises(UserError) as error:
        refuse_unusable("train", 1000, rows, 0.002, "/cache/unusable.jsonl")
    text = str(error.value)
    assert text.startswith("data.train: 3 of 1,000 rows (0.30%) cannot be used; data.max_unusable_share allows 0.20%.")
    assert re.search(r"2  empty answer\n +e\.g\. a\.jsonl:1: row 0", text)
    assert "/cache/unusable.jsonl" in text and "columns:" in text


@pytest.mark.parametrize(("n", "of"), [(1, 3), (3, 1000), (13, 2312), (1, 100_000), (99, 100), (7, 7)])
def test_the_share_that_is_suggested_is_enough(n, of):
    with pytest.raises(UserError) as error:
        refuse_unusable("train", of, unusable(n), 0.0, "list")
    suggested = float(re.search(r"max_unusable_share: ([\d.]+)`", str(error.value)).group(1))
    refuse_unusable("train", of, unusable(n), suggested, "list")


def test_by_reason_has_the_most_frequent_first():
    assert list(by_reason([*unusable(1, "a"), *unusable(2, "b")]).items()) == [("b", 2), ("a", 1)]


def test_excerpts_are_one_short_line():
    assert excerpt("a\n  b") == "a b"
    assert len(excerpt("x" * 500, 20)) == 20
