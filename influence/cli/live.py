"""The live panel: what is done, what runs, how fast, how long still. Without a terminal, a plain line now and then."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from influence.rollouts.progress import Progress
from influence.runs.folder import RunFolder

PLAIN_EVERY = 10.0  # seconds


@contextmanager
def watched(progress: Progress, stream: TextIO, run: RunFolder, models: Mapping[str, str]) -> Iterator[None]:
    """Show the progress on `stream` until the block ends."""
    console = Console(file=stream)
    if run.resumed:
        console.print(Text(f"Going on with {run.path} (attempt {run.attempt.number})."))
    if console.is_terminal:
        with Live(get_renderable=lambda: panel(progress, run, models), console=console, refresh_per_second=4, transient=True):
            yield
        return
    stop = threading.Event()
    writer = threading.Thread(target=_lines, args=(progress, stream, run, stop), daemon=True)
    writer.start()
    try:
        yield
    finally:
        stop.set()
        writer.join()


def _lines(progress: Progress, stream: TextIO, run: RunFolder, stop: threading.Event) -> None:
    print(f"{run.path}: {progress.phase}", file=stream, flush=True)
    while not stop.wait(PLAIN_EVERY):
        print(line(progress), file=stream, flush=True)


def line(progress: Progress) -> str:
    """The progress in one line."""
    if progress.phase.startswith("training"):
        return ": ".join(part for part in (progress.title, progress.phase, progress.note or duration(progress.seconds)) if part)
    parts = [
        f"{f'{progress.title}: ' if progress.title else ''}{progress.phase}: {progress.kept + progress.done} of {progress.total} {progress.things}",
        f"{progress.running} running",
    ]
    parts.append(f"{progress.turns} {progress.parts}")
    if progress.failed:
        parts.append(f"{progress.failed} failed")
    generated = sum(u.completion_tokens for u in progress.recent.values())
    if progress.seconds > 0 and generated:
        parts.append(f"{generated / progress.seconds:.0f} tokens/s")
    if progress.cost:
        parts.append(f"${progress.cost:.2f}")
    faults = troubles(progress.hosted())
    if faults:
        parts.append(faults)
    if progress.seconds_left is not None:
        parts.append(f"{duration(progress.seconds_left)} left")
    return ", ".join(parts)


def troubles(hosted: Mapping[str, Any]) -> str:
    """What went wrong with requests to hosted models so far, in a few words."""
    kinds: Counter[str] = Counter()
    for provider in hosted.values():
        kinds.update(provider["faults"])
    return (
        f"failed requests: {', '.join(f'{n} {kind.replace(chr(95), chr(32))}' for kind, n in kinds.most_common())}"
        if kinds
        else ""
    )


def panel(progress: Progress, run: RunFolder, models: Mapping[str, str]) -> RenderableType:
    """The progress as a panel."""
    ended = progress.kept + progress.done
    counts = Text()
    counts.append(f"{ended}", "bold")
    counts.append(f" of {progress.total} {progress.things}   {progress.running} running   ")
    counts.append(f"{progress.failed} failed", "bold red" if progress.failed else "dim")
    counts.append(f"   {progress.turns} {progress.parts}")
    hosted = progress.hosted()
    priced = bool(hosted)
    table = Table(box=None, pad_edge=False, show_header=True, header_style="dim")
    for name, justify in (
        ("role", "left"),
        ("model", "left"),
        ("calls", "right"),
        ("written/s", "right"),
        ("read/s", "right"),
        ("cached", "right"),
        *((("cost", "right"),) if priced else ()),
    ):
        table.add_column(name, justify=justify)
    seconds = max(progress.seconds, 1e-6)
    for role, model in models.items():
        used = progress.recent.get(role)
        if used is not None:
            cached = f"{used.cached_tokens / used.prompt_tokens:.0%}" if used.prompt_tokens else ""
            read = used.prompt_tokens - used.cached_tokens
            rates = [f"{used.completion_tokens / seconds:.0f}", f"{read / seconds:.0f}"]
            table.add_row(role, Text(model), f"{used.calls}", *rates, cached, *([money(used.to_dict())] if priced else []))
    left = progress.seconds_left
    hits = progress.cache_hit_rate
    foot = Text(f"{progress.phase}, {duration(progress.seconds)}", "dim")
    if left is not None:
        foot.append(f"   {duration(left)} left", "bold")
    if hits is not None:
        foot.append(f"   prefix cache {hits:.0%}", "dim")
    if priced:
        foot.append(f"   ${progress.cost:.4g}", "bold")
    faults = troubles(hosted)
    if faults:
        foot.append(f"\n{faults}", "yellow")
    if progress.note:
        foot.append(f"\n{progress.note}")
    bar = ProgressBar(total=max(1, progress.total), completed=ended, width=60)
    return Panel(
        Group(counts, Padding(bar, (0, 0, 1, 0)), table, foot),
        title=Text(f"{run.path}{f' · {progress.title}' if progress.title else ''}"),
        title_align="left",
        expand=False,
    )


def money(used: Mapping[str, Any]) -> str:
    """What some calls cost: "$0.0123", "unknown" where nobody has said, "over $0.0123" where some of them have no price."""
    if used["unpriced"] and not used["cost"]:
        return "unknown"
    return f"{'over ' if used['unpriced'] else ''}${used['cost']:.4f}"


def duration(seconds: float) -> str:
    """Seconds as people say them: 45 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
