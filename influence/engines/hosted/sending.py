"""One request on its way to a provider and what came back, by the official SDKs' clients.

The SDKs do no retrying here: limits and budgets are asked before every attempt, and answers of status 200 that are none have
to be tried again too, so there is one place that does it (`engine`). Both ride on aiohttp, which takes a quarter of the
processor time of their default transport. `openai-api/…` servers are often near and quick (a vLLM of one's own), where the
SDK's own work on a request (0.6 ms) would be the bottleneck: there the SDK says what is sent where, and aiohttp sends it.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from influence.engines.hosted.accounts import Account
from influence.engines.hosted.faults import Fault, FaultKind
from influence.redaction import redact


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: header names in lower case, the body as it is. Whoever shows a word of it redacts it."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Sender(Protocol):
    """Sends one request. Raises Fault (connection, timed_out) when nothing whole came back."""

    async def send(self, method: str, path: str, body: bytes | None = None) -> Reply:
        """`path` follows the base URL, or is a whole URL on the same server."""
        ...

    async def close(self) -> None: ...


def open_sender(account: Account, timeout: float, at_once: int) -> Sender:
    """The sender for an account. Needs a running event loop."""
    client = _client(account, timeout, at_once)
    return DirectSender(client, timeout) if account.name.startswith("openai-api/") else SdkSender(client, timeout)


def _client(account: Account, timeout: float, at_once: int) -> Any:
    """The official SDK's async client. Its loggers are kept from writing requests down."""
    import httpx2

    sdk: Any = importlib.import_module(account.dialect)
    for name in (account.dialect, "httpx2"):
        logging.getLogger(name).setLevel(logging.WARNING)
    make = sdk.AsyncAnthropic if account.dialect == "anthropic" else sdk.AsyncOpenAI
    limits = httpx2.Limits(max_connections=at_once, max_keepalive_connections=at_once, keepalive_expiry=30.0)
    transport = sdk.DefaultAioHttpClient(limits=limits, timeout=timeout)
    return make(api_key=account.key, base_url=account.base_url, timeout=timeout, max_retries=0, http_client=transport)


class SdkSender:
    """OpenAI and Anthropic themselves, by their SDKs from end to end."""

    def __init__(self, client: Any, timeout: float) -> None:
        import httpx2

        self._client, self._timeout, self._raw = client, timeout, httpx2.Response

    async def send(self, method: str, path: str, body: bytes | None = None) -> Reply:
        asked = (
            self._client.get(path, cast_to=self._raw)
            if method == "GET"
            else self._client.post(path, content=body, cast_to=self._raw)
        )
        try:
            async with asyncio.timeout(self._timeout):
                response = await asked
        except Exception as error:
            response = getattr(error, "response", None)
            if response is None:
                raise _fault(error, self._timeout) from None
        return Reply(response.status_code, response.headers, response.content)

    async def close(self) -> None:
        await self._client.close()


class DirectSender:
    """Any other server: the SDK's address and headers, sent by aiohttp."""

    def __init__(self, client: Any, timeout: float) -> None:
        import aiohttp

        self._client, self._timeout = client, timeout
        self._url = str(client.base_url).rstrip("/")
        given = {**client.auth_headers, **client.default_headers, "Content-Type": "application/json"}
        headers = {name: value for name, value in given.items() if isinstance(value, str)}
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30.0),
            timeout=aiohttp.ClientTimeout(total=timeout),
            headers=headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            proxy=_proxy(self._url),  # once: aiohttp's `trust_env` looks it up for every request, in a thread
        )

    async def send(self, method: str, path: str, body: bytes | None = None) -> Reply:
        url = path if "://" in path else self._url + path
        try:
            async with self._session.request(method, url, data=body, allow_redirects=False) as response:
                read = await response.read()
                headers = {name.lower(): value for name, value in response.headers.items()}
        except Exception as error:
            raise _fault(error, self._timeout) from None
        return Reply(response.status, headers, read)

    async def close(self) -> None:
        await self._session.close()
        await self._client.close()


def _proxy(url: str) -> str | None:
    """The proxy that the environment names for this server."""
    parts = urlsplit(url)
    return None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)


def _fault(error: BaseException, timeout: float) -> Fault:
    """Which of the two it was: no answer in time, or a connection that failed. Other exceptions are ours, and pass."""
    import aiohttp
    import httpx2

    chain, cause = [error], error.__cause__
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = cause.__cause__
    root = chain[-1]
    if any(isinstance(e, TimeoutError) for e in chain):
        return Fault(FaultKind.TIMED_OUT, f"no whole answer within {timeout:g} s")
    if any(isinstance(e, aiohttp.ClientError | OSError | httpx2.TransportError) for e in chain):
        return Fault(FaultKind.CONNECTION, redact(str(root) or type(root).__name__))
    raise error
