"""A conversation as text for an outside reader: one line of speech after the other, growing only at its end.

Continuation lines are indented, so that no speaker can write a line that looks like somebody else's.
"""

from __future__ import annotations

from collections.abc import Sequence

from influence.chat import Message, visible_to

INDENT = "\n  "


def transcript(
    messages: Sequence[Message], user_label: str = "User", agent_label: str = "Assistant", tool_calls: bool = True
) -> str:
    """What judges may see of the messages. A longer conversation's transcript begins with a shorter one's."""
    labels = {"user": user_label, "assistant": agent_label, "system": "Note", "tool": "Tool result"}
    lines = []
    for message in visible_to("judges", messages):
        if message.role == "tool" and not tool_calls:
            continue
        if message.content or not message.tool_calls:
            lines.append(_line(labels[message.role], message.content))
        if tool_calls:
            lines += [_line(f"{agent_label} (tool call)", f"{call.name} {call.arguments}") for call in message.tool_calls]
    return "".join(lines)


def _line(label: str, text: str) -> str:
    return f"{label}: {INDENT.join(text.strip().splitlines())}\n"
