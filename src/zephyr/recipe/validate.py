"""A recipe's data against the schema: every mistake of a file, or the typed recipe."""

import difflib
import json
import re
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from zephyr.recipe.checks import cross_checks
from zephyr.recipe.keys import Key, inside, key_at
from zephyr.recipe.messages import sentence
from zephyr.recipe.problems import Origin, Parts, Problems, dotted, listed
from zephyr.recipe.reader import Document
from zephyr.recipe.schema import RECIPES, Recipe
from zephyr.recipe.trl_keys import CONFIG_FILES, trl_problems
from zephyr.recipe.unknown import LISTING, advice


@cache
def adapter(stage: str) -> TypeAdapter[Recipe]:
    """Pydantic's reader of a stage's recipes."""
    return TypeAdapter(RECIPES[stage])


def typed(stage: str, data: dict[str, Any]) -> Recipe:
    """The typed recipe of data without mistakes."""
    # strict about types, yet a whole number may stand for a float and a mapping for a section: pydantic's JSON mode
    return adapter(stage).validate_json(json.dumps(data), strict=True)


def stage_of(document: Document) -> str | None:
    """The recipe's stage; None, and the mistakes noted, where it has none."""
    stage = document.data.get("stage")
    if isinstance(stage, str) and stage in RECIPES:
        return stage
    problems, mark = document.problems, document.mark(("stage",))
    if stage is not None or ("stage",) in document.marks:
        close = advice_for_stage(str(stage))
        problems.add(mark.origin, "stage", f"found `{stage}`; {listed(RECIPES)} is expected{close}")
        return None
    if "distributed_type" in document.data:
        text = "no recipe but a configuration of accelerate; `accelerate launch --config_file` takes it"
        problems.add(Origin(file=mark.origin.file), "", text)
        return None
    if OF_A_CLUSTER & document.data.keys():
        text = "no recipe but a cluster's file; `zephyr run RECIPE --slurm FILE` takes it"
        problems.add(Origin(file=mark.origin.file), "", text)
        return None
    flat = [key for key in document.data if not inside_any(key)]
    about = "This looks like a flat recipe of another toolkit. " if len(flat) > len(document.data) / 2 else ""
    problems.add(
        Origin(file=mark.origin.file),
        "",
        f"no `stage`. {about}A recipe says `stage: sft` ({listed(RECIPES)}) and has sections such as `model`, `data`, "
        "`train` and `launch`; `zephyr recipes` lists some to start from",
    )
    for key in flat:
        origin = document.mark((key,))
        problems.add(origin.origin, key, advice(None, (key,), origin.typed))
    return None


OF_A_CLUSTER = {"time_limit", "partition"}
"""Keys that a cluster's file has (zephyr.launch.cluster), and neither a recipe nor another toolkit's."""


def advice_for_stage(stage: str) -> str:
    """The stage that another toolkit's word means, as the end of a sentence."""
    meant = {"dsft": "sft", "ddpo": "dpo", "pretrain": "cpt", "pt": "cpt", "pretraining": "cpt", "eval": "evaluate",
             "evaluation": "evaluate", "mini": "world"}.get(stage.lower())  # fmt: skip
    near = difflib.get_close_matches(stage.lower(), RECIPES, n=1, cutoff=0.6)
    return f"; write `{meant}`" if meant else f"; did you mean `{near[0]}`?" if near else ""


def inside_any(key: str) -> bool:
    """Whether any stage has the key at the top."""
    return any(key == each.leaf for stage in RECIPES for each in inside(stage, ""))


def check(stage: str, document: Document) -> None:
    """Notes every mistake of the recipe in the document's problems."""
    fill_empty_sections(stage, document.data)
    bad: set[Parts] = set()
    try:
        typed(stage, document.data)
    except ValidationError as found:
        bad = _note_errors(stage, document, found.errors(include_url=False))
    if stage in CONFIG_FILES and isinstance(document.data.get("trl"), dict):
        _check_trl(stage, document)
    for parts, text in cross_checks(stage, document.data):
        if not any(parts[: len(each)] == each for each in bad):
            document.problems.add(document.mark(parts).origin, parts, text)


