"""The work that is timed: 128 conversations of 3 turns in therapy-talk with the embedded model, all five roles asked.

Transitions take the likeliest label so that (nearly) every conversation has its three turns; everything else is the default.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from influence.config.commands import SimulateConfig
from influence.config.layers import Layer, resolve
from influence.engines.base import CallRecord
from influence.engines.opening import Engines
from influence.engines.vllm import VllmEngine
from influence.rollouts.conversation import converse
from influence.rollouts.progress import Progress
from influence.rollouts.records import TrajectoryRecord
from influence.rollouts.scheduler import run_all
from influence.rollouts.simulation import Simulation, prepare


@dataclass(frozen=True)
class Rollout:
    """One timed rollout: its wall time, its trajectories, every request as the engine saw it."""

    seconds: float
    trajectories: list[TrajectoryRecord]
    calls: list[CallRecord]


def simulation(conversations: int, **settings: object) -> Simulation:
    """The benchmark's simulation, checked and planned."""
    data: dict[str, object] = {
        "rollout": {"conversations": conversations, "turns": 3},
        "judges": {"transition": {"method": "likeliest"}},
        "engine": {"kv_cache_gb": 6.0},
    }
    return prepare(resolve(SimulateConfig, [Layer("benchmark", data | settings)]))


async def rollout(work: Simulation, engines: Engines, calls: list[CallRecord]) -> Rollout:
    """Hold all conversations once, from an empty prefix cache."""
    await reset_cache(engines)
    calls.clear()
    progress, trajectories = Progress(len(work.planned)), list[TrajectoryRecord]()
    at_once = engines.conversations_at_once(work.tokens_each)
    started = time.perf_counter()
    await run_all(
        work.planned,
        lambda planned: converse(planned, work.environment, engines.roles, work.rules, progress),
        trajectories.append,
        at_once,
    )
    return Rollout(time.perf_counter() - started, trajectories, list(calls))


def vllm_of(engines: Engines) -> VllmEngine:
    """The one local engine behind all roles."""
    engine = engines.roles["agent"].engine
    assert isinstance(engine, VllmEngine)
    return engine


async def reset_cache(engines: Engines) -> None:
    for replica in vllm_of(engines).replicas:
        assert await replica.reset_prefix_cache()
