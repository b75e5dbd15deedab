"""Keys that this process has read, so that no text it writes can hold one, even where a server repeats it in an error."""

from __future__ import annotations

SHORTEST = 8  # shorter ones ("none", "EMPTY") are placeholders, and would blot out ordinary words
_secrets: set[str] = set()


def keep_secret(secret: str) -> None:
    """From now on `redact` blots this text out."""
    if len(secret) >= SHORTEST:
        _secrets.add(secret)


def redact(text: str) -> str:
    """The text without any key."""
    for secret in _secrets:
        if secret in text:
            text = text.replace(secret, "[key]")
    return text


def redact_bytes(data: bytes) -> bytes:
    """`redact` for what came over the wire."""
    for secret in _secrets:
        if (raw := secret.encode()) in data:
            data = data.replace(raw, b"[key]")
    return data
