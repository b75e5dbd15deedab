"""`influence simulate`: simulated users talk to an agent, and every reply is scored."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from influence.cli.options import (
    DebugOption,
    GpusOption,
    JsonOption,
    MaxCostOption,
    NameOption,
    NoCacheOption,
    OutOption,
    PresetArgument,
    SeedOption,
    SetOption,
    option_layers,
    parse_gpus,
)

INTERRUPTED = 130  # what a shell gives for Ctrl-C


def add_to(app: typer.Typer) -> None:
    app.command()(simulate)


def simulate(
    preset: PresetArgument = "simulate",
    env: Annotated[str | None, typer.Option("--env", help="The environment: a name (`influence envs`) or a folder.")] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="The model of every role. For one role alone: --set models.agent=…")
    ] = None,
    conversations: Annotated[int | None, typer.Option("--conversations", "-n", help="How many conversations.")] = None,
    turns: Annotated[int | None, typer.Option("--turns", help="Agent replies in each (default: the environment's).")] = None,
    gpus: GpusOption = None,
    seed: SeedOption = None,
    out: OutOption = None,
    name: NameOption = None,
    max_cost: MaxCostOption = None,
    no_cache: NoCacheOption = False,
    settings: SetOption = None,
    log_calls: Annotated[
        bool, typer.Option("--log-calls", help="Keep every prompt and answer as token ids, in calls.jsonl.")
    ] = False,
    wandb: Annotated[bool, typer.Option("--wandb", help="Log to wandb too, offline unless tracking.wandb says online.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Only go on with an unfinished run; never begin a new one.")] = False,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Let simulated users talk to an agent, and score every reply.

    The same command on an unfinished run goes on with it.

    Example: influence simulate --env therapy-talk --conversations 64
    """
    from influence.config.commands import SimulateConfig
    from influence.config.layers import file_layers, resolve, set_layer

    layers = [*file_layers(preset), *(set_layer(assignment) for assignment in settings or []), *_model_layer(model)]
    layers += option_layers(
        [
            ("--env", "environment.name", env),
            ("--conversations", "rollout.conversations", conversations),
            ("--turns", "rollout.turns", turns),
            ("--gpus", "engine.gpus", parse_gpus(gpus) if gpus is not None else None),
            ("--seed", "seed", seed),
            ("--out", "run.out", out),
            ("--name", "run.name", name),
            ("--max-cost", "budget.max_cost", max_cost),
            ("--no-cache", "hosted.cache", False if no_cache else None),
            ("--log-calls", "tracking.log_calls", True if log_calls else None),
            ("--wandb", "tracking.wandb", "offline" if wandb and not _wandb_set(layers) else None),
        ]
    )
    _run(resolve(SimulateConfig, layers), preset, resume, as_json)


def _model_layer(model: str | None) -> list[Any]:
    """`--model` names the model of every role, and puts aside what lower layers say of single ones."""
    from influence.config.layers import Layer
    from influence.config.model_names import parse_model_name
    from influence.errors import ConfigError

    if model is None:
        return []
    try:
        parse_model_name(model)
    except ValueError as error:
        raise ConfigError(f"--model: {error}") from None
    roles = {"agent": model, "user": model, "judge": model, "preference": None, "transition": None, "influence": None}
    return [Layer("--model", {"models": roles})]


def _wandb_set(layers: list[Any]) -> bool:
    """Whether the layers turn wandb on already. A `tracking` that is no table is reported later."""
    tables = [layer.data["tracking"] for layer in layers if isinstance(layer.data.get("tracking"), dict)]
    return next((table["wandb"] != "off" for table in reversed(tables) if "wandb" in table), False)


def _run(config: Any, preset: str, resume: bool, as_json: bool) -> None:
    from pathlib import Path

    from influence.cli.live import watched
    from influence.cli.signals import run_until_signal
    from influence.cli.tables import print_summary
    from influence.rollouts.progress import Progress
    from influence.rollouts.simulation import prepare, simulate
    from influence.runs.chatter import chatter_to
    from influence.runs.folder import open_run

    simulation = prepare(config)
    default_name = Path(preset).stem if Path(preset).stem != "config" else config.command
    try:
        with open_run(config, default_name, must_resume=resume) as run:
            progress = Progress(total=len(simulation.planned))
            with chatter_to(run.log_path) as terminal, watched(progress, terminal.err, run, config.models.by_role()):
                outcome = run_until_signal(simulate(simulation, run, progress))
    except KeyboardInterrupt:  # Typer would take it and say "Aborted!"
        typer.echo("influence: interrupted. What was finished is kept; the same command goes on from there.", err=True)
        raise typer.Exit(INTERRUPTED) from None
    print_summary(outcome.summary, as_json)
    if outcome.too_many_failed:
        raise typer.Exit(1)
