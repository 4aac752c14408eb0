"""What became of seeds, first instructions and dialogues, and why there are fewer dialogues than were wanted."""

from collections import Counter
from dataclasses import dataclass, field

from zephyr.data.asking import Guard, SetAside, fault_lines, ways_out
from zephyr.errors import UserError


@dataclass
class Tally:
    """What became of seeds, instructions and dialogues."""

    rows_read: int
    unusable: Counter[str]
    written: Counter[str]
    """Where first instructions are from (`seed`, `topic`, `examples`) -> how many."""
    not_written: int
    """Instructions asked for that did not come."""
    dropped: int = 0
    """Near duplicates."""
    subtopics: int = 0
    """Into which the teacher divided the topics."""
    left: int = 0
    """First instructions beyond `dialogues.count`."""
    lists: int = 0
    """Calls for first instructions or subtopics."""
    lists_set_aside: Counter[str] = field(default_factory=Counter)
    """Why such calls came to nothing -> how many."""
    examples: dict[str, SetAside] = field(default_factory=dict)
    """The first of each reason."""
    written_short: int = 0
    """Instructions missing in lists that did come."""


def refuse_none(n_wanted: int, n_written: int, tally: Tally, guard: Guard) -> None:
    """UserError if there is no dialogue at all, whatever the recipe lets fail: nothing could go on from it."""
    if n_written:
        return
    reasons, examples = (guard.reasons, guard.examples) if guard.reasons else (tally.lists_set_aside, tally.examples)
    causes = causes_of(tally, guard.reasons.total())
    raise UserError(
        f"not one of the {n_wanted:,} dialogues wanted came about: {'; '.join(causes) or 'no seeds'}.\n"
        f"{fault_lines(reasons, examples)}\nAll of it, with the raw texts, is in {guard.listed}\n"
        f"{ways_out(guard.again)}"
    )


def causes_of(tally: Tally, n_set_aside: int) -> list[str]:
    """Why there are fewer dialogues than wanted, in words."""
    causes = []
    if n_lists := tally.lists_set_aside.total():
        why = ", ".join(tally.lists_set_aside)
        causes.append(f"{n_lists:,} of {tally.lists:,} calls for first instructions came to nothing ({why})")
    if tally.written_short:
        causes.append(f"other lists were {tally.written_short:,} short")
    if tally.dropped:
        causes.append(
            f"{tally.dropped:,} first instructions were near duplicates of others (dialogues.max_similarity; listed in "
            "duplicates.jsonl)"
        )
    if n_set_aside:
        causes.append(f"{n_set_aside:,} dialogues came to nothing (listed in set_aside.jsonl)")
    return causes
