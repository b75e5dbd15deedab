"""A conversation as a small HTML page, for trackers that show pages beside curves. All text in it is escaped."""

from __future__ import annotations

from html import escape

from influence.rollouts.records import TrajectoryRecord

LABELS = {"user": "User", "assistant": "Agent", "system": "Note", "tool": "Tool"}


def conversation_page(trajectory: TrajectoryRecord) -> str:
    """Key, reward, influence, every message, and the rating of each reply."""
    ratings = {turn.reply: turn.preference for turn in trajectory.turns}
    parts = [
        f"<h3>{escape(trajectory.key)}</h3>",
        f"<p>reward {number(trajectory.reward)}, influence {number(trajectory.influence)}, {escape(trajectory.stop_reason)}</p>",
        f"<p><b>System</b> {escape(trajectory.agent_system)}</p>",
    ]
    for index, message in enumerate(trajectory.messages):
        words = escape(str(message.get("content") or "")).replace("\n", "<br>")
        calls = "".join(
            f"<br><code>{escape(call['function']['name'])} {escape(call['function']['arguments'])}</code>"
            for call in message.get("tool_calls") or ()
        )
        rating = ratings.get(index)
        told = f" <i>rated {number(rating.value)}</i>" if rating is not None else ""
        parts.append(f"<p><b>{LABELS[message['role']]}</b> {words}{calls}{told}</p>")
    return "\n".join(parts)


def number(value: float | None) -> str:
    return "missing" if value is None else f"{value:.2f}"
