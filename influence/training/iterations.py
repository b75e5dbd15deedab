"""One iteration's folder: its files, how far it is, and the digests that tie data, adapter and agent together.

`iteration.json` is written after every phase. A run that goes on believes it only where the digests agree with the files, so
that no iteration is trained on other data, or from another adapter, than it says.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from influence.engines.digests import full_digest
from influence.errors import RunError, RunTakenError
from influence.rollouts.reading import HELDOUT, TRAJECTORIES
from influence.runs.manifest import write_atomically
from influence.runs.records import Record
from influence.training.rows import DATASET, file_digest
from influence.training.selection import SELECTION
from influence.training.trainer import PARTIAL


@dataclass(frozen=True)
class Agent:
    """The agent as it stands: its model's name, and for a local one the adapter that makes it what it is."""

    name: str
    adapter: str | None = None
    digest: str | None = None

    @property
    def identity(self) -> str:
        """What must be the same for two agents to be one: of a hosted model, only its name is known."""
        return self.digest or self.name


class IterationState(Record):
    """`iteration.json`: what has been done, with what. Phases that are still to come are None or False."""

    schema_version: Literal[1] = 1
    iteration: int
    agent: str  # identity of the agent that rolls out, and that training goes on from
    rolled_out: bool = False
    conversations: int = 0  # of the rollout that is trained on
    failed: int = 0
    left_out: int = 0  # given trajectories that were not of `train` states
    dataset_digest: str | None = None
    trained: str | None = None  # identity of the agent that training made
    trained_name: str | None = None
    facts: dict[str, Any] = {}
    seconds: dict[str, float] = {}


class IterationFolder:
    """`iterations/003` of a run, or of one of its arms. Iteration 0 has nothing but a measurement of the first agent."""

    def __init__(self, arm: Path, number: int, agent: Agent) -> None:
        """Raises RunTakenError if the iteration was begun by another agent."""
        self.path = arm / "iterations" / f"{number:03d}"
        self.number = number
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{self.path}: cannot be written: {error.strerror}.") from None
        found = self._read()
        self.state = found or IterationState(iteration=number, agent=agent.identity)
        if found is None:
            self.note()  # before its first conversation: from now on this iteration is this agent's
        if self.state.agent != agent.identity:
            raise RunTakenError(
                f"{self.path} was begun by another agent ({self.state.agent[:12]}) than the one that is there now ({agent.identity[:12]}): "
                "an adapter or a file of this run was changed. Undo that, or choose another --name."
            )

    @property
    def trajectories(self) -> Path:
        return self.path / TRAJECTORIES

    @property
    def heldout(self) -> Path:
        return self.path / HELDOUT

    @property
    def selection(self) -> Path:
        return self.path / SELECTION

    @property
    def dataset(self) -> Path:
        return self.path / DATASET

    @property
    def steps(self) -> Path:
        return self.path / "trainer.jsonl"

    @property
    def adapter(self) -> Path:
        return self.path / "adapter"

    @property
    def partial(self) -> Path:
        return self.path / PARTIAL

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.json"

    def note(self, **facts: Any) -> None:
        """Write down what has been done."""
        self.state = self.state.model_copy(update=facts)
        write_atomically(self.path / "iteration.json", self.state.model_dump_json(indent=2) + "\n")

    def took(self, phase: str, seconds: float) -> None:
        self.note(seconds={**self.state.seconds, phase: self.state.seconds.get(phase, 0.0) + seconds})

    def check_dataset(self) -> None:
        """Raises RunTakenError if the dataset is not the one that was written."""
        if not self.dataset.is_file() or file_digest(self.dataset) != self.state.dataset_digest:
            raise RunTakenError(f"{self.dataset} is not what this run wrote. Undo the change, or choose another --name.")

    def keep_adapter(self) -> str:
        """Put the trained adapter in its place. Its digest is written down first, so a kill in between is made up for. Returns it."""
        digest = full_digest(self.partial)
        self.note(trained=digest)
        self.partial.rename(self.adapter)
        return digest

    def trained_agent(self, base: str) -> Agent | None:
        """The agent that this iteration's training made, or None. Raises RunTakenError for an adapter that is not its own."""
        if self.state.trained_name is not None:
            return Agent(self.state.trained_name)
        if self.state.trained is None:
            return None
        self.check_dataset()
        if not self.adapter.is_dir():
            if not self.partial.is_dir():
                raise RunTakenError(f"{self.adapter} was trained by this run and is gone. Put it back, or choose another --name.")
            self.partial.rename(self.adapter)  # it was trained and noted; the last step is made up for
        if full_digest(self.adapter) != self.state.trained:
            raise RunTakenError(f"{self.adapter} is not the adapter that this run trained. Choose another --name.")
        return Agent(f"{base}:{self.adapter}", str(self.adapter), self.state.trained)

    def _read(self) -> IterationState | None:
        path = self.path / "iteration.json"
        if not path.is_file():
            return None
        try:
            return IterationState.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, ValidationError):
            raise RunError(f"{path}: this is not a record of this version.") from None
