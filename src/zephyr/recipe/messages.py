"""A value that does not fit its key, said in words: what was found, what is expected, what to write."""

import difflib
import re
from typing import Any

from zephyr.recipe import renamed
from zephyr.recipe.keys import Key
from zephyr.recipe.problems import listed
from zephyr.recipe.reader import NUMBER, scalar

BOUNDS = {
    "greater_than": ("gt", "above"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "below"),
    "less_than_equal": ("le", "at most"),
}
LARGEST = 60
"""Characters of a found value that are shown."""


def sentence(error: Any, key: Key | None, typed: str | None) -> str:
    """Pydantic's error on one value as a sentence.

    Args:
        error: one of `ValidationError.errors()`.
        key: the schema's key it stands at.
        typed: the scalar as written, with its quotes.
    """
    kind, value = error["type"], error["input"]
    found = f"found {_found(value, typed)}; "
    if kind in BOUNDS:
        limit, word = BOUNDS[kind]
        return f"{found}a number {word} {error['ctx'][limit]:g} is expected"
    if kind == "literal_error":
        return found + _choice(value, typed, key)
    if kind.startswith(("int_", "float_")):
        return found + _number(value, whole=kind.startswith("int_"))
    if kind.startswith("bool_"):
        return found + _yes_or_no(value)
    if kind.startswith("string_") and isinstance(value, int | float):
        return f'{found}text is expected: write "{typed}", in quotes'
    if kind.startswith("string_"):
        return found + ("one text is expected, not several" if isinstance(value, list) else "text is expected")
    if kind == "list_type":
        return found + _list(value, key)
    if kind in ("dataclass_type", "dict_type"):
        return found + _section(value, key)
    if kind == "too_short":
        return "empty; at least one entry is expected"
    return found + error["msg"][0].lower() + error["msg"][1:]


def _found(value: Any, typed: str | None) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if value is None and not typed:
        return "nothing"
    text = typed if typed is not None else str(value)
    return f"`{text if len(text) <= LARGEST else text[: LARGEST - 3] + '...'}`"


def _number(value: Any, *, whole: bool) -> str:
    expected = "a whole number is expected" if whole else "a number is expected"
    if isinstance(value, float) and value.is_integer():
        return f"{expected}: write {int(value)}"
    if not isinstance(value, str):
        return expected
    plain = value.strip().replace("_", "").replace(",", "")
    if plain.endswith("%") and NUMBER.fullmatch(plain[:-1]) and not whole:
        return f"{expected}: write {float(plain[:-1]) / 100:g}"
    if not NUMBER.fullmatch(plain):
        return expected
    if plain == value:
        return f"{expected}: write {plain}, without quotes"
    return f"{expected}: write {scalar(plain)}"


def _yes_or_no(value: Any) -> str:
    word = str(value).lower()
    meant = (
        "true"
        if word in ("yes", "on", "true", "1", "y")
        else "false"
        if word in ("no", "off", "false", "0", "n")
        else None
    )
    quotes = ", without quotes" if meant == word else ""
    return "true or false is expected" + (f": write {meant}{quotes}" if meant else "")


def _choice(value: Any, typed: str | None, key: Key | None) -> str:
    choices = key.choices if key else ()
    if isinstance(value, list) and len(value) == 1:
        return f"one word is expected, not a list; write `{value[0]}`"
    word = typed.lower() if typed is not None and not isinstance(value, str) else str(value)
    known = renamed.VALUES.get(key.leaf, {}).get(word) if key else None
    near = difflib.get_close_matches(word, choices, n=1, cutoff=0.6)
    hint = f"; {known}" if known else f"; did you mean `{near[0]}`?" if near else ""
    return f"{listed(choices)} is expected{hint}"


def _list(value: Any, key: Key | None) -> str:
    if key and key.dotted in ("data.train", "data.eval"):
        entry = value if isinstance(value, str) else "..."
        return f"a list is expected, one entry a data set: `- path: {entry}`"
    return "a list is expected: `[...]`, or one `- ...` a line" + ("; write [] for none" if value is None else "")


def _section(value: Any, key: Key | None) -> str:
    if isinstance(value, str) and re.match(r"\w+:\S", value):
        return f"keys are expected: is the space after `:` missing? (`{value.replace(':', ': ', 1)}`)"
    if key and key.dotted.endswith("[]") and isinstance(value, str):
        return f"keys are expected: write `path: {value}`"
    if isinstance(value, str) and key and key.dotted == "model":
        return f"keys are expected: write `model: {{model_name_or_path: {value}}}`"
    return "keys are expected, each on its own line, indented"
