"""`influence config` and `influence presets`: what a run would use, and what there is to choose from."""

from __future__ import annotations

from typing import Annotated

import typer

from influence.cli.options import DebugOption, JsonOption, PresetArgument, SetOption

config_app = typer.Typer(help="Show what a run would use.", no_args_is_help=True)
presets_app = typer.Typer(help="List, show and check presets.", invoke_without_command=True)


def add_to(app: typer.Typer) -> None:
    app.add_typer(config_app, name="config")
    app.add_typer(presets_app, name="presets")


@config_app.command("show")
def config_show(preset: PresetArgument = "simulate", settings: SetOption = None, debug: DebugOption = False) -> None:
    """Print the resolved configuration of a preset or file, every default filled in, as TOML.

    Example: influence config show simulate --set rollout.turns=2
    """
    from influence.config.layers import as_toml

    typer.echo(as_toml(_resolved(preset, settings)), nl=False)


def _resolved(preset: str, settings: list[str] | None):  # type: ignore[no-untyped-def]
    from influence.config.layers import command_of, file_layers, resolve, set_layer

    layers = [*file_layers(preset), *(set_layer(assignment) for assignment in settings or [])]
    return resolve(command_of(layers), layers)


@presets_app.callback()
def presets(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the presets.

    Example: influence presets
    """
    if context.invoked_subcommand is not None:
        return
    from influence.config.layers import preset_names

    rows = [(name, _resolved(name, None)) for name in preset_names()]
    if as_json:
        import json

        print(json.dumps([{"name": n, "command": c.command, "description": c.description} for n, c in rows]))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from influence.cli.plain import clean

    table = Table(header_style="bold")
    for column in ("preset", "command", "what it does"):
        table.add_column(column)
    for name, config in rows:
        table.add_row(Text(clean(name)), config.command, Text(clean(config.description)))
    Console().print(table)
    Console().print(Text("Run one: influence simulate PRESET. Read one: influence presets show PRESET."))


@presets_app.command("show")
def presets_show(preset: PresetArgument = "simulate", debug: DebugOption = False) -> None:
    """Print a preset as it is written.

    Example: influence presets show simulate
    """
    from influence.config.layers import find_config_file
    from influence.config.places import read_toml

    path = find_config_file(preset)
    typer.echo(read_toml(path)[1], nl=False)


@presets_app.command("check")
def presets_check(
    preset: Annotated[list[str] | None, typer.Argument(help="Presets or files (default: all presets).")] = None,
    debug: DebugOption = False,
) -> None:
    """Check presets without running them.

    Example: influence presets check
    """
    from influence.config.layers import preset_names
    from influence.errors import ConfigError

    broken = []
    for name in preset or preset_names():
        try:
            _resolved(name, None)
        except ConfigError as error:
            broken.append(str(error))
        else:
            typer.echo(f"{name}: fine")
    if broken:
        raise ConfigError("\n".join(broken))
