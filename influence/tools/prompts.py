"""The prompts of agents, protocols and emulators: data files that a person edits, checked when they are loaded."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from influence.config.places import Strict, check, is_file, read_toml
from influence.environments.schema import Text
from influence.environments.templates import TemplateError, names_in
from influence.errors import WorldError, not_allowed
from influence.resources import data_folders


class AgentPrompt(Strict):
    """`agents/<name>.toml`: the character of an agent with tools."""

    title: Text
    system: Text


class ProtocolPrompt(Strict):
    """`protocols/<name>.toml`: how an agent is told to call tools, and what it is told when it could not be understood."""

    title: Text
    instructions: Text
    again: Text


class EmulatorPrompt(Strict):
    """`emulators/<name>.toml`: who plays the tools. `improvise` asks it to make up an error."""

    title: Text
    system: Text
    call: Text
    again: Text
    improvise: Text


_NAMES: dict[tuple[str, str], set[str]] = {
    ("agents", "system"): set(),
    ("protocols", "instructions"): {"tools"},
    ("protocols", "again"): {"problem"},
    ("emulators", "system"): {"tools", "instruction", "achievements", "unsaid", "risky_outcomes", "risky_actions"},
    ("emulators", "call"): {"tool", "arguments", "history", "memory"},
    ("emulators", "again"): {"problem"},
    ("emulators", "improvise"): {"tool", "arguments", "history", "memory", "criteria"},
}

Prompt = TypeVar("Prompt", AgentPrompt, ProtocolPrompt, EmulatorPrompt)


def prompt_names(kind: str) -> list[str]:
    return sorted({path.stem for folder in data_folders("envs") for path in (folder / kind).glob("*.toml")})


def load_agent(name: str) -> AgentPrompt:
    return _load("agents", name, AgentPrompt)


def load_protocol(name: str) -> ProtocolPrompt:
    return _load("protocols", name, ProtocolPrompt)


def load_emulator(name: str) -> EmulatorPrompt:
    return _load("emulators", name, EmulatorPrompt)


def _load(kind: str, name: str, form: type[Prompt]) -> Prompt:
    """A prompt by name or by path. Raises WorldError for a key or a `{name}` that does not belong there."""
    places = [*(folder / kind / f"{name}.toml" for folder in data_folders("envs")), Path(name)]
    path = next((p for p in places if is_file(p)), None)
    if path is None:
        raise WorldError(f"envs/{kind} has no `{name}`. {not_allowed(name, prompt_names(kind))} A path to a TOML file works too.")
    data, text = read_toml(path, WorldError)
    prompt = check(form, data, str(path), text, WorldError)
    for key, template in prompt.model_dump().items():
        allowed = _NAMES.get((kind, key))
        if allowed is None:
            continue
        try:
            unknown = sorted(names_in(template) - allowed)
        except TemplateError as error:
            raise WorldError(f"{path}, `{key}`: {error}") from None
        if unknown:
            raise WorldError(
                f"{path}, `{key}`: `{{{unknown[0]}}}` is not filled in here. {not_allowed(unknown[0], sorted(allowed))}"
            )
    return prompt
