"""What the server saw: one line a request, and the few figures that tests of rate limits and of throughput ask for.

All instants are `time.monotonic()`, which is one clock for all processes of a machine. Lists of models count as requests
in the list, but not in the figures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf
from typing import Any


@dataclass(slots=True)
class Seen:
    """One request. `fault` is a `Fault`, or `invalid_request`, `unsupported_parameter` or `unknown_path`: the client's own."""

    number: int
    path: str
    arrived: float
    answered: float | None = None
    fault: str | None = None
    status: int | None = None
    body_digest: str = ""
    key: str | None = None
    user_agent: str | None = None
    ended: float | None = None
    """Answered, reset, or left by the client: when the client no longer waits for it. None as long as it does."""

    @property
    def until(self) -> float:
        return inf if self.ended is None else self.ended


@dataclass
class Record:
    """Everything that was seen, in the order of arrival; `requests[n].number` is n."""

    requests: list[Seen] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    """The bodies that were JSON objects, if the server was told to keep them."""

    @property
    def asked(self) -> list[Seen]:
        return [seen for seen in self.requests if not seen.path.startswith("/v1/models")]

    def by_fault(self) -> Counter[str | None]:
        """How many requests met each fault; None counts the ordinary ones."""
        return Counter(seen.fault for seen in self.asked)

    def by_status(self) -> Counter[int | None]:
        return Counter(seen.status for seen in self.asked)

    def most_in_any_minute(self, window: float = 60.0) -> int:
        """The most arrivals in any half-open window of that many seconds."""
        return most_within([seen.arrived for seen in self.asked], window)

    @property
    def most_at_once(self) -> int:
        """The most requests that were open at one time. One that ends when another arrives is not open beside it."""
        asked = self.asked
        changes = sorted([(seen.arrived, 1) for seen in asked] + [(seen.until, -1) for seen in asked if seen.until < inf])
        most = now = 0
        for _, change in changes:
            now += change
            most = max(most, now)
        return most

    def busy(self, slots: int, start: float, end: float) -> float:
        """The mean share of a client's slots that had a request open here between two instants."""
        asked = self.asked
        return sum(max(0.0, min(seen.until, end) - max(seen.arrived, start)) for seen in asked) / (slots * (end - start))

    def stats(self, slots: int) -> dict[str, Any]:
        """The figures as JSON. `busy` is over the middle half of the run, without its beginning and its long tail."""
        asked = self.asked
        arrivals = [seen.arrived for seen in asked]
        first, last = min(arrivals, default=0.0), max((seen.ended or seen.arrived for seen in asked), default=0.0)
        quarter = (last - first) / 4
        return {
            "requests": len(asked),
            "by_fault": {fault or "none": count for fault, count in self.by_fault().items()},
            "by_status": {str(status or "none"): count for status, count in self.by_status().items()},
            "most_in_any_minute": self.most_in_any_minute(),
            "most_at_once": self.most_at_once,
            "seconds": last - first,
            "busy": self.busy(slots, first + quarter, last - quarter) if quarter > 0 else 0.0,
        }


def most_within(arrivals: Iterable[float], window: float) -> int:
    """The most instants in any [t, t + window)."""
    arrivals = sorted(arrivals)
    most = oldest = 0
    for newest, arrived in enumerate(arrivals):
        while arrived - arrivals[oldest] >= window:
            oldest += 1
        most = max(most, newest - oldest + 1)
    return most
