"""JSON in what a model wrote: with prose or code fences around it, with single quotes or trailing commas.

Nothing is evaluated: `ast.literal_eval` reads literals only. Half an object is none.
"""

import ast
import json
import re
import warnings
from typing import Any


class KeyTwice(Exception):
    """An object has a key twice: which of the two counts is for nobody to guess."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise KeyTwice
    return dict(pairs)


_OPENING = re.compile(r"[{\[]")
_BEGINS = re.compile(r"[{\[]\s*[\"'{]")
_decoder = json.JSONDecoder(strict=False, object_pairs_hook=_once)
MOST_BRACKETS = 200
"""Brackets outside of objects at which one is looked for."""
MOST_BEGINNINGS, MOST_ENDS = 4, 8
"""Brackets tried as beginning and end of text that is almost JSON: in more prose with brackets it is not looked for."""


def objects_in(text: str) -> tuple[list[Any], bool]:
    """Every outermost JSON object or list in a text that is not empty, with prose or code fences around it or not.

    And whether there is something that begins as one and can't be read.

    Raises:
        KeyTwice: one of them has a key twice.
    """
    objects, n_broken, at = [], 0, 0
    for _ in range(MOST_BRACKETS):
        if not (found := _OPENING.search(text, at)):
            break
        begins = _BEGINS.match(text, found.start()) is not None
        value, at = _object_at(text, found.start(), almost=begins and n_broken < MOST_BEGINNINGS)
        n_broken += value is None and begins
        if value:
            objects.append(value)
    return objects, n_broken > 0


def _object_at(text: str, start: int, *, almost: bool) -> tuple[Any, int]:
    """The object that starts there and where it ends; None and the next place to look if there is none."""
    try:
        return _decoder.raw_decode(text, start)
    except (ValueError, RecursionError):
        pass
    if not almost:
        return None, start + 1
    closing = {"{": "}", "[": "]"}[text[start]]
    ends = [found.end() for found in re.finditer(re.escape(closing), text[start:])]
    for end in reversed(ends[-MOST_ENDS:]):
        value = _almost_json(text[start : start + end])
        if value is not None:
            return value, start + end
    return None, start + 1


def _almost_json(text: str) -> Any:
    """What a text means that is JSON but for single quotes, trailing commas or Python's words; None if it isn't."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd escapes in the text
            tree = ast.parse(text.strip(), mode="eval")
        for node in ast.walk(tree):
            keys = [ast.dump(key) for key in node.keys if key] if isinstance(node, ast.Dict) else []
            if len(set(keys)) < len(keys):
                raise KeyTwice
        return ast.literal_eval(tree)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        pass
    try:
        return json.loads(re.sub(r",(\s*[}\]])", r"\1", text), strict=False, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return None
