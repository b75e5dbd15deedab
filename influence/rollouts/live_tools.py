"""Tools that an agent calls while it talks to a user: answered by a program, struck by errors where the environment says so.

The user sees neither calls nor answers. Native tool calls are needed: in a chat, a call in words would be part of what is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from influence.chat import Message, ToolCall
from influence.config.commands import RolloutConfig
from influence.config.model_names import LOCAL_SCHEMES, parse_model_name
from influence.environments.schema import EnvironmentFile
from influence.errors import ConfigError, WorldError, not_allowed
from influence.seeds import derive
from influence.tools.answering import ProgramWorld, answered_call
from influence.tools.injection import Injector, in_a_row
from influence.tools.loading import Toolkit, load_toolkit
from influence.tools.records import CallRecord
from influence.tools.specs import Detail, native_tools

MANY = 10_000  # calls: errors strike every one of them


@dataclass(frozen=True)
class LiveRules:
    """A toolkit that answers, how many messages with calls stand before one reply, and whose calls fail."""

    toolkit: Toolkit
    calls: int
    failing: frozenset[str]

    @property
    def tools(self) -> tuple[Mapping[str, Any], ...]:
        return native_tools([self.toolkit], Detail.FULL)


def live_rules(config: RolloutConfig, world: EnvironmentFile) -> LiveRules | None:
    """The live tools of an environment. Raises ConfigError or WorldError where nobody could call or answer them."""
    section = world.toolkit
    if section is None:
        return None
    kit = load_toolkit(section.name)
    if kit.program is None:
        raise WorldError(f"toolkit.name = {section.name!r}: a model plays this toolkit; in a chat only programmatic ones answer.")
    names = [tool.name for tool in kit.file.tools]
    for name in section.failing:
        if name not in names:
            raise WorldError(f"toolkit.failing: `{name}` is no tool of {kit.name}. {not_allowed(name, names)}")
    agent = config.models.agent
    if parse_model_name(agent).scheme in LOCAL_SCHEMES and config.engine.tool_parser is None:
        raise ConfigError(
            f"models.agent = {agent!r}: this environment has tools, and the calls of a local model are read by vLLM's parser for its family. "
            'Set engine.tool_parser ("hermes" suits many, the embedded model too).'
        )
    return LiveRules(kit, section.calls, frozenset(section.failing))


class LiveTools:
    """The tools of one conversation: their world, and the errors that go on in it."""

    def __init__(self, rules: LiveRules, seed: int) -> None:
        self._rules = rules
        self._world = ProgramWorld({rules.toolkit.name: rules.toolkit.file.state})
        self._tools = {tool.name: (rules.toolkit, tool) for tool in rules.toolkit.file.tools}
        failing = rules.failing
        self._injector = Injector(
            in_a_row(MANY, binding="tool"), lambda tool: tool.errors if tool.name in failing else [], derive(seed, "tool errors")
        )

    def answer(self, call: ToolCall, message: int) -> tuple[CallRecord, Message]:
        """What became of a call in the message of this index, and what the agent is shown of it."""
        record = answered_call(call, message, self._tools, self._world, self._injector)
        return record, Message("tool", record.answer, tool_call_id=call.id, seen_by=("agent", "judges"))
