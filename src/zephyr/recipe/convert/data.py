"""The section `data` of a foreign recipe: three ways to name data sets."""

from pathlib import Path
from typing import Any

from zephyr.errors import UserError
from zephyr.recipe.convert.keys import Foreign
from zephyr.recipe.convert.origin import MIXER, MIXTURE, TRL
from zephyr.recipe.convert.rows import rows
from zephyr.recipe.convert.train import evaluates
from zephyr.recipe.problems import shown

Entry = dict[str, Any]
HELD_OUT = ("test", "eval", "valid", "dev")
"""A split with one of these in its name is for evaluation."""
BUILDERS = ("json", "jsonl", "parquet", "csv", "arrow", "text")
"""Names that stand for a file format, not for a data set."""


def data(foreign: Foreign) -> None:
    """The section `data`.

    Raises:
        UserError: the data sets are not written as the toolkit reads them.
    """
    read = {MIXER.name: _mixer, MIXTURE.name: _mixture, TRL.name: _trl}[foreign.dialect.name]
    train, held_out = read(foreign)
    if not train:
        raise UserError(f"{shown(foreign.file)}: names no data set to train on")
    for each in (*train, *held_out):
        _columns(foreign, each)
    foreign.put("data.train", train, because="see the notes")
    if held_out and evaluates(foreign):
        foreign.put("data.eval", held_out, because="see the notes")
    elif held_out:
        names = ", ".join(f"{each['path']} {each.get('split', '')}".strip() for each in held_out)
        foreign.note("lost", f"held-out data that it never evaluated: {names}; `data.eval` takes them")
    if any(not _is_local(foreign, each) for each in (*train, *held_out)):
        foreign.note("moved", "no data set has a commit, so rows may change under the name; pin each with `revision`")
    _seeds(foreign)
    rows(foreign)


def _entry(foreign: Foreign, path: str, **rest: Any) -> Entry:
    if "/" not in path and not _is_local(foreign, {"path": path}) and path in BUILDERS:
        raise UserError(f"{shown(foreign.file)}: `{path}` is a file format; no `data_files` says which file")
    return {"path": path, **{key: value for key, value in rest.items() if value is not None}}


def _is_local(foreign: Foreign, entry: Entry) -> bool:
    return any((folder / entry["path"]).exists() for folder in (Path.cwd(), foreign.file.parent))


def _held_out(split: Any) -> bool:
    return any(word in str(split).lower() for word in HELD_OUT)


# ------------------------------------------------------------------ alignment-handbook, 2023 to 2024


def _mixer(foreign: Foreign) -> tuple[list[Entry], list[Entry]]:
    mixer, names = foreign.get("dataset_mixer"), foreign.get("dataset_configs")
    splits = foreign.get("dataset_splits") or ["train", "test"]
    if not isinstance(mixer, dict) or not isinstance(splits, list):
        raise UserError(
            f"{shown(foreign.file)}: `dataset_mixer` must be a mapping of data set to share, "
            "and `dataset_splits` a list"
        )
    configs = names if isinstance(names, list) and len(names) == len(mixer) else [None] * len(mixer)
    train: list[Entry] = []
    held_out: list[Entry] = []
    for (path, share), name in zip(mixer.items(), configs, strict=True):
        for split in splits:
            if "train" not in split:
                held_out.append(_entry(foreign, path, name=name, split=split))
            elif share:
                train.append(_entry(foreign, path, name=name, split=split, fraction=_share(foreign, path, share)))
            else:
                foreign.note("lost", f"{path} {split} has share 0: not trained on", "dataset_mixer")
    foreign.note("renamed", "`data.train` and `data.eval`, an entry a data set and split", "dataset_mixer")
    foreign.note("renamed", "`split` of the entries: those with `train` in their name are trained on", "dataset_splits")
    if any("fraction" in each for each in train):
        foreign.note("moved", "shares took the first rows; `fraction` draws them by `seed`", "dataset_mixer")
    if sum("train" in split for split in splits) > 1:
        foreign.note(
            "moved",
            "with several training splits its script paired splits and shares wrongly and left the last "
            "ones out; here all are trained on",
            "dataset_splits",
        )
    return train, held_out


def _share(foreign: Foreign, path: str, share: Any) -> float | None:
    if not isinstance(share, int | float) or isinstance(share, bool) or not 0 < share <= 1:
        foreign.note("lost", f"{path} has share {share}, which is none; all its rows are taken", "dataset_mixer")
        return None
    return None if share == 1 else float(share)


# ------------------------------------------------------------------ alignment-handbook, 2025


