"""Showing a tool to a model: in words at four levels of detail, or in the form of native tool calling."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from influence.tools.loading import Toolkit
from influence.tools.schema import Parameter, ToolSpec, object_schema


class Detail(StrEnum):
    """How much of a tool is shown. Each level adds to the one before."""

    NAMES = "names"  # what the tools are called
    SUMMARIES = "summaries"  # and what they do
    ARGUMENTS = "arguments"  # and what they take
    FULL = "full"  # and what they return, with their exceptions


def tools_in_words(toolkits: Sequence[Toolkit], detail: Detail) -> str:
    """All tools of some toolkits as text for a prompt."""
    return "\n\n".join(f"{kit.file.title}: {kit.file.description}\n" + _tools(kit, detail) for kit in toolkits)


def _tools(kit: Toolkit, detail: Detail) -> str:
    return "\n".join(tool_in_words(tool, detail) for tool in kit.file.tools)


def tool_in_words(tool: ToolSpec, detail: Detail) -> str:
    """One tool, the name first."""
    if detail == Detail.NAMES:
        return f"- {tool.name}"
    lines = [f"- {tool.name}: {tool.description}"]
    if detail in (Detail.ARGUMENTS, Detail.FULL):
        lines += _parts("arguments", tool.parameters)
    if detail == Detail.FULL:
        lines += _parts("returns", tool.returns)
        lines += [f"  may answer {fault.name}: {fault.description}" for fault in tool.exceptions]
    return "\n".join(lines)


def _parts(title: str, parts: Sequence[Parameter]) -> list[str]:
    return [f"  {title}: {'; '.join(map(_part, parts)) or 'none'}"]


def _part(part: Parameter) -> str:
    optional = "" if part.required else ", optional"
    inner = {key: value for key, value in part.json_schema().items() if key not in ("type", "description")}
    more = f", {json.dumps(inner, ensure_ascii=False)}" if inner else ""
    return f"{part.name} ({part.type}{optional}{more}) {part.description}"


def native_tools(toolkits: Sequence[Toolkit], detail: Detail) -> tuple[dict[str, Any], ...]:
    """All tools as the providers' interfaces take them. Arguments are always there: without them no call can be made."""
    return tuple(_native(tool, detail) for kit in toolkits for tool in kit.file.tools)


def _native(tool: ToolSpec, detail: Detail) -> dict[str, Any]:
    words = "" if detail == Detail.NAMES else tool.description
    if detail == Detail.FULL:
        words += "".join(["", *(f"\n{line.strip()}" for line in _parts("returns", tool.returns))])
        words += "".join(f"\nmay answer {fault.name}: {fault.description}" for fault in tool.exceptions)
    return {
        "type": "function",
        "function": {"name": tool.name, "description": words, "parameters": object_schema(tool.parameters)},
    }
