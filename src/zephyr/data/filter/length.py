"""Dialogues outside of the bounds on exchanges and words."""

from zephyr.data.filter.found import Found
from zephyr.data.turns import Messages
from zephyr.recipe.filter import Length


def out_of_bounds(messages: Messages, settings: Length) -> Found | None:
    """Which bound the dialogue crosses, if any; words are what white space parts."""
    exchanges = sum(turn["role"] == "user" for turn in messages)
    n_words = sum(len(turn["content"].split()) for turn in messages)
    for reason, crossed, found in (
        ("too few exchanges", exchanges < (settings.min_exchanges or 0), exchanges),
        ("too many exchanges", exchanges > (settings.max_exchanges or exchanges), exchanges),
        ("too few words", n_words < (settings.min_words or 0), n_words),
        ("too many words", n_words > (settings.max_words or n_words), n_words),
    ):
        if crossed:
            return Found(reason, f"{found:,}")
    return None
