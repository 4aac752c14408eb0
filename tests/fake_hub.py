"""A Hugging Face Hub of a few routes, on this machine, so that the real client can be tested without a network."""

import base64
import json
import re
import threading
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

GOOD_TOKEN = "hf_good"


@dataclass
class Repository:
    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    commits: list[str] = field(default_factory=list)


@dataclass
class Hub:
    """What the server holds and was asked; `drop` names requests whose next connection it cuts."""

    endpoint: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    drop: list[str] = field(default_factory=list)

    def asked(self, pattern: str) -> int:
        return sum(bool(re.search(pattern, request)) for request in self.requests)


def start() -> tuple[Hub, ThreadingHTTPServer]:
    """A server on a free port; `shutdown()` ends it."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return hub, server


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def log_message(self, *_: Any) -> None: ...

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        request = f"{self.command} {self.path}"
        self.hub.requests.append(request)
        for each in self.hub.drop:
            if re.search(each, request):
                self.hub.drop.remove(each)
                self.close_connection = True
                self.connection.close()
                return
        signed = self.path.startswith("/lfs/")
        if not signed and self.headers.get("authorization") != f"Bearer {GOOD_TOKEN}":
            return self._say({"error": "Invalid user token."}, 401)
        self._route(request, body)

    do_GET = do_POST = do_PUT = _handle

    def _route(self, request: str, body: bytes) -> None:
        if request == "GET /api/whoami-v2":
            return self._say({"type": "user", "name": "me", "auth": {"type": "access_token"}})
        if request == "POST /api/validate-yaml":
            return self._say({"errors": [], "warnings": []})
        if request == "POST /api/repos/create":
            return self._create(json.loads(body))
        if match := re.fullmatch(r"PUT /lfs/(\w+)", request):
            assert sha256(body).hexdigest() == match[1]
            self.hub.blobs[match[1]] = body
            return self._say({})
        if match := re.fullmatch(r"POST /(\S+)\.git/info/lfs/objects/batch", request):
            return self._batch(json.loads(body))
        if match := re.fullmatch(
            r"(GET|POST) /api/models/([^/]+/[^/?]+)(/preupload/main|/commit/main)?(\?.*)?", request
        ):
            return self._model(match[2], match[3], body)
        return self._say({"error": f"no such route: {request}"}, 404)

    def _model(self, name: str, what: str | None, body: bytes) -> None:
        repository = self.hub.repositories.get(name)
        if repository is None:
            return self._say({"error": "Repository not found"}, 404)
        if what == "/preupload/main":
            return self._preupload(repository, json.loads(body))
        if what == "/commit/main":
            return self._commit(name, repository, body)
        return self._say({"id": name, "private": repository.private, "siblings": [], "tags": [], "sha": "0" * 40})

    def _create(self, wanted: dict[str, Any]) -> None:
        name = f"{wanted['organization']}/{wanted['name']}"
        url = f"{self.hub.endpoint}/{name}"
        if name in self.hub.repositories:
            return self._say({"error": "You already created this model repo", "url": url}, 409)
        private = wanted.get("visibility") == "private" or wanted.get("private") is True
        self.hub.repositories[name] = Repository(private=private)
        return self._say({"url": url, "name": name})

    def _preupload(self, repository: Repository, wanted: dict[str, Any]) -> None:
        files = [
            {"path": each["path"], "shouldIgnore": False,
             "uploadMode": "lfs" if each["path"].endswith(".safetensors") else "regular"}
            for each in wanted["files"]
        ]  # fmt: skip
        return self._say({"files": files})

    def _batch(self, wanted: dict[str, Any]) -> None:
        objects = []
        for each in wanted["objects"]:
            href = f"{self.hub.endpoint}/lfs/{each['oid']}"
            missing = each["oid"] not in self.hub.blobs
            objects.append({**each, **({"actions": {"upload": {"href": href}}} if missing else {})})
        return self._say({"transfer": "basic", "objects": objects})

    def _commit(self, name: str, repository: Repository, body: bytes) -> None:
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                repository.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                repository.files[value["path"]] = self.hub.blobs[value["oid"]]
            else:
                repository.commits.append(value["summary"])
        url = f"{self.hub.endpoint}/{name}/commit/{'1' * 40}"
        return self._say({"commitUrl": url, "commitOid": "1" * 40, "success": True})

    def _say(self, answer: dict[str, Any], status: int = 200) -> None:
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
