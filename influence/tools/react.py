"""Tool calls in plain text, for agents whose engine has no native form: a thought, an action, its input (ReAct, Yao et al. 2022).

Parsing never raises and never guesses: a text is one of four things, and what cannot be read says why, so that the agent can
be asked once more.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

ACTION, INPUT, FINAL, GIVE_UP, THOUGHT, RESULT = "Action", "Input", "Final answer", "Give up", "Thought", "Result"
_LABEL = re.compile(rf"^[ \t]*({ACTION}|{INPUT}|{FINAL}|{GIVE_UP}|{THOUGHT}|{RESULT})[ \t]*:[ \t]*", re.IGNORECASE | re.MULTILINE)
_FENCE = re.compile(r"^```\w*\n?|\n?```$")


@dataclass(frozen=True, slots=True)
class Act:
    """The agent calls a tool. `arguments` is the text that it wrote, `end` where the read part of its message ends."""

    thought: str
    tool: str
    arguments: str
    end: int


@dataclass(frozen=True, slots=True)
class Answer:
    """The agent is done, or gives up."""

    thought: str
    text: str
    gave_up: bool
    end: int


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The message is neither."""

    reason: str


Move = Act | Answer | Unreadable


def parse(text: str) -> Move:
    """The first move in a message. What the agent writes behind it, such as a result of its own invention, is not read."""
    labels = list(_LABEL.finditer(text))
    named = {label: _name(match) for label, match in enumerate(labels)}
    first = next((n for n, name in named.items() if name in (ACTION, FINAL, GIVE_UP)), None)
    if first is None:
        return Unreadable(f"there is neither `{ACTION}:` nor `{FINAL}:` nor `{GIVE_UP}:` in it.")
    thought = _thought(text, labels, first)
    body, end = _part(text, labels, first)
    if named[first] != ACTION:
        # an answer is everything to the end: it may have lines that look like labels
        return Answer(thought, text[labels[first].end() :].strip(), named[first] == GIVE_UP, len(text))
    tool = body.strip("`\"'[] ")
    if not tool or "\n" in tool:
        return Unreadable(f"behind `{ACTION}:` there must be the name of one tool, and nothing else.")
    if named.get(first + 1) != INPUT:
        return Unreadable(f"the line `{ACTION}:` must be followed by `{INPUT}:` with the arguments as JSON.")
    arguments, end = _part(text, labels, first + 1)
    return Act(thought, tool, _FENCE.sub("", arguments).strip(), end)


def _name(match: re.Match[str]) -> str:
    found = match[1].lower()
    return next(name for name in (ACTION, INPUT, FINAL, GIVE_UP, THOUGHT, RESULT) if name.lower() == found)


def _part(text: str, labels: list[re.Match[str]], number: int) -> tuple[str, int]:
    """What stands behind a label, and where it ends."""
    end = labels[number + 1].start() if number + 1 < len(labels) else len(text)
    part = text[labels[number].end() : end]
    return part.strip(), labels[number].end() + len(part.rstrip())


def _thought(text: str, labels: list[re.Match[str]], first: int) -> str:
    """What the agent wrote before its move, without the label."""
    return _LABEL.sub("", text[: labels[first].start()]).strip()
