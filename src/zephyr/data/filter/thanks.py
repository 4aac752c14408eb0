"""Closing pairs in which the user only says thanks, as UltraChat's makers removed them."""

import re

from zephyr.data.turns import Messages
from zephyr.recipe.filter import Thanks

THANKS = re.compile(
    r"\b(?:thanks|thank (?:you|u)|thx|cheers|much appreciated|i appreciate (?:it|that|your|the)|"
    r"(?:good)?bye|see you|farewell|take care(?! of)|"
    r"have a (?:great|good|nice|wonderful|lovely) (?:day|evening|night|one|weekend)|"
    r"gracias|adiós|merci|au revoir|danke|vielen dank|tschüss|grazie|arrivederci|obrigad[oa]|bedankt|dank je|"
    r"спасибо|谢谢|ありがとう)(?!\w)",
    re.IGNORECASE,
)
WANTS_MORE = re.compile(
    r"[?？]|\b(?:please|can you|could you|would you|will you|do you|tell me|let me know|explain|give me|show me|"
    r"write|rewrite|revise|change|add|make it|include|continue|go on|provide|what|how|why|when|where|which|who|"
    r"but|however|although|one more|another|next|now|also|instead|i (?:need|want|have a|was wondering|still)|"
    r"i'd like (?:you|to (?:know|see|hear|ask|get))|should i|is there|are there|"
    r"note|thank (?:you|u) (?:note|letter|card|email|speech)|thanks to)\b|[:;`]",
    re.IGNORECASE,
)
"""Signs that a turn with thanks in it asks for something, or is about thanks."""
DOING = re.compile(
    r"^\W*(?:translate|summarize|summarise|describe|list|create|draft|say|edit|fix|compose|correct)\b", re.I
)


def without_thanks(messages: Messages, settings: Thanks) -> Messages:
    """The dialogue without its closing pairs of mere thanks and their answers; empty if it is nothing else."""
    while len(messages) >= 2 and messages[-1]["role"] == "assistant" and messages[-2]["role"] == "user":
        if not only_thanks(messages[-2]["content"], settings.max_words):
            return messages
        messages = messages[:-2] if any(turn["role"] == "user" for turn in messages[:-2]) else []
    return messages


def only_thanks(text: str, max_words: int) -> bool:
    """Whether a user's turn thanks or takes leave, and asks nothing more."""
    if len(text.split()) > max_words or not THANKS.search(text):
        return False
    return not WANTS_MORE.search(text) and not DOING.search(text)
