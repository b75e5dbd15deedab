"""Servers to ask, an environment without anybody's keys, a response cache of the test's own, and the command in this process."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from asking_hosted import point, quick_collections

from influence.cli import main
from tests.loopback import Behaviour, Server, serving


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No key, address or proxy of whoever runs the tests; an empty folder to work in; an empty response cache."""
    ours = ("_API_KEY", "_BASE_URL", "_LOG", "_PROXY", "_proxy")
    for name in [name for name in os.environ if name.endswith(ours)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))  # every client would read all authorities first, which takes 30 ms
    monkeypatch.chdir(tmp_path)
    yield
    gc.unfreeze()  # see `quick_collections`


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Server]]:
    """Start a server that plays all providers; it stops with the test."""
    with ExitStack() as servers:

        def start(behaviour: Behaviour | None = None, *, keep_bodies: bool = False) -> Server:
            server = servers.enter_context(serving(behaviour, keep_bodies=keep_bodies))
            point(monkeypatch, server.url)
            return server

        yield start


@dataclass(frozen=True)
class Printed:
    """What a command printed and ended with."""

    code: int
    out: str
    err: str


@pytest.fixture
def influence(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Printed]:
    """`influence` with some arguments, in this process."""

    def run(*arguments: str) -> Printed:
        monkeypatch.setattr(sys, "argv", ["influence", *arguments])
        capfd.readouterr()
        quick_collections()
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
        return Printed(code, *capfd.readouterr())

    return run
