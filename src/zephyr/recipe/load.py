"""From a recipe file to a typed recipe: bases, overrides, checks, and the recipes that it names."""

import copy
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zephyr.recipe import carried
from zephyr.recipe.extends import read_extended
from zephyr.recipe.known import Known
from zephyr.recipe.loaded import Input, Loaded, leaves, plain, run_id
from zephyr.recipe.overrides import apply, unknown
from zephyr.recipe.problems import Origin, Parts, Problem, RecipeError, dotted, listed, shown
from zephyr.recipe.reader import Document
from zephyr.recipe.references import (
    LOCAL_FILES,
    TEMPLATES,
    WORDINGS,
    absolute,
    artefact_of,
    is_run_directory,
    locate,
    names_a_recipe,
    no_recipe,
    only_for_hub,
    references,
)
from zephyr.recipe.validate import check, stage_of, typed
from zephyr.recipe.variant import Variant, directory_of, put


def outputs_root(given: Path | None = None) -> Path:
    """Root of the default run directories, absolute: the one given, $ZEPHYR_OUTPUTS, or `outputs` where one is."""
    return (given or Path(os.environ.get("ZEPHYR_OUTPUTS") or "outputs")).resolve()


def load(
    path: str | Path,
    overrides: Sequence[str] = (),
    *,
    everywhere: Sequence[str] = (),
    outputs: Path | None = None,
    variant: Variant | None = None,
    known: Known | None = None,
) -> Loaded:
    """Reads a recipe and the recipes that it names.

    Args:
        path: the recipe file, or a run directory.
        overrides: `train.beta=0.05`, `--beta=0.05`: values for this recipe.
        everywhere: the same, for this recipe and for every recipe it names that has the key.
        outputs: root of the default run directories. Default: $ZEPHYR_OUTPUTS, or `outputs` in the working directory.
        variant: changes to recipes of the chain; runs that are thereby others than the files' get own directories.
        known: what earlier calls read, with the same `outputs` and nothing written since; taken from and added to.

    Raises:
        RecipeError: with every mistake of the recipe and of those that it names.
    """
    root = outputs_root(outputs)
    reading = _Reading(everywhere=tuple(everywhere), outputs=root, variant=variant, known=known or Known())
    file = Path(path).expanduser().resolve()
    loaded = _load(file / "recipe.yaml" if is_run_directory(file) else file, tuple(overrides), reading, ())
    unused = [each for each in everywhere if each not in reading.used]
    if unused and loaded.recipe.stage != "study" and variant is None:  # of a study one of the rows has to have it
        raise RecipeError([unknown(loaded.recipe.stage, each) for each in unused])
    return loaded


@dataclass
class _Reading:
    """What one call of `load` has in common for all the recipes it reads."""

    everywhere: tuple[str, ...]
    outputs: Path
    known: Known
    variant: Variant | None = None
    used: set[str] = field(default_factory=set)
    done: dict[tuple[Path, bool], Loaded] = field(default_factory=dict)
    """The recipes read: file, and whether without the variant's changes, since they or what uses them are kept."""
    directories: dict[Path, Loaded] = field(default_factory=dict)
    """Where their runs live."""

    def kept(self, above: tuple[Path, ...]) -> bool:
        """Whether a recipe is read as it is in its file, from the files that lead to it, its own the last."""
        return self.variant is None or bool(self.variant.keep & set(above))

    def plain_id(self, file: Path) -> str:
        """Identity of the run of a recipe as it is in its file."""
        return _load(file, (), _Reading(everywhere=(), outputs=self.outputs, known=self.known), ()).run_id


def _load(file: Path, overrides: tuple[str, ...], reading: _Reading, above: tuple[Path, ...]) -> Loaded:
    kept = reading.kept((*above, file))
    if (file, kept) in reading.done:
        return reading.done[file, kept]
    entry = None if overrides else reading.known.find(file, reading.everywhere, reading.variant, kept=kept)
    if entry is not None:
        for each in entry.chain:
            reading.used |= set(each.overrides) & set(reading.everywhere)
            _refuse_shared_directory(each, reading)
        reading.done[file, kept] = entry.loaded
        return entry.loaded
    document = read_extended(file)
    block = document.data.pop("resolved", None)
    stage = stage_of(document)
    if stage is None:
        document.problems.refuse()
    assert stage is not None
    everywhere = _everywhere(reading, above, file, resolved=block is not None)
    used = apply(document, stage, everywhere, where_known=True)
    reading.used |= used
    apply(document, stage, overrides)
    changes = reading.variant.of(file) if reading.variant and not kept else ()
    for change in changes:
        put(document, change)
    check(stage, document)
    before = carried.read(block, document, file) if block is not None else None
    data, inputs = _resolve(stage, document, file, before, reading, (*above, file))
    document.problems.refuse()
    recipe = typed(stage, data)
    identity = before.run_id if before and not before.edited else run_id(recipe, inputs)
    run_dir = _run_directory(recipe, file, document, before, reading.outputs)
    if reading.variant is not None and before is None:
        run_dir = directory_of(run_dir, identity, varied=identity != reading.plain_id(file))
    said = (*(each for each in everywhere if each in used), *overrides, *map(str, changes))
    loaded = Loaded(
        recipe=recipe,
        file=before.file if before else file,
        run_dir=run_dir,
        origins=_origins(plain(recipe), document),
        inputs=inputs,
        run_id=identity,
        overrides=(*(before.overrides if before else ()), *said),
        files=tuple(document.files),
    )
    _refuse_shared_directory(loaded, reading)
    reading.done[file, kept] = loaded
    if not overrides:
        reading.known.add(file, reading.everywhere, reading.variant, loaded, kept=kept)
    return loaded


