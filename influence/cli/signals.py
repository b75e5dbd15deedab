"""Ctrl-C and SIGTERM end a run the same way: conversations in flight are dropped, engines are closed, the manifest is written."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


def run_until_signal(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine on a fresh event loop. Raises KeyboardInterrupt after a signal, when everything has been closed."""

    async def guarded() -> Result:
        loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
        try:
            return await task
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None

    return asyncio.run(guarded())
