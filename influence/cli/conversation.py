"""Conversations on a terminal. Whatever a model wrote is shown as plain text: no markup, no control characters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from rich.console import RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from influence.cli.plain import clean
from influence.cli.tool_tables import fate
from influence.rollouts.records import ScoreRecord, TrajectoryRecord, TransitionRecord, TurnRecord

SPEAKERS = {
    "user": ("user", "bold cyan"),
    "assistant": ("agent", "bold green"),
    "system": ("note", "bold yellow"),
    "tool": ("tool", "bold magenta"),
}


def listing(folder: Path, trajectories: Iterable[TrajectoryRecord], limit: int) -> Iterator[RenderableType]:
    """A run's conversations, one a row."""
    table = Table(header_style="bold")
    for name in ("", "key", "turns", "reward", "influence", "ended by"):
        table.add_column(name, justify="right" if name in ("", "turns", "reward", "influence") else "left", overflow="fold")
    stream = iter(trajectories)
    shown = 0
    for shown, t in enumerate(islice(stream, limit), start=1):
        error = f": {clean(t.error)}" if t.error else ""
        table.add_row(
            str(shown),
            Text(t.key),
            str(len(t.turns)),
            number(t.reward, 2),
            number(t.influence, 3),
            Text(f"{t.stop_reason}{error}"),
        )
    yield table
    rest = sum(1 for _ in stream)
    if rest:
        yield Text(f"and {rest} more (--limit shows them)", "dim")
    yield Text(f"Read one: influence show {folder} 1" if shown else f"{folder} holds no finished conversation yet.")


def conversation(trajectory: TrajectoryRecord) -> Iterator[RenderableType]:
    """One conversation from its first message to why it ended, each reply with its scores."""
    t = trajectory
    yield Rule(Text(t.key, "bold"), align="left")
    models = ", ".join(f"{role} {name}" for role, name in t.models.items())
    yield Text(clean(f"{t.split} · seed {t.seed} · {models}"), "dim")
    yield Text(clean(f"agent is told: {t.agent_system}"), "dim")
    turns = {turn.reply: (n, turn) for n, turn in enumerate(t.turns, start=1)}
    for index, message in enumerate(t.messages):
        name, style = SPEAKERS.get(message["role"], (message["role"], "bold"))
        marks = [
            mark for mark, there in (("injected", message.get("injected")), ("opening", index < _opening_length(t))) if there
        ]
        seen = message.get("seen_by")
        marks += [f"seen by {', '.join(seen)}"] if seen else []
        yield Text.assemble("\n", (name, style), (f"  {', '.join(marks)}" if marks else "", "dim"))
        yield Padding(Text(clean(message.get("content") or "")), (0, 0, 0, 2))
        for call in message.get("tool_calls", ()):
            yield Padding(
                Text(clean(f"calls {call['function']['name']} {call['function']['arguments']}"), "magenta"), (0, 0, 0, 2)
            )
        if index in turns:
            yield Padding(Text(scores(*turns[index]), "yellow"), (0, 0, 0, 2))
    yield Rule(style="dim")
    ended = f"ended by {t.stop_reason}" + (f" ({clean(t.error)})" if t.error else "")
    if t.preference is not None:
        ended += f" · whole conversation rated {score(t.preference, 2)}"
    yield Text(f"{ended} · reward {number(t.reward, 2)} · influence {number(t.influence, 3)} · {t.seconds:.1f} s")


def _opening_length(trajectory: TrajectoryRecord) -> int:
    return trajectory.turns[0].reply if trajectory.turns else len(trajectory.messages)


def scores(turn_number: int, turn: TurnRecord) -> str:
    """A turn's scores in one line."""
    parts = [f"turn {turn_number}"]
    if turn.preference is not None:
        parts.append(f"preference {score(turn.preference, 2)}")
    if turn.influence is not None:
        parts.append(f"influence {score(turn.influence, 3)}")
    if turn.transition is not None:
        parts.append(f"next {_transition(turn.transition)} → {turn.state}")
    parts += [f"{call.tool}: {fate(call)}" for call in turn.calls]
    if turn.finish == "length":
        parts.append("cut at the token limit")
    return " · ".join(parts)


def _transition(transition: TransitionRecord) -> str:
    if transition.label is None:
        return f"missing ({_reason(transition)})"
    probability = (transition.distribution or {}).get(transition.label)
    note = f" ({_reason(transition)})" if transition.reason else ""
    return f"`{clean(transition.label)}`" + (f" p={probability:.2f}" if probability is not None else "") + note


def _reason(record: ScoreRecord) -> str:
    return clean(record.reason or "no reason")


def score(record: ScoreRecord, digits: int) -> str:
    """A score with how much of the model's probability its labels held."""
    if record.value is None:
        return f"missing ({_reason(record)})"
    return f"{record.value:.{digits}f} (label mass {record.label_mass:.2f})"


def number(value: float | None, digits: int) -> str:
    return f"{value:.{digits}f}" if value is not None else "–"
