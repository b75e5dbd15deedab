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
    """The messages, with tool calls and results as words wherever an API would refuse them as what they are.

    Both APIs want each call answered once, right after it, under an id that no other call has, and nothing answered besides.
    """
    plain = [replace(m, token_ids=None) if m.token_ids else m for m in messages]
    if not any(message.tool_calls or message.role == "tool" for message in plain):
        return plain
    shown: list[Message] = []
    used: set[str] = set()
    position = 0
    while position < len(plain):
        end = position + 1
        while end < len(plain) and plain[end].role == "tool":
            end += 1
        block = plain[position:end]  # a message and the results right after it
        asked = [call.id for call in block[0].tool_calls]
        answered = [message.tool_call_id or "" for message in block[1:]]
        if block[0].role != "tool" and sorted(asked) == sorted(answered) and len({*asked, *used}) == len(asked) + len(used):
            shown += block
            used.update(asked)
        else:
            shown += [tool_as_text(message) for message in block]
        position = end
    return shown
