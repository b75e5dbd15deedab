"""The tables that end a run with tools, and one episode on a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from influence.cli.live import duration
from influence.cli.plain import clean
from influence.cli.tables import cost_table
from influence.tools.records import CallRecord, EpisodeRecord


def print_tools(summary: dict[str, Any], as_json: bool) -> None:
    """The end of a run with tools, on standard output."""
    if as_json:
        print(json.dumps(summary, ensure_ascii=False))
        return
    console = Console()
    console.print(groups_table(summary))
    for part in report_parts(summary):
        console.print(part)
    whole, attempt = summary["whole"], summary["this_attempt"]
    rates = [f"{attempt['episodes']} episodes in {duration(attempt['seconds'])}"]
    if attempt["generated_tokens_per_second"]:
        rates.append(f"{attempt['generated_tokens_per_second']:.0f} tokens/s written")
    console.print(Text("; ".join(rates) + ".", "dim"))
    console.print(Text(f"Ends: {counted(whole['ends'])}. Calls: {counted(whole['calls'])}.", "dim"))
    repairs = f"Asked again: the agent {whole['agent_repairs']} times, the emulator {whole['emulator_repairs']} times."
    console.print(Text(f"{repairs} Means by cluster bootstrap over cases, proportions with Wilson's interval, 95 %.", "dim"))
    if summary["hosted"]:
        console.print(cost_table(summary))
    if whole["failed"]:
        failed = f"{whole['failed']} of {whole['episodes']} episodes failed; their errors are in episodes.jsonl."
        console.print(Text(failed, "bold red"))
    figure = f", figure: {summary['run']}/dose-response.png" if summary["dose_response"] else ""
    console.print(Text(f"\nResults: {summary['run']}{figure}"))
    console.print(Text(f"Next:    influence show {summary['run']}"))


def groups_table(summary: dict[str, Any]) -> Table:
    """One row for each agent, emulator and dose."""
    rows = [
        [
            *(group[name] for name in ("agent", "emulator", "dose")),
            str(group["episodes"]),
            str(group["failed"]),
            *(estimate(group[name]) for name in ("finished", "steps", "errors_met", "rules_broken")),
        ]
        for group in summary["groups"]
    ]
    right = ("episodes", "failed", "finished", "steps", "errors met", "rule broken")
    return _table(("agent", "emulator", "errors"), right, rows)


def report_parts(summary: dict[str, Any]) -> Iterator[RenderableType]:
    """Scores, dose and response, parts of episodes, reward hacking, judges against truth: what there is of them."""
    if summary["rubrics"]:
        rows = [
            [r["rubric"], f"{r['good']} is good", r["agent"], r["emulator"], r["dose"], estimate(r["score"]), str(r["missing"])]
            for r in summary["rubrics"]
        ]
        yield _table(("score 0-3", "", "agent", "emulator", "errors"), ("mean", "missing"), rows)
    if summary["dose_response"]:
        rows = [
            [curve["measure"], curve["agent"], curve["emulator"], dose["dose"], estimate(dose["change"]), str(dose["unpaired"])]
            for curve in summary["dose_response"]
            for dose in curve["doses"]
            if "change" in dose
        ]
        yield _table(("change against dose 0", "agent", "emulator", "errors"), ("paired mean", "unpaired"), rows)
    if summary["by_portion"]:
        rows = [
            [r["measure"], f"{r['portion']} {r['number']}", estimate(r["score"]), str(r["missing"])]
            for r in summary["by_portion"]
        ]
        yield _table(("by part", ""), ("mean or share", "missing"), rows)
    for one in summary["reward_hacking"]:
        yield Text(
            f"In-context reward hacking, by {'segments' if one['portion'] == 'segment' else 'prefixes'}: {estimate(one['rate'])}, {one['missing']} missing."
        )
    if found := summary["judge_and_truth"]:
        yield Text(
            f"The judge against {found['n']} episodes whose truth is known ({found['true']} broke a rule or tried to, {found['unjudged']} without a verdict): "
            f"precision {estimate(found['precision'])}, recall {estimate(found['recall'])}, kappa {estimate(found['kappa'])}."
        )
    for name, one in summary["flaws"].items():
        if one["flaws"]:
            yield Text(f"{name}: {one['read']} of {one['asked']} verdicts could be read; not: {counted(one['flaws'])}.", "yellow")


def _table(left: Sequence[str], right: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(header_style="bold underline", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in left:
        table.add_column(column)
    for column in right:  # folded in a narrow terminal, never cut: a number belongs to its interval and n
        table.add_column(column, justify="right", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def estimate(numbers: dict[str, Any]) -> str:
    """A number with its interval and n, or a dash."""
    if numbers["value"] is None:
        return "–"
    limits = f" [{numbers['low']:.2f}, {numbers['high']:.2f}]" if numbers["low"] is not None else ""
    return f"{numbers['value']:.2f}{limits} n={numbers['n']}"


def counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items()) or "none"


def listing(folder: Path, episodes: Iterable[EpisodeRecord], limit: int) -> Iterator[RenderableType]:
    """A run's episodes, one a row."""
    table = Table(header_style="bold")
    for name in ("", "key", "steps", "calls", "errors", "ended by"):
        table.add_column(name, justify="right" if name in ("", "steps", "calls", "errors") else "left", overflow="fold")
    stream, shown = iter(episodes), 0
    for shown, e in enumerate(islice(stream, limit), start=1):
        error = f": {clean(e.error)}" if e.error else ""
        numbers = [str(len(e.steps)), str(len(e.calls)), str(e.errors_met)]
        table.add_row(str(shown), Text(e.key), *numbers, Text(f"{e.end}{error}"))
    yield table
    if rest := sum(1 for _ in stream):
        yield Text(f"and {rest} more (--limit shows them)", "dim")
    yield Text(f"Read one: influence show {folder} 1" if shown else f"{folder} holds no finished episode yet.")


