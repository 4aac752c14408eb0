"""The schema as a flat table: every key a stage's recipe may have, by its dotted name."""

import ast
import inspect
import sys
import types
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from zephyr.recipe.problems import Parts
from zephyr.recipe.schema import RECIPES
from zephyr.recipe.sections import Names

ITEM = "[]"
"""Any position of a list: `data.train[].path`."""
ANY = "*"
"""Any key of a mapping whose keys the user chooses: `models.*`."""


@dataclass(frozen=True, kw_only=True)
class Key:
    """One key of the schema."""

    dotted: str
    """Its name: `train.beta`, `data.train[].path`, `models.*`."""
    holds: Literal["value", "section", "list", "mapping", "anything"]
    """`mapping`: keys chosen by the user, typed values; `anything`: a mapping passed on as it is."""
    required: bool
    may_be_null: bool
    section: type
    """The dataclass that has it as a field."""
    choices: tuple[str, ...] = ()
    """The words that may stand there, where they are listed."""
    names: Names | None = None
    """What of another recipe's output it may name."""

    @property
    def leaf(self) -> str:
        """The last word of its name."""
        return self.dotted.rpartition(".")[2]

    @property
    def description(self) -> str:
        """Its docstring."""
        return descriptions(self.section).get(self.leaf.removesuffix(ITEM), "")


@cache
def keys_of(stage: str) -> dict[str, Key]:
    """Every key of the stage, sections before what they hold, in the schema's order."""
    return {key.dotted: key for key in _section("", RECIPES[stage])}


def _section(prefix: str, section: type) -> list[Key]:
    hints = get_type_hints(section, include_extras=True)
    pydantic_fields = section.__pydantic_fields__  # type: ignore[attr-defined]
    found = []
    for each in fields(section):
        info = pydantic_fields[each.name]
        required = info.is_required() and each.default_factory is MISSING
        found += _key(f"{prefix}{each.name}", hints[each.name], required, section)
    return found


def descriptions(section: type) -> dict[str, str]:
    """The docstrings of a section's fields, those it inherits included."""
    found: dict[str, str] = {}
    for each in reversed(section.__mro__):
        found |= _docstrings(each.__module__).get(each.__name__, {})
    return found


@cache
def _docstrings(module: str) -> dict[str, dict[str, str]]:
    """Class -> field -> the string under it; read from the source, since Python keeps none of them."""
    if not module.startswith(__package__ or ""):
        return {}
    source = ast.parse(Path(str(sys.modules[module].__file__)).read_text(encoding="utf-8"))
    return {node.name: _strings(node) for node in source.body if isinstance(node, ast.ClassDef)}


def _strings(node: ast.ClassDef) -> dict[str, str]:
    return {
        field.target.id: inspect.cleandoc(below.value.value)
        for field, below in pairwise(node.body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str)
    }


def sections() -> list[type]:
    """Every dataclass of the schema, once."""
    found: dict[type, None] = dict.fromkeys(RECIPES.values())
    todo = list(found)
    while todo:
        for hint in get_type_hints(todo.pop()).values():
            for each in _classes(hint):
                if each not in found:
                    found[each] = None
                    todo.append(each)
    return list(found)


def _classes(hint: Any) -> list[type]:
    if isinstance(hint, type) and is_dataclass(hint):
        return [hint]
    return [each for inner in get_args(hint) for each in _classes(inner)]


def _key(dotted: str, hint: Any, required: bool, section: type) -> list[Key]:
    hint, names, may_be_null = _bare(hint)
    inner: list[Key] = []
    holds: Literal["value", "section", "list", "mapping", "anything"] = "value"
    if is_dataclass(hint):
        holds, inner = "section", _section(f"{dotted}.", hint)  # type: ignore[arg-type]
    elif get_origin(hint) is list:
        holds, inner = "list", _key(dotted + ITEM, get_args(hint)[0], False, section)
    elif get_origin(hint) is dict:
        free = get_args(hint)[1] is Any
        holds = "anything" if free else "mapping"
        inner = [] if free else _key(f"{dotted}.{ANY}", get_args(hint)[1], False, section)
    choices = tuple(map(str, get_args(hint))) if get_origin(hint) is Literal else ()
    key = Key(dotted=dotted, holds=holds, required=required, may_be_null=may_be_null,
              section=section, choices=choices, names=names)  # fmt: skip
    return [key, *inner]


def _bare(hint: Any) -> tuple[Any, Names | None, bool]:
    """A type without `None` and annotations, what it names, and whether None was allowed."""
    names, may_be_null = None, False
    while True:
        if hasattr(hint, "__metadata__"):
            names = next((each for each in hint.__metadata__ if isinstance(each, Names)), names)
            hint = hint.__origin__
        elif get_origin(hint) in (Union, types.UnionType) and type(None) in get_args(hint):
            may_be_null = True
            rest = tuple(each for each in get_args(hint) if each is not type(None))
            hint = rest[0] if len(rest) == 1 else Union[rest]  # noqa: UP007
        else:
            return hint, names, may_be_null


def key_at(stage: str, parts: Parts) -> Key | None:
    """The schema's key for a place in a recipe, None if there is none."""
    known, dotted = keys_of(stage), ""
    for part in parts:
        if isinstance(part, int):
            dotted += ITEM
        else:
            named = f"{dotted}.{part}" if dotted else part
            dotted = named if named in known else f"{dotted}.{ANY}"
        if dotted not in known:
            return None
    return known.get(dotted)


def inside(stage: str, dotted: str) -> list[Key]:
    """The keys directly under a section; "" is the top."""
    prefix = f"{dotted}." if dotted else ""
    return [
        key
        for key in keys_of(stage).values()
        if key.dotted.startswith(prefix) and key.dotted[len(prefix) :].isidentifier()
    ]


def named(stage: str, leaf: str) -> list[Key]:
    """The keys of that last name that one can reach without a position in a list."""
    return [
        key for key in keys_of(stage).values() if key.leaf == leaf and ITEM not in key.dotted and ANY not in key.dotted
    ]
