"""One line of `trajectories.jsonl`: a whole conversation with every score, readable on its own."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from influence.engines.base import Usage
from influence.judges.scores import Score
from influence.runs.records import Record, UsageRecord
from influence.tools.records import CallRecord

SCHEMA_VERSION = 1


class StopReason(StrEnum):
    """Why a conversation ended. The first four are ordinary; the last two are failures of the world around it."""

    TERMINAL = "terminal"  # the state machine reached an end
    TURN_LIMIT = "turn_limit"
    TOKEN_LIMIT = "token_limit"
    CALL_LIMIT = "call_limit"  # the agent went on calling tools instead of answering the user
    REFUSED = "refused"  # the provider refused, not the agent in character
    AGENT_FAILED = "agent_failed"  # the request to the agent's model failed
    SIMULATOR_FAILED = "simulator_failed"  # user or transition judge failed: never counted against the agent


FAILURES = (StopReason.AGENT_FAILED, StopReason.SIMULATOR_FAILED)


class ScoreRecord(Record):
    """A judge's answer; where `value` is null and no label was taken, `reason` says why."""

    value: float | None
    distribution: dict[str, float] | None
    label_mass: float | None
    method: Literal["logprobs", "samples", "stated"] | None
    reason: str | None = None
    bounds: tuple[float, float] | None = None
    answers: int | None = None


class TransitionRecord(ScoreRecord):
    """`label` is what was taken; with one possible label nobody was asked and there is no distribution."""

    label: str | None


class TurnRecord(Record):
    """One message of the agent: `reply` is its index in `messages`, `state` where the conversation stood afterwards.

    A message that calls tools has `calls` and no scores: the user sees neither it nor the answers.
    `from_cache` are the roles whose answers in this turn came, at least in part, from the response cache.
    """

    reply: int
    finish: str
    preference: ScoreRecord | None
    transition: TransitionRecord | None
    influence: ScoreRecord | None
    state: str
    token_ids: list[int] | None
    from_cache: list[str] = []
    calls: list[CallRecord] = []


class TrajectoryRecord(Record):
    """One conversation. `preference` is set where the whole conversation was rated instead of its turns."""

    schema_version: Literal[1] = 1
    key: str
    environment: str
    scenario: str
    kind: str
    state: str
    split: Literal["train", "heldout"]
    sample: int
    iteration: int
    seed: int
    models: dict[str, str]
    variables: dict[str, str]
    agent_system: str
    messages: list[dict[str, Any]]
    turns: list[TurnRecord]
    preference: ScoreRecord | None
    reward: float | None
    influence: float | None
    stop_reason: StopReason
    error: str | None
    usage: dict[str, UsageRecord]
    started: float
    seconds: float

    @property
    def failed(self) -> bool:
        return self.stop_reason in FAILURES

    @property
    def parts(self) -> int:
        return len(self.turns)


def score_record(score: Score) -> ScoreRecord:
    distribution = dict(score.distribution) if score.distribution is not None else None
    return ScoreRecord(
        value=score.value,
        distribution=distribution,
        label_mass=score.label_mass,
        method=score.method,
        reason=score.reason,
        bounds=score.bounds,
        answers=score.answers,
    )


def usage_record(usage: Usage) -> UsageRecord:
    return UsageRecord(**usage.to_dict())
