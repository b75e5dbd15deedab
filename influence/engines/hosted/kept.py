"""Answers as the cache keeps them: JSON, with the usage of the first time, which costs nothing the second."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from influence.chat import ToolCall
from influence.engines.base import Completion, Finish, LabelLogprobs, Usage


def from_completion(completion: Completion) -> dict[str, Any]:
    """What is kept of a reply."""
    return {
        "text": completion.text,
        "finish": completion.finish,
        "tool_calls": [(c.id, c.name, c.arguments) for c in completion.tool_calls],
        "usage": completion.usage.to_dict(),
    }


def to_completion(record: Mapping[str, Any]) -> Completion:
    """The reply that was kept."""
    calls = tuple(ToolCall(*call) for call in record["tool_calls"])
    return Completion(record["text"], Finish(record["finish"]), _free(record["usage"]), tool_calls=calls)


def from_labels(read: LabelLogprobs) -> dict[str, Any]:
    """What is kept of labels' probabilities."""
    return {"logprobs": read.logprobs, "at_most": read.at_most, "hidden": read.hidden, "usage": read.usage.to_dict()}


def to_labels(record: Mapping[str, Any]) -> LabelLogprobs:
    """The labels' probabilities that were kept."""
    return LabelLogprobs(record["logprobs"], _free(record["usage"]), record["at_most"], record["hidden"])


def _free(usage: Mapping[str, Any]) -> Usage:
    """The usage of an answer that was paid for before."""
    return Usage(**{**usage, "cost": 0.0, "unpriced": 0, "from_cache": usage["calls"]})
