"""Local models on vLLM: replicas of one base model, an adapter for each request, prefix caches that conversations stick to.

The engines' cores are processes of their own; this module lives on the program's one event loop and hands token ids over.
"""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from influence.chat import Message, ToolCall
from influence.engines import libraries, prefork
from influence.engines.adapters import AdapterTable
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
from influence.engines.devices import GIB, Placement, cpu_cache_gib
from influence.engines.digests import quick_digest
from influence.engines.labels import Node, TokenIds, combine, led_node, split_beginning, trie
from influence.engines.prompts import ChatTemplate
from influence.engines.routing import StickyRouter
from influence.engines.tool_calls import ToolCallReader
from influence.errors import ConfigError, ContextOverflowError, EngineDiedError, EngineError

CPU_BLOCK_SIZE = 32  # the smallest that the CPU backend takes; prefix hits come in whole blocks
SPAWN_SECONDS = 120.0
SHUTDOWN_SECONDS = 0.5  # nothing is in flight by then; left to itself the core takes five


@dataclass(frozen=True)
class VllmSettings:
    """What the [engine] section says, for one model."""

    max_model_len: int = 4096
    max_num_seqs: int | None = None
    block_size: int | None = None
    kv_cache_gb: float | None = None
    gpu_memory_utilization: float = 0.9
    dtype: str = "auto"
    quantization: str | None = None
    compile: bool = False
    adapters: bool = False
    max_loras: int = 2
    max_lora_rank: int = 16
    tool_parser: str | None = None


def engine_arguments(model: str, settings: VllmSettings, placement: Placement, replicas: int) -> dict[str, Any]:
    """The arguments of vLLM's AsyncEngineArgs. Pure, so that GPU set-ups are tested without a GPU."""
    cpu = placement.device == "cpu"
    arguments: dict[str, Any] = {
        "model": model,
        "max_model_len": settings.max_model_len,
        "max_num_seqs": settings.max_num_seqs or 256,
        "enable_prefix_caching": True,
        "enforce_eager": not settings.compile if cpu else False,
        "dtype": "bfloat16" if cpu and settings.dtype == "auto" else settings.dtype,
        "tensor_parallel_size": placement.tensor_parallel,
        "quantization": settings.quantization,
        "disable_log_stats": True,
        # JSON without free white space: small models fill their tokens with it
        "structured_outputs_config": {"backend": "xgrammar", "disable_any_whitespace": True},
    }
    if settings.block_size or cpu:
        arguments["block_size"] = settings.block_size or CPU_BLOCK_SIZE
    if cpu:
        # A seeded request that is prefilled in chunks kills the CPU engine ("CPU Generator does not use offset").
        arguments["enable_chunked_prefill"] = False
        arguments["distributed_executor_backend"] = "uni"
        arguments["max_num_batched_tokens"] = max(4096, settings.max_model_len)
        arguments["kv_cache_memory_bytes"] = int((settings.kv_cache_gb or cpu_cache_gib(replicas)) * GIB)
    else:
        arguments["gpu_memory_utilization"] = settings.gpu_memory_utilization
        arguments["enable_sleep_mode"] = True
        if settings.kv_cache_gb:
            arguments["kv_cache_memory_bytes"] = int(settings.kv_cache_gb * GIB)
    if settings.adapters:
        arguments |= {"enable_lora": True, "max_lora_rank": settings.max_lora_rank}
        # vLLM's CPU kernels for embeddings and the output layer, which cpu_lora leaves alone, give requests without an adapter
        # the last slot's: one slot more, never filled, keeps them clean.
        arguments["max_loras"] = settings.max_loras + 1 if cpu else settings.max_loras
    return arguments


