"""Episodes inside the test's own process, with agents and emulators whose every word a test decides."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from influence.chat import Message, ToolCall
from influence.engines.base import Call, Capabilities, Completion, Finish, Sampling, Usage
from influence.engines.opening import RoleModel
from influence.tools.agent import AgentRules
from influence.tools.emulator import EmulatorRules
from influence.tools.episode import EpisodePlan, EpisodeRules, ErrorRules, Limits, attempt
from influence.tools.injection import Schedule
from influence.tools.loading import Assignment, load_cases
from influence.tools.prompts import load_agent, load_emulator, load_protocol
from influence.tools.records import EpisodeRecord
from influence.tools.specs import Detail

FIXTURES = Path(__file__).parent.parent / "fixtures"
Says = Callable[[Sequence[Message], Call], str | Completion]


class Spoken:
    """An engine that says what a function makes of the prompt. `asked` holds every prompt with its call."""

    def __init__(self, says: Says, tools: bool = False) -> None:
        self._says = says
        self.capabilities = Capabilities(tools=tools)
        self.asked: list[tuple[list[Message], Call, Sampling]] = []

    async def generate(
        self, messages: Sequence[Message], sampling: Sampling, call: Call, adapter: Any = None, tools: Any = ()
    ) -> Completion:
        self.asked.append((list(messages), call, sampling))
        await asyncio.sleep(0)
        said = self._says(messages, call)
        return said if isinstance(said, Completion) else Completion(said, Finish.STOP, Usage(1, 10, 0, 5))


def in_turn(*texts: str | Completion) -> Says:
    """Says these texts one after the other, and the last one for ever."""
    left = list(texts)
    return lambda messages, call: left.pop(0) if len(left) > 1 else left[0]


def act(tool: str, arguments: str = "{}") -> str:
    return f"Thought: go on.\nAction: {tool}\nInput: {arguments}"


def native(*calls: tuple[str, str], text: str = "") -> Completion:
    made = tuple(ToolCall(f"c{n}", name, arguments) for n, (name, arguments) in enumerate(calls))
    return Completion(text, Finish.TOOL_CALLS if made else Finish.STOP, Usage(1, 10, 0, 5), tool_calls=made)


def result(value: Any, *changes: dict[str, Any], **more: Any) -> str:
    """An emulator's answer."""
    return json.dumps({"thought": "", "result": value, "changes": list(changes), **more})


DONE = "Thought: done.\nFinal answer: All is done."


def case(name: str, cases: str = str(FIXTURES / "cases" / "rent.toml")) -> Assignment:
    return next(one for one in load_cases(cases) if one.case.name == name)


DESK = str(FIXTURES / "cases" / "desk.toml")
READ, PULL = act("desk_read", '{"id": "n1"}'), act("desk_pull")  # of the toolkit `desk` beside the cases
NOTE, OPEN = result({"text": "Call Ida."}), result({"open": True})


def rules(
    limits: Limits | None = None, errors: ErrorRules | None = None, protocol: Any = "auto", **emulator: Any
) -> EpisodeRules:
    protocols: Any = {name: load_protocol(name) for name in ("native", "react", "guided")}
    agent = AgentRules(load_agent("naive"), protocols, protocol, Detail.FULL, Sampling(200), tries=3)
    emulating = EmulatorRules(load_emulator("standard"), "state", Sampling(300), tries=3)
    return EpisodeRules(
        {"naive": agent},
        {"standard": replace(emulating, **emulator)},
        limits or Limits(steps=10, tokens=None, seconds=None),
        errors or ErrorRules(),
    )


def held(
    assignment: Assignment,
    agent: Spoken | Says,
    emulator: Spoken | Says | None = None,
    schedule: Schedule | None = None,
    how: EpisodeRules | None = None,
    **more: Any,
) -> EpisodeRecord:
    """The record of one episode."""
    engines = {"agent": agent, "emulator": emulator or in_turn("never asked")}
    roles: Any = {
        role: RoleModel(engine if isinstance(engine, Spoken) else Spoken(engine), None, f"spoken/{role}")  # type: ignore[arg-type]
        for role, engine in engines.items()
    }
    plan = EpisodePlan("a/key", assignment, "naive", "standard", "none", 0, 7, schedule or Schedule())
    return asyncio.run(attempt(plan, how or rules(), roles, lambda role, usage: None, **more))
