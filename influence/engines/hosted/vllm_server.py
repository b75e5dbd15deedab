"""A server that is vLLM says more than OpenAI's API can: exactly these tokens' probabilities, after exactly these words.

So labels are read there as the in-process engine reads them (`influence.engines.labels`), and nothing is out of sight.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json, to_json

from influence.engines.hosted.answers import malformed
from influence.engines.hosted.faults import fault_of
from influence.engines.hosted.provider import Provider
from influence.engines.labels import Node, TokenIds, combine, led_node, split_beginning, trie
from influence.errors import ProviderError

OWNER = "vllm"  # what such a server says of its models


@dataclass(frozen=True)
class LabelNode:
    """One request: the words that the answer is made to begin with, and the tokens to read there."""

    node: Node
    begun: str
    steps: int
    read: TokenIds


@dataclass(frozen=True)
class LabelPlan:
    """The requests by which some labels are read."""

    tokens: Mapping[str, TokenIds]
    requests: Sequence[LabelNode]


Reading = Sequence[Mapping[int, float]]  # for each position, token id -> log-probability


class VllmServer:
    """What can be asked of a vLLM server besides chat."""

    def __init__(self, provider: Provider, model: str) -> None:
        self._provider, self._model = provider, model
        self._root = provider.account.base_url.removesuffix("/v1")
        self._plans: dict[tuple[str, ...], asyncio.Task[LabelPlan]] = {}

    async def plan(self, labels: Sequence[str], prefill: str) -> LabelPlan:
        """How to read these labels, worked out once. Raises Fault or ProviderError."""
        key = (prefill, *labels)
        if key not in self._plans:
            self._plans[key] = asyncio.create_task(self._make_plan(labels, prefill))
        try:
            return await asyncio.shield(self._plans[key])
        except Exception:
            self._plans.pop(key, None)
            raise

    async def _make_plan(self, labels: Sequence[str], prefill: str) -> LabelPlan:
        texts = [f"{prefill} {label}" if prefill else label for label in labels]
        ids = await asyncio.gather(*(self._tokenize(text) for text in texts))
        answers = dict(zip(labels, ids, strict=True))
        begun, tokens = split_beginning(answers) if prefill else ((), answers)
        try:
            nodes = trie(tokens)
        except ValueError as error:
            raise ProviderError(f"{self._model}: {error}.") from None
        led = led_node(nodes)
        if led is not None:
            read = tuple(dict.fromkeys((*nodes[0].children, *led.children)))
            return LabelPlan(tokens, [LabelNode(led, await self._words(begun), 2, read)])
        words = await asyncio.gather(*(self._words((*begun, *node.prefix)) for node in nodes))
        return LabelPlan(tokens, [LabelNode(n, w, 1, n.children) for n, w in zip(nodes, words, strict=True)])

    def body(self, asked: LabelNode, plain: Mapping[str, Any]) -> dict[str, Any]:
        """The request for one node, from a plain request for the same conversation."""
        messages = list(plain["messages"])
        if asked.begun:
            messages.append({"role": "assistant", "content": asked.begun})
        body = {**plain, "messages": messages, "max_tokens": asked.steps, "temperature": 0, "top_logprobs": 0}
        body |= {"logprobs": True, "logprob_token_ids": list(asked.read), "return_tokens_as_token_ids": True}
        body |= {"continue_final_message": bool(asked.begun), "add_generation_prompt": not asked.begun}
        if asked.steps > 1:
            body["allowed_token_ids"] = list(asked.node.prefix)
        return body

    def combined(self, plan: LabelPlan, readings: Sequence[Reading]) -> dict[str, float]:
        """Each label's log-probability, from what the requests read. Raises Fault where a token that was asked for is not there."""
        try:
            return combine(plan.tokens, self._nodes(plan, readings))
        except (KeyError, IndexError):
            raise malformed("no log-probability of a token that was asked for") from None

    def _nodes(self, plan: LabelPlan, readings: Sequence[Reading]) -> dict[TokenIds, Mapping[int, float]]:
        nodes: dict[TokenIds, Mapping[int, float]] = {}
        for asked, reading in zip(plan.requests, readings, strict=True):
            if asked.steps > 1:
                roots = {ids[0] for ids in plan.tokens.values()}
                nodes[()] = {token: reading[0][token] for token in roots}
                nodes[asked.node.prefix] = {token: reading[1][token] for token in asked.node.children}
            else:
                nodes[asked.node.prefix] = {token: reading[0][token] for token in asked.node.children}
        return nodes

    async def _tokenize(self, text: str) -> TokenIds:
        data = await self._asked("/tokenize", {"prompt": text, "add_special_tokens": False}, "tokens")
        return tuple(int(token) for token in data)

    async def _words(self, ids: TokenIds) -> str:
        """The words of some tokens, which must become the same tokens again where the server reads them."""
        if not ids:
            return ""
        words = str(await self._asked("/detokenize", {"tokens": list(ids)}, "prompt"))
        if await self._tokenize(words) != ids:
            raise ProviderError(f"{self._model}: the tokens of {words!r} cannot be put to the server as words.")
        return words

    async def _asked(self, path: str, body: Mapping[str, Any], name: str) -> Any:
        reply = await self._provider.ask("POST", self._root + path, to_json({"model": self._model, **body}))
        if reply.status != 200:
            raise fault_of(reply.status, reply.headers, reply.body)
        try:
            return from_json(reply.body)[name]
        except (ValueError, KeyError, TypeError):
            raise ProviderError(f"{self._model}: {path} gave no {name}.") from None


def is_vllm(listed: Any) -> bool:
    """Whether a server's list of models says that it is one."""
    models = listed.get("data") if isinstance(listed, dict) else None
    return isinstance(models, list) and any(isinstance(m, dict) and m.get("owned_by") == OWNER for m in models)


def reading_of(tops: Sequence[Sequence[tuple[str, float]]]) -> list[dict[int, float]]:
    """Candidates that are named by their ids ("token_id:42"), as ids. Raises Fault where they are not."""
    try:
        return [{int(name.removeprefix("token_id:")): logprob for name, logprob in top} for top in tops]
    except ValueError:
        raise malformed("tokens that are not named by their ids") from None
