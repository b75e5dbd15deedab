"""From messages to token ids through a model's own chat template, for any template, with three promises:

- every message is in the prompt: what a template refuses (a system role, two user messages in a row, tool messages) is
  rephrased into what it accepts, never dropped;
- a prompt only grows at its end: the next turn's prompt begins with this turn's, sampled tokens included, because an
  earlier reply is put in as the ids that were sampled and not as text that might be split another way;
- special tokens come from the template alone, so there is one BOS.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from influence.chat import Message

CACHED_PIECES = 8192
_BEGINS = "(The conversation begins.)"


@dataclass(frozen=True, slots=True)
class Traits:
    """What a chat template can show as it is."""

    system: bool = True
    later_system: bool = True
    repeated_roles: bool = True
    assistant_first: bool = True
    tool_messages: bool = True
    tool_specs: bool = True


class ChatTemplate:
    """One tokenizer's chat template. Building a prompt of a known conversation only tokenizes what is new."""

    def __init__(self, tokenizer: Any) -> None:
        if not getattr(tokenizer, "chat_template", None):
            raise ValueError("the model has no chat template, so conversations cannot be put to it")
        self._tokenizer = tokenizer
        nonce = secrets.token_hex(4)  # so that no text can contain a mark by accident or on purpose
        self._mark = f"\ue000{nonce}:{{}}\ue001"
        self._marks = re.compile(f"\ue000{nonce}:(\\d+)\ue001")
        self.traits = probe(self._render_raw)
        self._encode = lru_cache(CACHED_PIECES)(self._encode_piece)

    def prompt_ids(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()) -> list[int]:
        """The prompt after which the model writes the next assistant message."""
        shown = conform(messages, tools, self.traits)
        sampled = [m.token_ids for m in shown]
        plain = [_to_template(m, self._mark.format(n) if m.token_ids is not None else m.content) for n, m in enumerate(shown)]
        text = self._render_raw(plain, tools if self.traits.tool_specs else ())
        pieces = self._marks.split(text)
        if [int(n) for n in pieces[1::2]] != [n for n, ids in enumerate(sampled) if ids is not None]:
            text = self._render_raw([_to_template(m, m.content) for m in shown], tools if self.traits.tool_specs else ())
            return list(self._encode(text))  # the template rewrites earlier replies: then its text is what counts
        ids: list[int] = []
        for position, piece in enumerate(pieces):
            ids.extend(self._encode(piece) if position % 2 == 0 else sampled[int(piece)] or ())
        return ids

    def text_ids(self, text: str) -> tuple[int, ...]:
        """The tokens of some words of an answer, without special tokens."""
        return self._encode(text)

    def _encode_piece(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokenizer.encode(text, add_special_tokens=False)) if text else ()

    def _render_raw(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] = ()) -> str:
        text = self._tokenizer.apply_chat_template(
            list(messages), tools=list(tools) or None, tokenize=False, add_generation_prompt=True
        )
        assert isinstance(text, str)
        return text


def conform(messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], traits: Traits) -> list[Message]:
    """The same conversation in messages that a template with these traits shows in full. Pure, and stable under growth."""
    shown = list(messages)
    if tools and not traits.tool_specs:
        specs = "You may call these tools:\n" + "\n".join(json.dumps(tool, ensure_ascii=False) for tool in tools)
        shown = _with_system(shown, specs)
    if not traits.tool_messages:
        shown = [_tool_as_text(m) for m in shown]
    if not traits.later_system:
        shown = [m if n == 0 or m.role != "system" else Message("user", f"(Note: {m.content})") for n, m in enumerate(shown)]
    folded = ""
    if not traits.system and shown and shown[0].role == "system":
        folded, shown = shown[0].content, shown[1:]
    first = 1 if shown and shown[0].role == "system" else 0
    if (folded and (not shown or shown[0].role != "user")) or (
        not traits.assistant_first and len(shown) > first and shown[first].role == "assistant"
    ):
        shown.insert(first, Message("user", _BEGINS))
    if folded:
        shown[0] = Message("user", f"{folded}\n\n{shown[0].content}")
    return shown if traits.repeated_roles else _merged(shown)


def _with_system(messages: list[Message], text: str) -> list[Message]:
    if messages and messages[0].role == "system":
        return [Message("system", f"{messages[0].content}\n\n{text}"), *messages[1:]]
    return [Message("system", text), *messages]


def _tool_as_text(message: Message) -> Message:
    if message.role == "tool":
        return Message("user", f"(Tool result: {message.content})")
    if message.tool_calls:
        calls = "\n".join(f"(Tool call: {call.name} {call.arguments})" for call in message.tool_calls)
        return Message("assistant", f"{message.content}\n{calls}".strip())
    return message


def _merged(messages: Sequence[Message]) -> list[Message]:
    merged: list[Message] = []
    for message in messages:
        if merged and merged[-1].role == message.role and message.role in ("user", "assistant"):
            merged[-1] = Message(message.role, f"{merged[-1].content}\n\n{message.content}")
        else:
            merged.append(message)
    return merged


def _to_template(message: Message, content: str) -> dict[str, Any]:
    shown: dict[str, Any] = {"role": message.role, "content": content}
    if message.tool_calls:
        shown["tool_calls"] = [
            {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": _parsed(c.arguments)}}
            for c in message.tool_calls
        ]
    if message.tool_call_id is not None:
        shown["tool_call_id"] = message.tool_call_id
    return shown


def _parsed(arguments: str) -> Any:
    """Templates expect the arguments as an object; text that is no JSON stays text."""
    try:
        return json.loads(arguments)
    except json.JSONDecodeError:
        return arguments


def probe(render: Any) -> Traits:
    """Find a template's traits by trying it: it has one where it neither raises nor drops what it was given."""

    def shows(messages: list[dict[str, Any]], *needles: str, tools: Sequence[Mapping[str, Any]] = ()) -> bool:
        try:
            text = render(messages, tools)
        except Exception:  # a template raises whatever its author chose
            return False
        return all(needle in text for needle in needles)

    def said(role: str, content: str) -> dict[str, Any]:
        return {"role": role, "content": content}

    call = {"id": "c12345678", "type": "function", "function": {"name": "qxtool", "arguments": {"qxarg": "qxvalue"}}}
    spec = {
        "type": "function",
        "function": {"name": "qxtool", "description": "qxabout", "parameters": {"type": "object", "properties": {}}},
    }
    answered = [
        said("user", "qxone"),
        {**said("assistant", ""), "tool_calls": [call]},
        {**said("tool", "qxresult"), "tool_call_id": "c12345678"},
    ]
    talk = [said("user", "qxone"), said("assistant", "qxtwo")]
    return Traits(
        system=shows([said("system", "qxsys"), said("user", "qxone")], "qxsys", "qxone"),
        later_system=shows([*talk, said("system", "qxsys"), said("user", "qxthree")], "qxone", "qxtwo", "qxsys", "qxthree"),
        repeated_roles=shows([said("user", "qxone"), said("user", "qxtwo")], "qxone", "qxtwo"),
        assistant_first=shows([said("assistant", "qxone"), said("user", "qxtwo")], "qxone", "qxtwo"),
        tool_messages=shows(answered, "qxtool", "qxvalue", "qxresult"),
        tool_specs=shows([said("user", "qxone")], "qxtool", "qxabout", tools=[spec]),
    )
