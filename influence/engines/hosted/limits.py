"""What a provider allows: requests at once, requests a minute, tokens a minute, kept over the whole program.

All requests to a provider wait in one line, whoever makes them. The pace is even (a request each 60/n seconds after a short
burst), because providers count by the second too. When a server says "too many" more often than now and then, everybody
waits for as long as it asks, and fewer requests go out at once until it is content again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from math import floor

MARGIN = 1.02  # minutes are counted two per cent long, because requests bunch on their way to the server
BURST_SECONDS = 2.0
CROWDED = 0.3  # the share of recent answers that said "too many" above which everybody waits
RECENT = 0.1  # how much the newest answer counts in that share
LONGEST_PAUSE = 60.0


class Pace:
    """At most `per_minute` units in any minute, spread evenly: a generic cell rate algorithm (ITU-T I.371).

    With a burst of b units and one more each T seconds, any window of W seconds holds at most b - 1 + ceil(W / T) units:
    T = W / (per_minute - b + 1) keeps that at `per_minute`.
    """

    def __init__(self, per_minute: int) -> None:
        self.burst = max(1, min(per_minute, floor(per_minute * BURST_SECONDS / 60)))
        self.interval = 60.0 * MARGIN / (per_minute - self.burst + 1)
        self._full = 0.0  # when everything that has been taken will have been paid back

    def ready_at(self, now: float) -> float:
        """When the next unit may be taken."""
        return max(now, self._full - (self.burst - 1) * self.interval)

    def take(self, now: float, units: float = 1.0) -> None:
        self._full = max(self._full, now) + units * self.interval

    def correct(self, units: float) -> None:
        """More (or, below 0, fewer) units were used than had been taken."""
        self._full += units * self.interval


class Limits:
    """The line in which all requests to one provider wait. `clock` is the event loop's time."""

    def __init__(
        self, at_once: int, requests_a_minute: int | None, tokens_a_minute: int | None, clock: Callable[[], float]
    ) -> None:
        self.at_once = at_once
        self._allowed = float(at_once)
        self._requests = Pace(requests_a_minute) if requests_a_minute else None
        self._tokens = Pace(tokens_a_minute) if tokens_a_minute else None
        self._clock = clock
        self._waiting: deque[tuple[asyncio.Future[None], float]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._paused_until = 0.0
        self._crowding = 0.0
        self.running = 0
        self.pauses = 0

    @property
    def allowed(self) -> int:
        """How many requests may be under way now."""
        return max(1, floor(self._allowed))

    async def enter(self, tokens: float) -> None:
        """Wait for the turn of one request of about `tokens` tokens. Whoever has entered must `leave`."""
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((mine, tokens))
        self._let_in()
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():  # it was let in and never went
                self.leave()
            raise

    def leave(self) -> None:
        self.running -= 1
        self._let_in()

    def _let_in(self) -> None:
        """Let in whoever may go now, in order; wake up when the next one may."""
        while self._waiting and self.running < self.allowed:
            first, tokens = self._waiting[0]
            if first.done():  # cancelled while waiting
                self._waiting.popleft()
                continue
            now = self._clock()
            ready = max(self._paused_until, *(pace.ready_at(now) for pace in (self._requests, self._tokens) if pace), now)
            if ready > now:
                if self._timer is None:
                    self._timer = asyncio.get_running_loop().call_later(ready - now, self._woken)
                return
            self._waiting.popleft()
            if self._requests:
                self._requests.take(now)
            if self._tokens:
                self._tokens.take(now, tokens)
            self.running += 1
            first.set_result(None)

    def _woken(self) -> None:
        self._timer = None
        self._let_in()

    def used(self, tokens: int, estimated: int) -> None:
        """What a request used in truth, after `estimated` tokens had been counted for it."""
        if self._tokens:
            self._tokens.correct(tokens - estimated)
            if self._timer is not None:  # whoever waits may go sooner than was thought
                self._timer.cancel()
                self._woken()

    def content(self) -> None:
        """The server answered a request."""
        self._crowding *= 1 - RECENT
        self._allowed = min(self.at_once, self._allowed + 1 / self._allowed)
        self._let_in()

    def too_many(self, retry_after: float | None) -> None:
        """The server said that there are too many requests."""
        self._crowding += RECENT * (1 - self._crowding)
        now = self._clock()
        if self._crowding <= CROWDED:
            return
        if now >= self._paused_until:  # once for all the answers that one crowd of requests gets
            self._allowed = max(1.0, self._allowed * 0.7)
            self.pauses += 1
        self._paused_until = max(self._paused_until, now + min(LONGEST_PAUSE, 1.0 if retry_after is None else retry_after))