def fill_empty_sections(stage: str, data: dict[str, Any]) -> None:
    """A section whose keys are all commented out is a section without keys."""
    for key in inside(stage, ""):
        if (
            key.leaf in data
            and data[key.leaf] is None
            and key.holds != "list"
            and key.holds != "value"
            and not key.may_be_null
        ):
            data[key.leaf] = {}


def _note_errors(stage: str, document: Document, errors: list[Any]) -> set[Parts]:
    """Turns pydantic's errors into mistakes; returns their places."""
    missing: dict[Parts, list[str]] = {}
    answers = ""
    for error in errors:
        parts: Parts = error["loc"]
        mark = document.mark(parts)
        if error["type"] == "missing":
            missing.setdefault(parts[:-1], []).append(str(parts[-1]))
        elif error["type"] == "unexpected_keyword_argument":
            answer = advice(stage, parts, mark.typed)
            answers += "" if LISTING in answer else f" {parts[-1]} {answer}"
            document.problems.add(mark.origin, parts, answer)
        else:
            document.problems.add(mark.origin, parts, sentence(error, key_at(stage, parts), mark.typed))
    # who follows the advice on a misspelt or renamed key has the one that is missing too
    advised = set(re.findall(r"\w+", answers))
    for section, all_names in missing.items():
        names = [name for name in all_names if name not in advised or not section]
        if not names:
            continue
        _note_missing(stage, section, names, document.problems, document.mark(section).origin)
    return {error["loc"] for error in errors if error["type"] != "missing"}


MOST_NAMES = 5
"""Keys that are listed for a section that is missing."""
NO_DEFAULT = "decide the outcome, so there is no default"
REASONS = {
    "": NO_DEFAULT,
    "model": NO_DEFAULT,
    "data": NO_DEFAULT,
    "train": NO_DEFAULT,
    "launch": "depend on your hardware, so there is no default",
}


def _note_missing(stage: str, section: Parts, names: list[str], problems: Problems, origin: Origin) -> None:
    keys = {key.leaf: key for key in inside(stage, _pattern(section))}
    one = len(names) == 1
    reason = REASONS.get("launch" if names == ["launch"] else dotted(section), "")
    if not section and "launch" in names and not one:
        reason = "decide the outcome or depend on your hardware, so there is no default"
    if stage not in CONFIG_FILES or not reason:
        reason = "; ".join(keys[name].description.rstrip(".") for name in names if name in keys)
        reason = f": {reason}" if one and reason else ""
    else:
        reason = f"; {('it ' + _singular(reason)) if one else 'they ' + reason}"
    shown = [f"`{name}`{_required_inside(stage, keys.get(name))}" for name in names]
    words = shown[0] if one else f"{', '.join(shown[:-1])} and {shown[-1]}"
    problems.add(origin, section, f"{words} {'is' if one else 'are'} missing{reason}")


def _singular(reason: str) -> str:
    verb, rest = reason.split(" ", 1)
    return f"{verb}s {rest}"


def _pattern(parts: Parts) -> str:
    return dotted(tuple(part for part in parts if isinstance(part, str))) + (
        "[]" if parts and isinstance(parts[-1], int) else ""
    )


def _required_inside(stage: str, key: Key | None) -> str:
    """What a section that is missing must hold."""
    if key is None or key.holds != "section":
        return ""
    names = [each.leaf for each in inside(stage, key.dotted) if each.required]
    if len(names) > MOST_NAMES:
        names = [*names[: MOST_NAMES - 1], f"{len(names) - MOST_NAMES + 1} more"]
        return f" (with {', '.join(f'`{name}`' for name in names[:-1])} and {names[-1]})"
    return f" (with {listed(names, 'and')})" if names else ""


def _check_trl(stage: str, document: Document) -> None:
    for key in document.data["trl"]:
        parts, mark = ("trl", key), document.mark(("trl", key))
        if trl_problems(stage, [key]):
            document.problems.add(mark.origin, parts, advice(stage, parts, mark.typed))
