"""Where rows come from: a local file or directory, a saved data set, the Hub; and which of them are taken."""

import difflib
import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from zephyr.data.readers import FORMATS, Row, format_of, read_dataset
from zephyr.errors import UserError
from zephyr.recipe.sections import Source

_HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")


def read(source: Source, seed: int) -> Iterator[Row]:
    """The rows of a source, drawn and with their columns renamed, in the order of the source."""
    found = _drawn(source, seed) if source.fraction or source.rows else _all(source)
    if not source.columns:
        yield from found
        return
    for row in found:
        yield row if row.fields is None else replace(row, fields=_renamed(source, row.fields))


def _all(source: Source) -> Iterator[Row]:
    path = Path(source.path).expanduser()
    if not path.exists():
        yield from read_dataset(_from_hub(source), _hub_name(source))
    elif _is_saved_dataset(path):
        yield from read_dataset(_saved_dataset(source, path), source.path)
    else:
        for file in files(source, path):
            yield from FORMATS[str(format_of(file))](file)


def _drawn(source: Source, seed: int) -> Iterator[Row]:
    """`rows` or `fraction` of the rows. A smaller draw with the same seed is part of a larger one."""
    import numpy as np

    n = sum(1 for _ in _all(source))
    wanted = source.rows or round((source.fraction or 1.0) * n)
    if wanted > n:
        raise UserError(f"{source.path}: `rows: {wanted}` were asked for, but there are {n:,}. Take at most {n:,}.")
    taken = set(np.random.default_rng(seed).permutation(n)[:wanted].tolist())
    return (row for number, row in enumerate(_all(source)) if number in taken)


def _renamed(source: Source, fields: dict[str, Any]) -> dict[str, Any]:
    missing = [theirs for theirs in source.columns.values() if theirs not in fields]
    if missing:
        raise UserError(
            f"{source.path}: `columns:` names {', '.join(missing)}, but the columns are {', '.join(fields)}.\n"
            f"{_nearest(missing[0], list(fields))}Write `our field: their column`, for example `prompt: question`."
        )
    rest = {name: value for name, value in fields.items() if name not in source.columns.values()}
    return rest | {ours: fields[theirs] for ours, theirs in source.columns.items()}


