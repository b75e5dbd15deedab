"""The protocol that every engine fulfils, and the plain data that goes in and out of it.

Two questions are asked of a model: go on writing (`generate`), and how likely is each of these answers (`label_logprobs`).
Whatever a model cannot do is said in `capabilities`, so that callers choose another way openly instead of failing late.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from influence.chat import Message, ToolCall


class Finish(StrEnum):
    """Why a completion ended."""

    STOP = "stop"  # the model ended its message
    LENGTH = "length"  # the token limit cut it
    TOOL_CALLS = "tool_calls"  # the model called tools and waits for them
    REFUSED = "refused"  # the provider refused, not the model in character


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one or several calls. `cached_tokens` are the prompt tokens that the engine did not have to compute.

    `from_cache` counts the calls that the response cache answered: their tokens are those of the first time, their cost is 0.
    `cost` is in US dollars; `unpriced` counts the calls that cost something nobody knows.
    """

    calls: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0
    from_cache: int = 0
    unpriced: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.calls + other.calls,
            self.prompt_tokens + other.prompt_tokens,
            self.cached_tokens + other.cached_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cost + other.cost,
            self.from_cache + other.from_cache,
            self.unpriced + other.unpriced,
        )

    def __sub__(self, other: Usage) -> Usage:
        return Usage(**{name: getattr(self, name) - getattr(other, name) for name in self.__slots__})

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Call:
    """Who asks: the role, the conversation (which sticks to a replica, where its prefix is cached), the seed."""

    role: str
    session: str
    seed: int
    turn: int = 0


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a reply is drawn. `top_k` 0, `top_p` 1 and `min_p` 0 mean: off. With `choices` the reply is one of them,
    with `json_schema` (itself written as JSON) it is JSON that fits.

    Only engines with `structured_output` keep a reply to its choices, and those with `json_output` to its schema; callers read
    what others say.
    """

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    choices: tuple[str, ...] = ()
    json_schema: str = ""


@dataclass(frozen=True, slots=True)
class Completion:
    """A reply. `token_ids` are what the engine sampled, the end-of-turn token included where one was sampled."""

    text: str
    finish: Finish
    usage: Usage
    token_ids: tuple[int, ...] | None = None
    content_ids: tuple[int, ...] | None = None  # token_ids without the end-of-turn token: what later prompts repeat
    tool_calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True, slots=True)
class LabelLogprobs:
    """The raw log-probability (temperature 1, nothing truncated) of each label as the model's whole answer.

    An engine that shows only the likeliest tokens gives in `at_most` the labels that may have more than is shown, each with
    the most probability that it may have besides, and in `hidden` the most that they may have together.
    """

    logprobs: Mapping[str, float]
    usage: Usage
    at_most: Mapping[str, float] = field(default_factory=dict)
    hidden: float = 0.0


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do beyond writing text."""

    logprobs: bool = False
    prefill: bool = False  # an answer can be made to begin with given words
    tools: bool = False
    structured_output: bool = False
    json_output: bool = False
    adapters: bool = False
    seeds: bool = False
    token_ids: bool = False


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One request as the engine saw it, for `calls.jsonl`. `label_ids` are the tokens whose probability was read.

    Hosted models show no tokens: there `request` and `answer` are what was sent and what came back, as JSON data.
    """

    call: Call
    prompt_ids: Sequence[int]
    output_ids: Sequence[int]
    label_ids: Sequence[int]
    cached_tokens: int
    adapter: str | None
    started: float
    seconds: float
    request: Mapping[str, Any] | None = None
    answer: Any = None


CallObserver = Callable[[CallRecord], None]


class Engine(Protocol):
    """A model that is open for requests. All methods may be called from thousands of conversations at once.

    `generate` and `label_logprobs` raise ContextOverflowError when prompt and answer do not fit the model's context,
    RunStoppedError when nothing more can be asked, EngineError or ProviderError when this one request failed, and
    NoLogprobsError when the model turns out to tell none.
    """

    @property
    def capabilities(self) -> Capabilities: ...

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def generate(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        call: Call,
        adapter: str | None = None,
        tools: Sequence[Mapping[str, Any]] = (),
    ) -> Completion: ...

    async def label_logprobs(
        self, messages: Sequence[Message], labels: Sequence[str], call: Call, adapter: str | None = None, prefill: str = ""
    ) -> LabelLogprobs:
        """The labels' log-probabilities as what follows `prefill` and a space: words that the answer is made to begin with.

        An engine without the capability `prefill` reads the answer's own beginning.
        """
        ...

    def conversations_at_once(self, tokens_each: int) -> int:
        """How many conversations of about `tokens_each` tokens the engine has room for without forgetting their prefixes."""
        ...

    async def sleep(self) -> None:
        """Give the device's memory to somebody else until `wake`. An engine without a device does nothing."""
        ...

    async def wake(self) -> None: ...

    def describe(self) -> dict[str, Any]:
        """What the manifest records about this model: its files' digest, its device, its settings."""
        ...
