"""Where numbers go besides the screen: `metrics.jsonl` always, wandb when asked. Every sink has the same one method."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

from influence.errors import RunError


class MetricSink(Protocol):
    def log(self, step: int, metrics: Mapping[str, float | None]) -> None: ...

    def show(self, step: int, pages: Mapping[str, str]) -> None:
        """HTML pages by name, where they can be shown."""

    def close(self) -> None: ...


class JsonlSink:
    """One line a logging, with step and time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def log(self, step: int, metrics: Mapping[str, float | None]) -> None:
        line = json.dumps({"step": step, "time": time.time(), **metrics})
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            raise RunError(f"{self._path}: cannot be written: {error.strerror}.") from None

    def show(self, step: int, pages: Mapping[str, str]) -> None:
        """The conversations are in the run's own files."""

    def close(self) -> None:
        pass


class WandbSink:
    """The same numbers in wandb: offline, into the run's folder, unless told otherwise."""

    def __init__(self, mode: Literal["offline", "online"], project: str, run_folder: Path, config: dict[str, Any]) -> None:
        os.environ["WANDB_SILENT"] = "true"
        import wandb

        self._run = wandb.init(
            mode=mode,
            project=project,
            name=run_folder.name,
            id=_wandb_id(run_folder),
            resume="allow",
            dir=str(run_folder),
            config=config,
        )

    def log(self, step: int, metrics: Mapping[str, float | None]) -> None:
        self._run.log({name: value for name, value in metrics.items() if value is not None}, step=step)

    def show(self, step: int, pages: Mapping[str, str]) -> None:
        import wandb

        self._run.log({name: wandb.Html(page) for name, page in pages.items()}, step=step)

    def close(self) -> None:
        self._run.finish()


def _wandb_id(run_folder: Path) -> str:
    return run_folder.name.replace(".", "-")


class Sinks:
    """Several sinks as one."""

    def __init__(self, *sinks: MetricSink) -> None:
        self._sinks = sinks

    def log(self, step: int, metrics: Mapping[str, float | None]) -> None:
        for sink in self._sinks:
            sink.log(step, metrics)

    def show(self, step: int, pages: Mapping[str, str]) -> None:
        for sink in self._sinks:
            sink.show(step, pages)

    def close(self) -> None:
        for sink in self._sinks:
            sink.close()
