"""A call's arguments, checked in full against the tool's own schema before any model is asked about them."""

from __future__ import annotations

import json
from math import isfinite
from typing import Any

import jsonschema

from influence.tools.schema import ToolSpec, object_schema

LONGEST = 20_000  # characters of one call's arguments
DEEPEST = 40  # levels of one JSON document: what reads the records again gives up at some hundreds
MOST_DIGITS = 30


class BadArgumentsError(Exception):
    """Arguments that do not fit. The text says what and where, for the agent to read."""


def parsed_arguments(tool: ToolSpec, text: str) -> dict[str, Any]:
    """The arguments of a call from the JSON that the agent wrote; nothing at all means none. Raises BadArgumentsError.

    Every level is checked: fields of objects, elements of arrays, ranges, unknown names. A boolean is no integer, and a
    number in quotes is a text.
    """
    if len(text) > LONGEST:
        raise BadArgumentsError(f"the arguments are {len(text)} characters long, more than {LONGEST}.")
    try:
        data = read_json(text) if text.strip() else {}
    except ValueError as error:
        raise BadArgumentsError(f"the arguments are not JSON: {error}.") from None
    if not isinstance(data, dict):
        raise BadArgumentsError("the arguments must be a JSON object, with the parameters' names as keys.")
    try:
        return dict(fitting(data, object_schema(tool.parameters)))
    except BadArgumentsError as error:
        names = ", ".join(f"{p.name}{'' if p.required else ' (optional)'}" for p in tool.parameters) or "none"
        raise BadArgumentsError(f"{error} Parameters of {tool.name}: {names}.") from None


def fitting(data: Any, schema: dict[str, Any]) -> Any:
    """The data, if it fits the schema. Raises BadArgumentsError with the first place that does not."""
    validator = jsonschema.Draft202012Validator(schema)
    errors = sorted(validator.iter_errors(data), key=lambda error: list(map(str, error.absolute_path)))
    if errors:
        where = ".".join(map(str, errors[0].absolute_path))
        message = errors[0].message
        short = message if len(message) <= 200 else message[:197] + "..."
        raise BadArgumentsError(f"`{where}`: {short}." if where else f"{short}.")
    return data


def read_json(text: str) -> Any:
    """JSON that every program can read, and this one write again: finite numbers, whole characters, each name once, not too
    deep. Raises ValueError with one line that says what is wrong.
    """
    try:
        data = json.loads(text, parse_constant=_no_number, parse_float=_finite, parse_int=_short, object_pairs_hook=_each_once)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    check_whole(data)
    return data


TOO_DEEP = f"it is nested deeper than {DEEPEST} levels"


def check_whole(data: Any, levels: int = DEEPEST) -> None:
    """Raises ValueError for what is nested too deeply, and for half a character, which no file can hold."""
    if isinstance(data, str):
        if not data.isascii() and any("\ud800" <= letter <= "\udfff" for letter in data):
            raise ValueError("a text has half a character (a lone surrogate)")
    elif isinstance(data, list | dict):
        if levels == 0:
            raise ValueError(TOO_DEEP)
        for part in [*data, *data.values()] if isinstance(data, dict) else data:
            check_whole(part, levels - 1)


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number in JSON")


def _finite(digits: str) -> float:
    if not isfinite(number := float(digits)):
        raise ValueError(f"{digits[:MOST_DIGITS]} is too large")
    return number


def _short(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"a number has more than {MOST_DIGITS} digits")
    return int(digits)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise ValueError("a name stands twice in one object")
    return dict(pairs)
