"""A real HTTP server that speaks the chat completions API and can fail in every way, in a process of its own.

    python -m tests.teacher.server LOG [key=value ...]

It prints its base URL and ends with its standard input. LOG gets a line when a request comes and one when it is over:
how its last message begins, what was done with it, and when. With a seed, what happens to the n-th request of the same
body is always the same.
"""

import asyncio
import hashlib
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.served import served

FAILURES = ("429", "500", "timeout", "closed", "half", "empty", "cut")


@dataclass(frozen=True, kw_only=True)
class Habits:
    """How it answers."""

    latency_s: float = 0.0
    """Mean time to an answer; drawn from half to one and a half of it."""
    fails: float = 0.0
    """Share of requests that fail, in one of `ways`."""
    ways: tuple[str, ...] = FAILURES
    always: str = ""
    """What happens to every request: one of the ways, or a status such as `401`."""
    concurrency: int = 1_000_000
    """Requests worked at once; others wait."""
    n_words: int = 50
    """Length of an answer."""
    requires_key: str = ""
    no_schema: bool = False
    """Refuses `response_format`, as servers do that check their keys."""
    seed: int = 0


@dataclass
class Server:
    habits: Habits
    log: Path
    n_seen: Counter = field(default_factory=Counter)

    async def serve(self) -> None:
        self.out = self.log.open("a", buffering=1)
        self.slots = asyncio.Semaphore(self.habits.concurrency)
        server = await asyncio.get_running_loop().create_server(lambda: Connection(self), "127.0.0.1", 0)
        print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

    def fate(self, digest: str) -> str:
        """What becomes of the n-th request with this body."""
        if self.habits.always:
            return self.habits.always
        chance = random.Random(f"{self.habits.seed} {digest} {self.n_seen[digest]}")
        return chance.choice(self.habits.ways) if chance.random() < self.habits.fails else "answered"

    def note(self, asked: dict, what: str) -> None:
        self.out.write(json.dumps([asked["messages"][-1]["content"][:40], what, time.time()]) + "\n")


class Connection(asyncio.Protocol):
    def __init__(self, server: Server) -> None:
        self.server, self.buffer = server, b""

    def connection_made(self, transport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if b"\r\n\r\n" not in self.buffer:
            return
        head, body = self.buffer.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        if len(body) >= int(headers.get("content-length", 0)):
            self.buffer = b""
            self.task = asyncio.ensure_future(self.answer(headers, body))

    async def answer(self, headers: dict[str, str], body: bytes) -> None:
        server, habits = self.server, self.server.habits
        digest, asked = hashlib.sha256(body).hexdigest(), json.loads(body)
        fate = server.fate(digest)
        server.n_seen[digest] += 1
        server.note(asked, "received")
        if fate == "timeout":
            return server.note(asked, "timeout")
        async with server.slots:
            slow = random.Random(f"{digest} {server.n_seen[digest]}").uniform(0.5, 1.5)
            await asyncio.sleep(habits.latency_s * slow)
        if self.transport.is_closing():
            return server.note(asked, "gone")
        if habits.requires_key and headers.get("authorization") != f"Bearer {habits.requires_key}":
            fate = "401"
        if habits.no_schema and "response_format" in asked:
            fate = "422"
        server.note(asked, fate)
        self.act(fate, headers, asked)

    def act(self, fate: str, headers: dict[str, str], asked: dict) -> None:
        if fate == "closed":
            return self.transport.abort()
        if fate == "half":
            whole = json.dumps(completion(asked, self.server.habits.n_words)).encode()
            return self.send(200, whole[: len(whole) // 2])
        if fate.isdigit():
            words = {
                "400": "This model's maximum context length is 8192 tokens. However, your messages are longer.",
                "401": f"Incorrect API key provided: {headers.get('authorization')}. You sent {headers}",
                "422": "Unexpected fields in the request: {'response_format'}",
            }.get(fate, f"sorry, {fate}")
            return self.send(int(fate), json.dumps({"error": {"message": words}}).encode())
        finish = {"cut": "length"}.get(fate, "stop")
        found = completion(asked, self.server.habits.n_words, finish=finish)
        if fate == "empty":
            found["choices"] = []
        if fate == "silent":
            found["choices"][0]["message"]["content"] = ""
        self.send(200, json.dumps(found).encode())

    def send(self, status: int, body: bytes) -> None:
        wait = "retry-after: 0.2\r\n" if status == 429 else ""
        head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{wait}content-length: {len(body)}\r\n\r\n"
        self.transport.write(head.encode() + body)


def completion(asked: dict, n_words: int, *, finish: str = "stop") -> dict:
    """An answer that depends on the whole request."""
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
    message = {"role": "assistant", "content": f"answer {digest}" + " word" * (n_words - 2)}
    n_prompt = sum(len(each["content"]) for each in asked["messages"]) // 4
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "created": int(time.time()), "model": asked["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": finish, "logprobs": None}],
        "usage": {"prompt_tokens": n_prompt, "completion_tokens": n_words, "total_tokens": n_prompt + n_words},
    }  # fmt: skip


@contextmanager
def serving(log: Path, **habits: object) -> Iterator[str]:
    """A server in a process of its own; yields its base URL."""
    given = [f"{name}={json.dumps(value)}" for name, value in habits.items()]
    with served("tests.teacher.server", str(log), *given) as url:
        yield url


def requests(log: Path) -> list[tuple[str, str, float]]:
    """What a server wrote down: (how the last message begins, what was done, when)."""
    return [tuple(json.loads(line)) for line in log.read_text().splitlines()]


if __name__ == "__main__":
    given = dict(word.split("=", 1) for word in sys.argv[2:])
    asyncio.run(Server(Habits(**{name: json.loads(value) for name, value in given.items()}), Path(sys.argv[1])).serve())
