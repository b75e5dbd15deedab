"""A quicker start for engines on a CPU: the engine's process is forked from a server that has imported vLLM already.

vLLM spawns its engine process and that process imports everything again, about ten seconds on two cores, after the
program itself has spent as long on the same imports. A fork server that begins its imports at the same time as the
program makes the two overlap. GPUs keep vLLM's own way.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Mapping
from multiprocessing import forkserver
from typing import Any

PRELOADED = [
    "influence.engines.orphans",
    "influence.engines.cpu_lora",
    "vllm.v1.engine.core",
    "vllm.v1.engine.async_llm",
    "vllm.v1.worker.cpu_worker",
    "vllm.v1.worker.cpu_model_runner",
]


def start(environment: Mapping[str, str]) -> None:
    """Start the fork server, which imports in the background. Its children keep this environment."""
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        multiprocessing.set_forkserver_preload(PRELOADED)
        forkserver.ensure_running()
    finally:
        os.environ.clear()
        os.environ.update(before)


def use() -> None:
    """Have vLLM take its engine processes from the fork server."""
    from vllm.v1.engine import utils

    context: Any = multiprocessing.get_context("forkserver")
    if not hasattr(utils, "get_mp_context"):
        raise AttributeError("this version of vLLM starts its engine another way")
    utils.get_mp_context = lambda: context
