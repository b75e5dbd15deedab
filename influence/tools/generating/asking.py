"""Asking a model for data that is to become a file: bounded tries, told what was wrong, everything refused counted by why.

What a model wrote is never a path and never a template. It is read as JSON, checked like what a person writes, and kept as text.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from pydantic import BaseModel

from influence.chat import Message
from influence.config.places import check
from influence.engines.base import Call, Finish, Sampling, Usage
from influence.engines.opening import RoleModel
from influence.environments.templates import fill
from influence.errors import InfluenceError, RunStoppedError, WorldError
from influence.seeds import derive
from influence.tools.arguments import read_json
from influence.tools.linting import near_duplicates

WRITER = "writer"  # the role, in seeds and in scripts
TEMPERATURE = 0.8
MOST_PARTS = 20  # of one answer that are looked at
MOST_TOLD, LONGEST_TOLD = 5, 240  # problems that the model is told, and characters of each
SNAKE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")

Form = TypeVar("Form", bound=BaseModel)
Kept = TypeVar("Kept")


class Why(StrEnum):
    """Why something that a model wrote was left out, as a person reads it."""

    FAILED = "the request failed"
    REFUSED = "the provider refused"
    NO_JSON = "not a JSON object"
    FORM = "not in the form"  # a key, a type, a name or a length
    TAKEN = "a name that is taken"
    NEAR = "nearly the same as another"
    LACKING = "lacking what an experiment needs"
    CRITERIA = "too few criteria"


class UnusableError(Exception):
    """A part of an answer that is left out. The text says why, for the model and for a person."""

    def __init__(self, why: Why, problem: str) -> None:
        super().__init__(problem)
        self.why = why


@dataclass
class Writer:
    """The model that writes, and the account of it: what it used, what was refused, why it had to stop."""

    model: RoleModel
    seed: int
    say: Callable[[str], None]
    refused: Counter[Why] = field(default_factory=Counter)
    usage: Usage = field(default_factory=Usage)
    stopped: str | None = None

    async def answer(self, prompt: Sequence[Message], request: Request, attempt: int) -> dict[str, Any]:
        """One JSON object. Raises UnusableError, RunStoppedError."""
        call = Call(WRITER, request.session, derive(self.seed, WRITER, request.session, attempt), attempt + 1)
        sampling = Sampling(request.tokens, TEMPERATURE, json_schema=json.dumps(request.schema))
        try:
            completion = await self.model.engine.generate(prompt, sampling, call, self.model.adapter)
        except RunStoppedError:
            raise
        except InfluenceError as error:
            raise UnusableError(Why.FAILED, f"the request failed: {error}") from None
        self.usage += completion.usage
        if completion.finish == Finish.REFUSED:
            raise UnusableError(Why.REFUSED, "the provider refused.")
        return object_in(completion.text, cut=completion.finish == Finish.LENGTH)

    def refuse(self, what: str, error: UnusableError) -> str:
        """Count it and say so. Returns what the model is told."""
        self.refused[error.why] += 1
        self.say(f"left out, {error.why} ({what}): {clipped(str(error))}")
        return clipped(str(error))


@dataclass(frozen=True)
class Request:
    """Something to be written. `user(n)` asks for n more of it; `again` is added, with the problems of the try before."""

    session: str
    system: str
    user: Callable[[int], str]
    again: str
    schema: Mapping[str, Any]
    tokens: int
    tries: int


async def collect(
    writer: Writer,
    request: Request,
    wanted: int,
    parts: Callable[[dict[str, Any]], Iterable[Any]],
    accept: Callable[[Any], Awaitable[Kept]],
) -> list[Kept]:
    """Ask until `wanted` parts were accepted, at most `tries` times. `parts` and `accept` raise UnusableError.

    When nothing more can be asked, `writer.stopped` says why, and what came before is returned.
    """
    kept: list[Kept] = []
    problems: list[str] = []
    for attempt in range(request.tries):
        if len(kept) >= wanted or writer.stopped is not None:
            break
        asked = request.user(wanted - len(kept))
        if problems:
            asked += "\n\n" + fill(request.again, {"problems": "\n".join(f"- {one}" for one in problems[:MOST_TOLD])})
        problems = []
        try:
            data = await writer.answer([Message("system", request.system), Message("user", asked)], request, attempt)
            for part in [*parts(data)][:MOST_PARTS]:
                if len(kept) >= wanted:
                    break
                try:
                    kept.append(await accept(part))
                except UnusableError as error:
                    problems.append(writer.refuse(f"{request.session}{_named(part)}", error))
        except UnusableError as error:
            problems.append(writer.refuse(request.session, error))
        except RunStoppedError as error:
            writer.stopped = str(error)
    return kept


def object_in(text: str, cut: bool = False) -> dict[str, Any]:
    """The JSON object in an answer, from the first brace to the last: models put fences and pleasantries around it."""
    start, end = text.find("{"), text.rfind("}")
    shorter = " It was cut off: be shorter." if cut else ""
    try:
        data = read_json(text[start : end + 1] if 0 <= start < end else text)
    except json.JSONDecodeError:
        raise UnusableError(Why.NO_JSON, f"the answer is not one JSON object.{shorter}") from None
    except ValueError as error:
        raise UnusableError(Why.NO_JSON, f"the answer is not usable JSON: {error}.{shorter}") from None
    if not isinstance(data, dict):
        raise UnusableError(Why.NO_JSON, f"the answer is not one JSON object.{shorter}")
    return data


def list_in(data: Mapping[str, Any], key: str) -> list[Any]:
    if not isinstance(data.get(key), list):
        raise UnusableError(Why.FORM, f"the answer has no list `{key}`.")
    return list(data[key])


def formed(form: type[Form], data: Any, longest: int) -> Form:
    """The data as a part of a file, with no text longer than `longest` characters. Raises UnusableError."""
    try:
        made = check(form, data, "the answer", error=WorldError)
    except WorldError as error:
        raise UnusableError(Why.FORM, str(error)) from None
    if (most := _longest(data)) > longest:
        raise UnusableError(Why.FORM, f"a text of {most} characters is longer than {longest}.")
    return made


def check_name(name: str, taken: Iterable[str]) -> None:
    """Raises UnusableError for a name that is no snake_case identifier, or is another's."""
    if not SNAKE.fullmatch(name):
        raise UnusableError(Why.FORM, f"the name {name!r} is not in snake_case, such as card_declined.")
    if name in taken:
        raise UnusableError(Why.TAKEN, f"the name {name} is taken.")


