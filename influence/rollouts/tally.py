"""Sums over trajectories, kept while they stream past: what the final table needs, and nothing that grows with the run.

Scores are summed by initial state, because the conversations from one state belong together: the intervals are cluster
bootstraps over states.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from influence.engines.base import Usage
from influence.rollouts.records import TrajectoryRecord
from influence.stats import Estimate, cluster_mean

Sums = dict[Hashable, tuple[float, int]]


@dataclass
class Group:
    """The sums of one group of trajectories, such as one scenario and kind of user."""

    conversations: int = 0
    turns: int = 0
    reward: Sums = field(default_factory=dict)
    preference: Sums = field(default_factory=dict)
    influence: Sums = field(default_factory=dict)
    stop_reasons: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    failed: int = 0

    def add(self, trajectory: TrajectoryRecord) -> None:
        self.conversations += 1
        self.turns += len(trajectory.turns)
        self.failed += trajectory.failed
        self.stop_reasons[str(trajectory.stop_reason)] += 1
        state = f"{trajectory.scenario}/{trajectory.kind}/{trajectory.state}"
        _sum(self.reward, state, trajectory.reward)
        if trajectory.turns and trajectory.reward is None:
            self.missing["reward"] += 1
        if trajectory.preference is not None:
            self._score("preference", self.preference, state, trajectory.preference.value)
        for turn in trajectory.turns:
            if turn.preference is not None:
                self._score("preference", self.preference, state, turn.preference.value)
            if turn.influence is not None:
                self._score("influence", self.influence, state, turn.influence.value)
            if turn.transition is not None and turn.transition.reason is not None:
                self.missing["transition"] += 1

    def _score(self, name: str, sums: Sums, state: str, value: float | None) -> None:
        _sum(sums, state, value)
        self.missing[name] += value is None

    def estimates(self, seed: int) -> dict[str, Estimate]:
        return {
            "preference": cluster_mean(self.preference, seed),
            "influence": cluster_mean(self.influence, seed),
            "reward": cluster_mean(self.reward, seed),
        }

    def to_dict(self, seed: int) -> dict[str, Any]:
        return {
            "conversations": self.conversations,
            "turns": self.turns,
            "failed": self.failed,
            **{name: estimate.to_dict() for name, estimate in self.estimates(seed).items()},
            "stop_reasons": dict(sorted(self.stop_reasons.items())),
            "missing": {name: count for name, count in sorted(self.missing.items()) if count},
        }


def _sum(sums: Sums, state: str, value: float | None) -> None:
    if value is not None:
        total, count = sums.get(state, (0.0, 0))
        sums[state] = total + value, count + 1


def by_model(usage: Mapping[str, Usage], models: Mapping[str, str]) -> dict[str, Usage]:
    """Usage by role, summed over the roles of each model."""
    summed: dict[str, Usage] = {}
    for role, used in usage.items():
        summed[models[role]] = summed.get(models[role], Usage()) + used
    return dict(sorted(summed.items()))


@dataclass
class Tally:
    """All groups, by scenario and kind of user, and the whole."""

    groups: dict[tuple[str, str], Group] = field(default_factory=dict)
    whole: Group = field(default_factory=Group)
    usage: dict[str, Usage] = field(default_factory=dict)

    def add(self, trajectory: TrajectoryRecord) -> None:
        self.whole.add(trajectory)
        self.groups.setdefault((trajectory.scenario, trajectory.kind), Group()).add(trajectory)
        for role, used in trajectory.usage.items():
            self.usage[role] = self.usage.get(role, Usage()) + Usage(**used.model_dump())
