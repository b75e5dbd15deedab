"""`influence doctor`: what this machine offers, and what to install."""

from __future__ import annotations

import typer

from influence.cli.options import DebugOption, JsonOption


def add_to(app: typer.Typer) -> None:
    app.command()(doctor)


def doctor(as_json: JsonOption = False, debug: DebugOption = False) -> None:
    """Say what this machine offers (devices, engine, models, keys by name only) and what to install.

    Example: influence doctor
    """
    from influence.engines.health import examine

    findings = examine()
    if as_json:
        import json

        print(json.dumps([finding.to_dict() for finding in findings]))
    else:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(header_style="bold", show_lines=False)
        for column in ("", "what", "found"):
            table.add_column(column)
        for finding in findings:
            mark = Text("ok", "green") if finding.ok else Text("!!", "bold red") if finding.needed else Text("–", "dim")
            table.add_row(mark, finding.what, Text(finding.found + (f"\n{finding.remedy}" if finding.remedy else "")))
        Console().print(table)
    if not all(finding.ok for finding in findings if finding.needed):
        raise typer.Exit(1)
