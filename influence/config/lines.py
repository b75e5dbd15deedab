"""On which line each key of a TOML text stands. `tomllib` does not say, so this looks it up again, by tokens.

It only has to be right for texts that tomllib has accepted: strings, comments, tables and inline values, no checks.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from functools import lru_cache

KeyPath = tuple[str | int, ...]

_TOKEN = re.compile(
    r""""{3}(?:\\.|(?!"{3})[^\\])*"{3,5}"""  # a multi-line string, which may end in two quotes of its own
    r"""|'{3}(?:(?!'{3}).)*'{3,5}"""
    r'''|"(?:\\.|[^"\\])*"'''
    r"""|'[^']*'"""
    r"""|[][{},=.\n]"""
    r"""|[^][{},=.\s"'#]+"""
    r"""|\#[^\n]*""",
    re.DOTALL,
)
_END = ""


def line_of(text: str, path: KeyPath) -> int | None:
    """The 1-based line of the longest part of `path` that stands in `text`, or None if no part of it does."""
    lines = _lines(text)
    return next((lines[path[:length]] for length in range(len(path), 0, -1) if path[:length] in lines), None)


@lru_cache(maxsize=8)
def _lines(text: str) -> dict[KeyPath, int]:
    """The line of every key, table and list item. A table without a header of its own stands where its first key does."""
    stated: dict[KeyPath, int] = {}
    implied: dict[KeyPath, int] = {}
    for path, line in _Scan(text).places():
        stated.setdefault(path, line)
        for length in range(1, len(path)):
            implied.setdefault(path[:length], line)
    return implied | stated


class _Scan:
    """One pass over the tokens of a text."""

    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, int]] = []
        line, done = 1, 0
        for match in _TOKEN.finditer(text):
            line += text.count("\n", done, match.start())
            done = match.start()
            if not match[0].startswith("#"):
                self._tokens.append((match[0], line))
        self._at = 0

    def places(self) -> Iterator[tuple[KeyPath, int]]:
        table: KeyPath = ()
        tables: dict[KeyPath, int] = {}  # how many of each list of tables there have been, less one
        while self._skip_newlines():
            line = self._line
            if self._next == "[":
                table = self._header(tables)
                yield table, line
            else:
                path = (*table, *self._key())
                yield path, line
                self._take()  # the equals sign
                yield from self._value(path)

    def _header(self, tables: dict[KeyPath, int]) -> KeyPath:
        self._take()
        several = self._next == "["
        if several:
            self._take()
        path: list[str | int] = []
        parts = self._key()
        for number, part in enumerate(parts, start=1):
            path.append(part)
            if several and number == len(parts):
                tables[tuple(path)] = tables.get(tuple(path), -1) + 1
            if tuple(path) in tables:
                path.append(tables[tuple(path)])
        while self._next == "]":
            self._take()
        return tuple(path)

    def _key(self) -> list[str]:
        parts = [self._name()]
        while self._next == ".":
            self._take()
            parts.append(self._name())
        return parts

    def _name(self) -> str:
        token = self._take()
        return str(tomllib.loads(f"key = {token}")["key"]) if token[0] in "\"'" else token

    def _value(self, path: KeyPath) -> Iterator[tuple[KeyPath, int]]:
        opening = self._next
        if opening not in ("[", "{"):
            while self._next not in (",", "]", "}", "\n", _END):
                self._take()
            return
        self._take()
        number = 0
        while self._skip_newlines() and self._next not in ("]", "}"):
            here: KeyPath = (*path, number)
            line = self._line
            if opening == "{":
                here = (*path, *self._key())
                self._take()  # the equals sign
            yield here, line
            yield from self._value(here)
            number += 1
            if self._skip_newlines() and self._next == ",":
                self._take()
        self._take()

    @property
    def _next(self) -> str:
        return self._tokens[self._at][0] if self._at < len(self._tokens) else _END

    @property
    def _line(self) -> int:
        return self._tokens[self._at][1]

    def _take(self) -> str:
        token = self._next
        self._at += 1
        return token

    def _skip_newlines(self) -> bool:
        """Go to the next token that is no line's end. False where the text is over."""
        while self._next == "\n":
            self._at += 1
        return self._next != _END
