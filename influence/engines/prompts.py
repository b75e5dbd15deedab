"""From messages to token ids through a model's own chat template, for any template, with three promises:

- every message is in the prompt: what a template refuses (a system role, two user messages in a row, tool messages) is
  rephrased into what it accepts, never dropped;
- a prompt only grows at its end: the next turn's prompt begins with this turn's, sampled tokens included, because the
  model's earlier replies are put in as the ids that were sampled and not as text that might be split another way;
- special tokens come from the template alone: there is one BOS, and "<|im_end|>" in a message is ten characters of text,
  which cannot close the message.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from influence.chat import Message
from influence.errors import EngineError

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
    whole_calls: bool = True  # words and several tool calls in one message
    tool_specs: bool = True


class ChatTemplate:
    """One tokenizer's chat template. Building a prompt of a known conversation only tokenizes what is new."""

    def __init__(self, tokenizer: Any) -> None:
        if not getattr(tokenizer, "chat_template", None):
            raise ValueError("the model has no chat template, so conversations cannot be put to it")
        self._tokenizer = tokenizer
        nonce = secrets.token_hex(4)  # so that no text can contain a mark by accident or on purpose
        self._mark = f"\ue000{nonce}:{{}}\ue001"
        self._marks = re.compile(f"\ue000{nonce}:(\\w+)\ue001")
        self._specials = sorted((t.content for t in tokenizer.added_tokens_decoder.values() if t.special), key=len, reverse=True)
        self._special = re.compile("|".join(map(re.escape, self._specials)) or "(?!)")
        self._special_marks = {token: self._mark.format(f"s{n}") for n, token in enumerate(self._specials)}
        self.traits = probe(self._render_raw)
        self._encode = lru_cache(CACHED_PIECES)(self._encode_piece)
        self._decode = lru_cache(CACHED_PIECES)(self._decode_piece)

    def prompt_ids(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()) -> list[int]:
        """The prompt after which the model writes the next assistant message. Raises EngineError where the template does."""
        known = [m if self.is_own(m) else replace(m, token_ids=None) for m in messages]
        ids = self._ids(known, tools)
        if ids is None:  # the template rewrites earlier replies: then its text is what counts
            ids = self._ids([replace(m, token_ids=None) for m in known], tools)
        assert ids is not None
        return ids

    def text_ids(self, text: str) -> tuple[int, ...]:
        """The tokens of some words of an answer, without special tokens."""
        return self._encode(text, True)

    def end_ids(self) -> tuple[int, ...]:
        """What a model writes to end its message: the special token that the template puts behind a reply."""
        reply = self._mark.format("end")
        talk = [{"role": "user", "content": _BEGINS}, {"role": "assistant", "content": reply}]
        found = self._special.search(self._render_raw(talk).partition(reply)[2])
        if found is None:
            return (self._tokenizer.eos_token_id,)
        return self._encode(found[0])

    def is_own(self, message: Message) -> bool:
        """Did this model write the message? Its ids then say the same as the text; another tokenizer's say something else."""
        return (
            message.role == "assistant" and message.token_ids is not None and self._decode(message.token_ids) == message.content
        )

    def _ids(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> list[int] | None:
        """The prompt with all `token_ids` as they are, or None if the template does not show each of those messages once."""
        shown = conform(messages, tools, self.traits)
        plain = [
            self._to_template(m) if m.token_ids is None else {"role": m.role, "content": self._mark.format(f"r{n}")}
            for n, m in enumerate(shown)
        ]
        specs = self._without_specials(list(tools)) if self.traits.tool_specs else []
        try:
            pieces = self._marks.split(self._render_raw(plain, specs))
        except Exception as error:  # a template raises whatever its author chose
            raise EngineError(f"the chat template cannot show this conversation: {error}") from None
        replies = {f"r{n}": m.token_ids for n, m in enumerate(shown) if m.token_ids is not None}
        if [name for name in pieces[1::2] if name.startswith("r")] != list(replies):
            return None
        ids: list[int] = []
        for position, piece in enumerate(pieces):
            if position % 2 == 0:
                ids.extend(self._encode(piece))
            elif piece in replies:
                ids.extend(replies[piece])
            else:
                ids.extend(self._encode(self._specials[int(piece[1:])], True))
        return ids

    def _to_template(self, message: Message) -> dict[str, Any]:
        shown: dict[str, Any] = {"role": message.role, "content": self._without_specials(message.content)}
        if message.tool_calls:
            shown["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": self._without_specials({"name": call.name, "arguments": _parsed(call.arguments)}),
                }
                for call in message.tool_calls
            ]
        if message.tool_call_id is not None:
            shown["tool_call_id"] = message.tool_call_id
        return shown

    def _without_specials(self, data: Any) -> Any:
        """The same text, or the same lists and dicts of it, with a mark wherever it spells a special token."""
        if isinstance(data, str):
            return self._special.sub(lambda found: self._special_marks[found[0]], data)
        if isinstance(data, Mapping):
            return {self._without_specials(key): self._without_specials(value) for key, value in data.items()}
        return [self._without_specials(item) for item in data] if isinstance(data, Sequence) else data

    def _encode_piece(self, text: str, as_text: bool = False) -> tuple[int, ...]:
        """`as_text`: special tokens are the characters that they are written with."""
        return tuple(self._tokenizer.encode(text, add_special_tokens=False, split_special_tokens=as_text)) if text else ()

    def _decode_piece(self, ids: tuple[int, ...]) -> str:
        text = self._tokenizer.decode(ids, skip_special_tokens=True)
        assert isinstance(text, str)
        return text

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
        shown = [tool_as_text(m) for m in shown]
    elif not traits.whole_calls:
        shown = [part for m in shown for part in _apart(m)]
    if not traits.later_system:
        shown = [m if n == 0 or m.role != "system" else Message("user", f"(Note: {m.content})") for n, m in enumerate(shown)]
    folded = ""
    if not traits.system and shown and shown[0].role == "system":
        folded, shown = shown[0].content, shown[1:]
    first = next((n for n, m in enumerate(shown) if m.role != "system"), len(shown))
    if folded and (not shown or shown[0].role != "user"):
        shown.insert(0, Message("user", _BEGINS))
    elif not traits.assistant_first and first < len(shown) and shown[first].role == "assistant":
        shown.insert(first, Message("user", _BEGINS))
    if folded:
        shown[0] = Message("user", f"{folded}\n\n{shown[0].content}")
    return shown if traits.repeated_roles else _merged(shown)


