"""Keeping libraries' chatter off the screen: file descriptors 1 and 2 lead to the run's log, for child processes too.

The program's own words go through the terminal streams that were there before.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from influence.errors import RunError


@dataclass(frozen=True)
class Terminal:
    """The real standard output and error while everything else that writes to them goes to a log."""

    out: TextIO
    err: TextIO


@contextmanager
def chatter_to(log: Path) -> Iterator[Terminal]:
    """Send what libraries print to `log` until the block ends. Raises RunError if the log cannot be written."""
    try:
        target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    except OSError as error:
        raise RunError(f"{log}: cannot be written: {error.strerror}.") from None
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    streams = [os.fdopen(os.dup(fd), "w", encoding="utf-8", errors="replace", buffering=1) for fd in saved]
    os.dup2(target, 1)
    os.dup2(target, 2)
    try:
        yield Terminal(*streams)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for stream in streams:
            with suppress(OSError):  # nobody reads it any more, which is no reason to call the run a failure
                stream.close()
        for fd, old in zip((1, 2), saved, strict=True):
            os.dup2(old, fd)
            os.close(old)
        os.close(target)
