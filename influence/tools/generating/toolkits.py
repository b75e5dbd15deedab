"""A new toolkit, written in steps that a small model can hold in mind: its outline, each tool by itself, the world it begins with.

Each step is checked and repaired on its own, so that one bad tool costs that tool and not the toolkit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from influence.config.places import Strict
from influence.environments.schema import Text, ToolName
from influence.environments.templates import fill
from influence.tools.emulator import listing
from influence.tools.generating.asking import (
    Request,
    UnusableError,
    Why,
    Writer,
    check_name,
    check_new,
    closed,
    collect,
    formed,
    list_in,
    text_up_to,
)
from influence.tools.generating.prompts import ToolkitPrompt
from influence.tools.importing import kebab
from influence.tools.loading import Toolkit
from influence.tools.schema import ToolSpec
from influence.tools.specs import Detail, tool_in_words

TRIES = 4  # for the outline, for each tool, and for the state
LONGEST, LONGEST_NAME = 400, 60
TOKENS_OUTLINE, TOKENS_EACH, TOKENS_TOOL, TOKENS_STATE = 200, 80, 900, 1500
SCALARS = ("string", "integer", "number", "boolean")


class Head(Strict):
    """What a toolkit is, in the model's words."""

    category: Text
    description: Text


class Sketch(Strict):
    """A tool in the outline."""

    name: ToolName
    description: Text


async def write_toolkit(
    writer: Writer, prompt: ToolkitPrompt, title: str, about: str, count: int, known: Sequence[Toolkit]
) -> dict[str, Any] | None:
    """A toolkit's file as data, or None where nothing usable came. It may have fewer tools than asked for, or no state."""
    head, sketches = await outlined(writer, prompt, title, about, count, known)
    if head is None:
        return None
    writer.say(f"outline: {len(sketches)} of {count} tools")
    tools: list[ToolSpec] = []
    for number, sketch in enumerate(sketches, start=1):
        made = await detailed(writer, prompt, title, about, sketches, tools, sketch)
        tools += made
        writer.say(f"tool {number} of {len(sketches)}, {sketch.name}: {'kept' if made else 'left out'}")
    if not tools:
        return None
    states = await world(writer, prompt, title, about, tools)
    writer.say(f"state: {'kept' if states else 'left out, so that every world begins empty'}")
    return {
        "schema_version": 1,
        "title": title,
        **head.model_dump(),
        **({"state": states[0]} if states else {}),
        "tools": [tool.model_dump(exclude_defaults=True) for tool in tools],
    }


async def outlined(
    writer: Writer, prompt: ToolkitPrompt, title: str, about: str, count: int, known: Sequence[Toolkit]
) -> tuple[Head | None, list[Sketch]]:
    """What the toolkit is, and its tools by name and description: new ones, which no known toolkit has."""
    heads: list[Head] = []
    names = {tool.name for kit in known for tool in kit.file.tools}
    descriptions = [(tool.name, tool.description) for kit in known for tool in kit.file.tools]
    new: dict[str, str] = {}

    def user(missing: int) -> str:
        listed = listing([f"{name}: {description}" for name, description in new.items()])
        prefix = next((word for word in kebab(title).split("-") if word[:1].isalpha()), "tool")
        values = {"title": title, "about": about, "count": str(missing), "prefix": prefix, "listed": listed}
        return fill(prompt.outline, values)

    def parts(data: dict[str, Any]) -> list[Any]:
        tools = list_in(data, "tools")
        if not heads:
            head = formed(Head, {key: value for key, value in data.items() if key != "tools"}, LONGEST)
            check_new(head.description, [(kit.name, kit.file.description) for kit in known])
            heads.append(head)
        return tools

    async def accept(part: Any) -> Sketch:
        sketch = formed(Sketch, part, LONGEST)
        check_name(sketch.name, names | new.keys())
        check_new(sketch.description, [*descriptions, *new.items()])
        new[sketch.name] = sketch.description
        return sketch

    tools = {"type": "array", "minItems": 1, "maxItems": count, "items": closed(_named())}
    schema = closed({"category": text_up_to(LONGEST_NAME), "description": text_up_to(LONGEST), "tools": tools})
    tokens = TOKENS_OUTLINE + TOKENS_EACH * count
    request = Request("outline", prompt.system, user, prompt.again, schema, tokens, TRIES)
    sketches = await collect(writer, request, count, parts, accept)
    return (heads[0] if heads and sketches else None), sketches


