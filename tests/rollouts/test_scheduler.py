"""Many conversations at once: never more than there is room for, each exactly once, nothing left running after an error."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from influence.rollouts.scheduler import run_all


@given(st.lists(st.integers(0, 5), max_size=40), st.integers(1, 12))
@settings(deadline=None)
def test_every_job_is_done_once_and_as_many_run_at_once_as_there_is_room_for(lengths, at_once):
    alive, most, done = Counter(), 0, Counter()

    async def work(job: tuple[int, int]) -> int:
        nonlocal most
        number, length = job
        alive["now"] += 1
        most = max(most, alive["now"])
        for _ in range(length + 1):
            await asyncio.sleep(0)
        alive["now"] -= 1
        return number

    asyncio.run(run_all(enumerate(lengths), work, lambda number: done.update([number]), at_once))
    assert done == Counter(range(len(lengths)))
    assert most == min(at_once, len(lengths))


def test_jobs_are_taken_one_by_one_as_there_is_room():
    taken: list[int] = []

    def jobs():
        for number in range(100):
            taken.append(number)
            yield number

    async def work(job: int) -> int:
        await asyncio.sleep(0)
        return job

    ahead: list[int] = []
    asyncio.run(run_all(jobs(), work, lambda job: ahead.append(len(taken) - job), 4))
    assert max(ahead) <= 4


@pytest.mark.parametrize("where", ["work", "done"])
def test_an_error_ends_everything_before_it_is_raised(where):
    running: set[int] = set()

    async def work(job: int) -> int:
        running.add(job)
        try:
            await asyncio.sleep(0)
            if where == "work" and job == 2:
                raise OSError("no space left")
            await asyncio.sleep(0 if job == 2 else 3600)
        finally:
            running.discard(job)
        return job

    def done(job: int) -> None:
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        asyncio.run(asyncio.wait_for(run_all(range(50), work, done, 5), 60))
    assert running == set()