def _everywhere(reading: _Reading, above: tuple[Path, ...], file: Path, *, resolved: bool) -> tuple[str, ...]:
    """The overrides for all recipes; none for a run that is named as an input, since that is done."""
    if not resolved:
        return reading.everywhere
    if reading.everywhere and not above:
        text = "what `--everywhere` says can't reach the recipes that this run used; load the recipe it came from"
        raise RecipeError([Problem(origin=Origin(file=file), key="", text=text)])
    return ()


def _run_directory(
    recipe: Any, file: Path, document: Document, before: "carried.Carried | None", outputs: Path
) -> Path:
    overridden = document.mark(("output_dir",)).origin.override is not None
    if before and not overridden:
        return file.parent
    if recipe.output_dir:
        return Path(recipe.output_dir).expanduser().resolve()
    return outputs.joinpath(*_family(file), file.stem)


def _family(file: Path) -> tuple[str, ...]:
    """Folders of a recipe below `recipes` (`zephyr-7b-beta`, `qlora`); elsewhere the folder it is in."""
    folders = file.parent.parts
    if "recipes" not in folders[:-1]:
        return folders[-1:]
    return folders[len(folders) - folders[::-1].index("recipes") :]


def _origins(data: dict[str, Any], document: Document) -> dict[str, Origin]:
    return {
        dotted(parts): document.marks[parts].origin if parts in document.marks else Origin()
        for parts, _ in leaves(data)
    }


def _refuse_shared_directory(loaded: Loaded, reading: _Reading) -> None:
    other = reading.directories.setdefault(loaded.run_dir, loaded)
    if other.run_id != loaded.run_id:
        text = (
            f"would write to {shown(loaded.run_dir)}, and so would {shown(other.file)}; "
            "give one of them another `output_dir`"
        )
        raise RecipeError([Problem(origin=Origin(file=loaded.file), key="", text=text)])


def _resolve(
    stage: str,
    document: Document,
    file: Path,
    before: "carried.Carried | None",
    reading: _Reading,
    above: tuple[Path, ...],
) -> tuple[dict[str, Any], tuple[Input, ...]]:
    """The data with every local path absolute and every recipe replaced by what it makes; and those recipes."""
    data, inputs = copy.deepcopy(document.data), []
    if stage == "study":
        _make_settings_absolute(data, document, file)
    known = {each.field: each for each in before.inputs} if before else {}
    for parts, text, kind in references(stage, document.data):
        origin = document.mark(parts).origin
        place = dotted(parts)
        if place in known and str(known[place].path) == text:
            inputs.append(known[place])
            continue
        found = locate(text, origin, file)
        named = TEMPLATES if parts[-1] == "chat_template" else WORDINGS
        if found is None and kind != "file" and (names_a_recipe(text) or kind == "recipe"):
            document.problems.add(origin, parts, no_recipe(text, origin, file))
        elif found and kind not in ("file", "path", "recipe") and (names_a_recipe(text) or is_run_directory(found)):
            each = _input(parts, found, kind, document, reading, above)
            if each:
                inputs.append(each)
                _put(data, parts, str(each.path), kind)
        elif kind == "file" and text not in named and not (found and found.is_file()):
            expected = f"{listed(named)}, or the path of a file that exists, is expected"
            document.problems.add(origin, parts, f"found `{text}`; {expected}")
        elif kind != "file" or text not in named:
            _put(data, parts, str(found) if found else absolute(text, origin, file))
    return data, tuple(inputs)


def _make_settings_absolute(data: dict[str, Any], document: Document, file: Path) -> None:
    """Makes the paths that a study's rows and grid set absolute, so that they mean the same in its directory."""
    for parts, value in list(leaves({key: data[key] for key in ("rows", "grid") if key in data})):
        if not isinstance(value, str) or parts[-1] == "recipe":
            continue
        is_path = names_a_recipe(value) or value.startswith(("./", "../", "~")) or value.endswith(LOCAL_FILES)
        found = locate(value, document.mark(parts).origin, file) if is_path or parts[-1] == "model" else None
        if found:
            _put(data, parts, str(found))


def _put(data: Any, parts: Parts, value: str, kind: str = "") -> None:
    for part in parts[:-1]:
        data = data[part]
    data[parts[-1]] = value
    if kind == "rows":  # which file is in the path now; for a path `name` would mean a configuration of the Hub
        data["name"] = None


def _input(
    parts: Parts, found: Path, kind: str, document: Document, reading: _Reading, above: tuple[Path, ...]
) -> Input | None:
    """The recipe that a key names; None, and the mistakes noted, if it can't be what the key wants."""
    origin = document.mark(parts).origin
    file = found / "recipe.yaml" if found.is_dir() else found
    if file in above:
        chain = " -> ".join(shown(each) for each in (*above[above.index(file) :], file))
        document.problems.add(origin, parts, f"these recipes need each other in a circle: {chain}")
        return None
    try:
        loaded = _load(file, (), reading, above)
    except RecipeError as error:
        document.problems.extend(error.problems)
        return None
    section: Any = document.data
    for part in parts[:-1]:
        section = section[part]
    rows = section.get("name") if kind == "rows" else None
    artefact = artefact_of(kind, loaded.recipe.stage, loaded.run_dir, rows)
    for place, text in only_for_hub(document, parts, kind):
        document.problems.add(document.mark(place).origin, place, text)
    if isinstance(artefact, str):
        document.problems.add(origin, parts, artefact)
        return None
    return Input(field=dotted(parts), loaded=loaded, path=artefact)
