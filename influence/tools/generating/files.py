"""Writing toolkits and cases: as TOML that reads like what a person writes, checked by loading, and never over another file."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from influence.config.places import is_folder
from influence.errors import ConfigError, RunError, WorldError

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def new_file(path: Path) -> Path:
    """A path to write to, if a file can be made there. Raises ConfigError, before anything was asked of a model."""
    if path.suffix != ".toml":
        raise ConfigError(f"--to {path}: write a path that ends in .toml.")
    try:
        there = path.exists() or path.is_symlink()
        folder = next(parent for parent in path.absolute().parents if parent.exists())
    except OSError as error:
        raise ConfigError(f"--to {path}: cannot be written: {error.strerror}.") from None
    if there:
        raise ConfigError(f"{path} is there already, and is not overwritten. Choose another place with --to, or remove it.")
    if not is_folder(folder):
        raise ConfigError(f"--to {path}: {folder} is no folder.")
    try:
        with TemporaryDirectory(dir=folder):
            return path
    except OSError as error:
        raise ConfigError(f"--to {path}: nothing can be written in {folder}: {error.strerror}.") from None


def keep(path: Path, data: Mapping[str, Any], head: str, load: Callable[[Path], object], beside: Mapping[str, str]) -> None:
    """Write a file that `load` takes. `beside` are the toolkits that stand in `../toolkits` while it is tried.

    Raises RunError if it cannot be loaded or written, and WorldError if a file has come to be there.
    """
    text = toml_text(data, head)
    with TemporaryDirectory() as folder:
        trial = Path(folder) / "made" / path.name
        files = {trial: text} | {Path(folder) / "toolkits" / f"{name}.toml": other for name, other in beside.items()}
        for place, content in files.items():
            place.parent.mkdir(exist_ok=True)
            place.write_text(content, encoding="utf-8")
        try:
            same = tomllib.loads(text) == data
            load(trial)
        except (ValueError, WorldError) as error:
            raise RunError(f"what came together cannot be loaded, and was not kept: {error}") from None
        if not same:
            raise RunError("what came together is not what a reader would read, and was not kept.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            try:
                file.write(text)
            except OSError:
                with suppress(OSError):
                    path.unlink()
                raise
    except FileExistsError:
        raise WorldError(f"{path} is there already, and is not overwritten. Choose another place with --to.") from None
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror}.") from None


def toml_text(data: Mapping[str, Any], head: str = "") -> str:
    """JSON-like data as TOML: a table a key at the top, lists of tables one a line. Nothing may be null.

    (The package `toml` loses tables inside nested lists, and cannot write lists of mixed kinds.)
    """
    lines = [f"# {''.join(letter for letter in line if letter.isprintable())}" for line in head.splitlines()]
    tables = {key: value for key, value in data.items() if isinstance(value, dict)}
    many = {key: value for key, value in data.items() if _is_tables(value)}
    lines += [_line(key, value) for key, value in data.items() if key not in tables and key not in many]
    for key, table in tables.items():
        lines += ["", f"[{_key(key)}]", *(_line(inner, value) for inner, value in table.items())]
    for key, rows in many.items():
        for row in rows:
            lines += ["", f"[[{_key(key)}]]", *(_line(inner, value) for inner, value in row.items())]
    return "\n".join(lines) + "\n"


def _line(key: str, value: Any) -> str:
    if _is_tables(value) or (isinstance(value, list) and len(_inline(value)) > 100):
        return f"{_key(key)} = [\n" + "".join(f"    {_inline(part)},\n" for part in value) + "]"
    return f"{_key(key)} = {_inline(value)}"


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(key)} = {_inline(part)}" for key, part in value.items()) + " }" if value else "{}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):  # JSON's escapes are TOML's
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _inline(key)


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(part, dict) for part in value)
