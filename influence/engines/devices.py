"""The one place that knows about devices: which GPUs there are, how replicas are laid over them, how a CPU is divided.

No library is loaded for it: `nvidia-smi` tells what GPUs a machine has, so that listing commands stay quick.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import psutil

from influence.errors import ConfigError

GIB = 2**30


@dataclass(frozen=True, slots=True)
class Gpu:
    index: int
    name: str
    memory_gib: float


@dataclass(frozen=True, slots=True)
class Placement:
    """Where one replica runs: the environment variables its process starts with."""

    device: str  # "cuda" or "cpu"
    label: str  # for people: "GPU 0,1", "CPU cores 0-1"
    environment: Mapping[str, str] = field(default_factory=dict)
    tensor_parallel: int = 1


def visible_gpus() -> list[Gpu]:
    """The NVIDIA GPUs of this machine that CUDA_VISIBLE_DEVICES leaves, in its order, or none."""
    if not shutil.which("nvidia-smi"):
        return []
    query = ["nvidia-smi", "--query-gpu=index,uuid,name,memory.total", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    gpus = {}
    for line in answer.strip().splitlines():
        index, uuid, name, memory = (part.strip() for part in line.split(","))
        gpus[uuid] = Gpu(int(index), name, float(memory) / 1024 if memory.isdecimal() else 0.0)  # some say "[N/A]"
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is None:
        return list(gpus.values())
    chosen: dict[int, Gpu] = {}
    for part in filter(None, map(str.strip, allowed.split(","))):
        named = [
            gpu for uuid, gpu in gpus.items() if str(gpu.index) == part or (part.startswith("GPU-") and uuid.startswith(part))
        ]
        if not named:
            break  # as CUDA does: what stands after an unknown name does not count
        chosen[named[0].index] = named[0]
    return list(chosen.values())


def usable_cores() -> list[int]:
    """The CPU cores that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def choose_gpus(requested: Sequence[int] | None, present: Sequence[Gpu]) -> list[int]:
    """The device numbers to use. None asks for all there are; an empty list for the CPU. Raises ConfigError for absent ones."""
    numbers = [gpu.index for gpu in present]
    if requested is None:
        return numbers
    absent = [number for number in requested if number not in numbers]
    if absent:
        there = (
            f"this machine has {', '.join(map(str, numbers))}" if numbers else "this machine has no NVIDIA GPU (or no nvidia-smi)"
        )
        raise ConfigError(f"GPU {', '.join(map(str, absent))} is not there: {there}. `--gpus none` runs on the CPU.")
    return list(requested)


def place(gpus: Sequence[int], tensor_parallel: int, replicas: int | None, cores: Sequence[int]) -> list[Placement]:
    """Lay replicas over GPUs (one for each group of `tensor_parallel`), or over the CPU's cores where there are no GPUs."""
    if not gpus:
        count = replicas or 1
        if tensor_parallel > 1:
            raise ConfigError(f"`engine.tensor_parallel` = {tensor_parallel} needs GPUs, and there are none here.")
        if count > len(cores):
            raise ConfigError(f"`engine.replicas` = {count} is more than the {len(cores)} CPU cores.")
        shares = [list(cores[n * len(cores) // count : (n + 1) * len(cores) // count]) for n in range(count)]
        return [Placement("cpu", f"{len(share)} CPU cores", _cpu_environment(len(share))) for share in shares]
    possible = len(gpus) // tensor_parallel
    if possible == 0:
        raise ConfigError(f"`engine.tensor_parallel` = {tensor_parallel} needs that many GPUs; {len(gpus)} may be used.")
    if replicas is not None and replicas > possible:
        raise ConfigError(
            f"`engine.replicas` = {replicas} with {tensor_parallel} GPU(s) each needs more than the {len(gpus)} GPUs."
        )
    groups = [gpus[n * tensor_parallel : (n + 1) * tensor_parallel] for n in range(replicas or possible)]
    names = [",".join(map(str, group)) for group in groups]
    order = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}  # nvidia-smi's numbers, which CUDA's own order need not follow
    return [Placement("cuda", f"GPU {name}", {"CUDA_VISIBLE_DEVICES": name, **order}, tensor_parallel) for name in names]


def _cpu_environment(threads: int) -> dict[str, str]:
    """One process a replica, its threads left to the system's scheduler.

    vLLM would put scheduler and worker into two processes here, which doubles the start (each imports everything) and has
    them contend for the same cores: measured on 2 cores, 25 s to the first token against 44 s, and 870 tokens/s against 730.
    It does so only where multiprocessing is asked for, so the variable says no while the configuration is made.
    """
    return {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": str(threads)}


def cpu_cache_gib(replicas: int) -> float:
    """Memory for one CPU replica's key-value cache: a third of what is free, 1 to 3 GiB in all.

    No more than that, because every GiB costs a second or two at the start; `engine.kv_cache_gb` asks for more.
    """
    free: float = psutil.virtual_memory().available / GIB
    return max(1.0, min(3.0, free / 3)) / replicas
