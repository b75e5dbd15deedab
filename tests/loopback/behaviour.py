"""What the server does to whom: which fault the n-th request meets, and what an ordinary answer looks like.

Faults are drawn from the seed and the request's number alone, so that a run with the same requests meets the same faults.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b
from math import fsum

from pydantic import ConfigDict, TypeAdapter


class Fault(StrEnum):
    """What can go wrong with one request, on the wire, by a refusal, or in the answer."""

    RATE_LIMITED = "rate_limited"  # 429 that says nothing of when to come back
    RATE_LIMITED_WAIT = "rate_limited_wait"  # 429 with Retry-After and retry-after-ms
    SERVER_ERROR = "server_error"  # 500
    BAD_GATEWAY = "bad_gateway"  # 502 with a page of HTML
    OVERLOADED = "overloaded"  # Anthropic's 529, OpenAI's 503
    RESET = "reset"  # the connection is reset before any answer
    STALLED = "stalled"  # accepted and never answered
    TRICKLE = "trickle"  # a 200 whose body comes byte by byte and never ends
    TRUNCATED = "truncated"  # a complete 200 whose JSON breaks off
    EMPTY_CHOICES = "empty_choices"  # a 200 without an answer in it
    WRONG_SHAPE = "wrong_shape"  # a 200 of JSON that is no completion: a list, or (every other request) without its message
    BAD_TOOL_CALL = "bad_tool_call"  # a tool call that names no tool
    LENGTH = "length"  # an ordinary answer, cut in the middle
    CONTENT_FILTER = "content_filter"  # the provider withholds the answer
    NO_LABEL = "no_label"  # an ordinary text that has nothing to do with what was asked
    CONTEXT_TOO_LONG = "context_too_long"  # 400
    INVALID_KEY = "invalid_key"  # 401
    UNKNOWN_MODEL = "unknown_model"  # 404
    NO_CREDIT = "no_credit"  # OpenAI's 429 that no waiting helps, Anthropic's 400


IN_THE_ANSWER = frozenset(
    {
        Fault.TRUNCATED,
        Fault.EMPTY_CHOICES,
        Fault.WRONG_SHAPE,
        Fault.BAD_TOOL_CALL,
        Fault.LENGTH,
        Fault.CONTENT_FILTER,
        Fault.NO_LABEL,
    }
)


@dataclass(frozen=True)
class Behaviour:
    """One phase of the server. Everything is the same for both APIs, each of which says it in its own way."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    latency: float = 0.0
    """Seconds from a request's arrival to its answer, or to whatever happens instead."""
    faults: Mapping[Fault, float] = field(default_factory=dict)
    """The share of requests that meet each fault."""
    first: Sequence[Fault | None] = ()
    """What the first requests of this phase meet, in order, before the shares apply. None is an ordinary answer."""
    seed: int = 0
    retry_after: str | None = "0.01"
    """The header of RATE_LIMITED_WAIT, in seconds or a date; None leaves it out."""
    retry_after_ms: str | None = "5"
    trickle_every: float = 0.05
    key: str | None = None
    """The one key that is accepted; None accepts any and none."""
    echo_key: bool = False
    """Messages of errors repeat the key that was sent."""
    models: Sequence[str] | None = None
    """The models there are, and their list at GET /v1/models; None accepts any name and lists nothing."""
    rejects: Sequence[str] = ()
    """Parameters of the body that this provider's models do not take."""
    logprobs: Mapping[str, float] | None = None
    """Probabilities of the first token, for who asks OpenAI's API for them; None answers `logprobs: null` all the same."""
    reply: str | None = None
    """What is always answered; None is a text by digest of the body. See `answers.said`."""
    words: int = 12
    tool_call: tuple[str, str] | None = None
    """A name and its arguments as JSON: the answer to every request that offers tools."""

    def __post_init__(self) -> None:
        if not (all(share >= 0 for share in self.faults.values()) and fsum(self.faults.values()) <= 1 + 1e-9):
            raise ValueError(f"shares of faults are not negative and sum to 1 at most: {dict(self.faults)}")

    def fault(self, number: int) -> Fault | None:
        """What the request with this number in the phase, from 0 on, meets."""
        if number < len(self.first):
            return self.first[number]
        left = draw(self.seed, number)
        for fault, share in self.faults.items():
            left -= share
            if left < 0:
                return fault
        return None

    def to_json(self) -> str:
        return BEHAVIOUR.dump_json(self).decode()


def draw(seed: int, number: int) -> float:
    """A number in [0, 1), the same for the same two numbers everywhere; a `Random` of its own would take ten times as long."""
    return int.from_bytes(blake2b(b"%d:%d" % (seed, number), digest_size=8).digest()) / 2**64


def behaviour_from_json(text: str) -> Behaviour:
    """The inverse of `Behaviour.to_json`. A key that is none is an error."""
    return BEHAVIOUR.validate_json(text)


BEHAVIOUR: TypeAdapter[Behaviour] = TypeAdapter(Behaviour)
