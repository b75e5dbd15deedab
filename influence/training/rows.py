"""A dataset row: the token ids of one training example, which of them the loss sees, and where it came from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Literal

from influence.runs.journal import read_records
from influence.runs.manifest import write_atomically
from influence.runs.records import Record

DATASET = "dataset.jsonl"


class Row(Record):
    """One line of `dataset.jsonl`.

    `trained` are the spans [start, end) of `token_ids` under the loss; a KTO row has one, at its end. `trajectory` and
    `turns` (from 1) say which of the agent's replies those are; a row of static data has neither. `label` is None for
    expert iteration, and for KTO whether this is a good example.
    """

    schema_version: Literal[1] = 1
    key: str
    source: Literal["rollout", "static"]
    trajectory: str | None
    turns: list[int]
    label: bool | None
    token_ids: list[int]
    trained: list[tuple[int, int]]

    @property
    def prompt_ids(self) -> list[int]:
        """What comes before the first trained token."""
        return self.token_ids[: self.trained[0][0]]

    @property
    def trained_tokens(self) -> int:
        return sum(end - start for start, end in self.trained)


def write_rows(path: Path, rows: Sequence[Row]) -> str:
    """Write a dataset in one step. Returns its digest."""
    text = "".join(row.model_dump_json() + "\n" for row in rows)
    write_atomically(path, text)
    return sha256(text.encode()).hexdigest()


def read_rows(path: Path) -> Iterator[Row]:
    """Raises RunError for a line that is no row."""
    return read_records(path, Row)


def file_digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()
