"""One provider, shared by all models of it: its line, its connections, what was counted, and whether it has stopped for good."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from random import uniform
from typing import Any, TypeVar

from pydantic_core import from_json

from influence.engines.hosted.accounts import Account
from influence.engines.hosted.faults import PERHAPS_BILLED, RETRIED, STOPPING, Fault, FaultKind, fault_of
from influence.engines.hosted.limits import Limits
from influence.engines.hosted.sending import Reply, Sender, open_sender
from influence.errors import ProviderStoppedError

Result = TypeVar("Result")
LONGEST_WAIT = 60.0  # seconds between two attempts
DEAF = 20  # requests given up in a row, with no answer in between, after which nobody is believed to be there


@dataclass(frozen=True)
class Patience:
    """How long a request is tried: `attempts` times, `timeout` seconds each, with growing waits from `backoff` seconds on."""

    attempts: int = 6
    timeout: float = 120.0
    backoff: float = 0.5

    def wait(self, attempt: int, asked: float | None) -> float:
        """Seconds after an attempt that failed: what the server asked for, or twice as long as before, with jitter."""
        return min(LONGEST_WAIT, self.backoff * 2 ** (attempt - 1) * uniform(0.5, 1.5) if asked is None else asked)


async def patiently(patience: Patience, once: Callable[[], Awaitable[Result]]) -> Result:
    """Try until there is a result. Raises the Fault that is no use trying again after, or the last one.

    A loop of our own, because a library's (tenacity) costs a tenth of a millisecond a request, which is a quarter of all that
    a request takes here.
    """
    attempt = 1
    while True:
        try:
            return await once()
        except Fault as fault:
            if fault.kind not in RETRIED or attempt >= patience.attempts:
                raise
            wait = patience.wait(attempt, fault.retry_after)
        await asyncio.sleep(wait)
        attempt += 1


class Provider:
    """An account that is open for requests."""

    def __init__(
        self, account: Account, patience: Patience, at_once: int, requests_a_minute: int | None, tokens_a_minute: int | None
    ) -> None:
        self.account, self.patience, self.at_once = account, patience, at_once
        self._paces = requests_a_minute, tokens_a_minute
        self._sender: Sender | None = None
        self.limits: Limits
        self.requests = 0
        self.answers = 0
        self.faults: Counter[FaultKind] = Counter()
        self.given_up: Counter[FaultKind] = Counter()
        self.stopped = ""  # why, once it has
        self._deaf = 0

    async def open(self) -> None:
        if self._sender is None:
            self.limits = Limits(self.at_once, *self._paces, asyncio.get_running_loop().time)
            self._sender = open_sender(self.account, self.patience.timeout, self.at_once)

    async def close(self) -> None:
        if self._sender is not None:
            await self._sender.close()
            self._sender = None

    async def post(self, path: str, body: bytes, tokens: int, sent: Callable[[], None]) -> Reply:
        """One attempt, in its turn; `sent` is called when it goes out.

        Raises Fault for whatever is not an answer, ProviderStoppedError once nothing will be.
        """
        assert self._sender is not None
        await self.limits.enter(tokens)
        try:
            if self.stopped:
                raise ProviderStoppedError(self.stopped)
            self.requests += 1
            sent()
            reply = await self._sender.send("POST", path, body)
            if reply.status != 200:
                raise fault_of(reply.status, reply.headers, reply.body)
        except Fault as fault:
            self.failed(fault)
            raise
        finally:
            self.limits.leave()
        self.limits.content()
        return reply

    async def ask(self, method: str, path: str, body: bytes | None = None) -> Reply:
        """A question about the server itself, outside the line. Raises Fault only where nothing came back."""
        assert self._sender is not None
        return await self._sender.send(method, path, body)

    async def models(self, model: str) -> Any:
        """What a server of one's own says of its models, or None where it says nothing usable.

        Raises ProviderStoppedError if it cannot be reached, or does not take the key.
        """
        try:
            reply = await patiently(self.patience, partial(self.ask, "GET", "/models"))
        except Fault as silence:
            tries = f"tried {self.patience.attempts} times"
            raise ProviderStoppedError(
                f"{model}: no answer from {self.account.place}, {tries}: {silence}. Is the server running there?"
            ) from None
        if reply.status in (401, 403):
            fault = fault_of(reply.status, reply.headers, reply.body)
            raise ProviderStoppedError(f"{model}: {fault}\n    {self._remedy(FaultKind.INVALID_KEY)}")
        try:
            return from_json(reply.body)
        except ValueError:
            return None

    def failed(self, fault: Fault) -> None:
        """Count an attempt that failed."""
        self.faults[fault.kind] += 1
        if fault.kind in (FaultKind.RATE_LIMITED, FaultKind.OVERLOADED):
            self.limits.too_many(fault.retry_after)

    def answered(self) -> None:
        """Count a request that was answered."""
        self.answers += 1
        self._deaf = 0

    def gave_up(self, fault: Fault, model: str) -> None:
        """Count a request that nothing more is tried for. Raises ProviderStoppedError if that says that nothing will ever come."""
        self.given_up[fault.kind] += 1
        self._deaf += fault.kind in RETRIED or fault.kind == FaultKind.BAD_REQUEST
        if fault.kind in STOPPING or self._deaf >= DEAF:
            self.stopped = f"{model}: {fault}\n    {self._remedy(fault.kind)}"
            raise ProviderStoppedError(self.stopped)

    def _remedy(self, kind: FaultKind) -> str:
        account = self.account
        again = "Then run the same command again: what is finished is kept."
        match kind:
            case FaultKind.INVALID_KEY:
                return f"Is {account.key_variable} the right key, with access to this model? {again}"
            case FaultKind.UNKNOWN_MODEL:
                return f"Is the model's name right, and {account.place} the right place?"
            case FaultKind.NO_CREDIT:
                return f"The account of {account.key_variable} needs credit. {again}"
            case FaultKind.BAD_REQUEST:
                return f"{DEAF} requests in a row were refused: the model does not take what it is asked."
            case _:
                tries = self.patience.attempts
                return f"{DEAF} requests in a row had no answer from {account.place}, each tried {tries} times. See that it is there. {again}"

    def to_dict(self) -> dict[str, Any]:
        """The counts, for the summary and the manifest."""
        return {
            "requests": self.requests,
            "answers": self.answers,
            "faults": {str(kind): n for kind, n in sorted(self.faults.items())},
            "given_up": {str(kind): n for kind, n in sorted(self.given_up.items())},
        }


def perhaps_billed(fault: Fault) -> bool:
    """Whether a provider may charge for a request that ended so."""
    return fault.kind in PERHAPS_BILLED
