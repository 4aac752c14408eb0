"""File formats: every row of a file, with where it stood; a row that cannot be read says why and is never skipped."""

import csv
import gzip
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from zephyr.data.counts import excerpt
from zephyr.errors import UserError


@dataclass(frozen=True, slots=True)
class Row:
    """A row as it was found: its fields, or the fault that kept it from being read."""

    source: str
    """File or data set."""
    line: int | None
    """Line of the file, from 1, where the format has lines."""
    index: int
    """Number of the row in its source, from 0."""
    fields: dict[str, Any] | None
    """Column -> value; None when the row could not be read."""
    fault: str = ""
    """Why it could not be read."""
    excerpt: str = ""
    """The start of what could not be read."""


def _open(path: Path) -> IO[bytes]:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def read_jsonl(path: Path) -> Iterator[Row]:
    """One JSON object a line; blank lines are not rows."""
    with _open(path) as file:
        index = 0
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            yield _json_row(str(path), number, index, line)
            index += 1


def _json_row(source: str, number: int, index: int, line: bytes) -> Row:
    try:
        fields = json.loads(line.removeprefix(b"\xef\xbb\xbf"))
    except UnicodeDecodeError:
        return Row(source, number, index, None, "not UTF-8", excerpt(line.decode(errors="replace")))
    except ValueError as error:
        return Row(source, number, index, None, "invalid JSON", f"{error}: {excerpt(line.decode(errors='replace'))}")
    if not isinstance(fields, dict):
        return Row(source, number, index, None, "not a JSON object", excerpt(fields))
    return Row(source, number, index, fields)


def read_json(path: Path) -> Iterator[Row]:
    """A list of objects, `{"data": [...]}`, or in truth JSON lines (often so named)."""
    with _open(path) as file:
        content = file.read()
    try:
        found = json.loads(content.decode("utf-8-sig"))
    except ValueError as error:
        if not content.lstrip().startswith(b"[") and b"\n" in content.strip():
            yield from read_jsonl(path)
            return
        raise UserError(f"{path}: is not JSON ({error}).\nExpected a list of objects, or one object a line.") from None
    if isinstance(found, dict) and isinstance(found.get("data"), list):
        found = found["data"]
    elif isinstance(found, dict):
        found = [found]  # a file of one row
    if not isinstance(found, list):
        raise UserError(f"{path}: holds {excerpt(found)}.\nExpected a list of objects, or one object a line.")
    for index, fields in enumerate(found):
        if isinstance(fields, dict):
            yield Row(str(path), None, index, fields)
        else:
            yield Row(str(path), None, index, None, "not a JSON object", excerpt(fields))


def read_csv(path: Path) -> Iterator[Row]:
    """Comma- or tab-separated values with a heading line; every value is text."""
    csv.field_size_limit(2**31 - 1)
    delimiter = "\t" if ".tsv" in path.suffixes else ","
    with _open(path) as file:
        lines = (line.decode("utf-8-sig" if n == 0 else "utf-8", errors="replace") for n, line in enumerate(file))
        table = csv.reader(lines, delimiter=delimiter)
        names = next(table, [])
        index = 0
        start = table.line_num + 1
        for values in table:
            if values:
                if len(values) == len(names):
                    yield Row(str(path), start, index, dict(zip(names, values, strict=True)))
                else:
                    fault = f"{len(values)} values under {len(names)} headings"
                    yield Row(str(path), start, index, None, fault, excerpt(values))
                index += 1
            start = table.line_num + 1


def read_parquet(path: Path) -> Iterator[Row]:
    """A Parquet file, batch by batch."""
    import pyarrow.parquet

    file = pyarrow.parquet.ParquetFile(path)
    index = 0
    for batch in file.iter_batches(1000):
        for fields in batch.to_pylist():
            yield Row(str(path), None, index, fields)
            index += 1


def read_dataset(dataset: Iterable[Any], name: str) -> Iterator[Row]:
    """A `datasets.Dataset`, batch by batch."""
    index = 0
    for batch in dataset.iter(batch_size=1000):  # type: ignore[attr-defined]
        for values in zip(*batch.values(), strict=True):
            yield Row(name, None, index, dict(zip(batch, values, strict=True)))
            index += 1


FORMATS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".json": read_json,
    ".csv": read_csv,
    ".tsv": read_csv,
    ".parquet": read_parquet,
}
"""File ending -> its reader; all but Parquet may be compressed (`.gz`)."""


def format_of(path: Path) -> str | None:
    """The ending that decides how a file is read (`.jsonl` for `a.jsonl.gz`), or None."""
    ending = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    return ending if ending in FORMATS else None
