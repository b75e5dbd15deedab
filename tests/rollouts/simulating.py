"""A whole simulation inside the test's own process, into a run folder."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

from holding import BOOTH, SCRIPTS, settings_of

from influence.rollouts.progress import Progress
from influence.rollouts.reading import read_trajectories
from influence.rollouts.records import TrajectoryRecord
from influence.rollouts.simulation import Outcome, prepare, simulate
from influence.runs.folder import open_run


def simulated(out: Path, *sets: str, script: Path = SCRIPTS / "varied.toml", progress: Any = None) -> Outcome:
    """The outcome of one run in `out`, named `run`."""
    models = [f"models.{role}='scripted/{script}'" for role in ("agent", "user", "judge")]
    config = settings_of(f"environment.name='{BOOTH}'", f"run.out='{out}'", "run.name='run'", *models, *sets)
    simulation = prepare(config)
    with open_run(config, "simulate") as run:
        return asyncio.run(simulate(simulation, run, progress or Progress(total=len(simulation.planned))))


def records(out: Path) -> list[TrajectoryRecord]:
    return list(read_trajectories(out / "run"))


def without_times(journal: Path) -> bytes:
    """A journal's bytes apart from when and how long each conversation was held."""
    text, lines = re.subn(rb',"started":[0-9.e+-]+,"seconds":[0-9.e+-]+\}\n', b"}\n", journal.read_bytes())
    assert lines == len(journal.read_bytes().splitlines())
    return text
