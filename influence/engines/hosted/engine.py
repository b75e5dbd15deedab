"""A hosted model as an engine: every question goes through the cache, the budget, the provider's line, and bounded retries.

See `influence.engines.base.Engine` for what each method promises.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from pydantic_core import from_json, to_json

from influence.chat import Message
from influence.engines.base import (
    Call,
    CallObserver,
    CallRecord,
    Capabilities,
    Completion,
    Finish,
    LabelLogprobs,
    Sampling,
    Usage,
)
from influence.engines.hosted.answers import Answer, malformed
from influence.engines.hosted.anthropic_wire import AnthropicWire
from influence.engines.hosted.budget import Amount, Budget
from influence.engines.hosted.cache import ResponseCache, key_of
from influence.engines.hosted.catalogue import Prices, Traits, most_of, usage_of
from influence.engines.hosted.faults import RETRIED, Fault, FaultKind, refused_parameter
from influence.engines.hosted.kept import from_completion, from_labels, to_completion, to_labels
from influence.engines.hosted.openai_wire import OpenAIWire
from influence.engines.hosted.provider import Provider, patiently, perhaps_billed
from influence.engines.hosted.visible import visible_labels
from influence.engines.hosted.vllm_server import VllmServer, is_vllm, reading_of
from influence.errors import ContextOverflowError, NoLogprobsError, ProviderError
from influence.redaction import may_hold_secret, redact, redact_data

BYTES_A_TOKEN = 2  # fewer than any tokenizer's mean, so that the most a request may cost is rarely underestimated
FRAME_TOKENS = 8  # around each message
Tops = tuple[tuple[tuple[str, float], ...], ...]
CONVERSATIONS_A_PLACE = 2  # so that a place that falls free always finds a request waiting


class HostedEngine:
    """One model of one provider."""

    def __init__(
        self,
        name: str,
        model: str,
        provider: Provider,
        traits: Traits,
        prices: Prices | None,
        budget: Budget,
        cache: ResponseCache | None,
        observe: CallObserver | None = None,
    ) -> None:
        self.name, self.model, self.provider, self.traits, self.prices = name, model, provider, traits, prices
        self._budget, self._cache, self._observe = budget, cache, observe
        self._own = provider.account.name == "openai"
        self.wire: OpenAIWire | AnthropicWire = (
            AnthropicWire(model, traits) if provider.account.dialect == "anthropic" else OpenAIWire(model, traits, self._own)
        )
        self._vllm: VllmServer | None = None
        self._met: asyncio.Task[None] | None = None
        self._tried: dict[str, asyncio.Event] = {}
        known = {"logprobs": traits.logprobs, "structured": traits.structured, "temperature": traits.temperature}
        self._known_before = {**known, "seed": traits.seed, "room": traits.room, "request": sorted(traits.request.items())}

    @property
    def capabilities(self) -> Capabilities:
        traits = self.traits
        logprobs = traits.logprobs and traits.takes("logprobs")
        structured = traits.structured and traits.takes("response_format") and traits.takes("output_config")
        return Capabilities(
            logprobs=logprobs, prefill=self._vllm is not None, tools=True, structured_output=structured, seeds=traits.seed
        )

    async def open(self) -> None:
        """An earlier run may have found that the model tells no log-probabilities, and kept other answers instead."""
        await self.provider.open()
        if (known := self._cached(self._no_logprobs_key())) is not None:
            self.traits.dropped["logprobs"] = f"{known['why']} (in an earlier run; `influence cache clear` forgets it)"

    async def close(self) -> None:
        if self._met:
            self._met.cancel()
            await asyncio.gather(self._met, return_exceptions=True)
        await self.provider.close()

    async def _meet(self) -> None:
        """Before the first request: see what kind of server one's own is. Raises ProviderStoppedError where it is not there.

        Not when the engine is opened, because a run whose answers are all in the cache needs no server.
        """
        if self._met is None:
            self._met = asyncio.create_task(self._see_server())
        if not self._met.done() or self._met.exception():
            await asyncio.shield(self._met)

    async def _see_server(self) -> None:
        if self.provider.account.name.startswith("openai-api/") and is_vllm(await self.provider.models(self.name)):
            self._vllm = VllmServer(self.provider, self.model)
            self.wire.all_said = True

    async def generate(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        call: Call,
        adapter: str | None = None,
        tools: Sequence[Mapping[str, Any]] = (),
    ) -> Completion:
        key = self._key("reply", messages, call, sampling=sampling, tools=list(tools))
        if (known := self._cached(key)) is not None:
            return to_completion(known)
        await self._meet()
        kind = "choice" if sampling.choices else "tools" if tools else "reply"
        answer, usage = await self._ask(
            kind, lambda: self.wire.reply_body(messages, sampling, call.seed, tools), sampling.choices, sampling.max_tokens, call
        )
        completion = Completion(answer.text, answer.finish, usage, tool_calls=answer.tool_calls)
        self._keep(key, from_completion(completion))
        return completion

    async def label_logprobs(
        self, messages: Sequence[Message], labels: Sequence[str], call: Call, adapter: str | None = None, prefill: str = ""
    ) -> LabelLogprobs:
        key = self._key("labels", messages, call, labels=list(labels), prefill=prefill)
        if (known := self._cached(key)) is not None:
            return to_labels(known)
        await self._meet()
        read = await (self._exact(messages, labels, call, prefill) if self._vllm else self._in_sight(messages, labels, call))
        self._keep(key, from_labels(read))
        return read

    async def _in_sight(self, messages: Sequence[Message], labels: Sequence[str], call: Call) -> LabelLogprobs:
        """From the likeliest candidates for the first token."""
        (top, *_), usage = await self._tops(lambda: self.wire.labels_body(messages), call)
        return visible_labels(top, labels, self._own, usage)

    async def _exact(self, messages: Sequence[Message], labels: Sequence[str], call: Call, prefill: str) -> LabelLogprobs:
        """From the labels' own tokens, where the server is vLLM."""
        server = self._vllm
        assert server is not None
        plain = self.wire.labels_body(messages)
        try:
            plan = await server.plan(labels, prefill)
            asked = [self._tops(partial(server.body, node, plain), call) for node in plan.requests]
            read = await asyncio.gather(*asked)
            logprobs = server.combined(plan, [reading_of(tops) for tops, _ in read])
        except Fault as fault:
            raise self._given_up(fault) from None
        return LabelLogprobs(logprobs, sum((used for _, used in read), Usage()))

    async def _tops(self, build: Callable[[], dict[str, Any]], call: Call) -> tuple[Tops, Usage]:
        def known_to_be_told() -> dict[str, Any]:
            if not self.capabilities.logprobs:  # learned while this request waited for the first one
                raise self._no_logprobs("learned before")
            return build()

        answer, usage = await self._ask("labels", known_to_be_told, (), 1, call)
        if answer.finish == Finish.REFUSED:
            raise ProviderError(f"{self.name}: the provider refused to answer.")
        if answer.tops is None:
            raise self._no_logprobs("an answer without them")
        return answer.tops, usage

    def _no_logprobs(self, why: str) -> NoLogprobsError:
        """What is raised, and remembered, once a model is known to tell none."""
        if self.traits.takes("logprobs"):
            self.traits.dropped["logprobs"] = why
            self._keep(self._no_logprobs_key(), {"why": why})
        return NoLogprobsError(
            f'{self.name} tells no log-probabilities. Set judges.method to "samples" or "stated", or leave it "auto".'
        )

    async def _ask(
        self, kind: str, build: Callable[[], dict[str, Any]], choices: Sequence[str], longest: int, call: Call
    ) -> tuple[Answer, Usage]:
        """One question, tried as often as it is worth.

        The first request of each kind goes alone, so that what it teaches (a parameter that the model does not take, a key
        that is invalid) is learned once and not in every request under way.
        """
        gate, alone = self._tried.get(kind), False
        if gate is None:
            gate, alone = self._tried.setdefault(kind, asyncio.Event()), True
        elif not gate.is_set():
            await gate.wait()
        try:
            return await patiently(self.provider.patience, partial(self._attempt, build, choices, longest, call, gate))
        except Fault as fault:
            raise self._given_up(fault) from None
        finally:
            if alone:
                gate.set()

    def _given_up(self, fault: Fault) -> ProviderError | ContextOverflowError:
        """The error that a request ends in. Raises ProviderStoppedError if the whole run does."""
        self.provider.gave_up(fault, self.name)
        if fault.kind == FaultKind.CONTEXT_TOO_LONG:
            return ContextOverflowError(f"{self.name}: {fault}")
        return ProviderError(f"{self.name}: {fault.kind.replace('_', ' ')}: {fault}")

    async def _attempt(
        self, build: Callable[[], dict[str, Any]], choices: Sequence[str], longest: int, call: Call, gate: asyncio.Event
    ) -> tuple[Answer, Usage]:
        while True:
            body = build()
            try:
                result = await self._send(body, choices, longest, call)
            except Fault as fault:
                parameter = refused_parameter(fault, [name for name in self.wire.optional if name in body])
                if parameter is None:
                    if fault.kind in RETRIED:
                        gate.set()
                    raise
                if parameter in ("logprobs", "top_logprobs"):
                    raise self._no_logprobs(str(fault)) from None
                self.traits.dropped.setdefault(parameter, str(fault))
                if parameter in build():
                    raise
                continue
            gate.set()
            return result

    async def _send(self, body: dict[str, Any], choices: Sequence[str], longest: int, call: Call) -> tuple[Answer, Usage]:
        raw = to_json(body)
        prompt = len(raw) // BYTES_A_TOKEN + FRAME_TOKENS * len(body["messages"])
        most = most_of(prompt, self._limit(body, longest), self.prices)
        # 1. the most that it may cost is set aside
        await self._budget.hold(most)
        spent, gone = Amount(), False
        started = time.time()

        def sent() -> None:  # from now on it may cost that much, also if nobody waits for the answer any more
            nonlocal spent, gone
            spent, gone = most, True

        try:
            # 2. it is sent in its turn
            reply = await self.provider.post(self.wire.path, raw, most.tokens, sent)
            # 3. what came back is read
            answer, data = self._read(reply.body, choices)
            usage = usage_of(answer.tokens, self.prices)
            spent = Amount(usage.cost, usage.prompt_tokens + usage.completion_tokens) if answer.tokens else most
        except Fault as fault:
            if not perhaps_billed(fault):
                spent = Amount()
            raise
        finally:
            self._budget.settle(most, spent)
            if gone:
                self.provider.limits.used(spent.tokens, most.tokens)
        self.provider.answered()
        if self._observe:
            seconds = time.time() - started
            self._observe(CallRecord(call, (), (), (), usage.cached_tokens, None, started, seconds, body, data))
        return answer, usage

    def _read(self, body: bytes, choices: Sequence[str]) -> tuple[Answer, Any]:
        try:
            data = from_json(body)
            if may_hold_secret(body):
                data = redact_data(data)
            return self.wire.read(data, choices), data
        except ValueError:
            fault = malformed(redact(f"an answer that is no JSON: {body.decode(errors='replace')}")[:100])
        except Fault as wrong:
            fault = wrong
        self.provider.failed(fault)
        raise fault

    def _limit(self, body: Mapping[str, Any], longest: int) -> int:
        """The most tokens that an answer to this body can have."""
        return int(body.get("max_tokens") or body.get("max_completion_tokens") or longest + self.traits.room)

    def _key(self, kind: str, messages: Sequence[Message], call: Call, **asked: Any) -> bytes:
        """What determines the answer. The call's seed is part of it for every model, so that samples stay different."""
        if self._cache is None:
            return b""
        said = [(m.role, m.content, m.tool_calls, m.tool_call_id) for m in messages]
        place = self.provider.account.place
        return key_of(
            {
                "kind": kind,
                "server": place,
                "model": self.model,
                "traits": self._known_before,
                "seed": call.seed,
                "messages": said,
                **asked,
            }
        )

    def _no_logprobs_key(self) -> bytes:
        return key_of({"kind": "no logprobs", "server": self.provider.account.place, "model": self.model})

    def _cached(self, key: bytes) -> dict[str, Any] | None:
        return self._cache.get(key) if self._cache is not None else None

    def _keep(self, key: bytes, answer: Mapping[str, Any]) -> None:
        if self._cache is not None:
            self._cache.put(key, self.name, answer)

    def conversations_at_once(self, tokens_each: int) -> int:
        return CONVERSATIONS_A_PLACE * self.provider.at_once

    async def sleep(self) -> None:
        pass

    async def wake(self) -> None:
        pass

    def describe(self) -> dict[str, Any]:
        prices = self.prices
        return {
            "engine": self.provider.account.name,
            "model": self.model,
            "digest": None,  # what a provider serves under a name is not ours to see
            "place": self.provider.account.place,
            "prices": {**vars(prices)} if prices else None,
            "not_taken": dict(self.traits.dropped),
        }
