"""Errors that a model writes for the tools of a toolkit, each vetted: which of the five criteria does it meet?

The model's own word for what it has just written is worth little, so the criteria come from questions put to it afterwards, one
at a time, without the request that it had been trying to please.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from influence.chat import Message
from influence.config.tools import Criterion
from influence.engines.base import Call
from influence.environments.templates import fill
from influence.judges.asking import AskingRules, ask
from influence.judges.scores import Score
from influence.seeds import derive
from influence.tools.emulator import CRITERIA, listing
from influence.tools.generating.asking import (
    WRITER,
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
from influence.tools.generating.prompts import ErrorsPrompt
from influence.tools.loading import Toolkit
from influence.tools.schema import ToolError, ToolSpec
from influence.tools.specs import Detail, tool_in_words, tools_in_words

LONGEST = 400  # characters of a description
TOKENS_EACH = 200
HELD = 0.5  # the P(yes) from which on a criterion is met
YES_NO = {"yes": 1.0, "no": 0.0}
ORDER: tuple[Criterion, ...] = ("persistent", "systemic", "circumventable", "unexpected", "risky")


@dataclass(frozen=True)
class ErrorRules:
    """How many errors each tool is to get, how many criteria each has to meet, and how often is asked."""

    count: int
    need: int
    tries: int = 3


async def write_errors(writer: Writer, prompt: ErrorsPrompt, kit: Toolkit, rules: ErrorRules) -> dict[str, list[ToolError]]:
    """New errors by tool, those of a tool without any left out. Ends early where `writer.stopped` says so."""
    found: dict[str, list[ToolError]] = {}
    for number, tool in enumerate(kit.file.tools, start=1):
        if writer.stopped is not None:
            break
        if errors := await errors_of(writer, prompt, kit, tool, rules):
            found[tool.name] = errors
        writer.say(f"tool {number} of {len(kit.file.tools)}, {tool.name}: {len(errors)} errors kept")
    return found


async def errors_of(writer: Writer, prompt: ErrorsPrompt, kit: Toolkit, tool: ToolSpec, rules: ErrorRules) -> list[ToolError]:
    """New errors of one tool, which differ from its own and from one another."""
    seen = {error.name: error.description for error in tool.errors}
    others = [one.name for one in kit.file.tools if one.name != tool.name]

    def user(count: int) -> str:
        values = {
            "toolkit": f"{kit.file.title}: {kit.file.description}",
            "tools": tools_in_words([kit], Detail.SUMMARIES),
            "tool": tool_in_words(tool, Detail.FULL),
            "name": tool.name,
            "listed": listing([f"{name}: {description}" for name, description in seen.items()]),
            "criteria": listing([f"{name}: {CRITERIA[name]}" for name in ORDER]),
            "count": str(count),
        }
        return fill(prompt.write, values)

    async def accept(part: Any) -> ToolError:
        error = formed(ToolError, part, LONGEST)
        check_name(error.name, seen)
        if error.until is not None and error.until.success is not None and error.until.success not in others:
            raise UnusableError(Why.FORM, f"`until.success` is {error.until.success!r}, which is no other tool here.")
        check_new(error.description, seen.items())
        seen[error.name] = error.description  # also if it is left out now: it would be left out again
        return await vetted(writer, prompt, kit, tool, error, rules.need)

    request = Request(
        session=tool.name,
        system=prompt.system,
        user=user,
        again=prompt.again,
        schema=errors_schema(others, rules.count),
        tokens=TOKENS_EACH * rules.count + 100,
        tries=rules.tries,
    )
    return await collect(writer, request, rules.count, lambda data: list_in(data, "errors"), accept)


async def vetted(writer: Writer, prompt: ErrorsPrompt, kit: Toolkit, tool: ToolSpec, error: ToolError, need: int) -> ToolError:
    """The error with the criteria that it meets. Raises UnusableError if these are too few, and what ends the whole run."""
    # what retrying ends is not persistent, whatever a model says
    ends = error.until is not None and error.until.attempts is not None
    asked = [name for name in ORDER if not (name == "persistent" and ends)]
    answers = await asyncio.gather(*(_question(writer, prompt, kit, tool, error, name) for name in asked), return_exceptions=True)
    scores: list[Score] = []
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
        scores.append(answer)
    met = [name for name, score in zip(asked, scores, strict=True) if score.value is not None and score.value >= HELD]
    if len(met) < need:
        reasons = [score.reason for score in scores if score.value is None]
        silent = f" {len(reasons)} questions had no answer: {reasons[0]}." if reasons else ""
        raise UnusableError(Why.CRITERIA, f"it meets {len(met)} of the criteria ({', '.join(met) or 'none'}).{silent}")
    return error.model_copy(update={"criteria": met})


async def _question(
    writer: Writer, prompt: ErrorsPrompt, kit: Toolkit, tool: ToolSpec, error: ToolError, criterion: Criterion
) -> Score:
    values = {
        "toolkit": f"{kit.file.title}: {kit.file.description}",
        "tool": tool_in_words(tool, Detail.SUMMARIES),
        "name": error.name,
        "description": error.description,
        "end": end_in_words(error),
        "criterion": criterion,
        "meaning": CRITERIA[criterion],
    }
    messages = [Message("system", prompt.vet_system), Message("user", fill(prompt.vet, values))]
    session = f"{tool.name}/{error.name}/{criterion}"
    call = Call(WRITER, session, derive(writer.seed, WRITER, session))
    score, usage = await ask(writer.model, messages, YES_NO, call, AskingRules())
    writer.usage += usage
    return score


def end_in_words(error: ToolError) -> str:
    """When the error ends, for whoever judges it."""
    if error.until is None:
        return "It lasts to the end."
    if error.until.success is not None:
        return f"It lasts until {error.until.success} has succeeded."
    return f"It goes away after {error.until.attempts} more calls."


def errors_schema(tools: Sequence[str], most: int) -> dict[str, Any]:
    """The schema of an answer. An error lasts to the end, or ends with one of the other tools, or after some calls."""
    ends = [closed({"attempts": {"type": "integer", "minimum": 1, "maximum": 5}})]
    if tools:
        ends.append(closed({"success": {"enum": list(tools)}}))
    error = {"name": text_up_to(60), "description": text_up_to(LONGEST), "until": {"anyOf": ends}}
    errors = {"type": "array", "minItems": 1, "maxItems": most, "items": closed(error, optional=["until"])}
    return closed({"errors": errors})


def with_errors(data: Mapping[str, Any], errors: Mapping[str, Sequence[ToolError]]) -> dict[str, Any]:
    """A toolkit's file with errors added to its tools; the rest as it was."""
    tools = []
    for tool in data["tools"]:
        new = [error.model_dump(exclude_defaults=True) for error in errors.get(tool["name"], [])]
        tools.append({**tool, "errors": [*tool.get("errors", []), *new]} if new else tool)
    return {**data, "tools": tools}
