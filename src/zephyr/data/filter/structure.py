"""Turns that alternate from the user's to the assistant's, none empty."""

from zephyr.data.filter.found import Found
from zephyr.data.shapes import check_conversation
from zephyr.data.turns import Messages, Unusable
from zephyr.recipe.filter import Structure


def cut_unanswered(messages: Messages, settings: Structure) -> Messages:
    """The dialogue without a last turn of the user that nobody answers (raw UltraChat has some)."""
    unanswered = messages[-1:] and messages[-1]["role"] == "user" and any(t["role"] == "assistant" for t in messages)
    return messages[:-1] if unanswered and settings.unanswered == "cut" else messages


def broken(messages: Messages) -> Found | None:
    """What is wrong with the turns, if anything."""
    try:
        check_conversation(messages)
    except Unusable as fault:
        return Found(fault.reason, fault.found)
    return None
