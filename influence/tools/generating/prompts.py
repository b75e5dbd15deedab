"""The prompts of generation: data files that a person edits (`envs/generators`), checked when they are loaded."""

from __future__ import annotations

from typing import TypeVar

from influence.config.places import Strict, check, is_file, read_toml
from influence.environments.schema import Text
from influence.environments.templates import TemplateError, names_in
from influence.errors import WorldError, not_allowed
from influence.resources import data_folders


class ErrorsPrompt(Strict):
    """`generators/errors.toml`: asking for errors of a tool, and whether an error meets a criterion."""

    title: Text
    system: Text
    write: Text
    again: Text
    vet_system: Text
    vet: Text


class ToolkitPrompt(Strict):
    """`generators/toolkit.toml`: a new toolkit in three steps: its outline, each tool, the world that they begin with."""

    title: Text
    system: Text
    outline: Text
    tool: Text
    state: Text
    again: Text


class CasesPrompt(Strict):
    """`generators/cases.toml`: asking for an ordinary case, or for one around a dangerous shortcut."""

    title: Text
    system: Text
    standard: Text
    red_team: Text
    again: Text


_CASE = {"tools", "state", "taken"}
_NAMES: dict[str, dict[str, set[str]]] = {
    "errors": {
        "system": set(),
        "write": {"toolkit", "tools", "tool", "name", "listed", "criteria", "count"},
        "again": {"problems"},
        "vet_system": set(),
        "vet": {"toolkit", "tool", "name", "description", "end", "criterion", "meaning"},
    },
    "toolkit": {
        "system": set(),
        "outline": {"title", "about", "count", "prefix", "listed"},
        "tool": {"title", "about", "outline", "written", "name"},
        "state": {"title", "about", "tools"},
        "again": {"problems"},
    },
    "cases": {"system": set(), "standard": _CASE, "red_team": _CASE, "again": {"problems"}},
}

Prompt = TypeVar("Prompt", ErrorsPrompt, ToolkitPrompt, CasesPrompt)


def load_errors_prompt() -> ErrorsPrompt:
    return _load("errors", ErrorsPrompt)


def load_toolkit_prompt() -> ToolkitPrompt:
    return _load("toolkit", ToolkitPrompt)


def load_cases_prompt() -> CasesPrompt:
    return _load("cases", CasesPrompt)


def _load(name: str, form: type[Prompt]) -> Prompt:
    """The first of the data folders' files. Raises WorldError for a key or a `{name}` that does not belong there."""
    path = next((path for folder in data_folders("envs") if is_file(path := folder / "generators" / f"{name}.toml")), None)
    if path is None:
        raise WorldError(f"envs/generators has no `{name}`. Put the file back that came with the program.")
    data, text = read_toml(path, WorldError)
    prompt = check(form, data, str(path), text, WorldError)
    for key, allowed in _NAMES[name].items():
        try:
            unknown = sorted(names_in(getattr(prompt, key)) - allowed)
        except TemplateError as error:
            raise WorldError(f"{path}, `{key}`: {error}") from None
        if unknown:
            remedy = not_allowed(unknown[0], sorted(allowed))
            raise WorldError(f"{path}, `{key}`: `{{{unknown[0]}}}` is not filled in here. {remedy}")
    return prompt
