"""The wire: HTTP/1.1 by hand on an `asyncio.Protocol`, because the server shares a core with the client that it measures.

A request is judged when its last byte has come: its key, then its shape (so that a client's own mistake always shows), then
the scheduled faults of the wire, the models and parameters there are, and last the faults within an answer. What is decided
happens `latency` later. A connection has one request open at a time; what comes behind it waits in the buffer.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import blake2b
from sys import intern
from time import monotonic
from typing import Any, cast
from urllib.parse import parse_qs

from pydantic_core import from_json, to_json

from tests.loopback import anthropic_api, openai_api
from tests.loopback.answers import Answer, Api, Request
from tests.loopback.behaviour import IN_THE_ANSWER, Behaviour, Fault
from tests.loopback.record import Record, Seen

REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests", 502: "Bad Gateway"}
GATEWAY_PAGE = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1>%s</body></html>"
APIS: dict[str, Api] = {openai_api.PATH: openai_api, anthropic_api.PATH: anthropic_api}
TRICKLED_LENGTH = 1_000_000


@dataclass
class Phase:
    """A behaviour and how many requests have met it."""

    behaviour: Behaviour
    asked: int = 0


@dataclass
class Shared:
    """What all connections share. A new phase is one assignment, so that another thread may make it."""

    phase: Phase
    keep_bodies: bool = False
    record: Record = field(default_factory=Record)
    connections: set[Connection] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Wire:
    """A request as it came."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


