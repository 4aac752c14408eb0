"""Texts in a recipe that name a local file or another recipe, and what of that recipe's output they mean."""

import difflib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from zephyr.recipe.keys import key_at
from zephyr.recipe.problems import Origin, Parts, listed, shown
from zephyr.recipe.reader import Document
from zephyr.recipe.schema import MAKES_A_MODEL, MAKES_A_TOKENIZER, MAKES_TASKS, ROWS

RECIPE_FILES = (".yaml", ".yml")
TEMPLATES = ("zephyr", "tokenizer")
"""Chat templates that are named, not pathed."""
WORDINGS = ("zephyr",)
"""The same for what models are told: prompts, principles, rubrics."""
LOCAL_FILES = (".jsonl", ".json", ".parquet", ".csv", ".jinja", ".txt", ".arrow")


def references(stage: str, data: Any, parts: Parts = ()) -> Iterator[tuple[Parts, str, str]]:
    """Every text that may name a recipe or a local file: its place, the text, and which artefact it means."""
    if isinstance(data, dict | list):
        for key, value in data.items() if isinstance(data, dict) else enumerate(data):
            if not (key == "model" and _is_served(data) and not names_a_recipe(str(value))):
                yield from references(stage, value, (*parts, key))
    elif isinstance(data, str):
        key = key_at(stage, parts)
        if key and key.names:
            yield parts, data, key.names.artefact


def _is_served(model: Any) -> bool:
    """Whether a model's name is one that its server knows, whatever files there are here."""
    return isinstance(model, dict) and (model.get("base_url") is not None or model.get("world") is not None)


def locate(text: str, origin: Origin, recipe_file: Path) -> Path | None:
    """The local file or directory that a text names: beside the recipe that says it, or in the working directory.

    None where there is none. An override is typed in a shell, so there the working directory goes first.
    """
    folder, here = (origin.file or recipe_file).parent, Path.cwd()
    path = Path(text).expanduser()
    for base in (here, folder) if origin.override is not None else (folder, here):
        if (base / path).exists():
            return (base / path).resolve()
    return None


def absolute(text: str, origin: Origin, recipe_file: Path) -> str:
    """A path that is not there yet, made absolute if it can only be a path; a Hub id stays as it is."""
    path = Path(text).expanduser()
    if path.is_absolute():
        return str(path)
    if text.startswith(("./", "../")) or path.suffix in LOCAL_FILES:
        folder = Path.cwd() if origin.override is not None else (origin.file or recipe_file).parent
        return str((folder / path).resolve())
    return text


def is_run_directory(path: Path) -> bool:
    """Whether a run has written its resolved recipe there."""
    recipe = path / "recipe.yaml"
    return recipe.is_file() and "\nresolved:\n" in recipe.read_text(errors="replace")


def names_a_recipe(text: str) -> bool:
    """Whether a text can only be a recipe, there or not."""
    return text.endswith(RECIPE_FILES)


def artefact_of(kind: str, stage: str, run_dir: Path, rows: str | None) -> Path | str:
    """What a reference to a recipe means: a path in its run directory, or the sentence why there is none.

    Args:
        kind: what the key wants: "model", "tokenizer", "rows", "tasks" or "run".
        stage: of the recipe that is named.
        run_dir: of the recipe that is named.
        rows: for "rows", which of its files.
    """
    if kind == "run":
        return run_dir
    if kind == "rows":
        return _rows(stage, run_dir, rows)
    if kind == "tasks":
        made = stage in MAKES_TASKS
        return run_dir / "tasks" if made else _makes_none(stage, "tasks", MAKES_TASKS)
    if stage in MAKES_A_MODEL:
        return run_dir / "model"
    if kind == "tokenizer" and stage in MAKES_A_TOKENIZER:
        return run_dir / "tokenizer"
    makers = MAKES_A_MODEL + (MAKES_A_TOKENIZER if kind == "tokenizer" else ())
    return _makes_none(stage, kind, makers)


def _makes_none(stage: str, what: str, makers: Iterable[str]) -> str:
    return f"a recipe of stage {stage} makes no {what}; those of {listed(makers)} do"


def _rows(stage: str, run_dir: Path, rows: str | None) -> Path | str:
    files = ROWS.get(stage, ())
    if not files:
        return _makes_none(stage, "rows", ROWS)
    if rows is None and len(files) == 1:
        return run_dir / f"{files[0]}.jsonl"
    if rows is None:
        return f"this recipe makes several files; say which with `name`: {listed(files)}"
    if rows not in files:
        return f"this recipe makes no `{rows}`; its files are {listed(files, 'and')}"
    return run_dir / f"{rows}.jsonl"


def of_the_hub(name: str) -> tuple[str, str | None]:
    """`NAME@REVISION` of the Hub taken apart; what is a directory here, or names no revision, as it is."""
    plain, at, revision = name.partition("@")
    return (plain, revision) if at and revision and not Path(name).exists() else (name, None)


def no_recipe(text: str, origin: Origin, recipe_file: Path) -> str:
    """The sentence for a recipe that is not there."""
    folder = (origin.file or recipe_file).parent
    looked = dict.fromkeys([shown(folder), shown(Path.cwd())])
    beside = (folder / text).parent
    there = sorted(path.name for path in beside.glob("*.yaml")) if beside.is_dir() else []
    near = difflib.get_close_matches(Path(text).stem, [Path(name).stem for name in there], n=1, cutoff=0.6)
    hint = f"; did you mean {near[0]}.yaml?" if near else f"; there are {', '.join(there[:8])}" if there else ""
    return f"there is no recipe `{text}` in {' nor in '.join(looked)}{hint}"


def only_for_hub(document: Document, parts: Parts, kind: str) -> Iterator[tuple[Parts, str]]:
    """Keys beside a reference to a recipe that only make sense for the Hub."""
    section: Any = document.data
    for part in parts[:-1]:
        section = section[part]
    unwanted = {"rows": ("revision", "split"), "model": ("revision",)}.get(kind, ())
    for key in unwanted:
        if isinstance(section, dict) and section.get(key) is not None and parts[0] in ("data", "model"):
            yield (*parts[:-1], key), f"belongs to the Hub; `{parts[-1]}` names a recipe, whose output has none"
