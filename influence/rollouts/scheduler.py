"""Thousands of conversations as coroutines, some hundreds of them alive at a time.

There is no barrier between turns and no batch to wait for: a conversation goes on as soon as its own answer is there, and
the engine's continuous batching makes the batches.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

NEW_OBJECTS = 50_000  # between two collections of the youngest; Python's own number is 700

Job = TypeVar("Job")
Result = TypeVar("Result")


async def run_all(
    jobs: Iterable[Job], work: Callable[[Job], Awaitable[Result]], done: Callable[[Result], None], at_once: int
) -> None:
    """Work on all jobs, at most `at_once` at a time, and hand each result to `done` as it comes.

    Jobs are taken from the iterable one by one, so that nothing is held for those that have not begun. The first exception
    of `work` or `done` cancels everything else and is raised.
    """
    waiting = iter(jobs)

    async def worker() -> None:
        for job in waiting:
            done(await work(job))

    with rare_collections():
        workers = [asyncio.create_task(worker()) for _ in range(max(1, at_once))]
        try:
            await asyncio.gather(*workers)
        finally:
            for task in workers:
                task.cancel()
            await asyncio.gather(*workers, return_exceptions=True)


@contextmanager
def rare_collections() -> Iterator[None]:
    """Let Python look for cycles of garbage less often, and not among what has been imported.

    With a thousand conversations alive it would walk all of their objects again and again and find nothing: 40 % of the
    processor time of a rollout on hosted models. What conversations leave behind is freed by reference counts anyway.
    """
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
