"""Text that a model or a data file wrote, as plain text for a terminal: no control characters, which a terminal would obey."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def clean(text: str) -> str:
    """The text with every control character but tab and newline made visible."""
    return _CONTROL.sub("\ufffd", text)
