"""Tool calls as JSON that decoding is held to: for agents that would not keep to a form by themselves.

What a model says within the form is its own; the form only sees to it that there is something to read.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from influence.tools.answers import bounded, closed
from influence.tools.arguments import read_json
from influence.tools.loading import Toolkit
from influence.tools.react import Act, Answer, Move, Unreadable
from influence.tools.schema import object_schema

LONGEST_THOUGHT, LONGEST_ANSWER = 200, 400  # characters, while decoding


def move_schema(toolkits: Sequence[Toolkit]) -> dict[str, Any]:
    """The JSON schema of one message: a call with arguments that fit its tool, an answer, or giving up."""
    thought = {"type": "string", "maxLength": LONGEST_THOUGHT}
    words = {"type": "string", "minLength": 1, "maxLength": LONGEST_ANSWER}
    calls = [
        closed({"thought": thought, "tool": {"const": tool.name}, "arguments": bounded(object_schema(tool.parameters))})
        for kit in toolkits
        for tool in kit.file.tools
    ]
    ends = [closed({"thought": thought, "answer": words}), closed({"thought": thought, "give_up": words})]
    return {"anyOf": [*calls, *ends]}


def parse(text: str) -> Move:
    """The move that a message is. Never raises; engines that cannot hold a model to a schema are read all the same."""
    start, end = text.find("{"), text.rfind("}")
    try:
        data = read_json(text[start : end + 1]) if 0 <= start < end else None
    except ValueError:
        data = None
    if not isinstance(data, dict):
        return Unreadable("it is not one JSON object.")
    thought = str(data.get("thought") or "")
    if isinstance(tool := data.get("tool"), str):
        arguments = data.get("arguments", {})
        return Act(thought, tool, json.dumps(arguments, ensure_ascii=False), len(text))
    for key in ("answer", "give_up"):
        if isinstance(data.get(key), str):
            return Answer(thought, data[key], key == "give_up", len(text))
    return Unreadable("it has neither `tool` nor `answer` nor `give_up`.")
