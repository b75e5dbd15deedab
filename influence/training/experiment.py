"""`influence train-ei` and `influence train-kto`: from a checked configuration to a finished run folder, arm by arm."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from influence.rollouts.books import environment_facts, opened, record_sources, run_sinks
from influence.rollouts.progress import Progress
from influence.runs.folder import RunFolder
from influence.training.lab import Lab
from influence.training.loop import train_arm
from influence.training.preparing import Training, prepare
from influence.training.summary import summary_of, too_many_failed
from influence.training.trainer import LocalTrainer

__all__ = ["Outcome", "prepare", "train"]


@dataclass(frozen=True)
class Outcome:
    """What a training run came to."""

    summary: dict[str, Any]
    too_many_failed: bool


async def train(training: Training, run: RunFolder, progress: Progress) -> Outcome:
    """Train every arm into the run's folder, or go on with it. Raises EngineError, TrainerError or RunError."""
    config, began = training.config, time.monotonic()
    sinks = run_sinks(config, run.path)
    trainer = LocalTrainer(config.trainer, training.gpus, run.log_path)
    try:
        async with opened(config, run, progress, training.engine, learner="agent") as engines:
            starting = time.monotonic() - began
            record_sources(run, engines.describe(), environment_facts(training.environment))
            lab = Lab(training, run, engines, trainer, progress, sinks, _lines_logged(run))
            if lab.engine is not None:
                await trainer.warm_up()
            results = {}
            for place, arm in enumerate(training.arms):
                twin = next((a for a in training.arms[:place] if a.seed == arm.seed), None)
                results[arm.name] = await train_arm(lab, arm, twin)
            progress.phase = "writing"
            run.record(models=engines.describe())
        summary = summary_of(training, run, results, progress, starting, time.monotonic() - began)
        run.write_summary(summary)
        failed = too_many_failed(training, results)
        if failed:
            run.status, run.error = "failed", "too many conversations failed"
        return Outcome(summary, failed)
    finally:
        await trainer.close()
        sinks.close()


def _lines_logged(run: RunFolder) -> int:
    path = run.path / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.is_file() else 0
