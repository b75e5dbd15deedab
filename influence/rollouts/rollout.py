"""One rollout: a list of planned things and the journal that they end in. What the journal holds already is not held again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from influence.rollouts.progress import Progress
from influence.rollouts.scheduler import run_all
from influence.runs.journal import Journal


class Plan(Protocol):
    """Something to be held: a conversation or an episode with tools."""

    @property
    def key(self) -> str: ...


class Held(Protocol):
    """The record of something that was held. `parts` are its turns or steps."""

    @property
    def key(self) -> str: ...

    @property
    def failed(self) -> bool: ...

    @property
    def parts(self) -> int: ...

    def model_dump_json(self) -> str: ...


Planned = TypeVar("Planned", bound=Plan)
Record = TypeVar("Record", bound=Held)


class Rollout(Generic[Planned, Record]):
    """An open rollout. `seen` is called with every record, those that an earlier attempt had finished first."""

    def __init__(
        self,
        path: Path,
        planned: Sequence[Planned],
        progress: Progress,
        parse: Callable[[str, str], Record],
        seen: Callable[[Record], None],
    ) -> None:
        """`parse(line, place)` reads a record of the journal, or raises an error that names the place."""
        self._planned, self._progress, self._seen = planned, progress, seen
        self._lines = 0

        def keep(line: str) -> None:
            self._lines += 1
            record = parse(line, f"{path}, line {self._lines}")
            progress.keep(record.failed, record.parts)
            seen(record)

        progress.total = len(planned)
        self._journal = Journal(path, keep)

    @property
    def complete(self) -> bool:
        return all(planned.key in self._journal.keys for planned in self._planned)

    async def run(self, hold: Callable[[Planned], Awaitable[Record]], at_once: int, phase: str = "rolling out") -> float:
        """Hold what is missing. `phase` is what the panel calls that. Returns how many seconds that took. Raises RunStoppedError or RunError."""
        progress = self._progress
        progress.start_rollout(phase)

        async def held(planned: Planned) -> Record:
            progress.running += 1
            try:
                return await hold(planned)
            finally:
                progress.running -= 1

        def finished(record: Record) -> None:
            self._journal.append(record.key, record.model_dump_json())
            self._seen(record)
            progress.finish(record.failed)

        await run_all([p for p in self._planned if p.key not in self._journal.keys], held, finished, at_once)
        progress.working = False
        return progress.seconds

    def sort(self) -> None:
        """Put the journal in the plan's order, so that equal runs give equal files."""
        self._journal.sort([p.key for p in self._planned])

    def close(self) -> None:
        self._journal.close()
