"""Asking hosted models that a loopback server plays: where they are, engines open for one test, whole runs and what they left."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from influence.chat import Message
from influence.config.commands import SimulateConfig
from influence.config.layers import resolve, set_layer
from influence.config.sections import EngineSection, HostedSection
from influence.engines.base import Call, Sampling
from influence.engines.hosted.budget import Budget
from influence.engines.hosted.models import HostedModels
from influence.engines.opening import Engines, RoleModel
from influence.judges.asking import AskingRules
from influence.judges.asking import ask as put
from influence.rollouts.progress import Progress
from influence.rollouts.reading import read_trajectories
from influence.rollouts.records import ScoreRecord, TrajectoryRecord
from influence.rollouts.simulation import Outcome, prepare, simulate
from influence.runs.folder import open_run
from tests.loopback import Fault, Server
from tests.loopback.answers import text_of, tokens

BOOTH = Path(__file__).parents[1] / "fixtures" / "envs" / "booth"
PROVIDERS = ("openai", "anthropic", "local")
COUNTED_AS = {"openai": "openai", "anthropic": "anthropic", "local": "openai-api/local"}
MODELS = {provider: f"{name}/test-model" for provider, name in COUNTED_AS.items()}
VARIABLES = {provider: f"{provider.upper()}_API_KEY" for provider in PROVIDERS}
KEYS = {provider: f"sk-{provider}PLANTED-4c1d9e77b2" for provider in PROVIDERS}

KINDS = {  # what the client calls a fault of the server that it tries again after
    Fault.RATE_LIMITED: "rate_limited",
    Fault.RATE_LIMITED_WAIT: "rate_limited",
    Fault.SERVER_ERROR: "server_error",
    Fault.BAD_GATEWAY: "server_error",
    Fault.OVERLOADED: "overloaded",
    Fault.RESET: "connection",
    Fault.STALLED: "timed_out",
    Fault.TRICKLE: "timed_out",
    Fault.TRUNCATED: "malformed",
    Fault.EMPTY_CHOICES: "malformed",
    Fault.WRONG_SHAPE: "malformed",
    Fault.BAD_TOOL_CALL: "malformed",
}
LONG_ENOUGH = 20.0  # seconds
QUICK = {"attempts": 3, "timeout": 10.0, "backoff": 0.001, "cache": False}
HELLO = (Message("system", "You are terse."), Message("user", "How are you?"))


def places(url: str) -> dict[str, str]:
    """The environment in which every provider is at one server."""
    bases = {"OPENAI_BASE_URL": f"{url}/v1", "ANTHROPIC_BASE_URL": url, "LOCAL_BASE_URL": f"{url}/v1"}
    return bases | {VARIABLES[provider]: key for provider, key in KEYS.items()}


def point(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    for name, value in places(url).items():
        monkeypatch.setenv(name, value)


# engines


Work = Callable[[Any], Awaitable[Any]]


@dataclass(frozen=True)
class Asked:
    """What each call gave, or the error that it ended in; the provider's counts; what the engine says of itself."""

    results: list[Any]
    counts: dict[str, Any]
    about: dict[str, Any]

    @property
    def one(self) -> Any:
        (result,) = self.results
        return result


def asked(model: str, *works: Work, budget: Budget | None = None, **settings: Any) -> Asked:
    """Everything asked at the same time of one model, whose engine is opened for it."""
    hosted = HostedModels(HostedSection(**(QUICK | settings)), budget)

    async def run() -> tuple[list[Any], dict[str, Any]]:
        async with Engines({"agent": model}, EngineSection(), None, hosted) as engines:
            engine = engines.roles["agent"].engine
            async with asyncio.timeout(LONG_ENOUGH):  # a test that hangs says nothing
                results = await asyncio.gather(*(work(engine) for work in works), return_exceptions=True)
            return list(results), engine.describe()

    results, about = asyncio.run(run())
    (counts,) = hosted.counts().values()
    return Asked(results, counts, about)


def reply(seed: int = 0, messages: Sequence[Message] = HELLO, tools: Sequence[Mapping[str, Any]] = (), **sampling: Any) -> Work:
    """A request for words."""
    drawn = Sampling(**{"max_tokens": 40, **sampling})
    return lambda engine: engine.generate(messages, drawn, Call("agent", "talk", seed), tools=tools)


def labels(seed: int = 0, names: Sequence[str] = ("1", "2")) -> Work:
    """A request for labels' log-probabilities."""
    return lambda engine: engine.label_logprobs(HELLO, names, Call("preference", "talk", seed))


def question(values: Mapping[str, float] | Sequence[str], seed: int = 0, **rules: Any) -> Work:
    """A question as a judge is asked it: a score and its usage."""
    call = Call("preference", "talk", seed)
    return lambda engine: put(RoleModel(engine, None, "judge"), HELLO, values, call, AskingRules(**rules))


# what the server saw


def with_parameter(server: Server, name: str) -> list[dict[str, Any]]:
    return [body for body in server.bodies if name in body]


def prompt_tokens(body: Mapping[str, Any]) -> int:
    """The prompt's tokens as the server counts them."""
    system = text_of(body.get("system"))
    return tokens(system + "".join(text_of(message.get("content")) for message in body["messages"]))


# whole runs


def quick_collections() -> None:
    """Spare the run's own collection of garbage what the test process holds by now, a fifth of a second's worth."""
    gc.freeze()


def run_settings(out: Path, model: str, *sets: str, name: str = "run") -> SimulateConfig:
    base = [
        f"environment.name='{BOOTH}'",
        f"run.out='{out}'",
        f"run.name='{name}'",
        *(f"models.{role}='{model}'" for role in ("agent", "user", "judge")),
        *(f"hosted.{key}={str(value).lower()}" for key, value in QUICK.items()),
    ]
    return resolve(SimulateConfig, [set_layer(assignment) for assignment in (*base, *sets)])


def simulated(out: Path, model: str, *sets: str, name: str = "run", progress: Progress | None = None) -> Outcome:
    """The outcome of one run in the booth."""
    config = run_settings(out, model, *sets, name=name)
    simulation = prepare(config)
    quick_collections()
    with open_run(config, "simulate") as run:
        return asyncio.run(simulate(simulation, run, progress or Progress(total=len(simulation.planned))))


def records(run: Path) -> list[TrajectoryRecord]:
    return list(read_trajectories(run))


def manifest(run: Path) -> dict[str, Any]:
    held: dict[str, Any] = json.loads((run / "manifest.json").read_text())
    return held


def scores(record: TrajectoryRecord) -> Iterator[ScoreRecord]:
    for turn in record.turns:
        yield from (score for score in (turn.preference, turn.transition, turn.influence) if score is not None)


def as_answered(record: TrajectoryRecord) -> dict[str, Any]:
    """A record without its times, costs and marks of the response cache: what was said and scored."""
    told = record.model_dump(mode="json", exclude={"started", "seconds"})
    for turn in told["turns"]:
        del turn["from_cache"]
    for used in told["usage"].values():
        del used["cost"], used["from_cache"]
    return told


def catalogue(path: Path, *entries: str) -> str:
    """A catalogue of one's own, as a setting. An entry is what stands under [[model]]."""
    path.write_text("date = 2026-11-01\n" + "".join(f"[[model]]\n{entry}\n" for entry in entries))
    return str(path)
