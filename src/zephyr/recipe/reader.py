"""YAML with positions: plain data, and for every key the file and line that says it.

YAML 1.2's core: `2e-5` and `1e6` are numbers; only `true` and `false` are booleans, so `on`, `off`, `yes` and `no` are
text; `010` is ten; a date is text. Duplicate keys, merge keys (`<<`) and tags (`!x`) are refused; anchors work.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from zephyr.errors import UserError
from zephyr.recipe.problems import Origin, Parts, Problem, Problems, RecipeError

INTEGER = re.compile(r"[-+]?[0-9]+")
NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
UNWRITABLE = re.compile("[\x00\ud800-\udfff]")
CONSTANTS = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
TAG = "tag:yaml.org,2002:"


@dataclass(frozen=True, kw_only=True)
class Mark:
    """Where a value is, and the scalar as it was typed, quotes included (None for a section or a list)."""

    origin: Origin
    typed: str | None = None


@dataclass
class Document:
    """A recipe file, read: plain data and where each part of it came from."""

    data: dict[str, Any]
    marks: dict[Parts, Mark] = field(default_factory=dict)
    problems: Problems = field(default_factory=Problems)
    files: list[Path] = field(default_factory=list)
    """The file and those that it extends."""

    def mark(self, parts: Parts) -> Mark:
        """Where the value is, or else the nearest section around it."""
        while parts and parts not in self.marks:
            parts = parts[:-1]
        return self.marks.get(parts) or Mark(origin=Origin(file=self.files[0] if self.files else None))


def read(file: Path) -> Document:
    """One YAML file; `extends` is not followed here.

    Raises:
        RecipeError: it can't be read, or is no YAML, or no mapping.
    """
    document = Document({}, files=[file])
    node = _compose(_text(file), file)
    if node is None:
        raise _error(file, None, "the file is empty; `zephyr recipes` lists recipes to start from")
    if not isinstance(node, yaml.MappingNode):
        raise _error(file, _line(node), "a recipe is a mapping of `key: value` lines; this is a list or a single value")
    document.data = _plain(node, (), document, Origin(file=file), ())
    return document


def read_value(text: str, override: str, parts: Parts) -> Document:
    """The value of an override: any YAML scalar, `[a, b]` or `{a: b}`; its marks lie under `parts`."""
    document = Document({})
    try:
        node = yaml.compose(text, Loader=yaml.BaseLoader)
    except yaml.YAMLError:
        node = None
        document.problems.add(Origin(override=override), parts, f"`{text}` is no YAML value; put it in quotes for text")
    document.data = {"value": _plain(node, parts, document, Origin(override=override), ()) if node else None}
    document.marks.setdefault(parts, Mark(origin=Origin(override=override), typed=text))
    return document


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except IsADirectoryError:
        raise _error(file, None, "this is a directory; name a recipe in it") from None
    except FileNotFoundError:
        raise _error(file, None, "there is no such file") from None
    except UnicodeDecodeError as error:
        raise _error(file, None, f"not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    except OSError as error:
        raise _error(file, None, f"can't be read: {error.strerror}") from None


def _plain(node: yaml.Node, parts: Parts, document: Document, place: Origin, above: tuple[yaml.Node, ...]) -> Any:
    """A node's data; marks and mistakes go into the document."""
    if node in above:
        document.problems.add(_at(place, node), parts, "an anchor that holds itself")
        return None
    if node.tag not in (TAG + "str", TAG + "map", TAG + "seq"):
        shown = node.tag.replace(TAG, "!!")
        document.problems.add(
            _at(place, node), parts, f"the tag `{shown}` has no meaning in a recipe; for text use quotes"
        )
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, parts, document, place, (*above, node))
    if isinstance(node, yaml.SequenceNode):
        for n, item in enumerate(node.value):
            document.marks[*parts, n] = Mark(origin=_at(place, item), typed=_typed(item))
        return [_plain(item, (*parts, n), document, place, (*above, node)) for n, item in enumerate(node.value)]
    assert isinstance(node, yaml.ScalarNode)
    if not node.value.isprintable() and UNWRITABLE.search(node.value):
        document.problems.add(_at(place, node), parts, "holds a character that is no text (`\\0`, or half of a pair)")
        return ""
    return node.value if node.style else scalar(node.value)


