"""`influence cache`: how large the cache of hosted models' answers is, and emptying it."""

from __future__ import annotations

import typer

from influence.cli.options import DebugOption, JsonOption


def add_to(app: typer.Typer) -> None:
    group = typer.Typer(invoke_without_command=True, rich_markup_mode=None)
    group.callback()(show)
    group.command()(clear)
    app.add_typer(group, name="cache")


def show(context: typer.Context, as_json: JsonOption = False, debug: DebugOption = False) -> None:
    """Show how many answers of hosted models are kept, by model.

    Runs that ask the same questions again (same models, prompts and seeds) take them from there for free.

    Example: influence cache
    """
    if context.invoked_subcommand is not None:
        return
    from influence.engines.hosted.cache import cache_path, contents

    path = cache_path()
    held = contents(path)
    size = sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*"))
    if as_json:
        import json
        from dataclasses import asdict

        print(json.dumps({"path": str(path), "bytes": size, "models": [asdict(model) for model in held]}))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if held:
        table = Table(header_style="bold underline", box=None, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column("model")
        table.add_column("answers", justify="right")
        table.add_column("MB", justify="right")
        for model in held:
            table.add_row(Text(model.model), f"{model.answers:,}", f"{model.bytes / 1e6:.1f}")
        console.print(table)
    console.print(Text(f"{sum(model.answers for model in held):,} answers, {size / 1e6:.1f} MB on disk: {path}"))
    if held:
        console.print(Text("Empty it: influence cache clear"))


def clear(debug: DebugOption = False) -> None:
    """Forget all answers that are kept.

    Example: influence cache clear
    """
    from influence.engines.hosted import cache

    count = cache.clear(cache.cache_path())
    typer.echo(f"{count:,} answers forgotten.")
