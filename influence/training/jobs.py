"""What one iteration's training is told and what it answers: plain data, as JSON between two processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from influence.config.training import TrainerSection

Method = Literal["ei", "kto"]


@dataclass(frozen=True)
class TrainingJob:
    """One iteration's training. `model` is a folder or a hub id, `start` the adapter folder to go on from."""

    method: Method
    iteration: int
    model: str
    start: str | None
    dataset: str
    out: str
    seed: int
    learning_rate: float
    max_length: int
    device: Literal["cpu", "cuda"]
    settings: TrainerSection

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"settings": self.settings.model_dump(mode="json")}


@dataclass(frozen=True)
class ScoringJob:
    """How likely an adapter and its base find the trained tokens of a dataset's rows."""

    model: str
    adapter: str
    dataset: str
    device: Literal["cpu", "cuda"]
    settings: TrainerSection
    method: Literal["score"] = "score"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"settings": self.settings.model_dump(mode="json")}


def job_from_dict(data: Mapping[str, Any]) -> TrainingJob | ScoringJob:
    """The inverse of `to_dict`."""
    kind = ScoringJob if data["method"] == "score" else TrainingJob
    return kind(**{**data, "settings": TrainerSection.model_validate(data["settings"])})


Steps = Callable[[dict[str, Any]], None]  # takes each line of trainer.jsonl as it comes


@dataclass(frozen=True)
class Trained:
    """What training made: an adapter folder, or a provider's new model. `facts` go into `training.json` with the digests."""

    adapter: Path | None
    model: str | None
    facts: dict[str, Any]


class Trainer(Protocol):
    """Whoever trains: the trainer process on this machine, or a provider."""

    async def train(self, job: TrainingJob, steps: Steps) -> Trained:
        """Train once. Raises TrainerError. Called again after an interruption, with the same job."""
        ...

    async def close(self) -> None: ...
