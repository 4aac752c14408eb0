"""One JSON schema for the recipes of all stages, by which editors complete, explain and check."""

from typing import Any

from pydantic import TypeAdapter

from zephyr.recipe.keys import descriptions, sections
from zephyr.recipe.schema import RECIPES

PARTIAL = "_over_a_base"
"""Suffix of the definitions for recipes with `extends`, whose required keys may come from the base."""
EXTENDS = {
    "type": "string",
    "description": "Another recipe, relative to this file, that this one builds on: what is said here goes over "
    "what is said there, key by key; lists are replaced. `null` takes a key of the base away.",
}


def schema() -> dict[str, Any]:
    """The schema: which keys there are follows from `stage`; with `extends` no key is required, nor is `stage`.

    `if` and `then` rather than `oneOf`: an editor then complains about the wrong key, not about six stages at once.
    """
    definitions: dict[str, Any] = {}
    for stage, recipe in RECIPES.items():
        each = TypeAdapter(recipe).json_schema(ref_template="#/$defs/{model}")
        definitions.update(each.pop("$defs", {}))
        definitions[stage] = _tidy(each)
    definitions = {name: _tidy(each) for name, each in definitions.items()}
    for section in sections():
        _describe(
            definitions[next((stage for stage, each in RECIPES.items() if each is section), section.__name__)], section
        )
    for name in list(definitions):
        definitions[name + PARTIAL] = _partial(definitions[name], is_recipe=name in RECIPES)
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Zephyr recipe",
        "description": "One YAML recipe is the whole truth about a run.",
        "type": "object",
        "properties": {
            "stage": {"enum": list(RECIPES), "description": "What the recipe does; the other keys follow from it."},
            "extends": EXTENDS,
        },
        "anyOf": [{"required": ["stage"]}, {"required": ["extends"]}],
        "allOf": [*map(_of_stage, RECIPES), _of_no_stage()],
        "$defs": definitions,
    }


def _of_stage(stage: str) -> dict[str, Any]:
    return {
        "if": {"properties": {"stage": {"const": stage}}, "required": ["stage"]},
        "then": {
            "if": {"required": ["extends"]},
            "then": {"$ref": f"#/$defs/{stage}{PARTIAL}"},
            "else": {"$ref": f"#/$defs/{stage}"},
        },
    }


def _of_no_stage() -> dict[str, Any]:
    """The stage comes from the base: what any stage allows."""
    return {
        "if": {"not": {"required": ["stage"]}},
        "then": {"anyOf": [{"$ref": f"#/$defs/{stage}{PARTIAL}"} for stage in RECIPES]},
    }


def _describe(definition: dict[str, Any], section: type) -> None:
    for name, text in descriptions(section).items():
        definition["properties"][name].setdefault("description", text)


def _tidy(value: Any) -> Any:
    """Without the titles that pydantic makes of names; an editor shows the name already."""
    if isinstance(value, list):
        return [_tidy(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: {name: _tidy(each) for name, each in inner.items()} if key == "properties" else _tidy(inner)
        for key, inner in value.items()
        if key != "title" or not isinstance(inner, str)
    }


def _partial(definition: dict[str, Any], *, is_recipe: bool) -> dict[str, Any]:
    """A definition that requires nothing, down to the sections in it; the entries of lists stay whole."""
    partial = {key: value for key, value in definition.items() if key != "required"}
    partial["properties"] = {name: _partial_ref(value) for name, value in definition.get("properties", {}).items()}
    if is_recipe:
        partial["properties"] |= {"extends": EXTENDS}
    return partial


def _partial_ref(value: dict[str, Any]) -> dict[str, Any]:
    """The same for the section that a key holds, for one that may be null, and for those of a mapping."""
    partial = {key: inner for key, inner in value.items() if key != "minProperties"}
    if "$ref" in value:
        partial["$ref"] = value["$ref"] + PARTIAL
    if "anyOf" in value:
        partial["anyOf"] = [_partial_ref(each) for each in value["anyOf"]]
    if isinstance(value.get("additionalProperties"), dict):
        partial["additionalProperties"] = _partial_ref(value["additionalProperties"])
    return partial
