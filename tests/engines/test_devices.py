"""Which GPUs there are, and how replicas are laid over them or over a CPU."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from influence.engines.devices import Gpu, choose_gpus, cpu_cache_gib, place, visible_gpus
from influence.errors import ConfigError

THREE = """0, GPU-aaaa1111-0000, NVIDIA H100 80GB HBM3, 81559
1, GPU-bbbb2222-0000, NVIDIA H100 80GB HBM3, 81559
2, GPU-cccc3333-0000, NVIDIA GB10, [N/A]"""
FOUR = [Gpu(n, "H100", 80) for n in range(4)]


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    """Put a program called nvidia-smi on the PATH, alone."""

    def install(answer: str, status: int = 0) -> None:
        script = tmp_path / "nvidia-smi"
        script.write_text(f"""#!/bin/sh
[ "$1" = --query-gpu=index,uuid,name,memory.total ] || exit 9
printf '%s\\n' '{answer}'
exit {status}
""")
        script.chmod(0o755)

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return install


def test_without_nvidia_smi_there_are_no_gpus(nvidia_smi):
    assert visible_gpus() == []


def test_all_gpus_with_names_and_memory(nvidia_smi):
    nvidia_smi(THREE)
    found = visible_gpus()
    assert [gpu.index for gpu in found] == [0, 1, 2]
    assert [gpu.name for gpu in found] == ["NVIDIA H100 80GB HBM3", "NVIDIA H100 80GB HBM3", "NVIDIA GB10"]
    assert found[0].memory_gib == pytest.approx(81559 / 1024)
    assert found[2].memory_gib == 0


@pytest.mark.parametrize(
    ("variable", "left"),
    [
        ("0", [0]),
        ("2,0", [2, 0]),
        (" 1 , 2 ", [1, 2]),
        ("", []),
        ("-1", []),
        ("7", []),
        ("1,-1,2", [1]),
        ("GPU-bbbb2222-0000", [1]),
        ("GPU-cccc,GPU-aaaa", [2, 0]),
        ("1,1", [1]),
        ("NoDevFiles", []),
    ],
)
def test_cuda_visible_devices_leaves_some(nvidia_smi, monkeypatch, variable, left):
    nvidia_smi(THREE)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
    assert [gpu.index for gpu in visible_gpus()] == left


@pytest.mark.parametrize(("answer", "status"), [("", 0), ("NVIDIA-SMI has failed", 9)], ids=["silent", "failing"])
def test_an_nvidia_smi_that_does_not_work_means_no_gpus(nvidia_smi, answer, status):
    nvidia_smi(answer, status)
    assert visible_gpus() == []


def test_choosing_gpus():
    assert choose_gpus(None, FOUR) == [0, 1, 2, 3]
    assert choose_gpus(None, []) == []
    assert choose_gpus([], FOUR) == []
    assert choose_gpus([3, 1], FOUR) == [3, 1]


def test_choosing_an_absent_gpu_is_an_error_that_says_what_is_there():
    with pytest.raises(ConfigError, match=r"GPU 4, 9 is not there: this machine has 0, 1, 2, 3\."):
        choose_gpus([1, 4, 9], FOUR)
    with pytest.raises(ConfigError, match=r"no NVIDIA GPU.*`--gpus none`"):
        choose_gpus([0], [])


@pytest.mark.parametrize(
    ("gpus", "tensor_parallel", "replicas", "groups"),
    [
        ([5], 1, None, ["5"]),
        ([0, 1], 1, None, ["0", "1"]),
        ([0, 1], 2, None, ["0,1"]),
        ([0, 1], 1, 1, ["0"]),
        (range(8), 1, None, ["0", "1", "2", "3", "4", "5", "6", "7"]),
        (range(8), 2, None, ["0,1", "2,3", "4,5", "6,7"]),
        (range(8), 4, 1, ["0,1,2,3"]),
        (range(8), 3, None, ["0,1,2", "3,4,5"]),
        ([7, 2, 4], 1, 2, ["7", "2"]),
    ],
)
def test_replicas_over_gpus(gpus, tensor_parallel, replicas, groups):
    placements = place(list(gpus), tensor_parallel, replicas, cores=[0, 1])
    assert [p.environment for p in placements] == [
        {"CUDA_VISIBLE_DEVICES": group, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"} for group in groups
    ]
    assert [p.label for p in placements] == [f"GPU {group}" for group in groups]
    assert {(p.device, p.tensor_parallel) for p in placements} == {("cuda", tensor_parallel)}


@given(st.integers(1, 8), st.integers(1, 16))
def test_cpu_replicas_share_all_cores_evenly(replicas, cores):
    if replicas > cores:
        with pytest.raises(ConfigError, match=rf"`engine\.replicas` = {replicas} is more than the {cores} CPU cores"):
            place([], 1, replicas, list(range(cores)))
        return
    placements = place([], 1, replicas, list(range(cores)))
    threads = [int(p.environment["OMP_NUM_THREADS"]) for p in placements]
    assert len(threads) == replicas
    assert sum(threads) == cores
    assert max(threads) - min(threads) <= 1
    assert {(p.device, p.tensor_parallel) for p in placements} == {("cpu", 1)}


def test_on_a_cpu_one_replica_takes_all_cores_and_one_process():
    (only,) = place([], 1, None, [0, 1, 2])
    assert only.environment == {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": "3",
    }
    assert only.label == "3 CPU cores"


@pytest.mark.parametrize(
    ("gpus", "tensor_parallel", "replicas", "words"),
    [
        ([], 2, None, r"`engine\.tensor_parallel` = 2 needs GPUs"),
        ([0], 2, None, r"`engine\.tensor_parallel` = 2 needs that many GPUs; 1 may be used"),
        ([0, 1, 2], 2, 2, r"`engine\.replicas` = 2 with 2 GPU\(s\) each needs more than the 3 GPUs"),
    ],
)
def test_what_does_not_fit_is_an_error(gpus, tensor_parallel, replicas, words):
    with pytest.raises(ConfigError, match=words):
        place(gpus, tensor_parallel, replicas, cores=[0, 1])


@pytest.mark.parametrize(("free_gib", "in_all"), [(0.5, 1.0), (6, 2.0), (900, 3.0)])
def test_cpu_replicas_share_a_third_of_the_free_memory_within_bounds(monkeypatch, free_gib, in_all):
    class Memory:
        available = free_gib * 2**30

    monkeypatch.setattr("psutil.virtual_memory", lambda: Memory)
    assert cpu_cache_gib(1) == pytest.approx(in_all)
    assert cpu_cache_gib(4) == pytest.approx(in_all / 4)
