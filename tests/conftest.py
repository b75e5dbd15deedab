"""What several tests share: one real engine for the whole session, and an event loop to ask it on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import settings

from influence.config.sections import EngineSection
from influence.engines.base import CallRecord
from influence.engines.opening import Engines
from influence.engines.vllm import VllmEngine

settings.register_profile("unhurried", deadline=None)  # other work on this machine is not a failure
settings.load_profile("unhurried")

ROLES = ("agent", "user", "preference", "transition", "influence")


@dataclass
class RealEngine:
    """The embedded model on vLLM's CPU engine, open for the session. `calls` holds every request since `forget`."""

    engines: Engines
    engine: VllmEngine
    calls: list[CallRecord]
    runner: asyncio.Runner

    def run(self, coroutine: Any) -> Any:
        return self.runner.run(coroutine)

    def forget(self) -> None:
        """An empty prefix cache and an empty list of calls."""
        for replica in self.engine.replicas:
            assert self.run(replica.reset_prefix_cache())
        self.calls.clear()


@pytest.fixture(scope="session")
def real() -> Iterator[RealEngine]:
    calls: list[CallRecord] = []
    engines = Engines(dict.fromkeys(ROLES, "embedded"), EngineSection(gpus=[], kv_cache_gb=1.0), calls.append)
    engine = engines.roles["agent"].engine
    assert isinstance(engine, VllmEngine)
    with asyncio.Runner() as runner:
        runner.run(engines.__aenter__())
        try:
            yield RealEngine(engines, engine, calls, runner)
        finally:
            runner.run(engines.__aexit__())
