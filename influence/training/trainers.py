"""TRL's trainers, fed with token ids: what was sampled is what is trained on. Lives in the trainer's process."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from datasets import Dataset
from transformers import TrainerCallback
from trl import KTOConfig, KTOTrainer, SFTConfig, SFTTrainer

from influence.training.jobs import TrainingJob
from influence.training.launching import accumulation
from influence.training.models import ADAPTER, checkpointing
from influence.training.ordering import in_blocks, matched_pairs, weights
from influence.training.rows import Row

NOT_TRAINED = -100  # the label that torch's losses leave out
NAMES = {  # TRL's names for what is logged, and ours
    "loss": "loss",
    "kl": "kl",
    "rewards/chosen": "reward_good",
    "rewards/rejected": "reward_bad",
    "rewards/margins": "margin",
    "logps/chosen": "logprob_good",
    "logps/rejected": "logprob_bad",
    "entropy": "entropy",
    "grad_norm": "grad_norm",
    "learning_rate": "learning_rate",
    "mean_token_accuracy": "token_accuracy",
    "epoch": "epoch",
}


def build(
    job: TrainingJob, model: Any, tokenizer: Any, rows: Sequence[Row], tell: Callable[[dict[str, Any]], None]
) -> tuple[Any, list[Row]]:
    """The trainer for a job, and the rows that it trains on, in its own order."""
    steps = StepsTold(tell)
    if job.method == "ei":
        return SFTTrainer(
            model=model,
            args=SFTConfig(**arguments(job), max_length=None, packing=False, dataset_kwargs={"skip_prepare_dataset": True}),
            train_dataset=imitation_data(rows),
            processing_class=tokenizer,
            callbacks=[steps],
        ), list(rows)
    settings, block = job.settings, per_device(job)[0]
    ordered = in_blocks(rows, block, job.seed)
    good = sum(row.label is True for row in ordered)
    w_good, w_bad = weights(good, len(ordered) - good, settings.kto.target_ratio)
    tell({"good": good, "bad": len(ordered) - good, "matched_pairs": matched_pairs(ordered, block)})
    trainer = SampledTokensKto(
        model=model,
        args=KTOConfig(
            **arguments(job),
            max_length=None,
            beta=settings.kto.beta,
            desirable_weight=w_good,
            undesirable_weight=w_bad,
            disable_dropout=settings.lora.dropout == 0,
            train_sampling_strategy="sequential",
        ),
        train_dataset=liking_data(ordered),
        processing_class=tokenizer,
        callbacks=[steps],
    )
    if settings.kto.reference == "base" and "ref" in model.peft_config:
        model.delete_adapter("ref")  # without a frozen copy, TRL refers to the model without adapters
        model.set_adapter(ADAPTER)
    return trainer, ordered


class SampledTokensKto(KTOTrainer):  # type: ignore[misc]  # TRL is not checked
    """TRL's KTO on token ids instead of texts: a sampled reply need not be what its text would be split into again."""

    def _prepare_dataset(self, dataset: Any, processing_class: Any, args: Any, dataset_name: str) -> Any:
        """As TRL's own after tokenizing: each block's completions, moved on by one, for the estimate of the KL divergence."""

        def rotated(block: dict[str, list[Any]]) -> dict[str, list[Any]]:
            ids = block["completion_ids"]
            return {"KL_completion_ids": [ids[-1], *ids[:-1]]}

        return dataset.map(rotated, batched=True, batch_size=args.per_device_train_batch_size)


class StepsTold(TrainerCallback):  # type: ignore[misc]
    """Tells every optimizer step with its numbers and its speed."""

    def __init__(self, tell: Callable[[dict[str, Any]], None]) -> None:
        self._tell, self._tokens, self._began = tell, 0.0, time.monotonic()

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self._began = time.monotonic()

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        if not logs or "loss" not in logs:
            return
        now, tokens = time.monotonic(), float(logs.get("num_tokens", self._tokens))
        rate = (tokens - self._tokens) / max(now - self._began, 1e-9)
        self._tokens, self._began = tokens, now
        numbers = {ours: float(logs[theirs]) for theirs, ours in NAMES.items() if theirs in logs}
        self._tell({"step": state.global_step, "steps": state.max_steps, **numbers, "tokens_per_second": rate})


def arguments(job: TrainingJob) -> dict[str, Any]:
    """What transformers' trainer is told for both methods."""
    settings, cpu = job.settings, job.device == "cpu"
    device_batch, accumulated = per_device(job)
    return {
        "output_dir": f"{job.out}.trainer",
        "per_device_train_batch_size": device_batch,
        "gradient_accumulation_steps": accumulated,
        "num_train_epochs": settings.epochs,
        "learning_rate": job.learning_rate,
        "lr_scheduler_type": settings.schedule,
        "warmup_steps": settings.warmup_steps,
        "weight_decay": settings.weight_decay,
        "max_grad_norm": settings.max_grad_norm,
        "use_cpu": cpu,
        "bf16": settings.dtype != "float32",
        "gradient_checkpointing": checkpointing(job),
        "seed": job.seed % 2**32,
        "save_strategy": "no",
        "report_to": "none",
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "disable_tqdm": True,
        "dataloader_pin_memory": not cpu,
    }


def per_device(job: TrainingJob) -> tuple[int, int]:
    """Rows on one device at a time, and how often they are accumulated before a step."""
    devices = int(os.environ.get("WORLD_SIZE", "1"))
    return accumulation(job.settings.batch_size, job.settings.device_batch_size, devices, 2 if job.method == "kto" else 1)


def imitation_data(rows: Sequence[Row]) -> Any:
    """Token ids with labels on the agent's own sampled tokens and nowhere else."""
    return Dataset.from_list([{"input_ids": row.token_ids, "labels": labels(row)} for row in rows])


def labels(row: Row) -> list[int]:
    shown = [NOT_TRAINED] * len(row.token_ids)
    for start, end in row.trained:
        shown[start:end] = row.token_ids[start:end]
    return shown


def liking_data(rows: Sequence[Row]) -> Any:
    return Dataset.from_list(
        [{"prompt_ids": r.prompt_ids, "completion_ids": r.token_ids[len(r.prompt_ids) :], "label": bool(r.label)} for r in rows]
    )
