"""Answers that say nothing: too short, an echo of the question, going round in circles, cut off."""

# ruff: noqa: SIM905 (a list of words reads better so)
import re
from itertools import pairwise

from zephyr.data.filter.found import Found
from zephyr.data.filter.words import words
from zephyr.data.turns import Messages
from zephyr.recipe.filter import Helpfulness

ECHO_WORDS = 8
"""Shorter answers may rightly repeat the user ("Paris or Rome?" - "Paris.")."""
REPEATED_WORDS, FEWEST = 6, 60
"""Words per sequence, and sequences that an answer must have before repetition is judged."""
SIGN_OFF_WORDS = 4
"""A letter may end in "Yours sincerely,": a last line as short as this."""
DANGLING = frozenset("the an of and or but their its your my our because if while whereas although which whose".split())
"""Words that no answer ends with."""


def unhelpful(messages: Messages, settings: Helpfulness) -> Found | None:
    """What is wrong with an answer, if anything."""
    answers = [turn["content"] for turn in messages if turn["role"] == "assistant"]
    if settings.min_answer_words and max(len(each.split()) for each in answers) < settings.min_answer_words:
        return Found("answers too short", answers[-1][:200])
    if settings.echoes and (found := _echo(messages)):
        return Found("answer repeats the question", found[:200])
    for answer in answers:
        if settings.max_repeated_share is not None and repeated_share(answer) > settings.max_repeated_share:
            return Found("answer goes round in circles", answer[-200:])
    if settings.cut_answers and (reason := cut_off(answers[-1])):
        return Found(reason, answers[-1][-200:])
    return None


def _echo(messages: Messages) -> str | None:
    """An answer that is the user's turn, with at most a tenth more words around it."""
    for asked, answer in pairwise(messages):
        if asked["role"] != "user" or answer["role"] != "assistant":
            continue
        if len(answer["content"]) > 1.3 * len(asked["content"]) + 20:
            continue
        question, said = words(asked["content"]), words(answer["content"])
        fits = ECHO_WORDS <= len(question) <= len(said) <= 1.1 * len(question)
        if fits and f" {' '.join(question)} " in f" {' '.join(said)} ":
            return answer["content"]
    return None


_FENCE = re.compile(r"^[ \t]*(?:```|~~~)", re.MULTILINE)
_CODE_AND_TABLES = re.compile(r"```.*?(?:```|\Z)|^\s*\|.*$", re.DOTALL | re.MULTILINE)


def repeated_share(text: str) -> float:
    """Share of the six-word sequences of a text that have occurred in it before; code and tables count for nothing."""
    prose = _CODE_AND_TABLES.sub(" ", text) if "|" in text or "`" in text else text
    said = words(prose)
    sequences = [" ".join(said[n : n + REPEATED_WORDS]) for n in range(len(said) - REPEATED_WORDS + 1)]
    return 1 - len(set(sequences)) / len(sequences) if len(sequences) >= FEWEST else 0.0


def cut_off(answer: str) -> str | None:
    """How an answer breaks off, if it does."""
    last = answer.rstrip()
    opened = len(_FENCE.findall(answer)) % 2 and answer.count("```") % 2
    if opened and not last.endswith(("```", ".", "!", "?")):  # prose after it: a fence was only forgotten
        return "answer ends in open code"
    last_line = last.rsplit("\n", 1)[-1]
    if last.endswith(",") and len(last_line.split()) > SIGN_OFF_WORDS:
        return "answer breaks off"
    ends = re.search(r"(?:^|\s)([a-z]+)$", last[-40:])
    return "answer breaks off" if ends and ends[1] in DANGLING and len(last.split()) > ECHO_WORDS else None
