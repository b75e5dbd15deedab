"""Anthropic's messages API: what a request looks like, and what an answer says. Pure, so that every shape is tested by value.

The system prompt stands outside the messages, users and assistant alternate, and tool results are a user's words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import from_json, to_json

from influence.chat import Message, ToolCall
from influence.engines.base import Finish, Sampling
from influence.engines.hosted.answers import ANSWER_ROOM, Answer, answer_schema, label_in, malformed, without_loose_calls
from influence.engines.hosted.catalogue import Tokens, Traits, counted
from influence.engines.prompts import Traits as Shows
from influence.engines.prompts import conform

SHOWS = Shows(later_system=False, assistant_first=False)
SILENCE = "(says nothing)"  # the API refuses empty text
FINISHES = {
    "end_turn": Finish.STOP,
    "stop_sequence": Finish.STOP,
    "max_tokens": Finish.LENGTH,
    "model_context_window_exceeded": Finish.LENGTH,
    "tool_use": Finish.TOOL_CALLS,
    "refusal": Finish.REFUSED,
}
OPTIONAL = ("temperature", "top_p", "top_k", "output_config", "thinking")


class AnthropicWire:
    """One model."""

    path = "/v1/messages"
    optional = OPTIONAL

    def __init__(self, model: str, traits: Traits) -> None:
        self._model, self._traits = model, traits
        self.all_said = False

    def reply_body(
        self, messages: Sequence[Message], sampling: Sampling, seed: int, tools: Sequence[Mapping[str, Any]] = ()
    ) -> dict[str, Any]:
        """A request for a reply, or for one of `sampling.choices`. The API takes no seed."""
        traits = self._traits
        structured = bool(sampling.choices) and traits.structured
        system, rest = to_anthropic(messages)
        body: dict[str, Any] = {
            "model": self._model,
            "max_tokens": sampling.max_tokens + traits.room + (ANSWER_ROOM if structured else 0),
            "messages": rest,
            **traits.request,
        }
        if system:
            body["system"] = system
        if traits.temperature:
            body |= {"temperature": sampling.temperature} if sampling.temperature != 1 else {}
            body |= {"top_p": sampling.top_p} if sampling.top_p != 1 else {}
            body |= {"top_k": sampling.top_k} if sampling.top_k else {}
        if tools:
            body["tools"] = [_tool(tool["function"]) for tool in tools]
        if structured:
            form = {"type": "json_schema", "schema": answer_schema(sampling.choices)}
            body["output_config"] = {**body.get("output_config", {}), "format": form}
        return {name: value for name, value in body.items() if traits.takes(name)}

    def labels_body(self, messages: Sequence[Message]) -> dict[str, Any]:
        raise NotImplementedError("this API tells no log-probabilities, which its capabilities say")

    def read(self, data: Any, choices: Sequence[str] = ()) -> Answer:
        """What an answer says. Raises Fault where it is none."""
        blocks, reason = (data.get("content"), data.get("stop_reason")) if isinstance(data, dict) else (None, None)
        if (
            not isinstance(blocks, list)
            or not all(isinstance(block, dict) for block in blocks)
            or not isinstance(reason, str)
            or reason not in FINISHES
        ):
            raise malformed("an answer without content or with no stop_reason that is known")
        texts, calls = [], []
        for block in blocks:
            if block.get("type") == "text":
                if not isinstance(block.get("text"), str):
                    raise malformed("a text block without text")
                texts.append(block["text"])
            elif block.get("type") == "tool_use":
                calls.append(_tool_call(block))
        words = "".join(texts)
        return Answer(label_in(words, choices) if choices else words, FINISHES[reason], tuple(calls), _tokens(data.get("usage")))


def to_anthropic(messages: Sequence[Message]) -> tuple[str, list[dict[str, Any]]]:
    """The system prompt, and the messages in the API's shape."""
    shown = conform(without_loose_calls(messages), (), SHOWS)
    system = shown[0].content if shown and shown[0].role == "system" else ""
    turns: list[dict[str, Any]] = []
    for message in shown[1:] if shown and shown[0].role == "system" else shown:
        role, blocks = _blocks(message)
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": role, "content": blocks})
    return system, turns


def _blocks(message: Message) -> tuple[str, list[dict[str, Any]]]:
    if message.role == "tool":
        return "user", [{"type": "tool_result", "tool_use_id": message.tool_call_id, "content": message.content}]
    words = [{"type": "text", "text": message.content}] if message.content.strip() else []
    calls = [{"type": "tool_use", "id": c.id, "name": c.name, "input": _object(c.arguments)} for c in message.tool_calls]
    return message.role, [*words, *calls] or [{"type": "text", "text": SILENCE}]


def _object(arguments: str) -> dict[str, Any]:
    """The API takes an object. What a model wrote that is none is kept as text in one."""
    try:
        value = from_json(arguments)
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {"arguments": arguments}


def _tool(function: Mapping[str, Any]) -> dict[str, Any]:
    tool = {"name": function["name"], "description": function.get("description", "")}
    return tool | {"input_schema": function.get("parameters") or {"type": "object", "properties": {}}}


def _tool_call(block: Mapping[str, Any]) -> ToolCall:
    name, given = block.get("name"), block.get("input")
    if not isinstance(block.get("id"), str) or not isinstance(name, str) or not name or not isinstance(given, dict):
        raise malformed("a tool call without an id, a name or an input")
    return ToolCall(block["id"], name, to_json(given).decode())


def _tokens(usage: Any) -> Tokens | None:
    try:
        cached, written = int(usage.get("cache_read_input_tokens") or 0), int(usage.get("cache_creation_input_tokens") or 0)
        return counted(int(usage["input_tokens"]) + cached + written, int(usage["output_tokens"]), cached, written)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        return None
