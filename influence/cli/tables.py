"""The tables that end a command: numbers with their n and interval, what is missing beside them, and what to run next."""

from __future__ import annotations

import json
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from influence.cli.live import duration


def print_summary(summary: dict[str, Any], as_json: bool) -> None:
    """The end of a simulation, on standard output."""
    if as_json:
        print(json.dumps(summary, ensure_ascii=False))
        return
    console = Console()
    console.print(summary_table(summary))
    attempt, whole = summary["this_attempt"], summary["whole"]
    rates = [f"{attempt['conversations']} conversations in {duration(attempt['seconds'])}"]
    if attempt["generated_tokens_per_second"]:
        rates.append(f"{attempt['generated_tokens_per_second']:.0f} tokens/s written")
    if attempt["cache_hit_rate"] is not None:
        rates.append(f"{attempt['cache_hit_rate']:.0%} of prompt tokens from the prefix cache")
    if summary["computed_over_least_tokens"] is not None:
        rates.append(f"{summary['computed_over_least_tokens']:.3f} prompt tokens computed for each that had to be")
    console.print(Text("; ".join(rates) + ".", "dim"))
    console.print(Text("Means with 95 % intervals: cluster bootstrap over initial states.", "dim"))
    if whole["failed"]:
        failed = f"{whole['failed']} of {whole['conversations']} conversations failed; their errors are in trajectories.jsonl."
        console.print(Text(failed, "bold red"))
    console.print(Text(f"\nResults: {summary['run']}"))
    console.print(Text(f"Next:    influence show {summary['run']}"))


def summary_table(summary: dict[str, Any]) -> Table:
    """One row a scenario and kind of user, and one for the whole."""
    table = Table(header_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("scenario, user")
    table.add_column("n", justify="right", no_wrap=True)
    table.add_column("preference 1-10", justify="right", no_wrap=True)
    table.add_column("influence 0-1", justify="right", no_wrap=True)
    table.add_column("ended by")
    table.add_column("missing")
    for group in summary["groups"]:
        table.add_row(Text(f"{group['scenario']}, {group['kind']}"), *_cells(group))
    if len(summary["groups"]) > 1:
        table.add_section()
        table.add_row("all", *_cells(summary["whole"]), style="bold")
    return table


def _cells(group: dict[str, Any]) -> list[Text]:
    stops = ", ".join(f"{reason.replace('_', ' ')} {count}" for reason, count in group["stop_reasons"].items())
    lacking = ", ".join(f"{name} {count}" for name, count in group["missing"].items())
    return [
        Text(str(group["conversations"])),
        Text(interval(group["preference"], 2)),
        Text(interval(group["influence"], 2)),
        Text(stops),
        Text(lacking or "none"),
    ]


def interval(estimate: dict[str, Any], digits: int) -> str:
    """ "5.21 [5.02, 5.40]"; without an interval where one cluster is all there is, a dash where there is nothing."""
    if estimate["value"] is None:
        return "–"
    if estimate["low"] is None:
        return f"{estimate['value']:.{digits}f} [one state]"
    return f"{estimate['value']:.{digits}f} [{estimate['low']:.{digits}f}, {estimate['high']:.{digits}f}]"
