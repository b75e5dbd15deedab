"""What is said to torch, transformers and vLLM before they are imported: no telemetry, no chatter."""

from __future__ import annotations

import os

_ALWAYS = {
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "THP_MEM_ALLOC_ENABLE": "1",  # large pages: a CPU's key-value cache is there in half the time
    "TOKENIZERS_PARALLELISM": "false",
}
_UNLESS_SET = {"VLLM_LOGGING_LEVEL": "INFO", "TRANSFORMERS_VERBOSITY": "warning", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}


def prepare(offline: bool) -> None:
    """Set the environment for the heavy libraries. `offline` where no hub needs to be asked: the model is a folder here."""
    os.environ.update(_ALWAYS)
    for name, value in _UNLESS_SET.items():
        os.environ.setdefault(name, value)
    if offline:
        os.environ["HF_HUB_OFFLINE"] = "1"
