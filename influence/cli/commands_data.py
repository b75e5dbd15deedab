"""`influence envs`: the environments, listed, shown and checked without a model."""

from __future__ import annotations

from typing import Annotated

import typer

from influence.cli.options import DebugOption, JsonOption

envs_app = typer.Typer(help="List, show and check environments.", invoke_without_command=True)


def add_to(app: typer.Typer) -> None:
    app.add_typer(envs_app, name="envs")


@envs_app.callback()
def envs(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the environments.

    Example: influence envs
    """
    if context.invoked_subcommand is not None:
        return
    from influence.environments.loading import environment_names, load_environment

    worlds = [load_environment(name) for name in environment_names()]
    if as_json:
        import json

        print(
            json.dumps(
                [
                    {
                        "name": world.name,
                        "title": world.file.title,
                        "scenarios": sorted(world.scenarios),
                        "kinds": sorted(world.file.kinds),
                        "initial_states": len(world.initial_states),
                    }
                    for world in worlds
                ]
            )
        )
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from influence.cli.plain import clean

    table = Table(header_style="bold")
    for column in ("environment", "scenarios", "users", "states", "what it is"):
        table.add_column(column)
    for world in worlds:
        states = str(len(world.initial_states))
        name, summary = Text(clean(world.name)), Text(clean(world.file.summary))
        table.add_row(name, str(len(world.scenarios)), ", ".join(world.file.kinds), states, summary)
    Console().print(table)


@envs_app.command("show")
def envs_show(name: Annotated[str, typer.Argument(help="An environment's name or folder.")], debug: DebugOption = False) -> None:
    """Show an environment: its states, its scenarios, how many initial states of each split.

    Example: influence envs show therapy-talk
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from influence.cli.plain import clean
    from influence.environments.loading import load_environment

    world = load_environment(name)
    console = Console()
    console.print(Text(clean(f"{world.file.title}: {world.file.summary}")))
    console.print(Text(clean(f"Folder: {world.folder}"), "dim"))
    states = Table(header_style="bold", title="states", title_justify="left")
    for column in ("state", "asks", "label → state", "injects"):
        states.add_column(column)
    for state_name, state in world.file.states.items():
        moves = ", ".join(f"{label} → {target}" for label, target in state.transitions.items()) or "(end)"
        injected = "\n".join(part.content for part in state.inject)
        states.add_row(state_name, Text(clean(state.question or "")), Text(clean(moves)), Text(clean(injected)))
    console.print(states)
    table = Table(header_style="bold", title="initial states", title_justify="left")
    for column in ("scenario", "what happens", "user", "train", "held out"):
        table.add_column(column)
    for scenario in world.scenarios.values():
        for kind in scenario.kinds:
            splits = [s.split for s in scenario.initial_states if s.kind == kind]
            title = Text(clean(scenario.file.title))
            table.add_row(scenario.name, title, kind, str(splits.count("train")), str(splits.count("heldout")))
    console.print(table)
    console.print(Text(clean(f"Next: influence simulate --env {name}")))


@envs_app.command("check")
def envs_check(
    names: Annotated[list[str] | None, typer.Argument(help="Environments or folders (default: all).")] = None,
    debug: DebugOption = False,
) -> None:
    """Check environments: every key, every variable, every transition. No model is needed.

    Example: influence envs check envs/therapy-talk
    """
    from influence.environments.loading import environment_names, load_environment
    from influence.errors import WorldError

    broken = []
    for name in names or environment_names():
        try:
            world = load_environment(name)
        except WorldError as error:
            broken.append(str(error))
        else:
            typer.echo(f"{name}: fine ({len(world.scenarios)} scenarios, {len(world.initial_states)} initial states)")
    if broken:
        raise WorldError("\n".join(broken))
