"""Answers on disk, shared by all runs: each paid response is here whole before anything is done with it.

`$ZEPHYR_CACHE/answers/answers.sqlite`, a table with a row for each request that was answered. SQLite's write-ahead log
makes it safe with several processes, and whole after a kill at any moment. It must be on a disk of this machine:
SQLite's log does not work over a network file system.
"""

import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from zephyr.cache import cache_root
from zephyr.teacher.endpoint import Reply

TABLE = """
CREATE TABLE IF NOT EXISTS answers (
  key TEXT PRIMARY KEY,  -- SHA-256 of the request and of what model was asked
  model TEXT NOT NULL,
  request TEXT NOT NULL,
  response TEXT NOT NULL,  -- as the server sent it: text, usage, finish_reason, the model's own name
  received TEXT NOT NULL,  -- UTC
  latency_s REAL NOT NULL
) WITHOUT ROWID
"""
UNUSABLE = """
CREATE TABLE IF NOT EXISTS unusable (
  model TEXT NOT NULL, request TEXT NOT NULL, response TEXT NOT NULL, received TEXT NOT NULL, latency_s REAL NOT NULL
)
"""
"""Responses without an answer (no choices, no text): paid, never used, for whoever wants to know what came."""


class Cache:
    """The table of answers, open in one thread."""

    def __init__(self, file: Path | None = None) -> None:
        self.file = file or cache_root() / "answers" / "answers.sqlite"
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(self.file, isolation_level=None, timeout=60, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode=WAL")
        # a commit is in the kernel's hands: no kill loses it; a power cut may lose the last ones, never the table
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.execute(TABLE)
        self._connection.execute(UNUSABLE)

    def get(self, key: str) -> dict[str, Any] | None:
        """The response to a request as it came, None if there was none yet."""
        found = self._connection.execute("SELECT response FROM answers WHERE key = ?", (key,)).fetchone()
        return json.loads(found[0]) if found else None

    def put(self, key: str | None, *, model: str, request: dict[str, Any], reply: Reply) -> None:
        """Keeps a response that came whole; it is on disk when this returns.

        Args:
            key: of the request; None for a response that is no answer (it was paid all the same, and is kept apart).
            model: its name.
            request: as it was sent.
            reply: what came. A response to the same request that is there already stays.
        """
        received = datetime.now(UTC).isoformat(timespec="milliseconds")
        row = (model, json.dumps(request, ensure_ascii=False), reply.raw, received, round(reply.latency_s, 4))
        if key is None:
            self._connection.execute("INSERT INTO unusable VALUES (?, ?, ?, ?, ?)", row)
        else:
            self._connection.execute("INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?, ?, ?)", (key, *row))

    def close(self) -> None:
        """Folds the log into the table, if no other process has it open."""
        self._connection.close()