def _mapping(
    node: yaml.MappingNode, parts: Parts, document: Document, place: Origin, above: tuple[yaml.Node, ...]
) -> dict[str, Any]:
    data: dict[str, Any] = {}
    lines: dict[str, int | None] = {}
    for key_node, value_node in node.value:
        origin = _at(place, key_node)
        if not isinstance(key_node, yaml.ScalarNode) or UNWRITABLE.search(key_node.value):
            document.problems.add(origin, parts, "a key must be a word, not a list or a mapping")
            continue
        key = key_node.value
        if key == "<<" and not key_node.style:
            document.problems.add(
                origin,
                parts,
                "merge keys (`<<`) are not used here; a recipe takes over another with `extends: other.yaml`",
            )
            continue
        if key in lines:
            document.problems.add(origin, (*parts, key), f"given twice, first on line {lines[key]}; keep one of them")
        lines.setdefault(key, origin.line)
        document.marks[*parts, key] = Mark(origin=origin, typed=_typed(value_node))
        data[key] = _plain(value_node, (*parts, key), document, place, above)
    return data


def scalar(text: str) -> Any:
    """What an unquoted scalar means."""
    if text in CONSTANTS:
        return CONSTANTS[text]
    if INTEGER.fullmatch(text):
        return int(text)
    if NUMBER.fullmatch(text) and abs(float(text)) != float("inf"):
        return float(text)
    return text


def _typed(node: yaml.Node) -> str | None:
    if not isinstance(node, yaml.ScalarNode):
        return None
    text = node.value.encode("utf-8", "backslashreplace").decode()
    return f"{node.style}{text}{node.style}" if node.style in ("'", '"') else text


def _at(place: Origin, node: yaml.Node) -> Origin:
    return place if place.override is not None else Origin(file=place.file, line=_line(node))


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


# libyaml is ten times as fast; only its messages differ from machine to machine
_FAST = type("_Fast", (getattr(yaml, "CBaseLoader", yaml.BaseLoader),), {})


def _compose(text: str, file: Path) -> yaml.Node | None:
    try:
        return yaml.compose(text, Loader=_FAST)
    except yaml.YAMLError:
        pass
    try:
        return yaml.compose(text, Loader=yaml.BaseLoader)
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, text, file) from None
    except yaml.YAMLError as error:
        raise _error(file, None, f"not YAML text: {error}") from None


NO_SPACE = "not a `key: value` line; is the space after `:` missing?"
SENTENCES = (
    ("cannot start any token", "\\t", "a tab: YAML indents with spaces"),
    ("cannot start any token", "", "a value can't begin with this character; put the text in quotes"),
    ("could not find expected ':'", "", NO_SPACE),
    ("mapping values are not", "", "a `:` where none can be; is the line indented too far, or are quotes missing?"),
    ("unexpected end of stream", "", "a quotation mark that is never closed"),
    ("expected ',' or ']'", "", "a `[` list that is not closed, or lacks a comma"),
    ("expected ',' or '}'", "", "a `{` mapping that is not closed, or lacks a comma"),
    ("expected <block end>", "", "the indentation fits no line above"),
    ("expected '<document start>'", "", "the indentation fits no line above"),
    ("expected the node content", "", "a comma or a bracket too many"),
    ("mapping keys are not allowed", "", "a value can't begin with `? `; put the text in quotes"),
    ("found undefined alias", "", "an alias (`*name`) without its anchor (`&name`) above"),
    ("found another document", "", "a second document (`---`); a file holds one recipe"),
    ("did not find expected", "", "the indentation or a bracket fits no line above"),
)  # fmt: skip


def _syntax_error(error: yaml.MarkedYAMLError, text: str, file: Path) -> UserError:
    problem = f"{error.problem}"
    sentence = next((said for found, also, said in SENTENCES if found in problem and also in problem), problem)
    begun = "never closed" in sentence or "not closed" in sentence or sentence == NO_SPACE
    mark = error.context_mark if begun and error.context_mark else error.problem_mark or error.context_mark
    if mark is None:
        return _error(file, None, sentence)
    lines, number = text.splitlines(), mark.line
    if "mapping values" in problem and number and re.match(r"\s*[\w.]+:\S", lines[number - 1]):
        number, sentence = number - 1, NO_SPACE
    found = lines[number].strip() if number < len(lines) else ""
    return _error(file, number + 1, (f"found `{found[:60]}`; " if found else "") + sentence)


def _error(file: Path, line: int | None, text: str) -> RecipeError:
    return RecipeError([Problem(origin=Origin(file=file, line=line), key="", text=text)])
