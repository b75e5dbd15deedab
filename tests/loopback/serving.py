"""The two ways to run the server: beside a test in its own thread, or as a process of its own beside a benchmark.

A process of its own takes nothing from the client's interpreter; a thread lets a test look at the record directly.
"""

from __future__ import annotations

import asyncio
import http.client
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from tests.loopback.behaviour import Behaviour
from tests.loopback.fine_tuning import Tuning, TuningShared, serve
from tests.loopback.protocol import Phase
from tests.loopback.record import Record, Seen

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 20.0


@dataclass(frozen=True)
class Address:
    """Where a server is, and what each SDK takes for its base URL."""

    url: str

    @property
    def openai_url(self) -> str:
        return f"{self.url}/v1"

    @property
    def anthropic_url(self) -> str:
        return self.url


@dataclass(frozen=True)
class Server(Address):
    """A server in this process, with its record."""

    shared: TuningShared

    def behave(self, behaviour: Behaviour) -> None:
        """Begin a phase: the schedule starts anew, the record goes on."""
        self.shared.phase = Phase(behaviour)

    @property
    def record(self) -> Record:
        return self.shared.record

    @property
    def tuning(self) -> Tuning:
        return self.shared.tuning

    @property
    def requests(self) -> list[Seen]:
        return self.record.requests

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return self.record.bodies

    @property
    def most_at_once(self) -> int:
        return self.record.most_at_once

    def by_fault(self) -> Counter[str | None]:
        return self.record.by_fault()

    def most_in_any_minute(self, window: float = 60.0) -> int:
        return self.record.most_in_any_minute(window)

    def busy(self, slots: int, start: float, end: float) -> float:
        return self.record.busy(slots, start, end)


@contextmanager
def serving(behaviour: Behaviour | None = None, *, keep_bodies: bool = False) -> Iterator[Server]:
    """A server on a free port, in a thread with its own event loop; gone at the end, whoever is still connected."""
    shared = TuningShared(Phase(behaviour or Behaviour()), keep_bodies)
    stop = asyncio.Event()
    found: list[int] = []
    listening = threading.Event()

    def ready(port: int) -> None:
        found.append(port)
        listening.set()

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=run, args=(loop, shared, ready, stop), name="loopback", daemon=True)
    thread.start()
    if not listening.wait(PATIENCE):
        raise RuntimeError("the loopback server did not come up")
    try:
        yield Server(f"http://127.0.0.1:{found[0]}", shared)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(PATIENCE)


def run(loop: asyncio.AbstractEventLoop, shared: TuningShared, ready: Any, stop: asyncio.Event) -> None:
    try:
        loop.run_until_complete(serve(shared, 0, ready, stop))
    finally:
        loop.close()


@dataclass(frozen=True)
class Served(Address):
    """A server in a process of its own."""

    process: subprocess.Popen[str]

    def stats(self, slots: int = 1) -> dict[str, Any]:
        """The figures of `Record.stats`, so far."""
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=PATIENCE)
        try:
            connection.request("GET", f"/stats?slots={slots}")
            stats: dict[str, Any] = from_json(connection.getresponse().read())
            return stats
        finally:
            connection.close()


@contextmanager
def serving_in_process(behaviour: Behaviour | None = None) -> Iterator[Served]:
    """A server in a process of its own, which ends with this block and, should this process be killed, with it."""
    told = (behaviour or Behaviour()).to_json()
    command = [sys.executable, "-m", "tests.loopback", "--port", "0", "--behaviour", told, "--with-parent"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"the loopback server ended with {process.wait()} before it listened; its reasons stand above")
            yield Served(from_json(line)["url"], process)
        finally:
            process.terminate()
