"""Mistakes in a recipe: collected, sorted by file and line, shown together."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from zephyr.errors import UserError

Parts = tuple[str | int, ...]
"""A place in a recipe: ("data", "train", 0, "path"). Never compared joined: the name of a row may hold dots."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a value came from; all None: the schema's default."""

    file: Path | None = None
    """File that says it, where one does."""
    line: int | None = None
    """Line in that file, counted from 1."""
    override: str | None = None
    """The override as typed (`train.beta=0.05`), where one says it."""

    def __str__(self) -> str:
        if self.override is not None:
            return "override"
        return f"{self.file.name}:{self.line}" if self.file else "default"

    def place(self) -> str:
        """The beginning of an error's line: where to look."""
        if self.override is not None:
            return f"override {self.override}"
        if self.file is None:
            return "default"
        return f"{shown(self.file)}:{self.line}" if self.line else shown(self.file)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One mistake: where, at which key, and a sentence on what was found, what was expected and the ways out."""

    origin: Origin
    key: str
    text: str

    def __str__(self) -> str:
        return f"{self.origin.place()}: {self.key}: {self.text}" if self.key else f"{self.origin.place()}: {self.text}"


@dataclass
class Problems:
    """The mistakes found so far."""

    found: list[Problem] = field(default_factory=list)

    def add(self, origin: Origin, parts: Parts | str, text: str) -> None:
        """Notes one mistake, once."""
        problem = Problem(origin=origin, key=parts if isinstance(parts, str) else dotted(parts), text=text)
        if problem not in self.found:
            self.found.append(problem)

    def extend(self, problems: Iterable[Problem]) -> None:
        """Notes the mistakes of another recipe."""
        self.found.extend(problem for problem in problems if problem not in self.found)

    def refuse(self) -> None:
        """Raises RecipeError if there is any mistake."""
        if self.found:
            raise RecipeError(self.found)


class RecipeError(UserError):
    """All mistakes of a recipe and of the recipes it names."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=_place))
        super().__init__("\n".join(str(problem) for problem in self.problems))


def _place(problem: Problem) -> tuple[bool, str, int]:
    origin = problem.origin
    return origin.override is None, str(origin.file or origin.override), origin.line or 0


def dotted(parts: Parts) -> str:
    """How a place is written: `data.train[0].path`."""
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def split(text: str) -> Parts:
    """The place that `data.train[0].path` or `data.train.0.path` names."""
    words = re.sub(r"\[(\d+)\]", r".\1", text).split(".")
    return tuple(int(word) if word.isdigit() and n else word for n, word in enumerate(words))


def shown(path: Path) -> str:
    """A path as a reader wants it: from the working directory if it lies there."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def listed(names: Iterable[object], last: str = "or") -> str:
    """`a`, `b` or `c`."""
    quoted = [f"`{name}`" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} {last} {quoted[-1]}" if quoted else ""
