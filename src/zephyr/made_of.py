"""What a run was made of, down to the local files: a finished run is used again only while that is what it was.

A run's identity says where its data are; its content says what was in them: a hash of the identity, the files that it
read, and the contents of the runs that it was made from.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from zephyr.recipe import Loaded
from zephyr.recipe.loaded import plain
from zephyr.recipe.references import references
from zephyr.recipe.variant import run_id_in

Known = dict[Path, str | None]
"""Run directory -> content, so that many runs are looked at once."""


def made_of(loaded: Loaded) -> dict[str, Any]:
    """For `provenance.json`: the local files that a recipe names, inputs' outputs left out, and the run's content."""
    files = [
        {"path": str(each), **_stamp(each), "sha256": _digest_of(each)} for each in _named(loaded) if each.is_file()
    ]
    return {"files": files, "content": content_of(loaded)}


def content_of(loaded: Loaded, known: Known | None = None) -> str | None:
    """What a run would be made of now, 16 hex digits; None where a file is gone that no run has noted."""
    known = {} if known is None else known
    if loaded.run_dir not in known:
        known[loaded.run_dir] = _content(loaded, known)
    return known[loaded.run_dir]


def outdated(loaded: Loaded, known: Known | None = None) -> dict[Path, str]:
    """Of a finished run and those it was made from, the ones made of something else than there is now.

    Returns the run directory of each, inputs first, and the reason as the end of a sentence.
    """
    known, found = {} if known is None else known, dict[Path, str]()
    for each in loaded.inputs:
        found |= outdated(each.loaded, known)
    recorded = _record(loaded)
    if not (loaded.run_dir / "result.json").is_file() or not recorded or run_id_in(loaded.run_dir) != loaded.run_id:
        return found  # not finished, or the run of another recipe
    before, now = recorded.get("content"), content_of(loaded, known)
    if before is not None and now is not None and before != now:
        found[loaded.run_dir] = _reason(loaded, found)
    return found


def changed_files(loaded: Loaded) -> list[str]:
    """Local files that a run has read and that hold something else now."""
    return [each["path"] for each in _record(loaded).get("files", []) if _differs(each)]


def _reason(loaded: Loaded, found: Iterable[Path]) -> str:
    changed = changed_files(loaded)
    if changed:
        return f"read {', '.join(changed)}, changed since"
    direct = [each.loaded.run_dir.name for each in loaded.inputs if each.loaded.run_dir in found]
    direct = direct or [each.loaded.run_dir.name for each in loaded.inputs]
    return f"was made from what {' and '.join(dict.fromkeys(direct))} held then"


def _content(loaded: Loaded, known: Known) -> str | None:
    noted = {each["path"]: each for each in _record(loaded).get("files", [])}
    parts: list[Any] = [loaded.run_id]
    for file in _named(loaded):
        before = noted.get(str(file))
        if not file.is_file() and before is None:
            return None
        parts.append(_digest_of(file, before) if file.is_file() else before["sha256"])  # type: ignore[index]
    for each in loaded.inputs:
        content = content_of(each.loaded, known)
        if content is None:
            return None
        parts.append(content)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _record(loaded: Loaded) -> dict[str, Any]:
    """What a run's directory says it was made of; empty where it says nothing."""
    file = loaded.run_dir / "provenance.json"
    if not file.is_file():
        return {}
    recorded: dict[str, Any] = json.loads(file.read_text())
    return recorded if "content" in recorded else {}


def _differs(recorded: dict[str, Any]) -> bool:
    file = Path(recorded["path"])
    return file.is_file() and _digest_of(file, recorded) != recorded["sha256"]


def _named(loaded: Loaded) -> list[Path]:
    """Local files that a recipe names, those in directories that it names, and those that are not there."""
    made = [each.loaded.run_dir for each in loaded.inputs]
    texts = dict.fromkeys(text for _, text, _ in references(loaded.recipe.stage, plain(loaded.recipe)))
    paths = [Path(text) for text in texts if Path(text).is_absolute()]
    paths = [each for each in paths if not any(each.is_relative_to(other) for other in made)]
    return [file for path in paths for file in (sorted(_inside(path)) if path.is_dir() else [path])]


def _inside(directory: Path) -> Iterator[Path]:
    return (each for each in directory.rglob("*") if each.is_file())


def _stamp(file: Path) -> dict[str, int]:
    found = file.stat()
    return {"bytes": found.st_size, "modified_ns": found.st_mtime_ns}


def _digest_of(file: Path, before: dict[str, Any] | None = None) -> str:
    """SHA-256 of a file; read again only if its size or time is another than noted, since data may be large."""
    stamp = _stamp(file)
    if before and stamp == {key: before[key] for key in stamp}:
        return str(before["sha256"])
    return _digest(file, *stamp.values())


@lru_cache(maxsize=4096)
def _digest(file: Path, size: int, modified_ns: int) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
