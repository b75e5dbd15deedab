"""Adapters for each request: an adapter changes what its own requests get, and nothing for the judges on the base weights.

vLLM's own CPU kernels give requests without an adapter the weights of the last LoRA slot whenever a batch holds any adapter.
Ours (`influence.engines.cpu_lora`) apply an adapter to its own rows alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from influence.chat import Message
from influence.config.sections import EngineSection
from influence.engines.base import Call, Sampling
from influence.engines.embedded import model_folder
from influence.engines.opening import Engines
from influence.engines.vllm import VllmEngine
from influence.errors import EngineError

RATINGS = [str(n) for n in range(2, 10)]
QUESTION = [
    Message("user", "User: Is it far?\nAssistant: It is an hour by bus.\n\nHow does the user rate the reply, from 1 to 10?")
]


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A LoRA adapter with random weights, large enough to be seen."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_pretrained(str(model_folder()), dtype=torch.float32)
    model: Any = get_peft_model(base, LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj", "up_proj"]))
    for name, weights in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weights, std=0.05)
    folder = tmp_path_factory.mktemp("adapter")
    model.save_pretrained(folder, selected_adapters=["default"])
    return str(folder)


@pytest.fixture(scope="module")
def opened(adapter: str) -> Iterator[tuple[asyncio.Runner, VllmEngine]]:
    roles = {"agent": f"embedded:{adapter}", "user": "embedded"}
    engines = Engines(roles, EngineSection(gpus=[], kv_cache_gb=1.0, max_loras=1))
    engine = engines.roles["agent"].engine
    assert engine is engines.roles["user"].engine
    assert isinstance(engine, VllmEngine)
    with asyncio.Runner() as runner:
        runner.run(engines.__aenter__())
        try:
            yield runner, engine
        finally:
            runner.run(engines.__aexit__())


def rate(engine: VllmEngine, adapter: str | None = None) -> Any:
    return engine.label_logprobs(QUESTION, RATINGS, Call("preference", "q", 1), adapter, "Answer:")


def test_the_adapter_changes_its_own_requests(opened: tuple[asyncio.Runner, VllmEngine], adapter: str) -> None:
    runner, engine = opened
    plain, adapted = runner.run(rate(engine)), runner.run(rate(engine, adapter))
    assert max(abs(plain.logprobs[label] - adapted.logprobs[label]) for label in RATINGS) > 0.15


def test_the_adapter_does_what_it_does_in_peft(opened: tuple[asyncio.Runner, VllmEngine], adapter: str) -> None:
    """To the precision of the base model in bfloat16, which differs from transformers in float32 by up to 0.14."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    runner, engine = opened
    begun, label = engine.template.text_ids("Answer: 5")[:-1], lambda r: engine.template.text_ids(f"Answer: {r}")[-1]
    ids = torch.tensor([[*engine.template.prompt_ids(QUESTION), *begun]])
    base = AutoModelForCausalLM.from_pretrained(str(model_folder()), dtype=torch.float32)
    with torch.inference_mode():
        logprobs = torch.log_softmax(PeftModel.from_pretrained(base, adapter)(ids).logits[0, -1], -1)
    adapted = runner.run(rate(engine, adapter)).logprobs
    assert max(abs(adapted[rating] - float(logprobs[label(rating)])) for rating in RATINGS) < 0.14


def test_judges_on_the_base_weights_do_not_notice_the_adapter(opened: tuple[asyncio.Runner, VllmEngine], adapter: str) -> None:
    runner, engine = opened

    async def while_the_agent_speaks() -> Any:
        talk = [Message("user", "Tell me about the sea.")]
        speaking = [engine.generate(talk, Sampling(16), Call("agent", f"a{n}", n), adapter) for n in range(4)]
        return (await asyncio.gather(*(rate(engine) for _ in range(6)), *speaking))[:6]

    alone = runner.run(rate(engine))
    for answer in runner.run(while_the_agent_speaks()):
        assert answer.logprobs == alone.logprobs


def test_an_adapter_that_was_not_added_is_refused(opened: tuple[asyncio.Runner, VllmEngine]) -> None:
    runner, engine = opened
    with pytest.raises(EngineError, match="has not been added"):
        runner.run(rate(engine, str(Path("elsewhere"))))


def test_there_is_no_room_for_more_than_was_asked_for(opened: tuple[asyncio.Runner, VllmEngine], tmp_path: Path) -> None:
    runner, engine = opened
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(EngineError, match=r"engine\.max_loras"):
        runner.run(engine.add_adapter(str(tmp_path)))


def test_base_weights_are_the_same_before_and_after_an_adapter(opened: tuple[asyncio.Runner, VllmEngine], adapter: str) -> None:
    runner, engine = opened
    talks = [
        f"User: {text}\nAssistant: Yes.\n\nHow does the user rate the reply, from 1 to 10?" for text in ("Now?", "Is it so?")
    ]

    async def rated() -> list[Any]:
        asked = [[Message("user", talk)] for talk in talks] + [QUESTION]
        answers = [
            engine.label_logprobs(messages, RATINGS, Call("preference", f"q{n}", 1), None, "Answer:")
            for n, messages in enumerate(asked)
        ]
        return [answer.logprobs for answer in await asyncio.gather(*answers)]

    with_adapter = runner.run(rated())
    runner.run(engine.remove_adapter(adapter))
    try:
        without, once_more = runner.run(rated()), runner.run(rated())
    finally:
        runner.run(engine.add_adapter(adapter))
    assert without == once_more  # the engine's own noise from run to run is none
    assert with_adapter == without == runner.run(rated())


def test_each_adapter_is_added_to_its_own_rows_alone() -> None:
    import torch
    from vllm.platforms.cpu import CpuPlatform

    from influence.engines.cpu_lora import RowwiseLora, rows_by_slot

    assert CpuPlatform.get_punica_wrapper().endswith("RowwiseLora")
    torch.manual_seed(0)
    slots = torch.tensor([1, -1, 0, 1, 0, -1])
    x, widths, rank = torch.randn(6, 8), (5, 3), 4
    a = tuple(torch.randn(2, 1, rank, 8) for _ in widths)
    b = tuple(torch.randn(2, 1, width, rank) for width in widths)
    wanted = torch.randn(6, sum(widths))
    found = wanted.clone()
    for row, slot in enumerate(slots.tolist()):
        if slot >= 0:
            wanted[row] += torch.cat([0.5 * b[n][slot, 0] @ (a[n][slot, 0] @ x[row]) for n in range(len(widths))])
    kernel = RowwiseLora.__new__(RowwiseLora)
    kernel._rows = rows_by_slot(slots)
    kernel.add_lora_linear(found, x, a, b, 0.5, widths)
    assert torch.allclose(found, wanted, atol=1e-5)
    kernel._rows = rows_by_slot(torch.tensor([1, 1, 1, 1, 1, 1]))
    everywhere = torch.zeros_like(found)
    kernel.add_lora_linear(everywhere, x, a, b, 0.5, widths)
    assert torch.allclose(everywhere[:, :5], 0.5 * x @ a[0][1, 0].T @ b[0][1, 0].T, atol=1e-5)
