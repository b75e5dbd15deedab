"""From layers to one configuration: defaults < preset (which may extend another) < file < --set < the command's own options.

Every layer keeps its source, so that a wrong value is reported where the person wrote it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import toml
from pydantic import ValidationError

from influence.config.commands import COMMANDS, CommandConfig
from influence.config.places import listed, place, problem_from, read_toml
from influence.errors import ConfigError, Problem, nearest, not_allowed
from influence.resources import data_folders

Config = TypeVar("Config", bound=CommandConfig)


@dataclass(frozen=True)
class Layer:
    """Some keys and where they come from: a file with its text, or an option of the command line."""

    source: str
    data: Mapping[str, Any]
    text: str | None = None


def preset_names() -> list[str]:
    """The presets that ship with the program or stand in the working folder's `presets/`."""
    return sorted({path.stem for folder in data_folders("presets") for path in folder.glob("*.toml")})


def find_config_file(name: str) -> Path:
    """A preset by its name, or a TOML file by its path. Raises ConfigError with the nearest name."""
    if name.endswith(".toml") or "/" in name:
        return Path(name)
    for folder in data_folders("presets"):
        if (folder / f"{name}.toml").is_file():
            return folder / f"{name}.toml"
    raise ConfigError(
        f"there is no preset `{name}`. {nearest(name, preset_names())}Presets: {', '.join(preset_names()) or '(none)'}. "
        "A path to a TOML file works too."
    )


def file_layers(name: str) -> list[Layer]:
    """The layers of a preset or file, what it extends first. Raises ConfigError for a missing file or a circle."""
    layers: list[Layer] = []
    path, seen = find_config_file(name), list[Path]()
    while True:
        if path.resolve() in seen:
            raise ConfigError(f"{path}: `extends` goes in a circle: " + " -> ".join(p.stem for p in [*seen, path]) + ".")
        seen.append(path.resolve())
        data, text = read_toml(path)
        parent = data.pop("extends", None)
        layers.insert(0, Layer(str(path), data, text))
        if parent is None:
            return layers
        if not isinstance(parent, str):
            raise ConfigError(
                f"{place(str(path), text, ('extends',))}: found {parent!r}, but it should be a preset's name or a path."
            )
        beside = path.parent / (parent if parent.endswith(".toml") else f"{parent}.toml")
        path = beside if beside.is_file() else find_config_file(parent)


def set_layer(assignment: str) -> Layer:
    """A layer from `--set section.key=value`. The value is TOML; what is no TOML is taken as a string."""
    key, equals, value = assignment.partition("=")
    path = key.strip().split(".")
    if not equals or not all(path):
        raise ConfigError(f"--set {assignment}: write it as section.key=value, such as --set rollout.turns=2.")
    try:
        parsed: Any = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value
    return Layer(f"--set {key.strip()}", nested(path, parsed))


def nested(path: Sequence[str], value: Any) -> dict[str, Any]:
    """{"a": {"b": value}} for the path ("a", "b")."""
    for part in reversed(path):
        value = {part: value}
    return dict(value)


def resolve(config: type[Config], layers: Sequence[Layer]) -> Config:
    """Merge the layers over the defaults and check the result. Raises ConfigError that names the layer at fault."""
    expected = config.model_fields["command"].default
    merged: dict[str, Any] = {}
    for layer in layers:
        command = layer.data.get("command", expected)
        if command != expected:
            where = place(layer.source, layer.text, ("command",))
            if command in COMMANDS:
                raise ConfigError(f"{where}: this file is for `influence {command}`, not for `influence {expected}`.")
            raise ConfigError(f"{where}: `{command}` is not a command. {not_allowed(str(command), list(COMMANDS))}")
        merged = merge(merged, layer.data)
    try:
        return config.model_validate(merged)
    except ValidationError as error:
        raise ConfigError(listed(_problems(config, error, layers))) from None


def _problems(config: type[CommandConfig], error: ValidationError, layers: Sequence[Layer]) -> list[Problem]:
    """Each complaint, placed in the last layer that has the key; a rule over several sections belongs to the last layer."""
    fallback = layers[-1] if layers else Layer("the built-in defaults", {})
    problems = []
    for one in error.errors(include_url=False):
        layer = next((layer for layer in reversed(layers) if _has(layer.data, one["loc"])), fallback)
        problems.append(problem_from(config, one, layer.source, layer.text))
    return problems


def _has(data: Any, path: Sequence[Any]) -> bool:
    """Whether a layer sets the key at `path`. A pydantic path may end in a type's name that no file has; that part is let go."""
    for depth, part in enumerate(path):
        if (isinstance(data, Mapping) and part in data) or (
            isinstance(data, list) and isinstance(part, int) and part < len(data)
        ):
            data = data[part]
        else:
            return depth > 0 and not isinstance(data, Mapping)
    return bool(path)


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`above` over `below`: tables are merged, everything else is replaced. The shares in `kinds` are one value."""
    merged = dict(below)
    for key, value in above.items():
        both_tables = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if both_tables and key != "kinds" else value
    return merged


def as_toml(config: CommandConfig) -> str:
    """The resolved configuration as TOML that gives the same configuration again."""
    return toml.dumps(config.model_dump(mode="json", exclude_none=True))