async def detailed(
    writer: Writer,
    prompt: ToolkitPrompt,
    title: str,
    about: str,
    sketches: Sequence[Sketch],
    before: Sequence[ToolSpec],
    sketch: Sketch,
) -> list[ToolSpec]:
    """One tool in full, or none. It is shown the tools before it, so that their ids and units agree."""
    values = {
        "title": title,
        "about": about,
        "outline": listing([f"{one.name}: {one.description}" for one in sketches]),
        "written": "\n".join(tool_in_words(tool, Detail.FULL) for tool in before) or "- (none)",
        "name": sketch.name,
    }

    async def accept(part: dict[str, Any]) -> ToolSpec:
        allowed = {"parameters", "returns", "exceptions", "resource"}
        if unknown := sorted(part.keys() - allowed):
            raise UnusableError(Why.FORM, f"`{unknown[0]}` is not a key here. Allowed: {', '.join(sorted(allowed))}.")
        tool = formed(ToolSpec, {**part, **sketch.model_dump()}, LONGEST)
        if not tool.returns:
            raise UnusableError(Why.LACKING, "`returns` is empty: an agent could not see what its call did.")
        return tool

    fault = closed(_named())
    schema = closed(
        {
            "parameters": {"type": "array", "maxItems": 6, "items": part_schema(2)},
            "returns": {"type": "array", "minItems": 1, "maxItems": 6, "items": part_schema(2)},
            "exceptions": {"type": "array", "maxItems": 4, "items": fault},
            "resource": text_up_to(LONGEST_NAME),
        },
        optional=["resource"],
    )
    request = Request(sketch.name, prompt.system, lambda _: fill(prompt.tool, values), prompt.again, schema, TOKENS_TOOL, TRIES)
    return await collect(writer, request, 1, lambda data: [data], accept)


async def world(writer: Writer, prompt: ToolkitPrompt, title: str, about: str, tools: Sequence[ToolSpec]) -> list[dict[str, Any]]:
    """The state that the tools begin with, or none."""
    shown = "\n".join(tool_in_words(tool, Detail.ARGUMENTS) for tool in tools)
    user = fill(prompt.state, {"title": title, "about": about, "tools": shown})

    async def accept(part: dict[str, Any]) -> dict[str, Any]:
        state = part.get("state")
        if not isinstance(state, dict) or not state or part.keys() != {"state"}:
            raise UnusableError(Why.FORM, "the answer is not an object with one key, `state`, that holds an object.")
        if _has_null(state):
            raise UnusableError(Why.FORM, "`state` holds null, which a toolkit's file cannot. Leave the key out.")
        return state

    schema = closed({"state": {"type": "object"}})
    request = Request("state", prompt.system, lambda _: user, prompt.again, schema, TOKENS_STATE, TRIES)
    return await collect(writer, request, 1, lambda data: [data], accept)


def part_schema(depth: int, named: bool = True) -> dict[str, Any]:
    """The schema of a parameter, with objects and arrays nested no deeper than that."""
    kinds = [*SCALARS, *(("array", "object") if depth else ())]
    properties: dict[str, Any] = _named() if named else {"description": text_up_to(LONGEST)}
    required = list(properties) if named else []
    properties |= {"type": {"enum": kinds}, "enum": {"type": "array", "maxItems": 8, "items": text_up_to(LONGEST_NAME)}}
    properties |= {"minimum": {"type": "number"}, "maximum": {"type": "number"}}
    if named:
        properties["required"] = {"type": "boolean"}
    if depth:
        properties["items"] = part_schema(depth - 1, named=False)
        properties["fields"] = {"type": "array", "maxItems": 8, "items": part_schema(depth - 1)}
    return closed(properties, optional=set(properties) - {*required, "type"})


def in_words(data: Mapping[str, Any]) -> str:
    """What came of it, in a few words."""
    return f"{len(data['tools'])} tools and {'the state that they begin with' if data.get('state') else 'no state'}"


def _named() -> dict[str, Any]:
    return {"name": text_up_to(LONGEST_NAME), "description": text_up_to(LONGEST)}


def _has_null(value: Any) -> bool:
    if isinstance(value, dict | list):
        return any(map(_has_null, value.values() if isinstance(value, dict) else value))
    return value is None
