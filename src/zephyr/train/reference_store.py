"""Reference log-probabilities on disk, a row for each pair: computed once, then shared by every run that compares with
the same model, whatever its beta, loss, learning rate, epochs or seed.

`<cache>/reference/<key>/` holds `about.json` (all that the key is made of) and files of rows. Each process that
computes adds to a file of its own, a batch at a time, so a kill loses at most the batch in work.
"""

import hashlib
import json
import os
import uuid
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zephyr.cache import cache_root

ROW = np.dtype([("pair", "<u8", 2), ("logps", "<f4", 2), ("check", "<u4")])
"""A pair's key, the log-probabilities of its chosen and rejected answer in nats, and a checksum of both."""

Logps = npt.NDArray[np.float32]
"""Shape (rows, 2): chosen, rejected; NaN where a row is not known."""


def folder_of(what: dict[str, Any], cache: Path | None = None) -> Path:
    """Where rows live that were made by just this model in just this way; the folder is made."""
    text = json.dumps(what, sort_keys=True)
    folder = cache_root(cache) / "reference" / hashlib.sha256(text.encode()).hexdigest()[:24]
    about = folder / "about.json"
    if not about.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / f".about.{uuid.uuid4().hex}"
        draft.write_text(json.dumps(what, indent=1, sort_keys=True) + "\n")
        draft.replace(about)
    return folder


def pair_keys(dataset: Any) -> list[bytes]:
    """16 bytes for each row of `prompt_ids`, `chosen_ids`, `rejected_ids`: a hash of the ids and where they part."""
    columns = [_lists(dataset, name) for name in ("prompt_ids", "chosen_ids", "rejected_ids")]
    keys = []
    for row in zip(*columns, strict=True):
        digest = hashlib.sha256(np.array([len(ids) for ids in row], np.int64).tobytes())
        for ids in row:
            digest.update(ids.tobytes())
        keys.append(digest.digest()[:16])
    return keys


def _lists(dataset: Any, name: str) -> list[npt.NDArray[np.int32]]:
    """The lists of a column, without going through Python's integers."""
    found = []
    for chunk in dataset.data.column(name).chunks:
        values = chunk.values.to_numpy(zero_copy_only=False).astype(np.int32, copy=False)
        bounds = chunk.offsets.to_numpy()
        found += [values[bounds[n] : bounds[n + 1]] for n in range(len(chunk))]
    return found


def read(folder: Path | None, keys: Sequence[bytes]) -> Logps:
    """What is known of these pairs."""
    known: dict[bytes, Logps] = {}
    for file in sorted(folder.glob("*.rows")) if folder else ():
        content = file.read_bytes()
        rows = np.frombuffer(content, ROW, count=len(content) // ROW.itemsize)  # a kill may leave half a row at the end
        whole = rows["check"] == _checksums(rows)
        known.update(
            {key.tobytes(): logps for key, logps in zip(rows["pair"][whole], rows["logps"][whole], strict=True)}
        )
    missing = np.full(2, np.nan, np.float32)
    return np.array([known.get(key, missing) for key in keys], np.float32).reshape(len(keys), 2)


class Writer:
    """Adds rows to a store, in a file of its own."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / f"{uuid.uuid4().hex}.rows"

    def add(self, keys: Sequence[bytes], logps: Logps) -> None:
        """Adds rows; they are kept whatever happens to this process afterwards."""
        rows = np.zeros(len(keys), ROW)
        rows["pair"] = np.frombuffer(b"".join(keys), "<u8").reshape(-1, 2)
        rows["logps"] = logps
        rows["check"] = _checksums(rows)
        with self.path.open("ab") as file:
            file.write(rows.tobytes())
            file.flush()
            os.fsync(file.fileno())


def _checksums(rows: npt.NDArray[Any]) -> npt.NDArray[np.uint32]:
    covered = ROW.itemsize - 4
    content = rows.tobytes()
    starts = range(0, len(content), ROW.itemsize)
    return np.array([zlib.crc32(content[start : start + covered]) for start in starts], np.uint32)
