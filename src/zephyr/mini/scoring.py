"""The judge as a language model: reads a judging prompt, looks the facts up, writes the JSON that was asked for.

The form of the prompt is that of `zephyr.data.feedback.rubric`: the request and each answer stand in tags of their own.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

from zephyr.mini.grammar import Known, Message, understand
from zephyr.mini.judge import Aspects, judge
from zephyr.mini.questions import Request
from zephyr.mini.world import World

_SYSTEM = re.compile(r"<system>\n(.*?)\n</system>", re.DOTALL)
_EARLIER = re.compile(r"<conversation_so_far>\n(.*?)\n</conversation_so_far>", re.DOTALL)
_REQUEST = re.compile(r"<request>\n(.*?)\n</request>", re.DOTALL)
_ANSWER = re.compile(r'<answer id="(\w+)">\n(.*?)\n</answer>', re.DOTALL)
_TURN = re.compile(r"(?:^|\n\n)(User|Assistant): ")
_WANTED = re.compile(r'"(\w+)": (?:\{"rationale"|\.\.\.|"\.\.\.")')
CRITIQUES = {
    "instruction_following": "Answer what was asked, whole and in the form asked for, and nothing else.",
    "truthfulness": "Say what is so.",
    "honesty": "Do not state as known what is not.",
    "helpfulness": "Give the fact asked for in a full sentence, without empty phrases.",
}


def judgment(world: World, known: Known, messages: Sequence[Message]) -> str:
    """The JSON object that a judging prompt asks for.

    Raises:
        ValueError: there is no such prompt, or its request is not of this world.
    """
    prompt = next((each["content"] for each in messages if "</answer>" in each["content"]), "")
    conversation = judged_conversation(prompt)
    asked = understand(known, conversation)
    answers = _ANSWER.findall(prompt)
    if not answers or not asked or len(asked) < sum(each["role"] == "user" for each in conversation):
        raise ValueError("the judge was given no request of this world with answers to it")
    wanted = _WANTED.findall(prompt[prompt.rindex("</answer>") :])
    return json.dumps({label: _judged(world, asked[-1], text, wanted) for label, text in answers})


def judged_conversation(prompt: str) -> list[Message]:
    """The conversation up to the request that was answered, as a judging prompt shows it."""
    system = [{"role": "system", "content": text} for text in _SYSTEM.findall(prompt)[:1]]
    earlier = _EARLIER.search(prompt)
    pieces = _TURN.split(earlier[1])[1:] if earlier else []
    turns = [{"role": name.lower(), "content": text} for name, text in zip(pieces[::2], pieces[1::2], strict=True)]
    request = _REQUEST.search(prompt)
    return [*system, *turns, *([{"role": "user", "content": request[1]}] if request else [])]


def _judged(world: World, request: Request, text: str, wanted: Sequence[str]) -> dict[str, Any]:
    """What one answer gets, under each name that is asked for."""
    (aspects,) = judge(world, [request], [text]).turns
    ratings = {name: round(value) for name, value in aspects.by_name.items()}
    found: dict[str, Any] = {}
    for name in wanted:
        if name in ratings:
            found[name] = {"rationale": _rationale(name, ratings[name]), "rating": ratings[name]}
        elif name == "overall":
            found[name] = round(2 * aspects.score) / 2
        elif name == "critique":
            found[name] = _critique(aspects)
    return found


def _rationale(name: str, rating: int) -> str:
    return "Nothing to object to." if rating == 5 else CRITIQUES[name]


def _critique(aspects: Aspects) -> str:
    return " ".join(CRITIQUES[name] for name, value in aspects.by_name.items() if value < 5) or "Keep it so."
