"""Append-only journals: one complete JSON record a line, each with its key, so that a killed run loses nothing finished.

A line is written with one system call. What a kill or a full disk leaves half written is cut off when the journal is
opened again, and redone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from influence.errors import RunError

Form = TypeVar("Form", bound=BaseModel)


class Journal:
    """A journal that is open for writing. `keys` are those of the records that it already holds."""

    def __init__(self, path: Path, seen: Callable[[str], None] | None = None) -> None:
        """Open, repair and read. `seen` is called with every whole line, so that a resumed run knows its finished part."""
        self.path = path
        self.keys: set[str] = set()
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            self._size = _cut_torn_line(self._file)
        except OSError as error:
            raise RunError(f"{path} cannot be opened for writing: {error.strerror}.") from None
        try:
            for number, line in enumerate(read_lines(path), start=1):
                self.keys.add(line_key(path, line, number))
                if seen:
                    seen(line)
        except BaseException:
            os.close(self._file)
            raise

    def append(self, key: str, line: str) -> None:
        """Add one record. Raises RunError when it cannot be written; the journal is then as it was before."""
        data = line.encode() + b"\n"
        try:
            written = os.write(self._file, data)
            if written != len(data):
                raise OSError(28, "no space left on the device")
        except OSError as error:
            self._undo()
            raise RunError(
                f"{self.path}: cannot be written: {error.strerror}. What was finished before is safe: "
                "make room and run the same command again to go on."
            ) from None
        self._size += len(data)
        self.keys.add(key)

    def _undo(self) -> None:
        with suppress(OSError):  # then opening the journal again cuts the torn line
            os.ftruncate(self._file, self._size)

    def sort(self, order: Sequence[str]) -> None:
        """Put the records in the order of `order`'s keys, in one step, so that equal runs give equal files."""
        places: dict[str, tuple[int, int]] = {}
        offset = 0
        with self.path.open("rb") as lines:
            for number, raw in enumerate(lines, start=1):
                places[line_key(self.path, raw.decode(), number)] = (offset, len(raw))
                offset += len(raw)
        wanted = [places[key] for key in order if key in places]
        if wanted == sorted(wanted) or len(wanted) != len(places):
            return
        partial = self.path.with_suffix(".sorting")
        try:
            with self.path.open("rb") as source, partial.open("wb") as target:
                for start, length in wanted:
                    source.seek(start)
                    target.write(source.read(length))
                target.flush()
                os.fsync(target.fileno())
            partial.replace(self.path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise RunError(f"{self.path}: all records are there, but could not be put in order: {error.strerror}.") from None

    def close(self) -> None:
        with suppress(OSError):  # a file system that cannot sync has said all it can
            os.fsync(self._file)
        os.close(self._file)


def read_lines(path: Path) -> Iterator[str]:
    """The whole lines of a journal; a torn last one is left out. Raises RunError for bytes that are no text."""
    with path.open("rb") as lines:
        for number, raw in enumerate(lines, start=1):
            if raw.endswith(b"\n"):
                try:
                    yield raw.decode()
                except UnicodeDecodeError:
                    raise damaged(path, number, repr(raw[:60])) from None


def read_records(path: Path, form: type[Form]) -> Iterator[Form]:
    """The lines of a file as records of one form. Raises RunError for a line of another."""
    for number, line in enumerate(read_lines(path), start=1):
        try:
            yield form.model_validate_json(line)
        except ValidationError:
            raise damaged(path, number, repr(line[:60])) from None


def line_key(path: Path, line: str, number: int) -> str:
    """The key of a record. Raises RunError for a line that is none."""
    try:
        return str(json.loads(line)["key"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise damaged(path, number, repr(line[:60])) from None


def damaged(path: Path, number: int, what: str) -> RunError:
    """The error for a line that no run of ours has written."""
    return RunError(f"{path}, line {number}: this is not a record: {what}. The file was changed by hand or damaged.")


def _cut_torn_line(file: int) -> int:
    """Cut what follows the last line break. Returns the size that is left."""
    size = end = os.lseek(file, 0, os.SEEK_END)
    chunk = 1 << 16
    while end > 0:
        start = max(0, end - chunk)
        found = os.pread(file, end - start, start).rfind(b"\n")
        if found >= 0:
            end = start + found + 1
            break
        end = start
    if end < size:
        os.ftruncate(file, end)
    return end
