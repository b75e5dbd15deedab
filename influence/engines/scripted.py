"""`scripted/<file>`: a model whose every answer is written down in a TOML file, so that tests and demos know the truth.

Rules are tried in their order and the first that fits answers. Nothing is random but the choice among a rule's texts,
which follows the call's seed. Tokens are counted as a quarter of the characters.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from math import inf, log
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from influence.chat import Message, ToolCall
from influence.config.places import Strict, check, is_file, read_toml
from influence.engines.base import Call, Capabilities, Completion, Finish, LabelLogprobs, Sampling, Usage
from influence.errors import ConfigError, EngineDiedError, EngineError
from influence.resources import data_folders
from influence.seeds import generator

CONVERSATIONS_AT_ONCE = 256


class Rule(Strict):
    """When a rule fits: for a role, at a turn, for a last message that a regular expression is found in. All optional."""

    role: str | None = None
    turn: Annotated[int, Field(ge=1)] | None = None
    when: str | None = None

    @field_validator("when")
    @classmethod
    def _is_an_expression(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                re.compile(value)
            except re.error as error:
                raise ValueError(f"{value!r} is not a regular expression: {error}.") from None
        return value

    def fits(self, call: Call, last: str) -> bool:
        return (
            (self.role is None or self.role == call.role)
            and (self.turn is None or self.turn == call.turn)
            and (self.when is None or re.search(self.when, last) is not None)
        )


class CallRule(Strict):
    """A tool call, with its arguments as the model writes them."""

    name: str
    arguments: str = "{}"


class ReplyRule(Rule):
    """What is said: one of the texts, by seed, and the tools that are called. A text cut by `max_tokens` ends with `length`."""

    calls: list[CallRule] = []
    texts: Annotated[list[str], Field(min_length=1)]
    refused: bool = False


class LabelRule(Rule):
    """How likely each label is. What the numbers lack to 1 is probability that the model puts on other answers."""

    distribution: Annotated[dict[str, Annotated[float, Field(ge=0, le=1)]], Field(min_length=1)]

    @model_validator(mode="after")
    def _sums_to_at_most_one(self) -> LabelRule:
        if sum(self.distribution.values()) > 1 + 1e-9:
            raise ValueError(f"the distribution sums to {sum(self.distribution.values()):g}, more than 1.")
        return self


class FailureRule(Rule):
    """A request that fails: always, or for a share of the calls chosen by their seeds. `dies` takes the whole engine down."""

    error: str
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    dies: bool = False


class ScriptFile(Strict):
    """A scripted model. `yields` is how often a call gives way to others before it answers: it only shuffles their order."""

    logprobs: bool = True
    yields: Annotated[int, Field(ge=0)] = 1
    failures: list[FailureRule] = []
    replies: list[ReplyRule] = []
    labels: list[LabelRule] = []


def find_script(name: str) -> Path:
    """A script by path, or by name among `presets/scripts`. Raises ConfigError."""
    shipped = [folder / "scripts" / f"{name}.toml" for folder in data_folders("presets")]
    for path in [Path(name), *shipped]:
        if is_file(path):
            return path
    names = sorted(path.stem for folder in data_folders("presets") for path in (folder / "scripts").glob("*.toml"))
    raise ConfigError(f"scripted/{name}: there is no such file. Shipped scripts: {', '.join(names) or '(none)'}.")


def load_script(name: str) -> ScriptFile:
    """Read and check a script. Raises ConfigError with every problem's place."""
    path = find_script(name)
    data, text = read_toml(path)
    return check(ScriptFile, data, str(path), text)


class ScriptedEngine:
    """See `influence.engines.base.Engine` for what each method promises."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.script = load_script(name)

    @property
    def capabilities(self) -> Capabilities:
        calls = any(rule.calls for rule in self.script.replies)
        return Capabilities(logprobs=self.script.logprobs, prefill=True, seeds=True, tools=calls)

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def generate(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        call: Call,
        adapter: str | None = None,
        tools: Sequence[Mapping[str, Any]] = (),
    ) -> Completion:
        await self._take_a_turn(messages, call)
        rule = self._first(self.script.replies, messages, call)
        text = rule.texts[0] if len(rule.texts) == 1 else generator(call.seed, "text").choice(rule.texts)
        kept = text[: sampling.max_tokens * 4]
        finish = Finish.REFUSED if rule.refused else Finish.LENGTH if len(kept) < len(text) else Finish.STOP
        calls = tuple(ToolCall(f"call{call.turn:03d}{n:02d}", one.name, one.arguments) for n, one in enumerate(rule.calls))
        return Completion(kept, Finish.TOOL_CALLS if calls else finish, self._usage(messages, kept), tool_calls=calls)

    async def label_logprobs(
        self, messages: Sequence[Message], labels: Sequence[str], call: Call, adapter: str | None = None, prefill: str = ""
    ) -> LabelLogprobs:
        if not self.script.logprobs:
            raise EngineError(f"scripted/{self.name} has no log-probabilities.")
        await self._take_a_turn(messages, call)
        rule = self._first(self.script.labels, messages, call)
        given = rule.distribution
        return LabelLogprobs(
            {label: log(given[label]) if given.get(label) else -inf for label in labels}, self._usage(messages, "x")
        )

    async def _take_a_turn(self, messages: Sequence[Message], call: Call) -> None:
        for _ in range(self.script.yields):
            await asyncio.sleep(0)
        for rule in self.script.failures:
            if rule.fits(call, messages[-1].content) and generator(call.seed, "failure").random() < rule.share:
                raise (EngineDiedError if rule.dies else EngineError)(f"scripted/{self.name}: {rule.error}")

    def _first(self, rules: Sequence[Any], messages: Sequence[Message], call: Call) -> Any:
        last = messages[-1].content
        for rule in rules:
            if rule.fits(call, last):
                return rule
        raise EngineError(f"scripted/{self.name} has no rule for the {call.role} at turn {call.turn}.")

    def _usage(self, messages: Sequence[Message], answer: str) -> Usage:
        return Usage(1, sum(len(m.content) for m in messages) // 4, 0, max(1, len(answer) // 4))

    def conversations_at_once(self, tokens_each: int) -> int:
        return CONVERSATIONS_AT_ONCE

    async def sleep(self) -> None:
        pass

    async def wake(self) -> None:
        pass

    def describe(self) -> dict[str, Any]:
        """The digest is of what the model says; failures are the world's."""
        words = self.script.model_dump_json(exclude={"failures", "yields"})
        return {"engine": "scripted", "model": self.name, "digest": sha256(words.encode()).hexdigest()}
