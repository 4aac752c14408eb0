"""The local files that a run read: it is used again only while they are what they were."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zephyr.recipe import Loaded
from zephyr.recipe.loaded import plain
from zephyr.recipe.references import references

KEY = "files"
"""In `provenance.json`."""


def files_used(loaded: Loaded) -> list[dict[str, Any]]:
    """The local files that a recipe names, outputs of its inputs left out: path, size in bytes, time, sha256."""
    return [{"path": str(file), **_stamp(file), "sha256": _digest(file)} for file in _named(loaded)]


def changed_files(run_dir: Path) -> list[Path]:
    """Files that a run read and that hold something else now; those that are gone are not counted."""
    record = run_dir / "provenance.json"
    if not record.is_file():
        return []
    used = [each for each in json.loads(record.read_text()).get(KEY, []) if Path(each["path"]).is_file()]
    return [Path(each["path"]) for each in used if _differs(Path(each["path"]), each)]


def _differs(file: Path, recorded: dict[str, Any]) -> bool:
    now = _stamp(file)
    if now == {key: recorded[key] for key in now}:
        return False  # read again only if something suggests it: data may be large
    return now["bytes"] != recorded["bytes"] or _digest(file) != recorded["sha256"]


def _named(loaded: Loaded) -> Iterator[Path]:
    made = [each.loaded.run_dir for each in loaded.inputs]
    texts = dict.fromkeys(text for _, text, _ in references(loaded.recipe.stage, plain(loaded.recipe)))
    for path in map(Path, texts):
        if path.is_absolute() and path.is_file() and not any(path.is_relative_to(each) for each in made):
            yield path


def _stamp(file: Path) -> dict[str, int]:
    found = file.stat()
    return {"bytes": found.st_size, "modified_ns": found.st_mtime_ns}


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