class VllmEngine:
    """One base model on one or more replicas. See `influence.engines.base.Engine` for what each method promises."""

    def __init__(
        self, model: str, settings: VllmSettings, placements: Sequence[Placement], observe: CallObserver | None = None
    ) -> None:
        self.model = model
        self.settings = settings
        self.placements = list(placements)
        self._is_folder = Path(model).is_dir()
        self._observe = observe
        self._router = StickyRouter(len(placements))
        self.replicas: list[Any] = []
        self._numbers = itertools.count()
        self._label_tokens: dict[tuple[str, ...], tuple[TokenIds, dict[str, TokenIds], list[Node]]] = {}
        self.adapters = AdapterTable(settings.max_loras)
        self._calls: ToolCallReader | None = None

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            logprobs=True,
            prefill=True,
            tools=self.settings.tool_parser is not None,
            json_output=True,
            adapters=True,
            seeds=True,
            token_ids=True,
        )

    async def open(self) -> None:
        """Start all replicas at once. Raises EngineError with what to look at."""
        libraries.prepare(offline=self._is_folder)
        on_cpu = all(placement.device == "cpu" for placement in self.placements)
        if on_cpu:
            prefork.start(self.placements[0].environment)
        try:
            from vllm import SamplingParams, TokensPrompt
            from vllm.exceptions import VLLMError
            from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams
            from vllm.v1.engine.exceptions import EngineDeadError
        except ImportError as error:
            raise EngineError(
                f"vLLM cannot be imported ({error}). `make install` sets it up, `influence doctor` says what is missing."
            ) from None
        self._params, self._prompt, self._final = SamplingParams, TokensPrompt, RequestOutputKind.FINAL_ONLY
        self._structured = StructuredOutputsParams
        self._dead_error, self._request_errors = EngineDeadError, (VLLMError, ValueError, RuntimeError)
        if on_cpu:
            prefork.use()
        starting = []
        for placement in self.placements:
            with _environment(placement.environment):
                before = set(multiprocessing.active_children())
                task = asyncio.create_task(asyncio.to_thread(self._start, placement))
                starting.append(task)
                await _spawned(task, before)
        results = await asyncio.gather(*starting, return_exceptions=True)
        self.replicas = [r for r in results if not isinstance(r, BaseException)]
        failures = [r for r in results if isinstance(r, BaseException)]
        if failures:
            await self.close()
            raise EngineError(
                f"the engine for {self.model} did not start: {failures[0]}\n    Its own words are in the run's log."
            ) from failures[0]
        try:
            self._tokenizer = self.replicas[0].get_tokenizer()
            self.template = ChatTemplate(self._tokenizer)
            if self.settings.tool_parser is not None:
                self._calls = ToolCallReader(self.settings.tool_parser, self._tokenizer)
        except ConfigError:
            await self.close()
            raise
        except ValueError as error:
            await self.close()
            raise EngineError(f"{self.model}: {error}.") from None

    def _start(self, placement: Placement) -> Any:
        """Start one replica. It waits for the replica's process, so it runs in a thread."""
        from vllm import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM

        class Replica(AsyncLLM):  # type: ignore[misc]  # vLLM is not checked
            def __del__(self) -> None:
                """Closed by `close`: at the interpreter's end there is nothing left to shut down with."""

        arguments = engine_arguments(self.model, self.settings, placement, len(self.placements))
        return Replica.from_engine_args(AsyncEngineArgs(**arguments))

    async def close(self) -> None:
        replicas, self.replicas = self.replicas, []
        await asyncio.gather(*(asyncio.to_thread(replica.shutdown, SHUTDOWN_SECONDS) for replica in replicas))

    async def generate(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        call: Call,
        adapter: str | None = None,
        tools: Sequence[Mapping[str, Any]] = (),
    ) -> Completion:
        prompt = self.template.prompt_ids(messages, tools)
        self._check_room(len(prompt), sampling.max_tokens)
        params = self._params(
            max_tokens=sampling.max_tokens,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            min_p=sampling.min_p,
            seed=call.seed,
            detokenize=False,
            output_kind=self._final,
            structured_outputs=self._structured(json=sampling.json_schema) if sampling.json_schema else None,
        )
        output = await self._ask(prompt, params, call, adapter, ())
        ids = tuple(output.outputs[0].token_ids)
        ended = output.outputs[0].finish_reason == "stop"
        content = ids[:-1] if ended and ids else ids
        calls: tuple[ToolCall, ...] = ()
        if tools and self._calls is not None:
            text, calls = self._calls.read(content, tools, call.seed)
        else:
            text = self._tokenizer.decode(content, skip_special_tokens=True)
        return Completion(
            text=text,
            finish=Finish.TOOL_CALLS if calls else Finish.STOP if ended else Finish.LENGTH,
            usage=_usage(output),
            token_ids=ids,
            content_ids=content,
            tool_calls=calls,
        )

    async def label_logprobs(
        self, messages: Sequence[Message], labels: Sequence[str], call: Call, adapter: str | None = None, prefill: str = ""
    ) -> LabelLogprobs:
        begun, tokens, nodes = self._labels(tuple(labels), prefill)
        prompt = [*self.template.prompt_ids(messages), *begun]
        self._check_room(len(prompt) + max(len(ids) for ids in tokens.values()), 1)
        if (led := led_node(nodes)) is not None:
            read = tuple(dict.fromkeys((*nodes[0].children, *led.children)))
            params = self._label_params(read, steps=2, allowed=list(led.prefix))
            output = await self._ask(prompt, params, call, adapter, read)
            first, second = output.outputs[0].logprobs
            answers = {(): _at(first, nodes[0]), led.prefix: _at(second, led)}
            return LabelLogprobs(combine(tokens, answers), _usage(output))
        outputs = await asyncio.gather(
            *(self._ask([*prompt, *n.prefix], self._label_params(n.children), call, adapter, n.children) for n in nodes)
        )
        answers = {n.prefix: _at(output.outputs[0].logprobs[0], n) for n, output in zip(nodes, outputs, strict=True)}
        return LabelLogprobs(combine(tokens, answers), sum((_usage(output) for output in outputs), Usage()))

    def conversations_at_once(self, tokens_each: int) -> int:
        config = self.replicas[0].vllm_config
        blocks = config.cache_config.num_gpu_blocks or 0
        by_memory: int = blocks * config.cache_config.block_size // max(1, tokens_each)
        at_once: int = min(by_memory, config.scheduler_config.max_num_seqs)
        return max(1, at_once) * len(self.replicas)

    async def sleep(self) -> None:
        await asyncio.gather(*(r.sleep(level=1) for r in self._on_gpus()))

    async def wake(self) -> None:
        await asyncio.gather(*(r.wake_up() for r in self._on_gpus()))

    def _on_gpus(self) -> list[Any]:
        return [r for r, placement in zip(self.replicas, self.placements, strict=True) if placement.device == "cuda"]

    async def add_adapter(self, folder: str) -> None:
        """Make an adapter folder usable by `generate(adapter=folder)`, without a restart. Raises EngineError if it cannot be."""
        if not self.settings.adapters:
            raise EngineError(f"{self.model} was opened without adapters.")
        if folder in self.adapters:
            return
        from vllm.lora.request import LoRARequest

        slot = self.adapters.add(folder)
        request = LoRARequest(slot.name, slot.number, folder)
        try:
            await asyncio.gather(*(replica.add_lora(request) for replica in self.replicas))
        except self._request_errors as error:
            self.adapters.forget(folder)
            raise EngineError(f"the adapter {folder} cannot be loaded: {error}") from error
        self.adapters.ready(folder, request)

    async def remove_adapter(self, folder: str) -> None:
        """Free the adapter's slot."""
        request = self.adapters.remove(folder)
        await asyncio.gather(*(replica.remove_lora(request.lora_int_id) for replica in self.replicas))

    def describe(self) -> dict[str, Any]:
        return {
            "engine": "vllm",
            "model": self.model,
            "digest": quick_digest(Path(self.model)) if self._is_folder else None,
            "adapters": self.adapters.describe(),
            "replicas": [placement.label for placement in self.placements],
            "max_model_len": self.settings.max_model_len,
        }

    def process_ids(self) -> list[int]:
        """The process ids of the engines' cores."""
        return [p.pid for replica in self.replicas for p in replica.engine_core.resources.engine_manager.processes]

    async def _ask(self, prompt: list[int], params: Any, call: Call, adapter: str | None, label_ids: Sequence[int]) -> Any:
        replica = self._router.start(call.session)
        started, output = time.time(), None
        lora = self.adapters.request(adapter) if adapter else None
        try:
            engine = self.replicas[replica]
            stream = engine.generate(self._prompt(prompt_token_ids=prompt), params, str(next(self._numbers)), lora_request=lora)
            async for final in stream:
                output = final
        except self._dead_error:
            raise EngineDiedError(f"the engine process of {self.model} ({self.placements[replica].label}) died.") from None
        except self._request_errors as error:
            raise EngineError(f"{self.model}: {error}") from error
        finally:
            self._router.end(replica)
        if output is None:
            raise EngineError(f"{self.model}: the engine ended a request without an answer.")
        if self._observe:
            answer, cached = output.outputs[0].token_ids, output.num_cached_tokens or 0
            self._observe(CallRecord(call, prompt, answer, label_ids, cached, adapter, started, time.time() - started))
        return output

    def _check_room(self, prompt: int, answer: int) -> None:
        if prompt + answer > self.settings.max_model_len:
            raise ContextOverflowError(
                f"a prompt of {prompt} tokens leaves no room for {answer} in {self.settings.max_model_len}."
            )

    def _label_params(self, read: Sequence[int], steps: int = 1, allowed: list[int] | None = None) -> Any:
        return self._params(
            max_tokens=steps,
            min_tokens=0,
            temperature=0.0,
            logprob_token_ids=list(read),
            allowed_token_ids=allowed,
            detokenize=False,
            output_kind=self._final,
        )

    def _labels(self, labels: tuple[str, ...], prefill: str) -> tuple[TokenIds, dict[str, TokenIds], list[Node]]:
        """What every answer begins with, how each label goes on from there, and what to ask: worked out once."""
        key = (prefill, *labels)
        if key not in self._label_tokens:
            answers = {label: self.template.text_ids(f"{prefill} {label}" if prefill else label) for label in labels}
            begun, tokens = split_beginning(answers) if prefill else ((), answers)
            try:
                self._label_tokens[key] = begun, tokens, trie(tokens)
            except ValueError as error:
                raise EngineError(f"{self.model}: {error}.") from None
        return self._label_tokens[key]


def _at(logprobs: Mapping[int, Any], node: Node) -> dict[int, float]:
    return {token: logprobs[token].logprob for token in node.children}


def _usage(output: Any) -> Usage:
    return Usage(1, len(output.prompt_token_ids), output.num_cached_tokens or 0, len(output.outputs[0].token_ids))


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for what is spawned inside."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


async def _spawned(task: asyncio.Task[Any], before: set[Any]) -> None:
    """Wait until a replica's process has been started and so has read its environment (or the start has failed)."""
    deadline = time.monotonic() + SPAWN_SECONDS
    while not task.done() and set(multiprocessing.active_children()) <= before and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
