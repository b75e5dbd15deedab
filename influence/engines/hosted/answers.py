"""What both APIs share: what an answer comes down to, structured answers, tool calls that nothing answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic_core import from_json

from influence.chat import Message, ToolCall
from influence.engines.base import Finish
from influence.engines.hosted.catalogue import Tokens
from influence.engines.hosted.faults import Fault, FaultKind
from influence.engines.prompts import tool_as_text

ANSWER_ROOM = 24  # tokens for the braces and quotes around a structured answer


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. `tops` are each token's likeliest candidates with their log-probabilities, where they were told."""

    text: str
    finish: Finish
    tool_calls: tuple[ToolCall, ...] = ()
    tokens: Tokens | None = None
    tops: tuple[tuple[tuple[str, float], ...], ...] | None = None


def answer_schema(choices: Sequence[str]) -> dict[str, Any]:
    """The JSON schema of an answer that is one of `choices`."""
    return {
        "type": "object",
        "properties": {"answer": {"type": "string", "enum": list(choices)}},
        "required": ["answer"],
        "additionalProperties": False,
    }


def label_in(text: str, choices: Sequence[str]) -> str:
    """The choice that a structured answer holds, or the text as it is, which is then read for what it names."""
    try:
        answer = from_json(text)["answer"]
    except (ValueError, KeyError, TypeError):
        return text
    return answer if answer in choices else text


def malformed(words: str) -> Fault:
    return Fault(FaultKind.MALFORMED, words)


def without_loose_calls(messages: Sequence[Message]) -> list[Message]:
    """The messages, with every tool call whose result does not follow at once, and every result without its call, as words.

    Both APIs refuse a conversation that holds one.
    """
    if not any(message.tool_calls or message.role == "tool" for message in messages):
        return [replace(m, token_ids=None) if m.token_ids else m for m in messages]
    plain = [replace(message, token_ids=None) for message in messages]
    answered: set[str] = set()
    for position, message in enumerate(plain):
        wanted = {call.id for call in message.tool_calls}
        for later in plain[position + 1 :]:
            if later.role != "tool":
                break
            if later.tool_call_id in wanted:
                answered.add(later.tool_call_id)
    return [tool_as_text(message) if _is_loose(message, answered) else message for message in plain]


def _is_loose(message: Message, answered: set[str]) -> bool:
    if message.role == "tool":
        return message.tool_call_id not in answered
    return any(call.id not in answered for call in message.tool_calls)
