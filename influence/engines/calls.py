"""`calls.jsonl`: every request with its token ids, for replaying a run and for measuring how well prompts share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from influence.engines.base import CallRecord
from influence.errors import RunError


class CallLog:
    """Written as calls end, buffered: a killed run may lose the last ones, which nothing is resumed from."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = path.open("a", encoding="utf-8")
        except OSError as error:
            raise RunError(f"{path}: cannot be written: {error.strerror}.") from None

    def write(self, record: CallRecord) -> None:
        line: dict[str, Any] = {
            "role": record.call.role,
            "session": record.call.session,
            "turn": record.call.turn,
            "seed": record.call.seed,
            "adapter": record.adapter,
            "prompt_ids": list(record.prompt_ids),
            "output_ids": list(record.output_ids),
            "label_ids": list(record.label_ids),
            "cached_tokens": record.cached_tokens,
            "started": record.started,
            "seconds": record.seconds,
        }
        if record.request is not None:
            line |= {"request": record.request, "answer": record.answer}
        self._file.write(json.dumps(line, separators=(",", ":")) + "\n")

    def close(self) -> None:
        self._file.close()
