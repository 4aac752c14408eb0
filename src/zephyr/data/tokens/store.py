"""Prepared data on disk, under the hash of all that determines them: made once, then read back at once.

`<cache>/prepared/<key>/` holds `train.arrow`, `eval.arrow`, `prepared.json` and `unusable.jsonl`. It appears whole, by
one rename; a lock makes other processes wait for it instead of doing the same work.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zephyr.data.counts import Counts, UnusableRow

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

    from zephyr.data.tokens.pack import Ids


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One process at a time makes `folder`. Where the file system has no locks the rename still keeps it whole."""
    import filelock

    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder.with_suffix(".lock"))
    try:
        lock.acquire()
    except (NotImplementedError, OSError):
        yield
        return
    try:
        yield
    finally:
        lock.release()


def is_complete(folder: Path) -> bool:
    """Whether prepared data are there, whole."""
    return (folder / "prepared.json").is_file()


def table(columns: dict[str, Sequence["Ids"]]) -> "pa.Table":
    """A table with a list of ids in every column, made without going through Python lists."""
    import pyarrow as pa

    arrays = {name: pa.chunked_array(_chunks(rows), type=pa.list_(pa.int32())) for name, rows in columns.items()}
    return pa.table(arrays)


def _chunks(rows: Sequence["Ids"], size: int = 2**26) -> Iterator[Any]:
    """Arrow lists of at most about `size` ids each: Arrow counts the ids of one array in 32 bits."""
    import numpy as np
    import pyarrow as pa

    start, total = 0, 0
    for n, row in enumerate(rows):
        total += len(row)
        if total >= size or n == len(rows) - 1:
            part = rows[start : n + 1]
            bounds = np.concatenate([[0], np.cumsum([len(row) for row in part])]).astype(np.int32)
            yield pa.ListArray.from_arrays(
                pa.array(bounds), pa.array(np.concatenate(part).astype(np.int32, copy=False))
            )
            start, total = n + 1, 0


def list_lengths(dataset: "datasets.Dataset", column: str) -> Any:
    """Lengths of a column's lists, an array of int64, without reading the lists."""
    import numpy as np

    chunks = dataset.data.column(column).chunks
    return np.concatenate([np.diff(chunk.offsets.to_numpy()) for chunk in chunks]).astype(np.int64)


def write(
    folder: Path,
    splits: dict[str, "pa.Table"],
    counts: dict[str, Counts],
    unusable: Sequence[UnusableRow],
    rest: dict[str, Any],
) -> None:
    """Put prepared data at `folder`, whole; if another process was faster, its are kept."""
    import pyarrow as pa

    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        part.chmod(0o755)
        for name, content in splits.items():
            with pa.ipc.new_stream(part / f"{name}.arrow", content.schema) as out:
                out.write_table(content)
        write_unusable(part / "unusable.jsonl", unusable)
        facts = {"counts": {name: asdict(found) for name, found in counts.items()}, **rest}
        (part / "prepared.json").write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        try:
            part.rename(folder)
        except OSError:
            if not is_complete(folder):
                raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def write_unusable(file: Path, unusable: Sequence[UnusableRow]) -> Path:
    """List rows that cannot be used, one JSON object a line."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="utf-8") as out:
        for row in unusable:
            out.write(json.dumps(asdict(row), ensure_ascii=False) + "\n")
    return file


def read_unusable(folder: Path) -> list[UnusableRow]:
    """The rows listed beside prepared data."""
    with (folder / "unusable.jsonl").open(encoding="utf-8") as lines:
        return [UnusableRow(**json.loads(line)) for line in lines]


def read_facts(folder: Path) -> dict[str, Any]:
    """`prepared.json`, its counts as Counts."""
    facts = json.loads((folder / "prepared.json").read_text(encoding="utf-8"))
    return facts | {"counts": {name: Counts(**found) for name, found in facts["counts"].items()}}


def read_split(folder: Path, name: str) -> "datasets.Dataset | None":
    """A prepared split, mapped into memory, or None where there is none."""
    import datasets

    file = folder / f"{name}.arrow"
    return datasets.Dataset.from_file(str(file)) if file.is_file() else None
