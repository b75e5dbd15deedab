"""The end of a training run on the terminal: a table by iteration, a sentence an arm, where the time went, what to do next."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from influence.cli.live import duration
from influence.cli.tables import interval
from influence.training.summary import signed

Column = tuple[str, str, int]  # key of a measurement, heading, digits
LIKED: tuple[Column, ...] = (("reward", "reward", 2), ("influence", "influence", 2), ("vetoed", "over veto", 2))
SHAPE: tuple[Column, ...] = (
    ("length", "characters a reply", 0),
    ("distinct_2", "distinct-2", 2),
    ("kl_to_base", "nats a token", 3),
)


def print_training(summary: Mapping[str, Any], as_json: bool) -> None:
    """The end of a training run, on standard output."""
    if as_json:
        print(json.dumps(summary, ensure_ascii=False))
        return
    console = Console()
    for arm in summary["arms"]:
        tables = [arm_table(arm, LIKED, with_missing=True), arm_table(arm, SHAPE), kinds_table(arm)]
        for table in filter(None, tables):
            console.print(table)
            console.print()
    console.print(
        Text(
            "All on held-out states, with 95 % intervals by cluster bootstrap over initial states (Wilson for shares). Over veto: the "
            "share of conversations over the veto's threshold, 0.5 without one. nats a token: how far the agent is from its base model.",
            "dim",
        )
    )
    for sentence in summary["sentences"]:
        console.print(Text(sentence, "bold"))
    for group in summary["over_seeds"]:
        console.print(Text(over_seeds_line(group), "bold"))
    spent = summary["time"]
    phases = ", ".join(f"{phase} {duration(took)}" for phase, took in sorted(spent["phases"].items(), key=lambda item: -item[1]))
    outside = f"; {spent['outside']:.0%} outside rollouts and the trainer's own work" if spent["outside"] is not None else ""
    console.print(Text(f"{duration(spent['this_attempt'])}. All attempts: {phases}{outside}.", "dim"))
    failed = sum(one["heldout"]["failed"] for arm in summary["arms"] for one in arm["iterations"])
    if failed:
        console.print(Text(f"{failed} held-out conversations failed; their errors are in heldout.jsonl.", "bold red"))
    last = summary["arms"][0]["iterations"][-1]["agent"]
    console.print(Text(f"\nResults: {summary['run']}, figure: {summary['run']}/training.png"), soft_wrap=True)
    console.print(Text(f"Next:    influence simulate --set models.agent={last}"), soft_wrap=True)


def arm_table(arm: Mapping[str, Any], columns: Sequence[Column], with_missing: bool = False) -> Table:
    """A row for each measured iteration."""
    table = _table()
    title = arm["name"] or "iteration"
    table.add_column(f"{title}{' (by lot)' if arm['control'] else ''}", justify="right", no_wrap=True)
    table.add_column("n", justify="right", no_wrap=True)
    for _, heading, _ in columns:
        table.add_column(heading, justify="right", no_wrap=True)
    if with_missing:
        table.add_column("missing", justify="right")
    for one in arm["iterations"]:
        heldout = one["heldout"]
        cells = [_cell(heldout[key], digits) for key, _, digits in columns]
        missing = [", ".join(f"{count} {name}" for name, count in heldout["missing"].items() if count) or "none"]
        table.add_row(str(one["iteration"]), str(heldout["conversations"]), *cells, *(missing if with_missing else []))
    return table


def kinds_table(arm: Mapping[str, Any]) -> Table | None:
    """Reward and influence by kind of user, untrained and last. None where there is one kind only."""
    first, last = arm["iterations"][0], arm["iterations"][-1]
    if len(first["heldout"]["by_kind"]) < 2:
        return None
    table = _table()
    table.add_column("kind of user")
    table.add_column("iteration", justify="right")
    for _, heading, _ in LIKED:
        table.add_column(heading, justify="right", no_wrap=True)
    for kind in first["heldout"]["by_kind"]:
        for one in (first, last):
            cells = [_cell(one["heldout"]["by_kind"][kind][key], digits) for key, _, digits in LIKED]
            table.add_row(Text(kind), str(one["iteration"]), *cells)
    return table


def over_seeds_line(group: Mapping[str, Any]) -> str:
    """The mean change over several seeds."""
    change = group["change"]["reward"]
    who = "Controls over seeds" if group["control"] else "Over seeds"
    if change["low"] is None:
        return f"{who}: the change of held-out reward is known for {change['n']} seed(s) only."
    return f"{who}: mean change of held-out reward {signed(change)} (t interval, n = {change['n']} seeds)."


def _table() -> Table:
    return Table(header_style="bold underline", box=None, pad_edge=False, padding=(0, 2, 0, 0))


def _cell(estimate: Mapping[str, Any] | None, digits: int) -> Text:
    return Text(interval(dict(estimate), digits) if estimate is not None else "–")