def _mixture(foreign: Foreign) -> tuple[list[Entry], list[Entry]]:
    mixture = foreign.get("dataset_mixture")
    entries = mixture.get("datasets") if isinstance(mixture, dict) else None
    if not isinstance(entries, list) or not all(isinstance(each, dict) and "id" in each for each in entries):
        raise UserError(f"{shown(foreign.file)}: `dataset_mixture.datasets` must be a list of entries with an `id`")
    made = [
        _entry(
            foreign,
            each["id"],
            name=each.get("config"),
            split=each.get("split", "train"),
            fraction=_share(foreign, each["id"], each.get("weight") or 1.0),
            columns=each.get("columns"),
        )
        for each in entries
    ]
    held_out = [each for each in made if _held_out(each["split"])]
    if len(held_out) == len(made):
        held_out = []  # one recipe trains on nothing but a test split
    train = [each for each in made if each not in held_out]
    foreign.note("renamed", "`data.train` and `data.eval`, an entry a data set and split", "dataset_mixture")
    _pooled(foreign, mixture, held_out)
    if any(isinstance(each.get("columns"), list) for each in made):
        foreign.note("renamed", "`columns` chose among them; here the stage reads those it knows", "dataset_mixture")
    if any("fraction" in each for each in made):
        foreign.note(
            "moved",
            "`weight` became `fraction`: the same share of a data set's rows, drawn with the recipe's "
            "seed and not the mixture's",
            "dataset_mixture",
        )
    if mixture.get("seed") is not None:
        foreign.note(
            "lost", "`seed` of the mixture: rows are drawn and ordered with the recipe's own", "dataset_mixture"
        )
    return train, held_out


def _pooled(foreign: Foreign, mixture: dict[str, Any], held_out: list[Entry]) -> None:
    """The last generation threw test splits in with the training data and cut some rows off the whole."""
    size = mixture.get("test_split_size")
    if held_out:
        names = ", ".join(f"{each['path']} {each['split']}" for each in held_out)
        foreign.note(
            "moved",
            f"it pooled {names} with the training data"
            + (f" and held out {size} rows of the whole, drawn at random" if size else "")
            + "; here test splits are held out and never trained on",
            "dataset_mixture",
        )
    elif size:
        foreign.note(
            "lost",
            f"`test_split_size: {size}`: no rows are cut off the training data here, so nothing is "
            "evaluated; name held-out data under `data.eval`",
            "dataset_mixture",
        )


# ------------------------------------------------------------------ TRL


def _trl(foreign: Foreign) -> tuple[list[Entry], list[Entry]]:
    entries, name = foreign.get("datasets"), foreign.get("dataset_config")
    train_split = foreign.get("dataset_train_split") or "train"
    test_split = foreign.get("dataset_test_split") or "test"
    if entries is None:
        path = foreign.get("dataset_name")
        foreign.note("renamed", "`data.train` (and `data.eval`), an entry a data set and split", "dataset_name")
        held_out = [_entry(foreign, path, name=name, split=test_split)] if evaluates(foreign) else []
        return [_entry(foreign, path, name=name, split=train_split)], held_out
    if foreign.given("dataset_name"):
        foreign.note("lost", "TRL passes over it where there are `datasets`", "dataset_name")
    foreign.note("renamed", "`data.train`, an entry a data set", "datasets")
    size = foreign.given("test_split_size")
    if size:
        foreign.note(
            "lost",
            "no rows are cut off the training data here, so nothing is evaluated; name held-out data under `data.eval`",
            size,
        )
    if len(entries) > 1 and any(each.get("fraction") is not None for each in entries):
        foreign.note(
            "lost",
            "`fraction` is a share of the mixture there and of the data set here, and one does not follow "
            "from the other: all rows are taken; write `fraction` or `rows`",
            "datasets",
        )
    return [made for each in entries for made in _trl_entries(foreign, each)], []


def _trl_entries(foreign: Foreign, entry: Entry) -> list[Entry]:
    files, folder = entry.get("data_files"), entry.get("data_dir")
    if files is None and folder is None:
        return [
            _entry(
                foreign,
                entry["path"],
                name=entry.get("name"),
                split=entry.get("split", "train"),
                columns=entry.get("columns"),
            )
        ]
    if entry["path"] not in BUILDERS:
        foreign.note(
            "lost", f"{entry['path']}: parts of a Hub data set can't be named by file; all of it is taken", "datasets"
        )
        return [_entry(foreign, entry["path"], name=entry.get("name"), split=entry.get("split", "train"))]
    found = files if isinstance(files, list) else [files or folder]
    return [_entry(foreign, str(each), columns=entry.get("columns")) for each in found]


# ------------------------------------------------------------------ rows


def _columns(foreign: Foreign, entry: Entry) -> None:
    """A list of columns only chose among them; a column of another name for the text is said by its own key."""
    columns = entry.pop("columns", None)
    if isinstance(columns, dict):
        entry["columns"] = columns
    text = foreign.get("text_column", "dataset_text_field")
    if text not in (None, "text") and foreign.stage == "cpt":
        entry["columns"] = {"text": text}


def _seeds(foreign: Foreign) -> None:
    if isinstance(foreign.get("dataset_text_field"), str) and foreign.stage == "sft":
        foreign.note("lost", "dSFT reads conversations; for plain text: --stage cpt", "dataset_text_field")
    if foreign.given("data_seed"):
        foreign.note("lost", "the order of the rows follows `seed`", "data_seed")
