"""Keys that this process has read, so that no text it writes can hold one, even where a server repeats it in an error."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

SHORTEST = 8  # shorter ones ("none", "EMPTY") are placeholders, and would blot out ordinary words
_secrets: list[str] = []  # longest first, so that no key leaves the tail of a longer one behind


def keep_secret(secret: str) -> None:
    """From now on `redact` blots this text out."""
    if len(secret) >= SHORTEST:
        spellings = {secret, json.dumps(secret)[1:-1], secret.replace("/", "\\/"), quote(secret, safe="")}
        _secrets[:] = sorted({*_secrets, *spellings}, key=len, reverse=True)


def redact(text: str) -> str:
    """The text without any key."""
    for secret in _secrets:
        if secret in text:
            text = text.replace(secret, "[key]")
    return text


def may_hold_secret(raw: bytes) -> bool:
    """Whether JSON text can hold a key: it does as it stands, or it has characters that are written as numbers."""
    return b"\\u" in raw or any(secret.encode() in raw for secret in _secrets)


def redact_data(data: Any) -> Any:
    """`redact` for JSON data: for its texts, however they were spelled where they came from."""
    if isinstance(data, str):
        return redact(data)
    if isinstance(data, list):
        return [redact_data(item) for item in data]
    if isinstance(data, dict):
        return {redact(key): redact_data(value) for key, value in data.items()}
    return data
