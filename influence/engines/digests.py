"""Digests of model folders, so that a manifest says which weights gave its numbers."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

EDGE = 1 << 20  # bytes read at each end of a large file


def full_digest(folder: Path) -> str:
    """SHA-256 over every file's name and content: for adapters, which are small."""
    digest = sha256()
    for path in sorted(p for p in folder.iterdir() if p.is_file()):
        digest.update(f"{path.name}:{path.stat().st_size}:".encode())
        with path.open("rb") as stream:
            while chunk := stream.read(EDGE):
                digest.update(chunk)
    return digest.hexdigest()


def quick_digest(folder: Path) -> str:
    """SHA-256 over every file's name, size and both ends: for base models, of which reading all would take minutes."""
    digest = sha256(b"quick")
    for path in sorted(p for p in folder.iterdir() if p.is_file()):
        size = path.stat().st_size
        digest.update(f"{path.name}:{size}:".encode())
        with path.open("rb") as stream:
            digest.update(stream.read(EDGE))
            stream.seek(max(0, size - EDGE))
            digest.update(stream.read(EDGE))
    return digest.hexdigest()
