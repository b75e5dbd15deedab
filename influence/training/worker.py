"""The trainer's own process: reads a job, trains with TRL and PEFT, saves an adapter, and tells its parent how it goes.

One process on one device, or one of several under `accelerate launch`. What it tells are lines on standard output that
begin with MARK; everything else there is libraries' chatter. With `--stay` it waits for further jobs on standard input:
on a CPU the imports take longer than a small training.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from influence.engines import libraries
from influence.engines.orphans import end_with_parent
from influence.errors import InfluenceError, TrainerError
from influence.training.jobs import ScoringJob, TrainingJob, job_from_dict
from influence.training.rows import Row, read_rows

MARK = "@influence "


def main(arguments: Sequence[str]) -> int:
    """`--stay`, or the path of a job. Returns the exit code."""
    if sys.platform == "linux":
        end_with_parent()
    libraries.prepare(offline=False)
    if list(arguments) != ["--stay"]:
        return 0 if work(Path(arguments[0])) else 1
    _import_libraries()
    tell(event="ready")
    for line in sys.stdin:
        work(Path(line.strip()))
    return 0


def tell(**event: Any) -> None:
    """Say something to the parent. Of several processes only the first speaks."""
    if os.environ.get("RANK", "0") == "0":
        print(f"\n{MARK}{json.dumps(event)}", flush=True)


def work(path: Path) -> bool:
    """Do one job. Whatever goes wrong is told, with the traceback in the log."""
    try:
        job = job_from_dict(json.loads(path.read_text(encoding="utf-8")))
        if Path(job.model).is_dir():
            libraries.prepare(offline=True)
        tell(event="done", facts=score(job) if isinstance(job, ScoringJob) else train(job))
        return True
    except InfluenceError as error:
        tell(event="failed", error=str(error))
    except Exception as error:  # torch, TRL, PEFT: anything
        traceback.print_exc()
        tell(event="failed", error=f"{type(error).__name__}: {error}")
    return False


def train(job: TrainingJob) -> dict[str, Any]:
    """Train on the job's dataset and save the adapter to `job.out`. Returns facts for the record."""
    from influence.training.models import adapter_norm, load, quick_on_cpu, save
    from influence.training.trainers import build

    began = time.monotonic()
    rows = list(read_rows(Path(job.dataset)))
    kept = [row for row in rows if len(row.token_ids) <= job.max_length]
    if not kept:
        raise TrainerError(f"{job.dataset}: all {len(rows)} rows are longer than {job.max_length} tokens (trainer.max_length).")
    model, tokenizer = load(job, max(len(row.token_ids) for row in kept))
    before = adapter_norm(model)
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    if not trainable:
        raise TrainerError("no parameter of the adapter can be trained.")
    trainer, used = build(job, model, tokenizer, kept, lambda line: tell(event="step", **line))
    check_tokens(job, trainer.train_dataset, used)
    with quick_on_cpu(trainer.model, job):
        trainer.train()
    if adapter_norm(trainer.model) == before:
        raise TrainerError("training changed nothing: the adapter's weights are what they were.")
    save(trainer, Path(job.out))
    return {
        "rows": len(used),
        "rows_too_long": len(rows) - len(kept),
        "rows_left_over": len(kept) - len(used),
        "trained_tokens": sum(row.trained_tokens for row in used),
        "tokens": sum(len(row.token_ids) for row in used),
        "optimizer_steps": trainer.state.global_step,
        "trainable_parameters": trainable,
        "learning_rate": job.learning_rate,
        "seconds": time.monotonic() - began,
    }


def score(job: ScoringJob) -> dict[str, Any]:
    """For each row, the sum of log p_adapter - log p_base over its trained tokens, and how many those are."""
    from influence.training.models import log_ratios

    began = time.monotonic()
    ratios = log_ratios(job, list(read_rows(Path(job.dataset))))
    return {"ratios": ratios, "seconds": time.monotonic() - began}


def check_tokens(job: TrainingJob, dataset: Any, rows: Sequence[Row]) -> None:
    """What the trainer will feed the model is, id for id, what was sampled. Raises TrainerError for the first row that is not."""
    if len(dataset) != len(rows):
        raise TrainerError(f"{len(rows)} rows were given to the trainer, and it kept {len(dataset)}.")
    for row, fed in zip(rows, dataset, strict=True):
        if job.method == "kto":
            same = fed["prompt_ids"] == row.prompt_ids and fed["completion_ids"] == row.token_ids[len(row.prompt_ids) :]
        else:
            under_loss = [label for label in fed["labels"] if label != -100]
            same = fed["input_ids"] == row.token_ids and under_loss == [t for s, e in row.trained for t in row.token_ids[s:e]]
        if not same:
            raise TrainerError(f"row {row.key}: the tokens that the trainer would train on are not those that were sampled.")


def _import_libraries() -> None:
    """The imports, before the first job is there."""
    import peft  # noqa: F401
    import trl  # noqa: F401

    from influence.training import models, trainers  # noqa: F401


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
