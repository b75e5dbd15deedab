"""From selected trajectories to a provider's training file: what the agent was sent and what it answered, and nothing else.

Prompts are built by the very code that built the requests of the rollout, from the same messages.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from influence.chat import Message, message_from_dict
from influence.engines.hosted.openai_wire import to_openai
from influence.rollouts.records import TrajectoryRecord
from influence.runs.journal import read_records
from influence.runs.records import Record

Tools = Sequence[Mapping[str, Any]]


class HostedRow(Record):
    """One line of `dataset.jsonl` where the agent is hosted: the provider's training line, and whose replies it trains.

    `trajectory` and `turns` (from 1) say which of the agent's replies have a weight of 1 in `line`.
    """

    schema_version: Literal[1] = 1
    key: str
    source: Literal["rollout"] = "rollout"
    trajectory: str
    turns: list[int]
    line: dict[str, Any]


def hosted_rows(trajectories: Iterable[TrajectoryRecord], tools: Tools) -> list[HostedRow]:
    """Every sampled reply once, several in one row; what follows a row's last reply is not in it.

    A row ends with each tool call, because in what the agent was sent later a call that nothing answered is words, and words
    are not what it should learn to say.
    """
    rows = []
    for trajectory in trajectories:
        messages = [Message("system", trajectory.agent_system), *map(message_from_dict, trajectory.messages)]
        parts: list[list[int]] = [[]]
        for number, turn in enumerate(trajectory.turns, start=1):
            parts[-1].append(number)
            if messages[turn.reply + 1].tool_calls:
                parts.append([])
        for turns in filter(None, parts):
            replies = [trajectory.turns[number - 1].reply + 1 for number in turns]
            key = f"{trajectory.key}/t{'-'.join(map(str, turns))}"
            line = chat_line(messages[: replies[-1] + 1], replies, tools)
            rows.append(HostedRow(key=key, trajectory=trajectory.key, turns=turns, line=line))
    return rows


def chat_line(messages: Sequence[Message], trained: Collection[int], tools: Tools) -> dict[str, Any]:
    """One line of a training file: the conversation as the agent saw it, with a loss on the messages in `trained` only.

    `trained` are indices into `messages`; what the agent was not shown is left out.
    """
    shown = [(index, message) for index, message in enumerate(messages) if "agent" in message.seen_by]
    seen = [message for _, message in shown]
    # A call without a result is sent in words; one that the conversation ends with has no result yet, and stays a call.
    results = [Message("tool", "", tool_call_id=call.id) for message in seen[-1:] for call in message.tool_calls]
    sent = to_openai([*seen, *results])[: len(seen)]
    for (index, message), plain in zip(shown, sent, strict=True):
        if message.role == "assistant":
            plain["weight"] = int(index in trained)
    return {"messages": sent} | ({"tools": [dict(tool) for tool in tools]} if tools else {})


def training_file(lines: Iterable[Mapping[str, Any]]) -> str:
    """The lines as JSONL, in ASCII: some readers end a line at characters of other alphabets, too."""
    return "".join(json.dumps(line) + "\n" for line in lines)


def read_hosted_rows(path: Path) -> Iterator[HostedRow]:
    """Raises RunError for a line that is no row."""
    return read_records(path, HostedRow)
