"""What may come back instead of an answer, and what each kind means: try again, give this request up, or stop the run.

Pure: from a status, headers and a body to a kind, so that every case is a line in a test.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any

from pydantic_core import from_json

from influence.redaction import redact

SHOWN = 300  # characters of a server's words that an error repeats


class FaultKind(StrEnum):
    """Every way in which a request fails."""

    RATE_LIMITED = "rate_limited"  # 429
    OVERLOADED = "overloaded"  # 503, 529
    SERVER_ERROR = "server_error"  # other 5xx, 408, 409
    CONNECTION = "connection"  # refused, reset, cut off in the middle
    TIMED_OUT = "timed_out"  # no whole answer within the time for one attempt
    MALFORMED = "malformed"  # 200, but no answer in it
    CONTEXT_TOO_LONG = "context_too_long"
    BAD_REQUEST = "bad_request"
    INVALID_KEY = "invalid_key"
    UNKNOWN_MODEL = "unknown_model"
    NO_CREDIT = "no_credit"


RETRIED = frozenset(
    {
        FaultKind.RATE_LIMITED,
        FaultKind.OVERLOADED,
        FaultKind.SERVER_ERROR,
        FaultKind.CONNECTION,
        FaultKind.TIMED_OUT,
        FaultKind.MALFORMED,
    }
)
STOPPING = frozenset({FaultKind.INVALID_KEY, FaultKind.UNKNOWN_MODEL, FaultKind.NO_CREDIT})
PERHAPS_BILLED = frozenset({FaultKind.MALFORMED, FaultKind.TIMED_OUT})

_TOO_LONG = re.compile(
    r"context[ _-]?(length|window|limit|size)|maximum (context|prompt|model) length|prompt is too long"
    r"|(input|prompt|request) (is )?too (long|large)|longer than the maximum|too many (input )?tokens|maximum number of tokens",
    re.IGNORECASE,
)
_NOT_TAKEN = re.compile(
    r"unsupported|not support|n't support|unknown|unrecogni[sz]ed|not permitted|not allowed|unexpected|deprecated|extra (input|field)|not available",
    re.IGNORECASE,
)
# Not "billing" or "quota" alone: those stand in ordinary rate limits too, which pass.
_NO_CREDIT = re.compile(r"insufficient_quota|credit balance|insufficient (credit|fund|balance)", re.IGNORECASE)


class Fault(Exception):
    """A request that failed. `retry_after` is in seconds; `code` is the server's own word for it."""

    def __init__(
        self, kind: FaultKind, words: str, retry_after: float | None = None, code: str = "", parameter: str = ""
    ) -> None:
        super().__init__(words)
        self.kind, self.retry_after, self.code, self.parameter = kind, retry_after, code, parameter


def fault_of(status: int, headers: Mapping[str, str], body: bytes) -> Fault:
    """The fault that an answer with an error status is. Header names are in lower case."""
    error = _error_in(body)
    message, code = str(error.get("message") or ""), str(error.get("code") or error.get("type") or "")
    words = message or re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body.decode(errors="replace"))).strip()
    text = f"{status} {redact(words)[:SHOWN]}".rstrip()
    kind = _kind(status, code, words)
    parameter = str(error.get("param") or "") if kind == FaultKind.BAD_REQUEST else ""
    return Fault(kind, text, retry_after(headers), code, parameter)


def _kind(status: int, code: str, words: str) -> FaultKind:
    if status in (400, 402, 403, 429) and (_NO_CREDIT.search(code) or _NO_CREDIT.search(words)):
        return FaultKind.NO_CREDIT
    if status == 429:
        return FaultKind.RATE_LIMITED
    if status in (503, 529):
        return FaultKind.OVERLOADED
    if status in (408, 409) or status >= 500:
        return FaultKind.SERVER_ERROR
    if status in (401, 403):
        return FaultKind.INVALID_KEY
    if status == 402:
        return FaultKind.NO_CREDIT
    if status == 404:
        return FaultKind.UNKNOWN_MODEL
    if status == 413 or _TOO_LONG.search(code) or _TOO_LONG.search(words):
        return FaultKind.CONTEXT_TOO_LONG
    return FaultKind.BAD_REQUEST


def _error_in(body: bytes) -> Mapping[str, Any]:
    """The error object that both APIs answer with, or nothing."""
    try:
        data = from_json(body)
    except ValueError:
        return {}
    if not isinstance(data, dict):
        return {}
    error = data.get("error", data)
    if isinstance(error, str):
        return {"message": error}
    return error if isinstance(error, dict) else {}


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait: `retry-after-ms`, or `retry-after` as seconds or as a date; None if it says nothing usable."""
    for name, scale in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) / scale
        except (KeyError, ValueError):
            continue
        return seconds if 0 <= seconds < float("inf") else None
    try:
        return max(0.0, parsedate_to_datetime(headers["retry-after"]).timestamp() - time.time())
    except (KeyError, ValueError, OverflowError):
        return None


def refused_parameter(fault: Fault, sent: Iterable[str]) -> str | None:
    """Which of the optional parameters that were sent a model does not take, if that is what the fault says.

    A value out of range is not that: nobody's temperature is dropped because it was too high.
    """
    if fault.kind != FaultKind.BAD_REQUEST or not (_NOT_TAKEN.search(fault.code) or _NOT_TAKEN.search(str(fault))):
        return None
    names = sorted(sent, key=len, reverse=True)
    if fault.parameter.partition(".")[0] in names:
        return fault.parameter.partition(".")[0]
    return next((name for name in names if re.search(rf"(?<![A-Za-z_]){re.escape(name)}(?![A-Za-z_])", str(fault))), None)
