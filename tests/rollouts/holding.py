"""Holding one conversation in the booth with a scripted model, and keeping every prompt that a role was given."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from influence.chat import Message
from influence.config.commands import SimulateConfig
from influence.config.layers import resolve, set_layer
from influence.engines.base import Call
from influence.engines.opening import RoleModel
from influence.engines.scripted import FailureRule, LabelRule, ReplyRule, Rule, ScriptedEngine
from influence.environments.loading import load_environment
from influence.environments.schema import State
from influence.environments.world import Environment, InitialState
from influence.rollouts.cast import rules_from
from influence.rollouts.conversation import converse
from influence.rollouts.draws import Planned
from influence.rollouts.progress import Progress
from influence.rollouts.records import TrajectoryRecord

FIXTURES = Path(__file__).parents[1] / "fixtures"
BOOTH = FIXTURES / "envs" / "booth"
SCRIPTS = FIXTURES / "scripts"
ROLES = ("agent", "user", "preference", "transition", "influence")
NIGHT_TRAIN = "booth/platform/hurried/night-train"


@dataclass(frozen=True)
class Asked:
    """One request as it reached the engine."""

    call: Call
    prompt: tuple[Message, ...]

    @property
    def text(self) -> str:
        return "\n".join(message.content for message in self.prompt)


class Recorder:
    """An engine that passes everything on and remembers what it was asked."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self.asked: list[Asked] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def generate(self, messages: Sequence[Message], sampling: Any, call: Call, *rest: Any, **named: Any) -> Any:
        self.asked.append(Asked(call, tuple(messages)))
        return await self._engine.generate(messages, sampling, call, *rest, **named)

    async def label_logprobs(self, messages: Sequence[Message], labels: Any, call: Call, *rest: Any, **named: Any) -> Any:
        self.asked.append(Asked(call, tuple(messages)))
        return await self._engine.label_logprobs(messages, labels, call, *rest, **named)


@dataclass(frozen=True)
class Held:
    """A conversation that was held: its record, and what its roles were asked."""

    record: TrajectoryRecord
    asked: list[Asked]

    def of(self, role: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.call.role == role]

    def turns_of(self, role: str) -> list[int]:
        """At which turns a role was asked."""
        return [asked.call.turn for asked in self.of(role)]

    def said(self) -> list[tuple[str, str]]:
        return [(message["role"], message["content"]) for message in self.record.messages]

    @property
    def labels(self) -> list[str | None]:
        return [turn.transition.label if turn.transition else None for turn in self.record.turns]


def says(role: str, *texts: str, **when: Any) -> ReplyRule:
    return ReplyRule(role=role, texts=list(texts), **when)


def judges(role: str, distribution: dict[str, float], **when: Any) -> LabelRule:
    return LabelRule(role=role, distribution=distribution, **when)


def fails(role: str, **when: Any) -> FailureRule:
    return FailureRule(role=role, error="out of order", **when)


@cache
def booth() -> Environment:
    return load_environment(str(BOOTH))


def booth_with(**states: dict[str, Any]) -> Environment:
    """The booth with some states written anew."""
    changed = {name: State.model_validate(state) for name, state in states.items()}
    world = booth().file
    return replace(booth(), file=world.model_copy(update={"states": {**world.states, **changed}}))


def initial(address: str, world: Environment | None = None) -> InitialState:
    return next(state for state in (world or booth()).initial_states if state.address == address)


def settings_of(*sets: str) -> SimulateConfig:
    return resolve(SimulateConfig, [set_layer(assignment) for assignment in sets])


def scripted(*rules: Rule, file: str = "clerk") -> ScriptedEngine:
    """A script of the fixtures with some rules put before its own."""
    engine = ScriptedEngine(str(SCRIPTS / f"{file}.toml"))
    kinds = {"failures": FailureRule, "replies": ReplyRule, "labels": LabelRule}
    engine.script = engine.script.model_copy(
        update={
            name: [*(rule for rule in rules if isinstance(rule, kind)), *getattr(engine.script, name)]
            for name, kind in kinds.items()
        }
    )
    return engine


def hold(
    *rules: Rule,
    sets: Sequence[str] = (),
    world: Environment | None = None,
    opening: str = NIGHT_TRAIN,
    seed: int = 11,
    progress: Progress | None = None,
    engine: Any = None,
) -> Held:
    """One conversation with the clerk of the fixtures, as the rules and settings change it."""
    world = world or booth()
    recorder = Recorder(engine or scripted(*rules))
    roles = {role: RoleModel(recorder, None, "scripted/clerk") for role in ROLES}
    planned = Planned(initial(opening, world), 0, 0, seed)
    held = converse(planned, world, roles, rules_from(settings_of(*sets), world.file), progress or Progress(total=1))
    return Held(asyncio.run(held), recorder.asked)
