"""A judge over HTTP that answers from stored judgments, in a process of its own.

    python -m tests.evaluate.replay_server ANSWERS LOG

ANSWERS is JSON: a user's prompt -> the answer to it. It prints its base URL and ends with its standard input.
LOG gets a line for each request: the SHA-256 of the whole body. A prompt that it does not know is a 404.
"""

import hashlib
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.served import served


class Replay(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    answers: dict[str, str]
    log: Any
    delay: threading.Event

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        asked = json.loads(body)
        self.log.write(hashlib.sha256(body).hexdigest() + "\n")
        self.log.flush()
        self.delay.wait(0.004)
        found = self.answers.get(asked["messages"][-1]["content"])
        if found is None:
            self.answer(404, {"error": {"message": "no stored judgment of this prompt"}})
            return
        message = {"role": "assistant", "content": found}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        self.answer(200, {
            "model": "gpt-4-0613", "created": 1697000000, "choices": [choice],
            "usage": {"prompt_tokens": len(str(asked)) // 4, "completion_tokens": len(found) // 4},
        })  # fmt: skip

    def answer(self, status: int, found: dict[str, Any]) -> None:
        body = json.dumps(found).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def serve(answers: Path, log: Path) -> None:
    Replay.answers, Replay.log, Replay.delay = json.loads(answers.read_text()), log.open("a"), threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Replay)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_port}/v1", flush=True)
    sys.stdin.read()


@contextmanager
def serving(answers: dict[str, str], folder: Path) -> Iterator[str]:
    """A server in a process of its own; yields its base URL. Its log is requests.log in the folder."""
    file = folder / "stored.json"
    file.write_text(json.dumps(answers))
    with served("tests.evaluate.replay_server", str(file), str(folder / "requests.log")) as url:
        yield url


def requests(folder: Path) -> list[str]:
    """Hashes of the bodies that it was sent."""
    file = folder / "requests.log"
    return file.read_text().split() if file.is_file() else []


if __name__ == "__main__":
    serve(Path(sys.argv[1]), Path(sys.argv[2]))