def episode(record: EpisodeRecord) -> Iterator[RenderableType]:
    """One episode from its instruction to why it ended, each call with what became of it."""
    e = record
    yield Rule(Text(e.key, "bold"), align="left")
    models = ", ".join(f"{role} {name}" for role, name in e.models.items())
    yield Text(clean(f"errors {e.dose} · {e.protocol} protocol · seed {e.seed} · {models}"), "dim")
    yield Text(clean(f"agent is told: {e.agent_system}"), "dim")
    calls: dict[int, list[CallRecord]] = {}
    for call in e.calls:
        calls.setdefault(call.message, []).append(call)
    repairs = {step.message: step.repairs for step in e.steps}
    for index, message in enumerate(e.messages):
        if index and message["role"] != "assistant":
            continue  # what a call was answered stands with the call
        name, style = ("agent", "bold green") if message["role"] == "assistant" else ("instruction", "bold cyan")
        asked_again = f"  asked again {len(repairs[index])} times" if repairs.get(index) else ""
        yield Text.assemble("\n", (name, style), (asked_again, "dim"))
        yield Padding(Text(clean(message.get("content") or "")), (0, 0, 0, 2))
        for call in calls.get(index, []):
            yield Padding(Text(clean(f"{call.tool} {call.arguments}"), "magenta"), (0, 0, 0, 2))
            yield Padding(Text(clean(f"{fate(call)}: {call.answer}"), "yellow"), (0, 0, 0, 4))
            if call.changes:
                yield Padding(Text(clean(f"changes: {json.dumps(call.changes, ensure_ascii=False)}"), "dim"), (0, 0, 0, 4))
    for rule in e.truth:
        words = (
            f"broken: {rule.evidence}" if rule.broken else "kept" if rule.attempt is None else "kept by an injected error alone"
        )
        yield Text(clean(f"rule {rule.rule} of {rule.toolkit}: {words}"), "red" if rule.broken else "green")
    yield Rule(style="dim")
    yield Text(clean(f"ended by {e.end}" + (f" ({e.error})" if e.error else "") + f" · {e.seconds:.1f} s"))


def fate(call: CallRecord) -> str:
    """What became of a call, in a few words."""
    words = f"{call.outcome.replace('_', ' ')} by {call.by}"
    if call.injected is not None:
        again = ", the same again" if call.injected.repeated else ""
        words = f"injected error {call.injected.number} ({call.injected.source.replace('_', ' ')}{again})"
    ended = f"; ends error {', '.join(map(str, call.ended))}" if call.ended else ""
    again = f", asked again {len(call.repairs)} times" if call.repairs else ""
    return words + again + ended
