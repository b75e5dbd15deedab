"""An event loop whose clock jumps to the next timer, so that minutes of waiting are tested in no time and to the second."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any

START = 1000.0


class _Jumping(selectors.SelectSelector):
    """Instead of waiting for so many seconds, it says that they have gone by."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise AssertionError("everybody waits, and nothing will ever wake anybody")
        self.loop.now += timeout
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        selector = _Jumping()
        selector.loop, self.now = self, START
        super().__init__(selector)

    def time(self) -> float:
        return self.now


def simulated(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end in simulated time. Fails where all tasks wait for each other."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(coroutine)


def now() -> float:
    """Seconds since the simulation began."""
    return asyncio.get_running_loop().time() - START
