"""One rollout: a list of conversations and the journal that they end in. What the journal holds already is not held again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from influence.engines.opening import RoleModel
from influence.environments.world import Environment
from influence.rollouts.cast import Rules
from influence.rollouts.conversation import converse
from influence.rollouts.draws import Planned
from influence.rollouts.progress import Progress
from influence.rollouts.reading import parse_trajectory
from influence.rollouts.records import TrajectoryRecord
from influence.rollouts.scheduler import run_all
from influence.runs.journal import Journal


class Rollout:
    """An open rollout. `seen` is called with every trajectory, those that an earlier attempt had finished first."""

    def __init__(
        self, path: Path, planned: Sequence[Planned], progress: Progress, seen: Callable[[TrajectoryRecord], None]
    ) -> None:
        self._planned, self._progress, self._seen = planned, progress, seen
        self._lines = 0

        def keep(line: str) -> None:
            self._lines += 1
            trajectory = parse_trajectory(line, f"{path}, line {self._lines}")
            progress.keep(trajectory)
            seen(trajectory)

        progress.total = len(planned)
        self._journal = Journal(path, keep)

    @property
    def complete(self) -> bool:
        return all(planned.key in self._journal.keys for planned in self._planned)

    async def run(self, environment: Environment, roles: Mapping[str, RoleModel], rules: Rules, at_once: int) -> float:
        """Hold the conversations that are missing. Returns how many seconds that took. Raises RunStoppedError or RunError."""
        progress = self._progress
        progress.start_rollout()

        async def hold(planned: Planned) -> TrajectoryRecord:
            progress.running += 1
            try:
                return await converse(planned, environment, roles, rules, progress)
            finally:
                progress.running -= 1

        def finished(trajectory: TrajectoryRecord) -> None:
            self._journal.append(trajectory.key, trajectory.model_dump_json())
            self._seen(trajectory)
            progress.finish(trajectory)

        await run_all([p for p in self._planned if p.key not in self._journal.keys], hold, finished, at_once)
        return progress.seconds

    def sort(self) -> None:
        """Put the journal in the plan's order, so that equal runs give equal files."""
        self._journal.sort([p.key for p in self._planned])

    def close(self) -> None:
        self._journal.close()
