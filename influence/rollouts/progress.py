"""What is known of a rollout while it runs: counts, tokens and their rates, for whoever shows them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from influence.engines.base import Usage
from influence.rollouts.records import TrajectoryRecord


@dataclass
class Progress:
    """Live counts of one rollout. `kept` are conversations that an earlier attempt had finished."""

    total: int
    kept: int = 0
    done: int = 0
    running: int = 0
    failed: int = 0
    turns: int = 0
    phase: str = "starting the engine"
    usage: dict[str, Usage] = field(default_factory=dict)
    hosted: Callable[[], Mapping[str, Any]] = dict  # by provider: requests and failures so far
    began: float = field(default_factory=time.monotonic)

    def start_rollout(self) -> None:
        """The engines are up: rates are counted from here."""
        self.began = time.monotonic()
        self.phase = "rolling out"

    def charge(self, role: str, usage: Usage) -> None:
        """A call was answered."""
        self.usage[role] = self.usage.get(role, Usage()) + usage

    def finish(self, trajectory: TrajectoryRecord) -> None:
        """A conversation has ended and is in the journal."""
        self.done += 1
        self.failed += trajectory.failed

    @property
    def cost(self) -> float:
        """US dollars, of the calls whose price is known."""
        return sum(u.cost for u in self.usage.values())

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    @property
    def seconds_left(self) -> float | None:
        """By the rate so far, once some conversations have ended; those that run count as half done."""
        if not self.done or self.phase != "rolling out":
            return None
        worked = self.done + self.running / 2
        return max(0.0, self.total - self.kept - worked) * self.seconds / worked

    @property
    def cache_hit_rate(self) -> float | None:
        """The share of prompt tokens that did not have to be computed."""
        prompt = sum(u.prompt_tokens for u in self.usage.values())
        return sum(u.cached_tokens for u in self.usage.values()) / prompt if prompt else None
