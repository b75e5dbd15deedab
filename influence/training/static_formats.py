"""One record of other people's preference data, in the layouts that such data comes in, as labelled examples.

A record is one of three things. It is usable; or it is in order but says nothing that could be trained on (a transcript
that breaks off, two answers that are one), which is counted by whoever reads it; or it is not what its format says (a key
is missing, a label is a number), which is the file's mistake. Nothing in between is guessed. Texts are text, whatever they
spell; the blanks around them belong to the layout and are left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Literal

from influence.chat import Message
from influence.errors import not_allowed

Layout = Literal["hh-rlhf", "pku-saferlhf", "unpaired", "paired"]
Prompt = tuple[Message, ...]
Labelled = tuple[Prompt, str, bool]  # a prompt, an answer to it, and whether that is a good one

KEYS: dict[Layout, str] = {
    "hh-rlhf": "`chosen` and `rejected`, each a transcript of Human: and Assistant:",
    "pku-saferlhf": "`prompt`, `response_0`, `response_1`, and for `static_data.prefer` `better_response_id` or `safer_response_id`",
    "unpaired": "`prompt`, `completion`, `label`",
    "paired": "`prompt`, `chosen`, `rejected`; or `chosen` and `rejected` as lists of messages",
}
ALL_KEYS = "".join(f"\n      {layout}: {keys}" for layout, keys in KEYS.items())


class UnusableRecordError(ValueError):
    """There is nothing wrong with the file, but this record holds no example."""


class WrongRecordError(ValueError):
    """A record is not what its format says: what was found, and what to do."""

    def __init__(self, found: str, remedy: str = "") -> None:
        super().__init__(found)
        self.found, self.remedy = found, remedy


def record_of(raw: Any) -> dict[str, Any]:
    """A record from a line of JSON, or from what a reader has parsed already."""
    if isinstance(raw, bytes):
        try:
            raw = json.loads(raw.decode("utf-8-sig"))
        except RecursionError:
            raise WrongRecordError("this is nested too deeply.") from None
        except ValueError as error:
            raise WrongRecordError(f"this is not JSON: {error}.") from None
    if not isinstance(raw, dict):
        raise WrongRecordError(f"found {_shown(raw)}, but a record is a table of keys and values.")
    return raw


def layout_of(record: Mapping[str, Any]) -> Layout:
    """The one layout that a record's keys fit."""
    fitting: list[Layout] = []
    if {"prompt", "response_0", "response_1"} <= set(record) and {"better_response_id", "safer_response_id"} & set(record):
        fitting.append("pku-saferlhf")
    if {"prompt", "completion", "label"} <= set(record):
        fitting.append("unpaired")
    if {"chosen", "rejected"} <= set(record):
        fitting.append("paired" if "prompt" in record or isinstance(record["chosen"], list) else "hh-rlhf")
    if len(fitting) == 1:
        return fitting[0]
    keys = ", ".join(_shown(key) for key in list(record)[:12]) + (", ..." if len(record) > 12 else "")
    if fitting:
        raise WrongRecordError(f"the keys {keys} fit {' and '.join(fitting)}.", "Say which: set `static_data.format`.")
    raise WrongRecordError(f"the keys {keys or '(none)'} fit no format.", f"Allowed:{ALL_KEYS}")


def examples_of(layout: Layout, record: Mapping[str, Any], prefer: Literal["better", "safer"]) -> list[Labelled]:
    """A pair's good example and its bad one, or the single one of an unpaired record."""
    if layout == "unpaired":
        label = _value(record, "label", layout)
        if not isinstance(label, bool):
            raise WrongRecordError(f"`label` is {_shown(label)}.", "Allowed: true, false.")
        return [(*_answer(record, "completion", layout, _prompt(record, layout)), label)]
    if layout == "hh-rlhf":
        good, bad = _transcript(record, "chosen"), _transcript(record, "rejected")
    elif layout == "pku-saferlhf":
        prompt, best = _prompt(record, layout), _best(record, f"{prefer}_response_id")
        good, bad = (_answer(record, f"response_{n}", layout, prompt) for n in (best, 1 - best))
    else:
        whole = record.get("prompt") is None and isinstance(record.get("chosen"), list)
        shared = None if whole else _prompt(record, layout)
        good, bad = _answer(record, "chosen", layout, shared), _answer(record, "rejected", layout, shared)
    if good == bad:
        raise UnusableRecordError("the good answer and the bad one are the same.")
    return [(*good, True), (*bad, False)]


_SPEAKER = re.compile(r"(?:\A\s*|\n\n)(Human|Assistant):")


