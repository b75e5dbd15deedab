"""Which conversations a run holds: initial states, in which order, how often, in which shares of users.

Pure: the same configuration gives the same list, and every conversation its own key and seed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from math import ceil, floor
from typing import Literal

from influence.environments.world import InitialState
from influence.errors import ConfigError, not_allowed
from influence.seeds import derive, generator

Choice = Literal["sequential", "random", "fixed"]


@dataclass(frozen=True, slots=True)
class Planned:
    """One conversation to be held. A state that is drawn again becomes another sample, never the same key."""

    initial: InitialState
    sample: int
    iteration: int
    seed: int

    @property
    def key(self) -> str:
        return f"{self.initial.address}/i{self.iteration}/s{self.sample}"


def plan(
    states: Sequence[InitialState],
    conversations: int,
    samples: int,
    choice: Choice,
    iteration: int,
    seed: int,
    shares: Mapping[str, float] | None = None,
) -> list[Planned]:
    """The conversations of one rollout, exactly `conversations` of them. Raises ConfigError for shares that cannot be met."""
    draws = ceil(conversations / samples)
    chosen: list[InitialState] = []
    for name, group, count in _groups(states, draws, shares):
        chosen += choose(in_turns(group), count, choice, iteration, derive(seed, "states", name))
    planned: list[Planned] = []
    seen: dict[str, int] = {}
    for initial in chosen:
        for _ in range(samples):
            sample = seen[initial.address] = seen.get(initial.address, -1) + 1
            planned.append(Planned(initial, sample, iteration, derive(seed, "conversation", initial.address, iteration, sample)))
    return planned[:conversations]


def _groups(
    states: Sequence[InitialState], draws: int, shares: Mapping[str, float] | None
) -> Iterable[tuple[str, list[InitialState], int]]:
    if not shares:
        return [("all", list(states), draws)]
    kinds = sorted({state.kind for state in states})
    for kind in shares:
        if kind not in kinds:
            raise ConfigError(f"environment.kinds: no initial state is for the kind of user `{kind}`. {not_allowed(kind, kinds)}")
    counts = largest_remainder(draws, shares)
    return [(kind, [s for s in states if s.kind == kind], count) for kind, count in counts.items() if count]


def choose(states: Sequence[InitialState], count: int, choice: Choice, iteration: int, seed: int) -> list[InitialState]:
    """`count` states. Sequential: a window that moves on with each iteration; random: each state once before any twice;
    fixed: the first ones, every time.
    """
    start = 0 if choice == "fixed" else iteration * count
    chosen, shuffled, cycle = [], list(states), -1
    for position in range(start, start + count):
        if choice == "random" and position // len(states) != cycle:
            cycle = position // len(states)
            shuffled = list(states)
            generator(seed, "cycle", cycle).shuffle(shuffled)
        chosen.append(shuffled[position % len(states)])
    return chosen


def in_turns(states: Sequence[InitialState]) -> list[InitialState]:
    """The states ordered so that scenarios and kinds take turns: any window of them is as balanced as it can be."""
    groups: dict[tuple[str, str], list[InitialState]] = {}
    for state in states:
        groups.setdefault((state.scenario, state.kind), []).append(state)
    return [state for row in zip_longest(*groups.values()) for state in row if state is not None]


def largest_remainder(total: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Split `total` by shares so that the parts sum to it exactly; each part is its quota rounded down or up (Hamilton)."""
    weight = sum(shares.values())
    quotas = {name: total * share / weight for name, share in shares.items()}
    parts = {name: floor(quota + 1e-9) for name, quota in quotas.items()}
    by_remainder = sorted(shares, key=lambda name: (parts[name] - quotas[name], name))
    for name in by_remainder[: total - sum(parts.values())]:
        parts[name] += 1
    return parts
