from pathlib import Path

import pytest

from zephyr.recipe.problems import RecipeError
from zephyr.recipe.reader import read, scalar


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2e-5", 2e-5), ("1e6", 1e6), ("5e-7", 5e-7), ("5.0e-07", 5e-7), (".5", 0.5), ("1.", 1.0), ("-3", -3),
        ("+3", 3), ("0", 0), ("010", 10), ("true", True), ("False", False), ("null", None), ("~", None), ("", None),
        ("yes", "yes"), ("off", "off"), ("on", "on"), ("no", "no"), ("1_000", "1_000"), ("0x10", "0x10"),
        ("2024-01-01", "2024-01-01"), ("1:30", "1:30"), ("e5", "e5"), ("1e5a", "1e5a"), (".inf", ".inf"),
        (".nan", ".nan"), ("5e12345", "5e12345"), (".", "."), ("-", "-"), ("1.2.3", "1.2.3"),
    ],
)  # fmt: skip
def test_scalars_mean_what_yaml_1_2_says(text, meant):
    assert scalar(text) == meant
    assert type(scalar(text)) is type(meant)


def recipe(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "a.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_quotes_make_text_and_positions_are_known(tmp_path):
    document = read(recipe(tmp_path, 'a: 1\nb:\n  - c: "2"\n    d: [3, 4e0]\n  - 5\n\ne: |\n  6\n'))
    assert document.data == {"a": 1, "b": [{"c": "2", "d": [3, 4.0]}, 5], "e": "6\n"}
    lines = {parts: mark.origin.line for parts, mark in document.marks.items()}
    assert lines[("a",)] == 1
    assert lines[("b",)] == 2
    assert lines[("b", 0, "c")] == 3
    assert lines[("b", 0, "d")] == lines[("b", 0, "d", 1)] == 4
    assert lines[("b", 1)] == 5
    assert lines[("e",)] == 7
    assert document.marks["b", 0, "c"].typed == '"2"'


def test_anchors_work_and_circular_ones_are_refused(tmp_path):
    assert read(recipe(tmp_path, "a: &x {b: 1}\nc: *x\n")).data == {"a": {"b": 1}, "c": {"b": 1}}
    assert "holds itself" in str(read(recipe(tmp_path, "a: &x\n  b: *x\n")).problems.found[0])


def test_windows_files_read_the_same(tmp_path):
    assert read(recipe(tmp_path, b"\xef\xbb\xbfa: 1\r\nb: x\r\n")).data == {"a": 1, "b": "x"}


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("a: 1\nb: 2\na: 3\n", ["a.yaml:3: a: given twice, first on line 1; keep one of them"]),
        ("a:\n  b: 1\n  b: 2\n  b: 3\n", ["a.yaml:3: a.b: given twice, first on line 2; keep one of them",
                                          "a.yaml:4: a.b: given twice, first on line 2; keep one of them"]),
        ("x: &x {a: 1}\ny:\n  <<: *x\n", ["a.yaml:3: y: merge keys (`<<`) are not used here; a recipe "
                                          "takes over another with `extends: other.yaml`"]),
        ("a: !!int 5\n", ["a.yaml:1: a: the tag `!!int` has no meaning in a recipe; for text use quotes"]),
        ('a: "x\\0"\nb: "\\ud800"\n', ["a.yaml:1: a: holds a character that is no text (`\\0`, or half of a pair)",
                                       "a.yaml:2: b: holds a character that is no text (`\\0`, or half of a pair)"]),
        ("? [a, b]\n: 1\n", ["a.yaml:1: a key must be a word, not a list or a mapping"]),
    ],
)  # fmt: skip
def test_what_yaml_allows_and_a_recipe_does_not(tmp_path, monkeypatch, text, messages):
    monkeypatch.chdir(tmp_path)
    assert [str(problem) for problem in read(recipe(tmp_path, text)).problems.found] == messages


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train:\n\tbeta: 1\n", "a.yaml:2: found `beta: 1`; a tab: YAML indents with spaces"),
        ("train:\n  learning_rate:1\n  beta: 2\n",
         "a.yaml:2: found `learning_rate:1`; not a `key: value` line; is the space after `:` missing?"),
        ("train:\n  beta: 2\n  learning_rate:1\n",
         "a.yaml:3: found `learning_rate:1`; not a `key: value` line; is the space after `:` missing?"),
        ("train:\n  beta: 2\n   optim: x\n",
         "a.yaml:3: found `optim: x`; a `:` where none can be; is the line indented too far, or are quotes missing?"),
        ("train:\n  beta: 2\n optim: x\n", "a.yaml:3: found `optim: x`; the indentation fits no line above"),
        ('name: "a\nseed: 1\n', 'a.yaml:1: found `name: "a`; a quotation mark that is never closed'),
        ("runs: [a, b\nseed: 1\n", "a.yaml:1: found `runs: [a, b`; a `[` list that is not closed, or lacks a comma"),
        ("model: {a: 1, b: 2\nseed: 1\n",
         "a.yaml:1: found `model: {a: 1, b: 2`; a `{` mapping that is not closed, or lacks a comma"),
        ("name: @x\n", "a.yaml:1: found `name: @x`; a value can't begin with this character; put the text in quotes"),
        ("a: 1\n---\nb: 2\n", "a.yaml:2: found `---`; a second document (`---`); a file holds one recipe"),
        ("a: *x\n", "a.yaml:1: found `a: *x`; an alias (`*name`) without its anchor (`&name`) above"),
        ("- a\n", "a.yaml:1: a recipe is a mapping of `key: value` lines; this is a list or a single value"),
        ("# nothing\n", "a.yaml: the file is empty; `zephyr recipes` lists recipes to start from"),
        (b"name: \xff\n", "a.yaml: not UTF-8 text (byte 6); save it as UTF-8"),
    ],
)  # fmt: skip
def test_a_syntax_error_is_said_in_words(tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError) as error:
        read(recipe(tmp_path, text))
    assert str(error.value) == message


def test_no_file_and_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError, match=r"^x.yaml: there is no such file$"):
        read(tmp_path / "x.yaml")
    with pytest.raises(RecipeError, match="this is a directory; name a recipe in it"):
        read(tmp_path)
