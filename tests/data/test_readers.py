import gzip
import json

import pyarrow
import pyarrow.parquet
import pytest

from zephyr.data.readers import format_of, read_csv, read_json, read_jsonl, read_parquet
from zephyr.errors import UserError


def test_a_broken_json_line_is_a_row_with_its_line_number(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "one"}\n\n{"text": "two"\n[1]\n{"text": "four"}\n')
    rows = list(read_jsonl(path))
    assert [(row.line, row.index, row.fault) for row in rows] == [
        (1, 0, ""), (3, 1, "invalid JSON"), (4, 2, "not a JSON object"), (5, 3, ""),
    ]  # fmt: skip
    assert rows[1].fields is None and '{"text": "two"' in rows[1].excerpt
    assert rows[3].fields == {"text": "four"}


def test_a_line_that_is_not_utf8_is_a_row(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "caf\xe9"}\n\xef\xbb\xbf{"text": "ok"}\n')
    assert [row.fault for row in read_jsonl(path)] == ["not UTF-8", ""]


def test_compressed_json_lines(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"text": "one"}\n'))
    assert format_of(path) == ".jsonl"
    assert [row.fields for row in read_jsonl(path)] == [{"text": "one"}]


@pytest.mark.parametrize(
    "content",
    ['[{"text": "a"}, {"text": "b"}]', '{"data": [{"text": "a"}, {"text": "b"}]}', '{"text": "a"}\n{"text": "b"}\n'],
)
def test_json_as_list_under_data_or_in_truth_lines(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_text(content)
    assert [row.fields for row in read_json(path)] == [{"text": "a"}, {"text": "b"}]


def test_a_json_file_that_is_cut_off_is_refused_with_the_place(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('[{"text": "a"},\n {"text": ')
    with pytest.raises(UserError, match=r"a\.json: is not JSON .*line 2"):
        list(read_json(path))


def test_csv_rows_keep_their_line_across_quoted_line_breaks(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('prompt,completion\n"two\nlines",yes\nshort\nlast,no\n')
    rows = list(read_csv(path))
    assert [(row.line, row.fault) for row in rows] == [(2, ""), (4, "1 values under 2 headings"), (5, "")]
    assert rows[0].fields == {"prompt": "two\nlines", "completion": "yes"}


def test_tab_separated(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("prompt\tcompletion\na, b\tc\n")
    assert [row.fields for row in read_csv(path)] == [{"prompt": "a, b", "completion": "c"}]


def test_parquet(tmp_path):
    path = tmp_path / "a.parquet"
    rows = [{"messages": [{"role": "user", "content": str(n)}]} for n in range(2500)]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    found = list(read_parquet(path))
    assert [row.fields for row in found] == json.loads(json.dumps(rows))
    assert found[-1].index == 2499
