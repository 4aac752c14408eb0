"""The failing server of tests/teacher with something to say: answers, instructions, and judgments good and bad.

What an answer deserves is a function of its text (`deserved`), so that a test can tell a score from an invented one.
    python -m tests.data.writing_server LOG [key=value ...]     `bad=0.3`: share of texts that can't be used
"""

import asyncio
import hashlib
import json
import random
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.served import served
from tests.teacher import server

ANSWER = re.compile(r'<answer id="(\w)">\n(.*?)\n</answer>', re.DOTALL)
ASPECTS = {"instruction_following": 5, "truthfulness": 5, "honesty": 5, "helpfulness": 5, "overall": 10}
GOOD = ("plain", "prose", "fence", "quotes", "text", "list", "lines")
BAD = ("fewer", "more", "high", "low", "half", "twice", "nothing", "words", "missing", "not applicable")
bad_share = 0.0


def deserved(text: str) -> dict[str, int | str]:
    """What an answer gets."""
    digest = hashlib.sha256(text.encode()).digest()
    ratings: dict[str, int | str] = {name: 1 + digest[n] % most for n, (name, most) in enumerate(ASPECTS.items())}
    if digest[9] % 8 == 0:
        ratings["honesty"] = "N/A"
    return ratings


def judgment(asked: str, rng: random.Random) -> str:
    answers = ANSWER.findall(asked)
    form = asked[asked.rindex("Answer with one JSON object") :]
    wanted = [name for name in ASPECTS if f'"{name}": ' in form]
    scores: dict[str, Any] = {label: _scores(text, wanted) for label, text in answers}
    way = rng.choice(BAD) if rng.random() < bad_share else rng.choice(GOOD)
    return _said(way, scores, wanted)


def _scores(text: str, wanted: list[str]) -> dict[str, Any]:
    got = deserved(text)
    found: dict[str, Any] = {n: {"rationale": "It's {so}.", "rating": got[n]} for n in wanted if n != "overall"}
    return found | ({"critique": "Say more.", "overall": got["overall"]} if "overall" in wanted else {})


def _said(way: str, scores: dict[str, Any], wanted: list[str]) -> str:
    last, name = list(scores)[-1], wanted[0]
    again = f'{{"{last}": {json.dumps(scores[last])}, '
    if way == "fewer":
        del scores[last]
    elif way == "more":
        scores["Z"] = scores[last]
    elif way in ("high", "low", "words", "not applicable"):
        value = {"high": 11, "low": 0, "words": "rather good", "not applicable": "N/A"}[way]
        scores[last][name] = {"rationale": "", "rating": value} if name != "overall" else value
    elif way == "missing":
        del scores[last][name]
    elif way == "nothing":
        return "I would rather not say."
    whole = json.dumps(scores)
    return {
        "half": whole[: len(whole) * 2 // 3],
        "twice": again + whole[1:],
        "prose": f"Here is {{what}} I think [1]:\n{whole}\nI hope {{this}} helps.",
        "fence": f"```json\n{json.dumps(scores, indent=2)}\n```",
        "quotes": repr(scores).replace("}", ",}"),
        "text": whole if "overall" not in wanted else re.sub(r'"overall": (\d+)', r'"overall": "\1/10"', whole),
        "list": json.dumps({"answers": [{"answer": label, **each} for label, each in scores.items()]}),
        "lines": "\n".join(_lines(label, each) for label, each in scores.items()),
    }.get(way, whole)


def _lines(label: str, scores: dict[str, Any]) -> str:
    rows = [f"**Answer {label}**"]
    for name, each in scores.items():
        rows.append(f"- {name.replace('_', ' ').capitalize()}: {each['rating'] if isinstance(each, dict) else each}")
    return "\n".join(rows)


def said(asked: dict[str, Any]) -> str:
    """An answer to whatever is asked, the same for the same request."""
    text, key = asked["messages"][-1]["content"], json.dumps(asked, sort_keys=True)
    rng, digest = random.Random(key), hashlib.sha256(key.encode()).hexdigest()
    bad = rng.random() < bad_share
    first = next((each["content"] for each in asked["messages"] if "<answer id=" in each["content"]), None)
    if first is not None:
        return judgment(first, rng)
    if wanted := re.search(r"with (\d+) strings in the list\.", text):  # first instructions
        n = int(wanted[1])
        digests = [hashlib.sha256(f"{key}{i}".encode()).hexdigest() for i in range(n)]
        items = [f"Why {each[:4]} {each[4:8]} {each[8:12]} {each[12:16]}?" for each in digests]
        if bad:
            return "I can't think of any."
        numbered = "\n".join(f"{i + 1}. {each}" for i, each in enumerate(items))
        return rng.choice([json.dumps({"instructions": items}), f"```\n{json.dumps(items)}\n```", numbered])
    if "take the user's place" in text:
        return asked["messages"][0]["content"] if bad else f'"And {digest[:10]}?"'
    return f"{asked['model']} says {digest[:16]}." + " word" * rng.randint(0, 40)


def completion(asked: dict[str, Any], n_words: int, *, finish: str = "stop") -> dict[str, Any]:
    found = server_completion(asked, 50, finish=finish)
    found["choices"][0]["message"]["content"] = said(asked)
    return found


server_completion = server.completion


class Writer(server.Server):
    def note(self, asked: dict[str, Any], what: str) -> None:
        """Whole requests are told apart: they begin alike."""
        digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
        self.out.write(json.dumps([digest, what, time.time()]) + "\n")


@contextmanager
def writing(log: Path, **habits: object) -> Iterator[str]:
    """A server in a process of its own; yields its base URL."""
    given = [f"{name}={json.dumps(value)}" for name, value in habits.items()]
    with served("tests.data.writing_server", str(log), *given) as url:
        yield url


if __name__ == "__main__":
    given = {name: json.loads(value) for name, value in (word.split("=", 1) for word in sys.argv[2:])}
    bad_share = given.pop("bad", 0.0)
    server.completion = completion
    asyncio.run(Writer(server.Habits(**given), Path(sys.argv[1])).serve())
