"""Reading TOML strictly: one message for everything that is wrong in a file, each problem with its line, in our words."""

from __future__ import annotations

import re
import tomllib
import types
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from influence.config.lines import KeyPath, line_of
from influence.errors import ConfigError, InfluenceError, Problem, not_allowed

Model = TypeVar("Model", bound=BaseModel)
MOST_PROBLEMS = 12


class Strict(BaseModel):
    """The base of everything that a person writes by hand: unknown keys and loose types are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def matching(pattern: str, most: int, words: str) -> Any:
    """A text that is a name by a rule; `words` says the rule to a person."""

    def checked(value: str) -> str:
        if not re.fullmatch(pattern, value) or len(value) > most:
            raise ValueError(f"{_short(value)} is not a name here. Allowed: {words}, at most {most} characters.")
        return value

    return AfterValidator(checked)


class Clash(ValueError):
    """Keys of several sections that do not go together, for a validator to raise. The keys say where to look."""

    def __init__(self, message: str, *keys: KeyPath) -> None:
        super().__init__(message)
        self.keys = keys


def is_file(path: Path) -> bool:
    """Whether there is such a file. A name that no file system takes names none."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_folder(path: Path) -> bool:
    """Whether there is such a folder, in the same way."""
    try:
        return path.is_dir()
    except OSError:
        return False


def read_toml(path: Path, error: type[InfluenceError] = ConfigError) -> tuple[dict[str, Any], str]:
    """The parsed file and its text. Raises `error` with line and column when it is no TOML."""
    try:
        text = path.read_text(encoding="utf-8")
        return tomllib.loads(text), text
    except FileNotFoundError:
        raise error(f"{path}: there is no such file.") from None
    except IsADirectoryError:
        raise error(f"{path} is a folder, not a TOML file.") from None
    except tomllib.TOMLDecodeError as problem:
        raise error(f"{path}: this is not TOML: {problem}.") from None
    except RecursionError:
        raise error(f"{path}: this is nested too deeply.") from None
    except OSError as problem:
        raise error(f"{path}: cannot be read: {problem.strerror}.") from None
    except ValueError as problem:  # what is not UTF-8, a path with a null byte
        raise error(f"{path}: cannot be read: {problem}.") from None


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
    return shown + (f"\n(and {rest} more problems)" if rest > 0 else "")


def problems_of(model: type[BaseModel], error: ValidationError, source: str, text: str | None) -> list[Problem]:
    """Pydantic's complaints in our words."""
    return [problem_from(model, one, source, text) for one in error.errors(include_url=False)]


def problem_from(model: type[BaseModel], error: Any, source: str, text: str | None) -> Problem:
    """One of pydantic's complaints (`ValidationError.errors()`) in our words."""
    path: KeyPath = tuple(part for part in error["loc"] if not (isinstance(part, str) and _STEP.match(part)))
    where, kind, found = place(source, text, path), error["type"], error["input"]
    if kind == "extra_forbidden":
        return Problem(where, f"`{path[-1]}` is not a key here.", not_allowed(str(path[-1]), _fields_at(model, path[:-1])))
    if kind == "missing":
        return Problem(place(source, text, path[:-1]), f"the key `{path[-1]}` is missing.")
    if kind in ("literal_error", "enum"):
        return Problem(where, f"found {_short(found)}.", f"Allowed: {error['ctx']['expected']}.")
    if kind in ("value_error", "assertion_error"):
        return Problem(where, str(error["ctx"]["error"]))
    if kind in _WORDS:
        message = "it should be " + _WORDS[kind]
    else:
        message = re.sub(r"^\w+ should", "it should", error["msg"]).removesuffix(" after validation, not 0")
    quotes = f'A text stands in quotes: "{found}".' if kind == "string_type" and type(found) in (int, float) else ""
    return Problem(where, f"found {_short(found)}, but {message}.", quotes)


_STEP = re.compile(r"^(function-|tagged-|\[key\]$)")  # what pydantic adds to a place, which no file has
_WORDS = {
    "model_type": "a table",
    "model_attributes_type": "a table",
    "dict_type": "a table",
    "list_type": "a list",
    "string_type": "a text",
    "string_too_short": "a text that is not empty",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "finite_number": "a finite number",
}


def _short(value: Any) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value) if isinstance(value, date) else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _fields_at(model: type[BaseModel], path: KeyPath) -> list[str]:
    """The field names of the model that stands at `path` inside `model`."""
    here: Any = model
    for part in path:
        here = _inside(here, part)
    return sorted(here.model_fields) if _is_model(here) else []


def _inside(annotation: Any, part: str | int) -> Any:
    """The type of what stands under a key, or at a number, of a value of another type."""
    kind, arguments = get_origin(annotation), get_args(annotation)
    if _is_model(annotation):
        field = annotation.model_fields.get(str(part))
        return field.annotation if field else None
    if kind is Annotated:
        return _inside(arguments[0], part)
    if kind in (Union, types.UnionType):
        found = (_inside(argument, part) for argument in arguments)
        return next((one for one in found if one is not None), None)
    if kind is dict:
        return arguments[1]
    return arguments[0] if kind is list else None


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
