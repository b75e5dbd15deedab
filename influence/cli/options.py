"""The options that several commands share, and how they become layers of a configuration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

PresetArgument = Annotated[str, typer.Argument(metavar="PRESET", help="A preset's name, or a TOML file.", show_default=True)]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set any key: --set rollout.samples=4. Repeatable.")
]
SeedOption = Annotated[int | None, typer.Option("--seed", help="The root seed of everything random.")]
OutOption = Annotated[str | None, typer.Option("--out", metavar="FOLDER", help="Where runs are kept (default: runs).")]
NameOption = Annotated[str | None, typer.Option("--name", help="The run's name (default: the preset's, with a number).")]
GpusOption = Annotated[str | None, typer.Option("--gpus", metavar="LIST", help="Devices to use: 0,1. `none` runs on the CPU.")]
MaxCostOption = Annotated[
    float | None,
    typer.Option("--max-cost", metavar="DOLLARS", help="What the run may spend on hosted models, all attempts together."),
]
NoCacheOption = Annotated[
    bool, typer.Option("--no-cache", help="Ask hosted models anew, and keep no answer (`influence cache`).")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the answer as JSON on standard output.")]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


def parse_gpus(text: str) -> list[int]:
    """`0,1` as [0, 1]; `none` and `cpu` as []. Raises ConfigError."""
    from influence.errors import ConfigError

    if text.strip().lower() in ("none", "cpu", ""):
        return []
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(
            f"--gpus {text}: write device numbers with commas, such as --gpus 0,1, or `none` for the CPU."
        ) from None


def option_layers(pairs: Sequence[tuple[str, str, Any]]) -> list[Any]:
    """Layers from (option, key, value); an option that was not given makes none."""
    from influence.config.layers import Layer, nested

    return [Layer(option, nested(key.split("."), value)) for option, key, value in pairs if value is not None]
