"""What a provider answers about a fine-tuning, as far as it matters here, and what of it is kept on disk for the next attempt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel

from influence.errors import TrainerError
from influence.redaction import redact
from influence.runs.manifest import write_atomically
from influence.runs.records import Record

STATE = "fine_tuning.json"


class Thing(BaseModel):
    """Whatever has an id there."""

    id: str


class File(Thing):
    created_at: float


class Failure(BaseModel):
    message: str | None = None


class Job(Thing):
    status: str
    training_file: str
    created_at: float
    fine_tuned_model: str | None = None
    trained_tokens: int | None = None
    error: Failure | None = None


class Event(Thing):
    data: Any = None


Item = TypeVar("Item", bound=Thing)


class Page(BaseModel, Generic[Item]):
    """Part of a list, newest first."""

    data: list[Item]
    has_more: bool = False


def losses_in(events: Sequence[Event]) -> dict[int, float]:
    """The training loss of each step that the events tell of."""
    data = [event.data for event in events if isinstance(event.data, dict)]
    return {d["step"]: d["train_loss"] for d in data if type(d.get("step")) is int and type(d.get("train_loss")) in (int, float)}


class TuningState(Record):
    """`fine_tuning.json`: how far one iteration's training at the provider is. What is not known yet is None."""

    schema_version: Literal[1] = 1
    digest: str  # of the training file's text
    base: str  # the model that is trained
    file: str | None = None
    uploaded: float | None = None  # by the provider's clock
    job: str | None = None
    status: str | None = None
    model: str | None = None  # the new one
    trained_tokens: int | None = None


def read_state(path: Path, digest: str, base: str) -> TuningState:
    """How far a training is. Raises TrainerError for the state of another one."""
    anew = (
        f"Remove {path} to train anew, with another job; one that has begun goes on at the provider until it is cancelled there."
    )
    try:
        held = TuningState.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return TuningState(digest=digest, base=base)
    except (OSError, ValueError):
        raise TrainerError(f"{path}: this is no state of a fine-tuning of this version.\n    {anew}") from None
    if held.digest != digest:
        raise TrainerError(f"{path}: this fine-tuning began with other training data (digest {held.digest[:12]}).\n    {anew}")
    if held.base != base:
        raise TrainerError(f"{path}: this fine-tuning began from {held.base} and not from {base}.\n    {anew}")
    return held


def keep(path: Path, state: TuningState, **news: Any) -> TuningState:
    """Write down what is new."""
    newer = state.model_copy(update=news)
    if newer != state:
        write_atomically(path, redact(newer.model_dump_json(indent=2)) + "\n")
    return newer
