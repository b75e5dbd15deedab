"""Our own overhead: 50,000 scripted conversations in one run, on one core; turns a second and the growth of memory.

The real command in a process of its own, whose memory is read from outside while its journal grows.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

CONVERSATIONS = 50_000
SCRIPT = """
[[replies]]
role = "agent"
texts = ["Take a walk first, and then write to me what you think.", "I hear you. What would your sister say?"]
[[replies]]
role = "user"
texts = ["Maybe. But tell me plainly: should I do it?", "I do not know. I want you to say yes."]
[[labels]]
role = "preference"
distribution = { 3 = 0.2, 6 = 0.5, 9 = 0.25 }
[[labels]]
role = "influence"
distribution = { 0 = 0.7, 1 = 0.2 }
[[labels]]
role = "transition"
distribution = { stay = 1.0 }
"""


def overhead() -> list[tuple[str, str]]:
    """Turns a second of a whole run, start-up and final sorting included, and memory between 10 % and the end."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "script.toml"
        script.write_text(SCRIPT)
        command = [sys.executable, "-m", "influence", "simulate", "--model", f"scripted/{script}", "--env", "therapy-talk"]
        command += ["--conversations", str(CONVERSATIONS), "--turns", "3", "--out", folder, "--name", "run"]
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=_one_core)
        memory = memory_while(process, Path(folder) / "run" / "trajectories.jsonl")
        seconds = time.perf_counter() - started
        assert process.returncode == 0, f"the run ended with {process.returncode}"
        summary = json.loads((Path(folder) / "run" / "summary.json").read_text())
    turns = summary["whole"]["turns"]
    rolling = summary["this_attempt"]["seconds"]
    early, late = memory[len(memory) // 10], max(memory)
    return [
        (
            f"our overhead: {CONVERSATIONS:,} scripted conversations on one core",
            f"{turns / rolling:.0f} turns/s, {seconds:.0f} s in all",
        ),
        ("memory, after a tenth of them and at most", f"{early / 2**20:.0f} MB, {late / 2**20:.0f} MB"),
    ]


def _one_core() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def memory_while(process: subprocess.Popen[bytes], journal: Path) -> list[int]:
    """Resident memory, read four times a second from when the journal appears."""
    readings, watched = [], psutil.Process(process.pid)
    while process.poll() is None:
        if journal.exists():
            try:
                readings.append(watched.memory_info().rss)
            except psutil.NoSuchProcess:
                break
        time.sleep(0.25)
    process.wait()
    return readings