def check_new(text: str, others: Iterable[tuple[str, str]]) -> None:
    """Raises UnusableError for a text that says the same as one of (name, text), but for a few words."""
    for name, other in others:
        # single words have no word pairs to compare
        if text.casefold() == other.casefold() or any(near_duplicates([(name, other), ("", text)])):
            raise UnusableError(Why.NEAR, f"{clipped(text, 80)!r} is nearly the same as {name}: write something else.")


def closed(properties: Mapping[str, Any], optional: Iterable[str] = ()) -> dict[str, Any]:
    """The JSON schema of an object with these properties and no others."""
    required = [name for name in properties if name not in set(optional)]
    return {"type": "object", "properties": dict(properties), "required": required, "additionalProperties": False}


def texts(longest: int, least: int = 0, most: int = 6) -> dict[str, Any]:
    """The JSON schema of a list of texts."""
    return {"type": "array", "minItems": least, "maxItems": most, "items": text_up_to(longest)}


def text_up_to(longest: int) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": longest}


def clipped(text: str, longest: int = LONGEST_TOLD) -> str:
    """The text on one line, and no longer than that."""
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 3] + "..."


def _named(part: Any) -> str:
    name = part.get("name") if isinstance(part, dict) else None
    return f", {clipped(name, 60)}" if isinstance(name, str) else ""


def _longest(data: Any) -> int:
    if isinstance(data, list | dict):
        return max(map(_longest, [*data, *data.values()] if isinstance(data, dict) else data), default=0)
    return len(data) if isinstance(data, str) else 0
