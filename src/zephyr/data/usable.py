"""The rows of a split that can be trained on, the others with their reasons, and the overlap of train with eval."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from zephyr.data.counts import OVERLAP, UnusableRow, excerpt
from zephyr.data.oasst import joined
from zephyr.data.prompts import check_prompt, check_seed
from zephyr.data.readers import Row
from zephyr.data.shapes import (
    Messages,
    Preference,
    Shape,
    Unusable,
    check_conversation,
    check_preference,
    check_text,
    recognise,
)
from zephyr.data.sources import read
from zephyr.data.ultrafeedback import check_scored
from zephyr.errors import UserError
from zephyr.recipe.sections import Source

CHECKS: dict[str, Callable[[Any], None]] = {
    "cpt": check_text,
    "sft": check_conversation,
    "dpo": check_preference,
    "binarize": check_scored,
    "feedback": check_prompt,
    "dialogues": check_seed,
}
"""Stage -> what raises Unusable for a row of ours that cannot be trained on."""


class Usable(NamedTuple):
    """A row in our shape, and where it stood."""

    value: Any
    """Text, Messages or Preference, by stage."""
    row: Row
    """Where it was found; its fields are let go."""


@dataclass
class Split:
    """What the sources of one split hold."""

    name: str
    """`train` or `eval`."""
    usable: list[Usable] = field(default_factory=list)
    unusable: list[UnusableRow] = field(default_factory=list)
    rows_read: int = 0
    rows_by_source: list[int] = field(default_factory=list)
    eos_inside: int = 0
    """Usable rows whose own text holds the EOS token."""

    def refuse(self, row: Row, reason: str, found: str) -> None:
        """Count and list a row as unusable."""
        self.unusable.append(UnusableRow(self.name, row.source, row.line, row.index, reason, found))


def read_split(stage: str, name: str, sources: Sequence[Source], seed: int, eos: str) -> Split:
    """Every row of the sources, one source after the other; rows whose own text holds `eos` are counted."""
    split = Split(name)
    for source in sources:
        before = split.rows_read
        for row, found in read_rows(stage, source, seed):
            split.rows_read += 1
            if isinstance(found, Unusable):
                split.refuse(row, found.reason, found.found)
            else:
                split.usable.append(Usable(found, row))
                split.eos_inside += any(eos in text for text in _texts(found))
        split.rows_by_source.append(split.rows_read - before)
    if not split.rows_read:
        raise UserError(f"data.{name}: {', '.join(source.path for source in sources)}: no rows at all.")
    return split


def read_rows(stage: str, source: Source, seed: int) -> Iterator[tuple[Row, Any]]:
    """Every row of a source: where it stood, and its value in our shape or the Unusable that says why not."""
    shapes: dict[tuple[str, ...], Shape | None] = {}
    drawn = source.rows is not None or source.fraction is not None
    for row in joined(stage, read(source, seed), drawn=drawn):
        place = replace(row, fields=None)
        if row.fields is None:
            yield place, Unusable(row.fault, row.excerpt)
            continue
        columns = tuple(row.fields)
        if columns not in shapes:
            shapes[columns] = _shape(stage, columns, source, first=not any(shapes.values()))
        try:
            yield place, _converted(stage, shapes[columns], row.fields)
        except Unusable as fault:
            yield place, fault


def _shape(stage: str, columns: tuple[str, ...], source: Source, first: bool) -> Shape | None:
    """The shape of a row; None for an odd row in a source of which other rows were recognised."""
    try:
        return recognise(stage, columns, source.columns, source.path)
    except UserError:
        if first:
            raise
        return None


def _converted(stage: str, shape: Shape | None, fields: dict[str, Any]) -> Any:
    if shape is None:
        raise Unusable("other columns than the rest", ", ".join(fields))
    value = shape.convert(fields)
    CHECKS[stage](value)
    return value


def _texts(value: str | Messages | Preference) -> list[str]:
    if isinstance(value, str):
        return [value]
    messages = value.prompt if isinstance(value, Preference) else value
    answers = [value.chosen, value.rejected] if isinstance(value, Preference) else []
    return [message["content"] for message in messages] + answers


# Overlap


def prompt_of(value: str | Messages | Preference) -> str:
    """What must not be in train and eval both: a document, or the turns before the last answer (no system turn)."""
    if isinstance(value, str):
        return value
    messages = value.prompt if isinstance(value, Preference) else value[:-1]
    return "\n".join(message["content"] for message in messages if message["role"] != "system")


def prompt_hash(value: str | Messages | Preference) -> bytes:
    """Hash of a prompt without regard to case and to the amount of white space."""
    normalised = " ".join(prompt_of(value).casefold().split())
    return hashlib.blake2b(normalised.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def hash_as_share(key: bytes) -> float:
    """A prompt's hash as a number from 0 to 1: below `eval_share` the prompt goes to eval, in every stage and run."""
    return int.from_bytes(key[:8], "little") / 2**64


def part_splits(train: Split, held_out: Split, *, drop: bool = False) -> None:
    """Keeps prompts of `data.train` out of `data.eval`, where they would measure memory.

    With `drop` such rows leave `held_out`, listed with their reason; otherwise any of them is a UserError.
    """
    seen = {prompt_hash(usable.value): usable for usable in train.usable}
    shared = [usable for usable in held_out.usable if prompt_hash(usable.value) in seen]
    if not shared:
        return
    if drop and len(shared) < len(held_out.usable):
        for usable in shared:
            held_out.refuse(usable.row, OVERLAP, excerpt(prompt_of(usable.value)))
        held_out.usable = [usable for usable in held_out.usable if prompt_hash(usable.value) not in seen]
        return
    lines = []
    for usable in shared[:3]:
        other = seen[prompt_hash(usable.value)]
        lines.append(f"  {_where(usable.row)} = {_where(other.row)}: {excerpt(prompt_of(usable.value), 70)}")
    raise UserError(
        f"data.eval: {len(shared):,} of {len(held_out.usable):,} rows have a prompt that is in data.train too "
        "(compared without case and white space), for example:\n" + "\n".join(lines) + "\n"
        "A held-out score over them would measure memory. Ways out: `data.eval_overlap: drop` leaves them out of eval "
        "and counts them; or take them out of one of the two files, or name another eval set."
    )


def _where(row: Row) -> str:
    return f"{row.source}:{row.line}" if row.line else f"{row.source}, row {row.index}"
