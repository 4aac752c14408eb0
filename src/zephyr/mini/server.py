"""The scripted models of a mini world behind an OpenAI-compatible HTTP API: the default run uses the real client.

`served` starts it as a process of its own on a free port of this machine; it ends with the process that started it.
By hand: `python -m zephyr.mini.server outputs/mini/world`, which prints its address and ends with its standard input.
"""

import argparse
import hashlib
import json
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from zephyr.errors import UserError
from zephyr.mini.cast import Cast, load, reply

DETERMINES = ("model", "messages", "seed", "temperature", "top_p", "max_tokens")
"""What of a request decides its answer; the same request always gets the same."""


@contextmanager
def served(world_dir: Path) -> Iterator[str]:
    """Serves the models of a world that a `world` run wrote; yields the base URL (`http://127.0.0.1:49152/v1`).

    Raises:
        UserError: the directory holds no world.
    """
    command = [sys.executable, "-m", "zephyr.mini.server", str(world_dir)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdin and process.stdout
    try:
        address = process.stdout.readline().strip()
        if not address:
            raise UserError(f"{world_dir}: the models of this world could not be served (see above)")
        yield address
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


@dataclass(frozen=True, kw_only=True)
class Refused(Exception):
    """A request that gets no answer, with its HTTP status."""

    status: int
    message: str


def completion(cast: Cast, tokenizer: Tokenizer, body: Any) -> dict[str, Any]:
    """The body of the response to a chat completion request.

    Raises:
        Refused: it is none, or asks for a model that is not here.
    """
    model, messages = _asked(cast, body)
    words = json.dumps([[name, body.get(name)] for name in DETERMINES], sort_keys=True)
    try:
        text = reply(cast, model, messages, random.Random(words))
    except ValueError as error:
        raise Refused(status=400, message=str(error)) from None
    n_prompt, tokens = _count(tokenizer, messages), tokenizer.encode(text)
    n_most = body.get("max_completion_tokens") or body.get("max_tokens") or len(tokens.ids)
    cut = len(tokens.ids) > n_most
    if cut:
        text = tokenizer.decode(tokens.ids[:n_most])
    n_said = min(len(tokens.ids), n_most)
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "logprobs": None}
    return {
        "id": f"chatcmpl-{hashlib.sha256(words.encode()).hexdigest()[:24]}",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [{**choice, "finish_reason": "length" if cut else "stop"}],
        "usage": {"prompt_tokens": n_prompt, "completion_tokens": n_said, "total_tokens": n_prompt + n_said},
    }


def _asked(cast: Cast, body: Any) -> tuple[str, list[dict[str, str]]]:
    if not isinstance(body, dict) or not isinstance(body.get("messages"), list) or not body["messages"]:
        raise Refused(status=400, message="expected an object with `model` and `messages`")
    for each in body["messages"]:
        if not isinstance(each, dict) or not all(isinstance(each.get(name), str) for name in ("role", "content")):
            raise Refused(status=400, message="each message needs a `role` and a text as `content`")
    if body.get("stream") or body.get("n") not in (None, 1):
        raise Refused(status=400, message="answers come whole and one at a time here: no `stream`, no `n`")
    if body.get("model") not in cast.names:
        raise Refused(status=404, message=f"no model {body.get('model')!r} here; there are {', '.join(cast.names)}")
    return body["model"], body["messages"]


def _count(tokenizer: Tokenizer, messages: list[dict[str, str]]) -> int:
    return sum(len(tokenizer.encode(each["content"]).ids) for each in messages)


class Handler(BaseHTTPRequestHandler):
    """The two addresses of the API that are needed."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    cast: Cast
    tokenizer: Tokenizer

    def do_GET(self) -> None:
        """Lists the models."""
        if self.path != "/v1/models":
            return self._send(404, _error(f"there is nothing at {self.path}"))
        models = [{"id": name, "object": "model", "created": 0, "owned_by": "mini"} for name in self.cast.names]
        self._send(200, {"object": "list", "data": models})

    def do_POST(self) -> None:
        """Answers a conversation."""
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path != "/v1/chat/completions":
            return self._send(404, _error(f"there is nothing at {self.path}"))
        try:
            self._send(200, completion(self.cast, self.tokenizer, json.loads(content)))
        except json.JSONDecodeError:
            self._send(400, _error("the body is not JSON"))
        except Refused as refused:
            self._send(refused.status, _error(refused.message))

    def _send(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self._headers_buffer.append(b"\r\n" + content)  # type: ignore[attr-defined]  # head and body in one packet
        self.flush_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: a line for each of thousands of requests helps nobody."""


def _error(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}


class Server(ThreadingHTTPServer):
    """One thread per connection; as many connections may wait as a client opens at once."""

    daemon_threads = True
    request_queue_size = 1024


def server(world_dir: Path, port: int) -> Server:
    """A server of the models of this world, not yet running.

    Raises:
        UserError: the directory holds no world.
    """
    try:
        cast, tokenizer = load(world_dir), Tokenizer.from_file(str(world_dir / "tokenizer" / "tokenizer.json"))
    except FileNotFoundError as error:
        raise UserError(f"{world_dir} holds no world: there is no {error.filename}") from None
    handler = type("WorldHandler", (Handler,), {"cast": cast, "tokenizer": tokenizer})
    return Server(("127.0.0.1", port), handler)


def main() -> None:
    """Serves until standard input ends, which it does however the process at its other end dies."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("world", type=Path, help="run directory of a `world` recipe")
    options.add_argument("--port", type=int, default=0)
    arguments = options.parse_args()
    try:
        here = server(arguments.world, arguments.port)
    except UserError as error:
        sys.exit(str(error))
    threading.Thread(target=here.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{here.server_address[1]}/v1", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
