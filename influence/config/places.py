"""Reading TOML strictly: which line a key stands on, and one message for everything that is wrong in a file.

`tomllib` gives values without places and pydantic gives places without lines, so this module looks the line up again in
the text. It only has to be right for files that tomllib has accepted.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from influence.errors import ConfigError, InfluenceError, Problem, not_allowed

Model = TypeVar("Model", bound=BaseModel)
KeyPath = tuple[str | int, ...]

_TABLE = re.compile(r"^\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=(.*)$""")
MOST_PROBLEMS = 12


class Strict(BaseModel):
    """The base of everything that a person writes by hand: unknown keys and loose types are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def read_toml(path: Path, error: type[InfluenceError] = ConfigError) -> tuple[dict[str, Any], str]:
    """The parsed file and its text. Raises `error` with line and column when it is no TOML."""
    try:
        text = path.read_text(encoding="utf-8")
        return tomllib.loads(text), text
    except FileNotFoundError:
        raise error(f"{path}: there is no such file.") from None
    except IsADirectoryError:
        raise error(f"{path} is a folder, not a TOML file.") from None
    except (OSError, UnicodeDecodeError) as problem:
        raise error(f"{path}: cannot be read ({problem}).") from None
    except tomllib.TOMLDecodeError as problem:
        raise error(f"{path}: this is not TOML: {problem}.") from None


def line_of(text: str, path: KeyPath) -> int | None:
    """The 1-based line of the longest part of `path` that stands in `text`, or None if no part of it does."""
    best_line, best_length = None, 0
    for line, place in _places(text):
        length = _common(place, path)
        if length == len(place) and length > best_length:
            best_line, best_length = line, length
    return best_line


def _places(text: str) -> Iterable[tuple[int, KeyPath]]:
    """Every table header and key of a TOML text with the path it defines; multi-line strings are skipped over."""
    table: KeyPath = ()
    counts: dict[KeyPath, int] = {}
    closing = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if closing:
            closing = "" if closing in line else closing
            continue
        if header := _TABLE.match(line):
            names: list[str | int] = []
            parts = _split(header[2])
            for position, name in enumerate(parts):
                names.append(name)
                last = position == len(parts) - 1
                if last and header[1] == "[[":
                    counts[tuple(names)] = counts.get(tuple(names), -1) + 1
                if tuple(names) in counts:
                    names.append(counts[tuple(names)])
            table = tuple(names)
            yield number, table
        elif key := _KEY.match(line):
            yield number, (*table, *_split(key[1]))
            closing = _opened_string(key[2])


def _opened_string(value: str) -> str:
    for mark in ('"""', "'''"):
        if value.count(mark) % 2 == 1:
            return mark
    return ""


def _split(dotted: str) -> list[str]:
    return [part.strip().strip("\"'") for part in re.findall(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""", dotted)]


def _common(place: KeyPath, path: KeyPath) -> int:
    length = 0
    for one, other in zip(place, path, strict=False):
        if one != other:
            break
        length += 1
    return length


def place(source: str, text: str | None, path: KeyPath) -> str:
    """Where a key stands, for a person: "file, line 14, `a.b`"."""
    line = line_of(text, path) if text is not None else None
    name = ".".join(str(p) for p in path)
    return source + (f", line {line}" if line else "") + (f", `{name}`" if name else "")


def check(
    model: type[Model], data: Any, source: str, text: str | None = None, error: type[InfluenceError] = ConfigError
) -> Model:
    """`data` as a `model`, or one `error` that lists every problem with its place, what was found and what is allowed."""
    try:
        return model.model_validate(data)
    except ValidationError as problem:
        problems = problems_of(model, problem, source, text)
        raise error(listed(problems)) from None


def listed(problems: Sequence[Problem]) -> str:
    """The problems of a file as one message, the first ones in full."""
    shown = "\n".join(str(p) for p in problems[:MOST_PROBLEMS])
    rest = len(problems) - MOST_PROBLEMS
    return shown + (f"\n(and {rest} more of this kind)" if rest > 0 else "")


def problems_of(model: type[BaseModel], error: ValidationError, source: str, text: str | None) -> list[Problem]:
    """Pydantic's complaints in our words."""
    return [problem_from(model, one, source, text) for one in error.errors(include_url=False)]


def problem_from(model: type[BaseModel], error: Any, source: str, text: str | None) -> Problem:
    """One of pydantic's complaints (`ValidationError.errors()`) in our words."""
    path: KeyPath = tuple(
        part for part in error["loc"] if not (isinstance(part, str) and part.startswith(("function-", "tagged-")))
    )
    where, kind, found = place(source, text, path), error["type"], error["input"]
    if kind == "extra_forbidden":
        allowed = _fields_at(model, path[:-1])
        return Problem(where, f"`{path[-1]}` is not a key here.", not_allowed(str(path[-1]), allowed))
    if kind == "missing":
        return Problem(place(source, text, path[:-1]), f"the key `{path[-1]}` is missing.")
    if kind in ("literal_error", "enum"):
        return Problem(where, f"found {found!r}.", f"Allowed: {error['ctx']['expected']}.")
    if kind in ("value_error", "assertion_error"):
        return Problem(where, str(error["ctx"]["error"]))
    message = error["msg"][0].lower() + error["msg"][1:]
    return Problem(where, f"found {_short(found)}, but {message.replace('input should', 'it should')}.")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _fields_at(model: type[BaseModel], path: KeyPath) -> list[str]:
    """The field names of the model that stands at `path` inside `model`."""
    here: Any = model
    for part in path:
        annotation = None
        for candidate in _models_in(here):
            field = candidate.model_fields.get(str(part))
            if field is not None:
                annotation = field.annotation
        here = annotation if annotation is not None else here
    return sorted({name for candidate in _models_in(here) for name in candidate.model_fields})


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]