class Connection(asyncio.Protocol):
    """One client's connection."""

    transport: asyncio.Transport

    def __init__(self, shared: Shared) -> None:
        self.shared = shared
        self.buffer = bytearray()
        self.head: tuple[int, int, str, dict[str, str]] | None = None  # where the body begins and ends, first line, headers
        self.seen: Seen | None = None  # the request that is open
        self.timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.shared.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.shared.connections.discard(self)
        if self.timer:
            self.timer.cancel()
        if self.seen:
            self.seen.ended = monotonic()
            self.seen = None

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        self.work()

    def work(self) -> None:
        """Take requests up as long as none is open."""
        while self.seen is None and not self.transport.is_closing() and (wire := self.take()):
            self.handle(wire)

    def take(self) -> Wire | None:
        """The next request of the buffer, if it is there to its last byte."""
        if self.head is None:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return None
            first, *lines = self.buffer[:end].decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            if "transfer-encoding" in headers or not headers.get("content-length", "0").isdigit():
                self.transport.write(b"HTTP/1.1 411 Length Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                self.transport.close()
                return None
            self.head = end + 4, end + 4 + int(headers.get("content-length", "0")), first, headers
        start, stop, first, headers = self.head
        if len(self.buffer) < stop:
            return None
        body = bytes(self.buffer[start:stop])
        del self.buffer[:stop]
        self.head = None
        method, _, rest = first.partition(" ")
        path, _, query = rest.partition(" ")[0].partition("?")
        return Wire(method, path, query, headers, body)

    def handle(self, wire: Wire) -> None:
        """Record the request and see to it that what is decided happens at its time."""
        arrived = monotonic()
        if wire.path == "/stats":
            slots = int(parse_qs(wire.query).get("slots", ["1"])[0])
            self.write(Answer(200, to_json(self.shared.record.stats(slots))))
            return
        record, phase = self.shared.record, self.shared.phase
        api = APIS.get(wire.path) if wire.method == "POST" else None
        speaks = api or (anthropic_api if "anthropic-version" in wire.headers else openai_api)
        digest = blake2b(wire.body, digest_size=8).digest()
        key = speaks.key_of(wire.headers)
        seen = Seen(len(record.requests), intern(wire.path), arrived, body_digest=digest.hex())
        seen.key = key and intern(key)
        if "user-agent" in wire.headers:
            seen.user_agent = intern(wire.headers["user-agent"])
        record.requests.append(seen)
        self.seen = seen
        if api is None:
            self.happen(phase.behaviour, wire, looked_up(wire, speaks, key, phase.behaviour))
            return
        request = Request(phase.asked, wire.body, parsed(wire.body), wire.headers, key, digest)
        phase.asked += 1
        if self.shared.keep_bodies and isinstance(request.body, dict):
            record.bodies.append(request.body)
        happening = decided(api, request, phase.behaviour)
        if phase.behaviour.latency > 0:
            loop = asyncio.get_running_loop()
            self.timer = loop.call_later(phase.behaviour.latency, self.happen, phase.behaviour, wire, happening, self.work)
        else:
            self.happen(phase.behaviour, wire, happening)

    def happen(self, behaviour: Behaviour, wire: Wire, happening: Answer | Fault, then: Callable[[], None] | None = None) -> None:
        """Answer, or do to the connection what the fault says; then go on with what has come meanwhile."""
        seen = self.seen
        assert seen is not None
        self.timer = None
        if isinstance(happening, Answer):
            seen.status, seen.fault = happening.status, happening.fault
            seen.answered = seen.ended = monotonic()  # before the client can know
            self.seen = None
            self.write(with_key(happening, seen.key) if behaviour.echo_key else happening, f"req_{seen.number:06d}")
            if wire.headers.get("connection", "").lower() == "close":
                self.transport.close()
        else:
            seen.fault = happening
            if happening == Fault.RESET:
                seen.ended, self.seen = monotonic(), None
                reset(self.transport)
            elif happening == Fault.TRICKLE:
                seen.status = 200
                self.transport.write(head(200, "application/json", TRICKLED_LENGTH, ""))
                self.trickle(behaviour.trickle_every)
        if then:
            then()

    def write(self, answer: Answer, request_id: str = "") -> None:
        ids = f"x-request-id: {request_id}\r\nrequest-id: {request_id}\r\n" if request_id else ""
        self.transport.write(head(answer.status, answer.content_type, len(answer.body), answer.headers + ids) + answer.body)

    def trickle(self, every: float) -> None:
        self.transport.write(b" ")
        self.timer = asyncio.get_running_loop().call_later(every, self.trickle, every)


def decided(api: Api, request: Request, behaviour: Behaviour) -> Answer | Fault:
    """What this request is to meet: an answer, or a fault of the wire."""
    if behaviour.key is not None and request.key != behaviour.key:
        return api.failure(Fault.INVALID_KEY, request)
    try:
        mistake = api.invalid(request)
    except (TypeError, KeyError, AttributeError) as stumbled:  # a part of the body is not even of the right type
        mistake = api.error(400, f"malformed request: {stumbled!r}")
    if mistake:
        return mistake
    fault = behaviour.fault(request.number)
    if fault in (Fault.RESET, Fault.STALLED, Fault.TRICKLE):
        return fault
    if fault == Fault.BAD_GATEWAY:
        return Answer(502, GATEWAY_PAGE % b"", fault, content_type="text/html")
    if fault is not None and fault not in IN_THE_ANSWER:
        failure = api.failure(fault, request)
        return replace(failure, headers=waiting(behaviour)) if fault == Fault.RATE_LIMITED_WAIT else failure
    if behaviour.models is not None and request.body["model"] not in behaviour.models:
        return api.failure(Fault.UNKNOWN_MODEL, request)
    for name in behaviour.rejects:
        if name in request.body:
            return api.unsupported(name)
    answer = api.completion(request, behaviour, fault)
    return replace(answer, body=answer.body[: len(answer.body) // 2]) if fault == Fault.TRUNCATED else answer


def looked_up(wire: Wire, speaks: Api, key: str | None, behaviour: Behaviour) -> Answer:
    """The list of models, or a 404 for a path that is none."""
    request = Request(0, wire.body, None, wire.headers, key, b"")
    if behaviour.key is not None and key != behaviour.key:
        return speaks.failure(Fault.INVALID_KEY, request)
    if wire.method == "GET" and wire.path == "/v1/models":
        return Answer(200, speaks.model_list(behaviour.models or ()))
    return openai_api.failure("unknown_path", request)


def waiting(behaviour: Behaviour) -> str:
    headers = (("retry-after", behaviour.retry_after), ("retry-after-ms", behaviour.retry_after_ms))
    return "".join(f"{name}: {value}\r\n" for name, value in headers if value is not None)


def with_key(answer: Answer, key: str | None) -> Answer:
    """The same error with the key in its message, as some gateways have it."""
    if answer.status < 400 or not key:
        return answer
    if answer.content_type == "text/html":
        return replace(answer, body=GATEWAY_PAGE % key.encode())
    body = from_json(answer.body)
    body["error"]["message"] += f" (key: {key})"
    return replace(answer, body=to_json(body))


def head(status: int, content_type: str, length: int, more: str) -> bytes:
    first = f"HTTP/1.1 {status} {REASONS.get(status, 'Error')}"
    return f"{first}\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n{more}\r\n".encode("latin-1")


def parsed(body: bytes) -> Any:
    try:
        return from_json(body)
    except ValueError:
        return None


def reset(transport: asyncio.Transport) -> None:
    """Close with a reset instead of a goodbye: what the kernel does with a socket that is told not to linger."""
    with socket.socket(fileno=socket.dup(transport.get_extra_info("socket").fileno())) as same:
        same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


async def serve(shared: Shared, port: int, ready: Callable[[int], None], stop: asyncio.Event) -> None:
    """Listen until told to stop; clients that are still there are cut off."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(partial(Connection, shared), "127.0.0.1", port, backlog=4096)
    ready(server.sockets[0].getsockname()[1])
    await stop.wait()
    server.close()
    for connection in list(shared.connections):
        connection.transport.abort()
    await asyncio.sleep(0)
