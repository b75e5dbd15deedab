"""Where the data folders are: `envs/` and `presets/`, in a checkout, in an installed wheel, and in the working folder."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def data_folders(name: Literal["envs", "presets"]) -> list[Path]:
    """The folders that are searched, the user's own first, each at most once and only where it exists."""
    package = Path(__file__).resolve().parent
    candidates = [Path.cwd() / name, package.parent / name, package / name]
    found: list[Path] = []
    for folder in candidates:
        if folder.is_dir() and folder.resolve() not in [f.resolve() for f in found]:
            found.append(folder)
    return found
