"""The real command in a process of its own: start it, wait until its journal has grown, read what it has left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

FIXTURES = Path(__file__).parents[1] / "fixtures"
BOOTH = FIXTURES / "envs" / "booth"
SCRIPTS = FIXTURES / "scripts"


def simulate_command(out: Path, conversations: int, *options: str, script: Path = SCRIPTS / "varied.toml") -> list[str]:
    model = ["--model", f"scripted/{script}", "--env", str(BOOTH), "-n", str(conversations)]
    return [sys.executable, "-m", "influence", "simulate", *model, "--out", str(out), *options]


def start(command: list[str], before: Callable[[], None] | None = None) -> subprocess.Popen[str]:
    environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment, preexec_fn=before)


def finish(command: list[str], before: Callable[[], None] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    process = start(command, before)
    out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def wait_for_lines(process: subprocess.Popen[str], journal: Path, lines: int) -> bool:
    """Wait until the journal has so many lines; False if the process has ended before."""
    counted, position = 0, 0
    while True:
        if journal.is_file():
            with journal.open("rb") as file:
                file.seek(position)
                new = file.read()
            counted, position = counted + new.count(b"\n"), position + len(new)
            if counted >= lines:
                return True
        if process.poll() is not None:
            return False
        with suppress(subprocess.TimeoutExpired):  # wakes at once when the process ends
            process.wait(0.002)


def records(run: Path) -> list[dict[str, Any]]:
    """Every line of the journal; a torn one would be no JSON."""
    return [json.loads(line) for line in (run / "trajectories.jsonl").read_bytes().split(b"\n")[:-1]]


def without_times(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in record.items() if name not in ("started", "seconds")} for record in records]


def manifest(run: Path) -> dict[str, Any]:
    return json.loads((run / "manifest.json").read_text())


def statuses(run: Path) -> list[str]:
    return [attempt["status"] for attempt in manifest(run)["attempts"]]
