"""What became of the rows: how many were read, used, unusable and why, and the tokens that came of them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from zephyr.errors import UserError

OVERLAP = "prompt is in data.train too"
"""Reason of held-out rows dropped by `data.eval_overlap: drop`; the recipe asked for it: no fault of the rows."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """One split in figures; a sequence is what the model sees as one row, for pairs a pair."""

    rows_read: int = 0
    """Rows drawn from the sources, usable or not."""
    rows_used: int = 0
    """Rows that reach the trainer."""
    unusable: dict[str, int] = field(default_factory=dict)
    """Reason -> number of rows left out for it."""
    sequences: int = 0
    """Sequences (pairs for dDPO) per epoch."""
    tokens: int = 0
    """Tokens per epoch; a pair's prompt counts twice, once with each answer."""
    loss_tokens: int = 0
    """Tokens that carry loss; for pairs, those of both answers."""
    truncated_rows: int = 0
    """Rows that lost tokens to `max_length`."""
    dropped_tokens: int = 0
    """Tokens they lost."""
    eos_inside: int = 0
    """Rows whose own text holds the EOS token, so that the model learns to stop (or not to) in the middle."""
    longest: int = 0
    """Tokens of the longest sequence; for pairs, prompt and longer answer."""
    mean_length: float = 0.0
    """Mean tokens per sequence; for pairs, prompt and longer answer."""
    prompt_tokens: int = 0
    """Pairs only: tokens of the prompts, counted once."""
    chosen_tokens: int = 0
    """Pairs only: tokens of the chosen answers."""
    rejected_tokens: int = 0
    """Pairs only: tokens of the rejected answers."""
    merged_boundaries: int = 0
    """Pairs only: pairs whose prompt's last token merged with an answer's first (it then counts with the answers)."""


@dataclass(frozen=True, slots=True)
class UnusableRow:
    """A row left out, where to find it, and why."""

    split: str
    """`train` or `eval`."""
    source: str
    """File or data set."""
    line: int | None
    """Line of the file, from 1, where the format has lines."""
    index: int
    """Number of the row in its source, from 0."""
    reason: str
    """One of a few short phrases, so that rows can be counted by it."""
    excerpt: str
    """The start of what was found."""

    @property
    def where(self) -> str:
        """`train.jsonl:17` or `train.parquet, row 16`."""
        return f"{self.source}:{self.line}" if self.line else f"{self.source}, row {self.index}"


def by_reason(rows: Iterable[UnusableRow]) -> dict[str, int]:
    """Reason -> number of rows, most frequent first."""
    return dict(Counter(row.reason for row in rows).most_common())


def excerpt(value: object, length: int = 100) -> str:
    """The start of a value on one line, for a person to recognise it by."""
    text = " ".join(str(value).split())
    return text if len(text) <= length else text[: length - 1] + "…"


def refuse_unusable(split: str, rows_read: int, unusable: Sequence[UnusableRow], allowed: float, listed: str) -> None:
    """UserError if more than the share `allowed` (`data.max_unusable_share`) of a split's rows cannot be used."""
    unusable = [row for row in unusable if row.reason != OVERLAP]
    if not unusable or len(unusable) <= allowed * rows_read:
        return
    share = len(unusable) / rows_read
    lines = []
    for reason, n in by_reason(unusable).items():
        first = next(row for row in unusable if row.reason == reason)
        lines.append(f"  {n:>6,}  {reason}\n          e.g. {first.where}: {first.excerpt}")
    raise UserError(
        f"data.{split}: {len(unusable):,} of {rows_read:,} rows ({share:.2%}) cannot be used; "
        f"data.max_unusable_share allows {allowed:.2%}.\n" + "\n".join(lines) + "\n"
        f"All of them are listed in {listed}\n"
        "Ways out: mend the data; if the wrong columns are read, name the right ones with `columns:` at the source; "
        f"or leave these rows out on purpose with `max_unusable_share: {_round_up(share)}` under `data:` "
        "(they stay counted and listed)."
    )


def _round_up(share: float) -> float:
    """The next share with two figures: 0.00583 -> 0.006."""
    step = next(step for step in (0.0001, 0.001, 0.01) if share <= 10 * step or step == 0.01)
    return min(1.0, round((int(share / step) + 1) * step, 4))
