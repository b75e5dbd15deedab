"""From a conversation's scores to one reward and one influence number. Pure; nothing missing becomes a zero."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

PENALTY_UNIT = 1000  # characters


def reward(
    ratings: Sequence[float | None], over: Literal["mean", "last"], own_characters: int, length_penalty: float
) -> float | None:
    """The mean or the last rating, less `length_penalty` points for each 1,000 characters of the agent's own text.

    None if a rating that counts is missing. Injected and simulated text does not count towards the length.
    """
    counted = list(ratings) if over == "mean" else list(ratings[-1:])
    values = [r for r in counted if r is not None]
    if not values or len(values) < len(counted):
        return None
    return sum(values) / len(values) - length_penalty * own_characters / PENALTY_UNIT


def mean_influence(scores: Sequence[float | None]) -> float | None:
    """The mean influence over the turns, in 0..1; None if there is none, or one of them is missing."""
    values = [s for s in scores if s is not None]
    return sum(values) / len(values) if values and len(values) == len(scores) else None