def _with_system(messages: list[Message], text: str) -> list[Message]:
    if messages and messages[0].role == "system":
        return [Message("system", f"{messages[0].content}\n\n{text}"), *messages[1:]]
    return [Message("system", text), *messages]


def tool_as_text(message: Message) -> Message:
    """A tool's call or result in words, for whoever cannot be shown it as what it is."""
    if message.token_ids is not None:  # what was sampled says it already
        return message
    if message.role == "tool":
        return Message("user", f"(Tool result: {message.content})")
    if message.tool_calls:
        calls = "\n".join(f"(Tool call: {call.name} {call.arguments})" for call in message.tool_calls)
        return Message("assistant", f"{message.content}\n{calls}".strip())
    return message


def _apart(message: Message) -> list[Message]:
    """Words and calls as messages of their own."""
    if message.token_ids is not None or not message.tool_calls:
        return [message]
    words = [replace(message, tool_calls=())] if message.content else []
    return [*words, *(replace(message, content="", tool_calls=(call,)) for call in message.tool_calls)]


def _merged(messages: Sequence[Message]) -> list[Message]:
    merged: list[Message] = []
    for message in messages:
        if merged and merged[-1].role == message.role and message.role in ("user", "assistant"):
            before = merged[-1]
            words = "\n\n".join(part for part in (before.content, message.content) if part)
            merged[-1] = Message(message.role, words, before.tool_calls + message.tool_calls)
        else:
            merged.append(message)
    return merged


def _parsed(arguments: str) -> Any:
    """Templates expect the arguments as an object; text that is no JSON stays text."""
    try:
        return json.loads(arguments)
    except (ValueError, RecursionError):
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
    second = {"id": "c23456789", "type": "function", "function": {"name": "qxother", "arguments": {"qxarg": "qxmore"}}}
    spec = {
        "type": "function",
        "function": {"name": "qxtool", "description": "qxabout", "parameters": {"type": "object", "properties": {}}},
    }
    answered = [
        said("user", "qxone"),
        {**said("assistant", ""), "tool_calls": [call]},
        {**said("tool", "qxresult"), "tool_call_id": "c12345678"},
    ]
    crowded = [said("user", "qxone"), {**said("assistant", "qxtwo"), "tool_calls": [call, second]}, *answered[2:]]
    repeated_roles = shows([said("user", "qxone"), said("user", "qxtwo")], "qxone", "qxtwo")
    whole_calls = shows(crowded, "qxtwo", "qxtool", "qxvalue", "qxother", "qxmore", "qxresult")
    talk = [said("user", "qxone"), said("assistant", "qxtwo")]
    return Traits(
        system=shows([said("system", "qxsys"), said("user", "qxone")], "qxsys", "qxone"),
        later_system=shows([*talk, said("system", "qxsys"), said("user", "qxthree")], "qxone", "qxtwo", "qxsys", "qxthree"),
        repeated_roles=repeated_roles,
        assistant_first=shows([said("assistant", "qxone"), said("user", "qxtwo")], "qxone", "qxtwo"),
        tool_messages=shows(answered, "qxtool", "qxvalue", "qxresult") and (whole_calls or repeated_roles),
        whole_calls=whole_calls,
        tool_specs=shows([said("user", "qxone")], "qxtool", "qxabout", tools=[spec]),
    )
