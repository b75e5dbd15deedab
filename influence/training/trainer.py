"""The trainer on this machine, seen from the program: a process that is started, given jobs, listened to, and ended."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from influence.config.training import DistributedSection, TrainerSection
from influence.engines import libraries
from influence.engines.orphans import end_with_parent
from influence.errors import TrainerError
from influence.runs.manifest import write_atomically
from influence.training.jobs import ScoringJob, Steps, Trained, TrainingJob
from influence.training.launching import Launch, launch
from influence.training.worker import MARK

LONGEST_LINE = 1 << 20
PARTIAL = "adapter.partial"


class LocalTrainer:
    """Trains in a process of its own. On a CPU the process stays for the next job; on GPUs it ends and frees them."""

    def __init__(self, settings: TrainerSection, gpus: Sequence[int], log: Path) -> None:
        self._settings, self._gpus, self._log = settings, list(gpus), log
        self._process: asyncio.subprocess.Process | None = None

    async def warm_up(self) -> None:
        """Start a process that stays, so that its imports are done when the first job comes."""
        plan = launch(self._settings, self._gpus, self._log.parent, Path("job.json"))
        if plan.stays and self._process is None:
            self._process = await self._start(plan)

    async def train(self, job: TrainingJob, steps: Steps) -> Trained:
        """Raises TrainerError with what the process said, or with where to look if it died without a word."""
        out = Path(job.out)
        for leftover in (out, Path(f"{job.out}.trainer")):
            shutil.rmtree(leftover, ignore_errors=True)
        facts = await self._do(job.to_dict(), out.parent / "job.json", self._settings, self._gpus, steps)
        shutil.rmtree(f"{job.out}.trainer", ignore_errors=True)
        return Trained(out, None, facts)

    async def score(self, job: ScoringJob) -> list[tuple[float, int]]:
        """For each row the log-ratio of its trained tokens, and their number. One device does it. Raises TrainerError."""
        alone = DistributedSection(strategy="single")
        path = Path(job.dataset).with_suffix(".job.json")
        settings = self._settings.model_copy(update={"distributed": alone})
        facts = await self._do(job.to_dict(), path, settings, self._gpus[:1], lambda line: None)
        path.unlink()
        return [(float(total), int(count)) for total, count in facts["ratios"]]

    async def _do(
        self, job: dict[str, Any], path: Path, settings: TrainerSection, gpus: Sequence[int], steps: Steps
    ) -> dict[str, Any]:
        """Have a process do a job. Returns what it found out."""
        write_atomically(path, json.dumps(job, indent=2) + "\n")
        plan = launch(settings, gpus, path.parent, path)
        for name, text in plan.files.items():
            write_atomically(path.parent / name, text)
        process = self._process or await self._start(plan)
        self._process = process
        try:
            if plan.stays:
                assert process.stdin is not None
                process.stdin.write(f"{path}\n".encode())
            facts = await self._listen(process, steps)
        except BaseException:
            await self.close()
            raise
        if not plan.stays:
            await self.close()
        return facts

    async def close(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.kill()
        await process.wait()

    async def _start(self, plan: Launch) -> asyncio.subprocess.Process:
        libraries.prepare(offline=False)
        with self._log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *plan.command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env={**os.environ, **plan.environment, "PYTHONUNBUFFERED": "1"},
                limit=LONGEST_LINE,
                preexec_fn=end_with_parent if sys.platform == "linux" else None,
            )

    async def _listen(self, process: asyncio.subprocess.Process, steps: Steps) -> dict[str, Any]:
        """Take what the process tells until it has done its job."""
        assert process.stdout is not None
        with self._log.open("ab") as log:
            while line := await process.stdout.readline():
                if not line.startswith(MARK.encode()):
                    log.write(line)
                    continue
                event: dict[str, Any] = json.loads(line[len(MARK) :])
                kind = event.pop("event")
                if kind == "step":
                    steps(event)
                elif kind == "failed":
                    raise TrainerError(f"the trainer failed: {event['error']}\n    Its own words are in {self._log}.")
                elif kind == "done":
                    return dict(event["facts"])
        code = await process.wait()
        how = f"by signal {-code}; too little memory is the usual cause" if code < 0 else f"with exit code {code}"
        raise TrainerError(f"the trainer's process ended without an answer ({how}). Its own words are in {self._log}.")
