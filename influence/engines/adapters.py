"""The adapters an engine holds: each under a name and number of its own, because prefix caches are keyed by them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from influence.engines.digests import full_digest
from influence.errors import EngineError


@dataclass(frozen=True, slots=True)
class Slot:
    name: str
    number: int
    digest: str


class AdapterTable:
    """Which adapter folders an engine knows. A number is never used twice, also not after a removal."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._next = 1
        self._slots: dict[str, Slot] = {}
        self._requests: dict[str, Any] = {}

    def __contains__(self, folder: str) -> bool:
        return folder in self._requests

    def add(self, folder: str) -> Slot:
        """A new slot; a second try takes the place of one that failed. Raises EngineError for no adapter, or for no room."""
        path = Path(folder)
        if not (path / "adapter_config.json").is_file():
            raise EngineError(f"{folder} is not an adapter folder: it has no adapter_config.json.")
        if len(self._slots.keys() - {folder}) >= self._room:
            raise EngineError(f"the engine holds {self._room} adapters already; `engine.max_loras` is its room.")
        digest = full_digest(path)
        slot = Slot(f"{path.name}-{digest[:12]}", self._next, digest)
        self._next += 1
        self._slots[folder] = slot
        return slot

    def ready(self, folder: str, request: Any) -> None:
        self._requests[folder] = request

    def forget(self, folder: str) -> None:
        """An adapter that was added could not be loaded: its slot is free again."""
        self._slots.pop(folder, None)

    def request(self, folder: str) -> Any:
        """What vLLM wants to be told with a request. Raises EngineError for an adapter that was not added."""
        if folder not in self._requests:
            raise EngineError(f"the adapter {folder} has not been added to the engine.")
        return self._requests[folder]

    def remove(self, folder: str) -> Any:
        request = self.request(folder)
        del self._requests[folder], self._slots[folder]
        return request

    def describe(self) -> dict[str, str]:
        return {folder: slot.digest for folder, slot in self._slots.items()}
