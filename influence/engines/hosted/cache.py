"""Answers that were paid for once: an SQLite file in the user's cache folder, shared by all runs.

The key is a digest of everything that determines an answer: the server, the model, the messages, how the reply is drawn, the
tools or labels, and the call's own seed, which keeps k samples of one prompt k different answers. Answers are written in
small transactions a few times a second, so that other processes are never kept waiting and a kill loses a moment's worth.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic_core import from_json, to_json

from influence.engines.embedded import cache_folder
from influence.errors import RunError

FLUSH_SECONDS = 0.25
FLUSH_AT = 500  # answers
BUSY_SECONDS = 30.0  # how long another process may hold the file
SCHEMA = (
    "CREATE TABLE IF NOT EXISTS answers "
    "(key BLOB PRIMARY KEY, model TEXT NOT NULL, answer BLOB NOT NULL, written TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP)"
)


def cache_path() -> Path:
    return cache_folder() / "responses.sqlite"


def key_of(parts: Mapping[str, Any]) -> bytes:
    """The digest of a question and of everything about it that determines its answer."""
    return sha256(to_json(parts)).digest()


class ResponseCache:
    """The cache, open for one run."""

    def __init__(self, path: Path) -> None:
        """Raises RunError if the file cannot be used."""
        self._path = path
        self._new: dict[bytes, tuple[str, bytes]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._broken: RunError | None = None
        with _told(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = _open(path)

    def get(self, key: bytes) -> dict[str, Any] | None:
        if key in self._new:
            raw = self._new[key][1]
        else:
            with _told(self._path):
                row = self._file.execute("SELECT answer FROM answers WHERE key = ?", (key,)).fetchone()
            if row is None:
                return None
            raw = row[0]
        answer = from_json(raw)
        assert isinstance(answer, dict)
        return answer

    def put(self, key: bytes, model: str, answer: Mapping[str, Any]) -> None:
        if self._broken:
            raise self._broken
        self._new[key] = model, to_json(answer, inf_nan_mode="constants")
        if len(self._new) >= FLUSH_AT:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._flush_by_timer)

    def flush(self) -> None:
        """Write what is new. Raises RunError when it cannot be written."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        new, self._new = self._new, {}
        with _told(self._path), self._file:
            rows = [(key, model, raw) for key, (model, raw) in new.items()]
            self._file.executemany("INSERT OR REPLACE INTO answers (key, model, answer) VALUES (?, ?, ?)", rows)

    def _flush_by_timer(self) -> None:
        """Nobody waits here for an error: the next `put` raises it, or `close`."""
        try:
            self.flush()
        except RunError as error:
            self._broken = error

    def close(self) -> None:
        try:
            self.flush()
        finally:
            self._file.close()
        if self._broken:
            raise self._broken


@dataclass(frozen=True)
class Held:
    """How many answers of one model the cache holds, and their bytes."""

    model: str
    answers: int
    bytes: int


def contents(path: Path) -> list[Held]:
    """What the cache holds, by model. Raises RunError for a file that is none."""
    if not path.is_file():
        return []
    with _told(path), closing(_open(path)) as file:
        rows = file.execute("SELECT model, COUNT(*), SUM(LENGTH(answer)) FROM answers GROUP BY model ORDER BY model")
        return [Held(*row) for row in rows]


def clear(path: Path) -> int:
    """Empty the cache. Returns how many answers it held."""
    if not path.is_file():
        return 0
    with _told(path), closing(_open(path)) as file:
        with file:
            count = file.execute("DELETE FROM answers").rowcount
        file.execute("VACUUM")
        return int(count)


def _open(path: Path) -> sqlite3.Connection:
    file = sqlite3.connect(path, timeout=BUSY_SECONDS, check_same_thread=False)  # opened beside the event loop, used on it
    file.execute("PRAGMA journal_mode = WAL")
    file.execute("PRAGMA synchronous = NORMAL")
    file.execute(SCHEMA)
    return file


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """What the database or the disk says, as an error with its remedy."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise RunError(
            f"the response cache {path} cannot be used: {error}. Go on without it by --no-cache, or remove the file."
        ) from None