def _nearest(name: str, names: list[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    return f"Did you mean {near[0]}? " if near else ""


# Local files


def files(source: Source, path: Path) -> list[Path]:
    """The files of a local source in the order of their names."""
    if path.is_file():
        return [_readable(source, path)]
    inside = sorted(p for p in path.rglob("*") if p.is_file() and format_of(p) and not p.name.startswith("."))
    if source.split:
        inside = _of_split(source, path, inside)
    formats = sorted({str(format_of(p)) for p in inside})
    if len(formats) == 1:
        return inside
    if not inside:
        raise UserError(f"{path}: no data in this directory. Expected files that end in {', '.join(FORMATS)}.")
    raise UserError(
        f"{path}: holds files of several formats ({', '.join(formats)}), so it is not clear which are the data:\n"
        + "\n".join(f"  {p.relative_to(path)}" for p in inside[:10])
        + "\nName one file, or a directory that holds only the data."
    )


def _readable(source: Source, path: Path) -> Path:
    if source.split:
        raise UserError(f"{path}: `split: {source.split}` was given, but a file has no splits. Remove it.")
    if format_of(path) is None:
        raise UserError(f"{path}: is of an unknown format. Expected a file that ends in {', '.join(FORMATS)}.")
    return path


def _of_split(source: Source, path: Path, inside: list[Path]) -> list[Path]:
    """Files named for a split: `test.jsonl`, `test-00000-of-00002.parquet`, `test/...`."""
    split = re.escape(str(source.split))
    found = [p for p in inside if re.match(rf"{split}([-_./\\]|$)", str(p.relative_to(path)))]
    if not found:
        names = ", ".join(str(p.relative_to(path)) for p in inside[:10])
        raise UserError(
            f"{path}: no file for `split: {source.split}` (a name that starts with it). Found: {names or 'no data'}."
        )
    return found


# Data sets saved with `save_to_disk`


def _is_saved_dataset(path: Path) -> bool:
    return (path / "dataset_dict.json").is_file() or (path / "state.json").is_file()


def _saved_dataset(source: Source, path: Path) -> Any:
    import datasets

    found = datasets.load_from_disk(str(path))
    if isinstance(found, datasets.Dataset):
        if source.split:
            raise UserError(f"{path}: `split: {source.split}` was given, but this data set has none. Remove it.")
        return found
    return found[_split(source, list(found))]


def _split(source: Source, splits: list[str]) -> str:
    if source.split in splits:
        return str(source.split)
    found = f"there is no split {source.split}" if source.split else "the split is not named"
    near = _nearest(source.split, splits) if source.split else ""
    raise UserError(f"{source.path}: {found}. Its splits are {', '.join(splits)}. {near}Add `split: {splits[0]}`.")


# The Hub


def _hub_name(source: Source) -> str:
    return ":".join(filter(None, (source.path, source.name, source.split)))


def _from_hub(source: Source) -> Any:
    import datasets

    _refuse_missing_file(source)
    try:
        if not source.split:  # asked before all splits are downloaded
            _split(source, datasets.get_dataset_split_names(source.path, source.name, revision=source.revision))
        return datasets.load_dataset(source.path, source.name, split=source.split, revision=source.revision)
    except (OSError, ValueError, RuntimeError) as error:
        said = str(error).splitlines()[0] if str(error) else ""
        if isinstance(error, ValueError) and ("split" in said or "config" in said.lower()):
            raise UserError(f"{source.path}: {said}\nWays out: another `split:` or `name:` at the source.") from error
        raise UserError(
            f"{source.path}: is neither here ({Path.cwd()}) nor could it be had from the Hub as a data set:\n"
            f"  {type(error).__name__}: {said}\n"
            "If it is a local file, check its path. If it is on the Hub, check the id, `name`, `revision`, the "
            "network and `hf auth login`; without a network, download it first and name the directory."
        ) from error


def _refuse_missing_file(source: Source) -> None:
    """UserError when the path can only be meant as a local one."""
    path = Path(source.path).expanduser()
    looks_local = format_of(path) or source.path.startswith((".", "/", "~")) or not _HUB_ID.fullmatch(source.path)
    if not looks_local:
        return
    folder = path.parent
    while not folder.is_dir():
        folder = folder.parent
    inside = sorted(p.name for p in folder.iterdir() if format_of(p) or p.is_dir())
    near = difflib.get_close_matches(path.name, inside, n=3, cutoff=0.4) or inside[:8]
    listed = f"In {folder.resolve()} there are: {', '.join(near)}." if near else f"{folder.resolve()} holds no data."
    raise UserError(f"{source.path}: there is no such file or directory (looked in {Path.cwd()}).\n{listed}")


# What a source holds, for provenance and for the store's key


def identity(source: Source, seen: Path, *, local_only: bool = False) -> dict[str, Any]:
    """What pins the content of a source: `sha256` of local files, or the Hub's `revision` (a commit where known).

    `seen` is a directory that remembers the hashes of files by name, size and time of change. With `local_only` the
    network is not asked which commit a branch stands for, but what was last downloaded.
    """
    path = Path(source.path).expanduser()
    if not path.exists():
        _refuse_missing_file(source)
        return {"path": _hub_name(source), "sha256": None, "revision": _hub_commit(source, local_only)}
    inside = sorted(p for p in path.rglob("*") if p.is_file()) if _is_saved_dataset(path) else files(source, path)
    hashes = [_sha256(file, seen) for file in inside]
    whole = hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()
    return {"path": source.path, "sha256": whole, "revision": None}


def _sha256(file: Path, seen: Path) -> str:
    stat = file.stat()
    stamp = json.dumps([str(file.resolve()), stat.st_size, stat.st_mtime_ns])
    note = seen / hashlib.sha256(stamp.encode()).hexdigest()[:32]
    if note.is_file():
        return note.read_text()
    with file.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    seen.mkdir(parents=True, exist_ok=True)
    part = note.with_suffix(f".{os.getpid()}")  # several processes may write the same note
    part.write_text(found)
    part.replace(note)
    return found


def _hub_commit(source: Source, local_only: bool) -> str | None:
    """The commit that a revision of a Hub data set stands for: as the Hub says, or as last downloaded, or unknown."""
    if source.revision and re.fullmatch(r"[0-9a-f]{40}", source.revision):
        return source.revision
    import huggingface_hub
    from huggingface_hub.constants import HF_HUB_CACHE

    if not local_only:
        try:
            return huggingface_hub.HfApi().dataset_info(source.path, revision=source.revision, timeout=5).sha
        except Exception:
            pass  # out of reach, or not allowed: loading it says why, in words
    folder = f"datasets--{source.path.replace('/', '--')}"
    downloaded = Path(HF_HUB_CACHE) / folder / "refs" / (source.revision or "main")
    return downloaded.read_text().strip() if downloaded.is_file() else source.revision
