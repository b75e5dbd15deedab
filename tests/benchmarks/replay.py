"""Oracle replay: exactly the requests of a run, with the same prompts and output lengths, all given to the engine at once.

An oracle would know all prompts beforehand. What it needs is what the engine needs; the run's time above it is ours.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from influence.engines.base import CallRecord
from influence.engines.opening import Engines
from tests.benchmarks.workload import reset_cache, vllm_of


async def replay(calls: Sequence[CallRecord], engines: Engines) -> float:
    """Seconds for all calls at once, from an empty prefix cache."""
    await reset_cache(engines)
    engine = vllm_of(engines)
    (replica,) = engine.replicas
    from vllm import SamplingParams, TokensPrompt
    from vllm.sampling_params import RequestOutputKind

    def params(call: CallRecord) -> SamplingParams:
        common = {"max_tokens": len(call.output_ids), "detokenize": False, "output_kind": RequestOutputKind.FINAL_ONLY}
        if call.label_ids:
            return SamplingParams(**common, temperature=0.0, logprob_token_ids=list(call.label_ids), ignore_eos=True)
        return SamplingParams(**common, temperature=1.0, seed=call.call.seed, ignore_eos=True)

    async def ask(number: int, call: CallRecord) -> None:
        prompt = TokensPrompt(prompt_token_ids=list(call.prompt_ids))
        async for output in replica.generate(prompt, params(call), f"replay-{number}"):
            assert not output.finished or len(output.outputs[0].token_ids) == len(call.output_ids)

    ordered = sorted(calls, key=lambda call: call.started)
    started = time.perf_counter()
    await asyncio.gather(*(ask(n, call) for n, call in enumerate(ordered)))
    return time.perf_counter() - started