def _transcript(record: Mapping[str, Any], key: str) -> tuple[Prompt, str]:
    """HH-RLHF writes a conversation as one text; its last turn is the answer.

    A turn that quotes a transcript cannot be told from two turns. It is found out where the speakers no longer alternate.
    """
    text = _value(record, key, "hh-rlhf")
    if not isinstance(text, str):
        raise WrongRecordError(f"`{key}` is {_shown(text)}, but it should be a text.")
    opening, *parts = _SPEAKER.split(text)
    if opening.strip() or not parts:
        raise UnusableRecordError(f"`{key}` does not begin with Human:.")
    turns = [
        Message("user" if who == "Human" else "assistant", said.strip())
        for who, said in zip(parts[::2], parts[1::2], strict=True)
    ]
    return _conversation(key, *turns)


def _best(record: Mapping[str, Any], key: str) -> int:
    best = _value(record, key, "pku-saferlhf")
    if type(best) is not int or best not in (0, 1):
        raise WrongRecordError(f"`{key}` is {_shown(best)}.", "Allowed: 0, 1.")
    return best


def _prompt(record: Mapping[str, Any], layout: Layout) -> Prompt:
    value = _value(record, "prompt", layout)
    return (Message("user", value.strip()),) if isinstance(value, str) else _messages(value, "prompt")


def _answer(record: Mapping[str, Any], key: str, layout: Layout, prompt: Prompt | None) -> tuple[Prompt, str]:
    """The answer under a key, and what it answers.

    It is a text, a message, or a conversation that ends with it; that conversation repeats `prompt`, or is all there is.
    """
    value = _value(record, key, layout)
    if prompt is not None and isinstance(value, str):
        return _conversation(key, *prompt, Message("assistant", value.strip()))
    if isinstance(value, str):
        raise WrongRecordError(f"`{key}` is a text, but there is no `prompt` that it answers.")
    messages = _messages(value, key)
    if prompt is not None and len(messages) == 1:
        return _conversation(key, *prompt, *messages)
    if prompt is not None and messages[:-1] != prompt:
        raise UnusableRecordError(f"`{key}` is no answer to `prompt`.")
    return _conversation(key, *messages)


def _conversation(key: str, *messages: Message) -> tuple[Prompt, str]:
    """A prompt and its answer, in the order of roles that every chat template takes."""
    turns = messages[1:] if messages and messages[0].role == "system" else messages
    if not turns or turns[-1].role != "assistant":
        raise UnusableRecordError(f"`{key}` does not end with an answer.")
    if any(m.role != ("user", "assistant")[n % 2] for n, m in enumerate(turns)):
        raise UnusableRecordError(f"user and assistant do not take turns up to the answer in `{key}`.")
    if not all(m.content for m in messages):
        raise UnusableRecordError(f"a message up to the answer in `{key}` is empty.")
    if any(_HALF_CHARACTER.search(m.content) for m in messages):
        raise UnusableRecordError(f"a text up to the answer in `{key}` has half a character (a lone surrogate).")
    return messages[:-1], messages[-1].content


_HALF_CHARACTER = re.compile("[\ud800-\udfff]")


def _messages(value: Any, key: str) -> Prompt:
    if not isinstance(value, list):
        raise WrongRecordError(f"`{key}` is {_shown(value)}, but it should be a text or a list of messages.")
    return tuple(_message(item, f"{key}[{n}]") for n, item in enumerate(value))


def _message(item: Any, where: str) -> Message:
    if not isinstance(item, dict):
        raise WrongRecordError(f"`{where}` is {_shown(item)}, but a message has a `role` and a `content`.")
    role, content = item.get("role"), item.get("content")
    if role == "tool" or item.get("tool_calls"):
        raise UnusableRecordError(f"`{where}` belongs to a tool.")
    if role not in ("system", "user", "assistant"):
        names = ["system", "user", "assistant", "tool"]
        raise WrongRecordError(f"`{where}.role` is {_shown(role)}.", not_allowed(role if isinstance(role, str) else "", names))
    if not isinstance(content, str):
        raise WrongRecordError(f"`{where}.content` is {_shown(content)}, but it should be a text.")
    return Message(role, content.strip())


def _value(record: Mapping[str, Any], key: str, layout: Layout) -> Any:
    if key not in record:
        raise WrongRecordError(f"the key `{key}` is missing.", f"A record of {layout} has {KEYS[layout]}.")
    return record[key]


def _shown(value: Any) -> str:
    """What was found, for a message; short, and with nothing in it that a terminal would obey."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "a table"
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
