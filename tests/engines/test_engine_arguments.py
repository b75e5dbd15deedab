"""What vLLM is told, by value: CPU and GPU set-ups, without starting either."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from influence.engines import vllm
from influence.engines.devices import GIB, Placement
from influence.engines.vllm import VllmEngine, VllmSettings, engine_arguments
from influence.errors import EngineError

CPU = Placement("cpu", "2 CPU cores")
GPU = Placement("cuda", "GPU 0", {"CUDA_VISIBLE_DEVICES": "0"})


def test_a_cpu(monkeypatch):
    monkeypatch.setattr(vllm, "cpu_cache_gib", lambda replicas: 3.0 / replicas)
    assert engine_arguments("model", VllmSettings(), CPU, replicas=2) == {
        "model": "model",
        "max_model_len": 4096,
        "max_num_seqs": 256,
        "enable_prefix_caching": True,
        "enable_chunked_prefill": False,
        "max_num_batched_tokens": 4096,
        "enforce_eager": True,
        "dtype": "bfloat16",
        "tensor_parallel_size": 1,
        "distributed_executor_backend": "uni",
        "quantization": None,
        "block_size": 32,
        "kv_cache_memory_bytes": int(1.5 * GIB),
        "disable_log_stats": True,
        "structured_outputs_config": {"backend": "xgrammar", "disable_any_whitespace": True},
    }


def test_a_gpu():
    assert engine_arguments("model", VllmSettings(), GPU, replicas=1) == {
        "model": "model",
        "max_model_len": 4096,
        "max_num_seqs": 256,
        "enable_prefix_caching": True,
        "enforce_eager": False,
        "dtype": "auto",
        "tensor_parallel_size": 1,
        "quantization": None,
        "gpu_memory_utilization": 0.9,
        "enable_sleep_mode": True,
        "disable_log_stats": True,
        "structured_outputs_config": {"backend": "xgrammar", "disable_any_whitespace": True},
    }


def told(placement: Placement, **settings) -> dict:
    return engine_arguments("model", VllmSettings(**settings), placement, replicas=1)


@pytest.mark.parametrize("placement", [CPU, GPU], ids=["CPU", "GPU"])
def test_what_the_configuration_says_is_passed_on(placement):
    arguments = told(
        placement, max_model_len=8192, max_num_seqs=7, block_size=64, kv_cache_gb=2.5, dtype="float32", quantization="fp8"
    )
    expected = {
        "max_model_len": 8192,
        "max_num_seqs": 7,
        "block_size": 64,
        "kv_cache_memory_bytes": int(2.5 * GIB),
        "dtype": "float32",
        "quantization": "fp8",
    }
    assert expected.items() <= arguments.items()


def test_a_cpu_prefills_the_longest_prompt_in_one_piece():
    """Chunked prefill is off there, so that a batch must hold a whole prompt."""
    for length in (1024, 4096, 32768):
        arguments = told(CPU, max_model_len=length)
        assert arguments["enable_chunked_prefill"] is False
        assert arguments["max_num_batched_tokens"] >= length


def test_a_gpu_chooses_its_own_batching():
    assert (
        not {"enable_chunked_prefill", "max_num_batched_tokens", "distributed_executor_backend", "block_size"} & told(GPU).keys()
    )


def test_graphs_are_compiled_on_a_gpu_always_and_on_a_cpu_when_asked_for():
    assert [told(CPU)["enforce_eager"], told(CPU, compile=True)["enforce_eager"]] == [True, False]
    assert [told(GPU)["enforce_eager"], told(GPU, compile=True)["enforce_eager"]] == [False, False]


def test_adapters_on_a_cpu_get_one_slot_more_that_stays_empty():
    assert not any("lora" in name for name in told(CPU))
    adapters = {"adapters": True, "max_loras": 2, "max_lora_rank": 32}
    assert {"enable_lora": True, "max_loras": 3, "max_lora_rank": 32}.items() <= told(CPU, **adapters).items()
    assert {"enable_lora": True, "max_loras": 2, "max_lora_rank": 32}.items() <= told(GPU, **adapters).items()


def test_sleep_mode_and_memory_share_are_for_gpus():
    assert not {"enable_sleep_mode", "gpu_memory_utilization"} & told(CPU).keys()
    assert told(GPU, gpu_memory_utilization=0.5)["gpu_memory_utilization"] == 0.5


def test_tensor_parallel_groups():
    assert told(replace(GPU, tensor_parallel=4))["tensor_parallel_size"] == 4


def test_every_setting_reaches_the_engine():
    """A setting that nothing reads would be a key of the configuration that does nothing."""
    other = {
        "max_model_len": 1,
        "max_num_seqs": 2,
        "block_size": 64,
        "kv_cache_gb": 3.0,
        "gpu_memory_utilization": 0.1,
        "dtype": "float32",
    }
    other |= {"quantization": "fp8", "compile": True, "adapters": True, "max_loras": 9, "max_lora_rank": 8}
    assert other.keys() | {"tool_parser"} == {field.name for field in fields(VllmSettings)}
    native = VllmEngine("model", VllmSettings(tool_parser="hermes"), [CPU]).capabilities
    assert native.tools
    assert not VllmEngine("model", VllmSettings(), [CPU]).capabilities.tools
    base = {"adapters": True}
    for name, value in other.items():
        changed = base | {name: value} if name != "adapters" else {}
        assert any(told(placement, **base) != told(placement, **changed) for placement in (CPU, GPU)), name


@pytest.mark.parametrize("placement", [CPU, GPU], ids=["CPU", "GPU"])
def test_vllm_knows_every_argument(placement):
    arguments = pytest.importorskip("vllm.engine.arg_utils").AsyncEngineArgs
    known = {field.name for field in fields(arguments)}
    assert told(placement, adapters=True, kv_cache_gb=1, block_size=32).keys() <= known


def test_an_engine_that_is_not_open_yet_refuses_adapters_it_was_not_made_for(tmp_path):
    import asyncio

    with pytest.raises(EngineError, match="opened without adapters"):
        asyncio.run(VllmEngine("model", VllmSettings(), [CPU]).add_adapter(str(tmp_path)))
