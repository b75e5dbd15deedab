"""Messages, in the one shape that everything here speaks: OpenAI's chat format, in memory as on disk.

Two people look at one conversation. In the agent's own view it is `assistant` and the user is `user`; in the simulated
user's view the roles are swapped. `seen_by` and `token_ids` are the two things that OpenAI's shape has no word for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

Role = Literal["system", "user", "assistant", "tool"]
Party = Literal["agent", "user", "judges"]
EVERYONE: tuple[Party, ...] = ("agent", "user", "judges")


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of a tool by the agent; `arguments` is the JSON text that the model wrote."""

    id: str
    name: str
    arguments: str

    def to_dict(self) -> dict[str, Any]:
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": self.arguments}}


@dataclass(frozen=True, slots=True)
class Message:
    """One message. `token_ids` are the ids that its author's engine sampled, so that later prompts repeat them exactly."""

    role: Role
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    token_ids: tuple[int, ...] | None = None
    injected: bool = False
    seen_by: tuple[Party, ...] = EVERYONE

    def to_dict(self) -> dict[str, Any]:
        """The record on disk: OpenAI's keys, and ours only where they say something."""
        record: dict[str, Any] = {"role": self.role, "content": self.content}
        if self.tool_calls:
            record["tool_calls"] = [call.to_dict() for call in self.tool_calls]
        if self.tool_call_id is not None:
            record["tool_call_id"] = self.tool_call_id
        if self.injected:
            record["injected"] = True
        if self.seen_by != EVERYONE:
            record["seen_by"] = list(self.seen_by)
        return record


def message_from_dict(record: Mapping[str, Any]) -> Message:
    """The inverse of `Message.to_dict`."""
    calls = tuple(ToolCall(c["id"], c["function"]["name"], c["function"]["arguments"]) for c in record.get("tool_calls", ()))
    return Message(
        role=record["role"],
        content=record.get("content") or "",
        tool_calls=calls,
        tool_call_id=record.get("tool_call_id"),
        injected=record.get("injected", False),
        seen_by=tuple(record.get("seen_by", EVERYONE)),
    )


def visible_to(party: Party, messages: Iterable[Message]) -> list[Message]:
    """The messages that a party may see, in order."""
    return [m for m in messages if party in m.seen_by]


def agent_view(system: str, messages: Sequence[Message]) -> list[Message]:
    """What the agent is shown: its system prompt and the conversation as it stands."""
    return [Message("system", system), *visible_to("agent", messages)]


def user_view(system: str, cue: str, messages: Sequence[Message]) -> list[Message]:
    """What the simulated user is shown: the same conversation from the other chair.

    The user's own messages become `assistant`, the agent's become `user`. Tool traffic happens behind the agent's desk
    and is left out. `cue` stands first as a `user` message because many chat templates insist on one before any reply.
    """
    view = [Message("system", system), Message("user", cue)]
    for message in visible_to("user", messages):
        if message.role == "user":
            view.append(replace(message, role="assistant"))
        elif message.role == "assistant" and (message.content or not message.tool_calls):
            view.append(replace(message, role="user", tool_calls=(), token_ids=None))
        elif message.role == "system":
            view.append(message)
    return view
