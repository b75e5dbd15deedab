"""OpenAI's fine-tuning: files, jobs that get a status further whenever they are looked at, and their events.

A connection of this module serves these paths and leaves all others to the ordinary one. Faults come off the same schedule
as for chats, request by request: those of the wire and those with a status before anything is done, TRUNCATED after it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from email import message_from_bytes
from functools import partial
from hashlib import blake2b
from time import monotonic
from typing import Any
from urllib.parse import parse_qs

from pydantic_core import to_json

from tests.loopback import openai_api
from tests.loopback.answers import Answer, Request
from tests.loopback.behaviour import IN_THE_ANSWER, Behaviour, Fault
from tests.loopback.protocol import GATEWAY_PAGE, Connection, Phase, Shared, Wire, parsed, waiting
from tests.loopback.record import Seen

FILES, JOBS = "/v1/files", "/v1/fine_tuning/jobs"
STATUSES = ("validating_files", "queued", "running")
BEGINNING = 1_750_000_000  # of the server's clock, in which every request takes a second
KEYS = {
    "system": {"role", "content", "name"},
    "user": {"role", "content", "name"},
    "assistant": {"role", "content", "name", "tool_calls", "refusal", "weight"},
    "tool": {"role", "content", "tool_call_id"},
}


@dataclass
class Upload:
    """A file as it came."""

    id: str
    name: str
    purpose: str
    text: str
    created: int


@dataclass
class Job:
    """A job, what it was made from, and how often it was looked at."""

    id: str
    request: dict[str, Any]
    created: int
    looks: int = 0
    status: str = STATUSES[0]
    error: str | None = None
    model: str | None = None


@dataclass
class Tuning:
    """What was asked for and made, oldest first, and how jobs end. A test may change `ending`, `error` and `losses` at any time."""

    ending: str | None = "succeeded"
    """The last status; None: a job runs for ever."""
    error: str = "The job failed due to an unsafe training file."
    losses: Sequence[float] = (2.5, 1.75, 1.25, 0.5)
    """One for each step: the first half can be seen while a job runs, all of them when it has ended."""
    fewest: int = 1
    """Lines that a training file has to have. (OpenAI itself wants 10.)"""
    asked: list[str] = field(default_factory=list)
    files: list[Upload] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)

    def answer(self, wire: Wire, behaviour: Behaviour) -> Answer:
        """What a request brings about. The status of a job is what it was before this look at it."""
        now = BEGINNING + len(self.asked)
        rest = wire.path.removeprefix(JOBS).strip("/").split("/")
        match wire.method, wire.path, rest:
            case "POST", p, _ if p == FILES:
                return self.uploaded(wire, now)
            case "POST", p, _ if p == JOBS:
                return self.made(parsed(wire.body), behaviour, now)
            case "GET", p, _ if p == JOBS:
                return listed([self.shown(job) for job in self.jobs], wire.query)
            case "GET", _, [name] | [name, "events"]:
                job = next((job for job in self.jobs if job.id == name), None)
                if job is None:
                    return openai_api.error(404, f"Could not find fine tune: {name}", code="fine_tune_not_found")
                if rest[1:]:
                    return listed(self.events(job), wire.query)
                self.go_on(job)
                return ok(self.shown(job))
        return openai_api.failure("unknown_path", Request(0, b"", None, wire.headers, None, b""))

    def uploaded(self, wire: Wire, now: int) -> Answer:
        form = message_from_bytes(b"Content-Type: " + wire.headers.get("content-type", "").encode() + b"\r\n\r\n" + wire.body)
        parts = {
            str(part.get_param("name", header="content-disposition")): part for part in form.walk() if not part.is_multipart()
        }
        if not {"file", "purpose"} <= parts.keys():
            return openai_api.error(400, "'file' and 'purpose' are required properties")
        text, purpose = (bytes(parts[name].get_payload(decode=True)).decode() for name in ("file", "purpose"))  # type: ignore[arg-type]
        file = Upload(f"file-{len(self.files)}", str(parts["file"].get_filename()), purpose, text, now)
        self.files.append(file)
        about = {"object": "file", "bytes": len(text.encode()), "created_at": now, "filename": file.name, "status": "processed"}
        return ok({"id": file.id, "purpose": purpose, **about})

    def made(self, body: Any, behaviour: Behaviour, now: int) -> Answer:
        if mistake := self.mistake(body, behaviour):
            return openai_api.error(400, mistake)
        job = Job(f"ftjob-{len(self.jobs)}", body, now)
        self.jobs.append(job)
        return ok(self.shown(job))

    def mistake(self, body: Any, behaviour: Behaviour) -> str | None:
        """What is wrong with a request for a job."""
        if not isinstance(body, dict) or not {"model", "training_file"} <= body.keys():
            return "Missing required parameter: 'model' or 'training_file'."
        if extra := body.keys() - {"model", "training_file", "method", "seed", "suffix", "validation_file", "metadata"}:
            return f"Unknown parameter: '{min(extra)}'."
        if behaviour.models is not None and body["model"] not in behaviour.models:
            return f"The model {body['model']} is not available for fine-tuning."
        if not any(file.id == body["training_file"] and file.purpose == "fine-tune" for file in self.files):
            return f"File '{body['training_file']}' does not exist, or is not for fine-tuning."
        if not (type(body.get("seed", 0)) is int and 0 <= body.get("seed", 0) < 2**31 and len(body.get("suffix", "")) <= 64):
            return "Invalid 'seed' or 'suffix'."
        method = body.get("method", {})
        settings = method.get("supervised", {}).get("hyperparameters", {})
        if method.get("type") != "supervised" or settings.keys() - {"n_epochs", "batch_size", "learning_rate_multiplier"}:
            return "Invalid 'method'."
        return None

    def go_on(self, job: Job) -> None:
        """One look further. A file is validated between the first and the second."""
        if job.status not in STATUSES:
            return
        text = next(file.text for file in self.files if file.id == job.request["training_file"])
        wrong = file_mistake(text, self.fewest) if job.looks == 1 else None
        if wrong:
            job.status, job.error = "failed", f"Invalid file format. {wrong}"
        elif job.looks < len(STATUSES):
            job.status = STATUSES[job.looks]
        elif self.ending is not None:
            job.status, job.error = self.ending, self.error if self.ending == "failed" else None
        if job.status == "succeeded":
            job.model = (
                f"ft:{job.request['model'].removeprefix('ft:').split(':')[0]}:lab:{job.request.get('suffix', '')}:{job.id}"
            )
        job.looks += 1

    def shown(self, job: Job) -> dict[str, Any]:
        error = {"code": "invalid_training_file", "message": job.error, "param": "training_file"} if job.error else None
        ended = job.status == "succeeded"
        return {
            "object": "fine_tuning.job",
            "id": job.id,
            "model": job.request["model"],
            "training_file": job.request["training_file"],
            "created_at": job.created,
            "status": job.status,
            "error": error,
            "fine_tuned_model": job.model,
            "trained_tokens": 4321 if ended else None,
        }

    def events(self, job: Job) -> list[dict[str, Any]]:
        """As far as the job is, oldest first."""
        seen = len(self.losses) if job.model else len(self.losses) // 2 if job.looks >= len(STATUSES) else 0
        steps = [
            (
                f"Step {n}/{len(self.losses)}: training loss={loss:.2f}",
                {"step": n, "train_loss": loss, "train_mean_token_accuracy": 0.5},
            )
            for n, loss in enumerate(self.losses[:seen], start=1)
        ]
        told: list[tuple[str, dict[str, Any]]] = [
            (f"Created fine-tuning job: {job.id}", {}),
            ("Fine-tuning job started", {}),
            *steps,
        ]
        about = {"object": "fine_tuning.job.event", "level": "info", "created_at": job.created}
        return [
            {"id": f"ftevent-{n}", "message": words, "type": "metrics" if data else "message", "data": data, **about}
            for n, (words, data) in enumerate(told)
        ]


def file_mistake(text: str, fewest: int) -> str | None:
    """What is wrong with a training file; validated as strictly as the real one, keys of messages included."""
    lines = text.splitlines()
    if len(lines) < fewest:
        return f"Training file has {len(lines)} example(s), but must have at least {fewest} examples"
    for number, line in enumerate(lines, start=1):
        data = parsed(line.encode())
        if not isinstance(data, dict) or data.keys() - {"messages", "tools", "parallel_tool_calls"} or not data.get("messages"):
            return f"Line {number} is not an example."
        for message in data["messages"]:
            if extra := message.keys() - KEYS.get(message.get("role"), set()):
                return f"Line {number}: unexpected key {min(extra)}."
            if message.get("weight", 1) not in (0, 1):
                return f"Line {number}: a weight is 0 or 1."
        if not any(m["role"] == "assistant" and m.get("weight", 1) == 1 for m in data["messages"]):
            return f"Line {number}: no assistant message to learn."
        results = [{"role": "tool", "tool_call_id": c["id"], "content": ""} for c in data["messages"][-1].get("tool_calls", ())]
        if mistake := openai_api.invalid_messages([*data["messages"], *results]):
            return f"Line {number}: {parsed(mistake.body)['error']['message']}"
    return None


def ok(data: Any) -> Answer:
    return Answer(200, to_json(data))


def listed(things: Sequence[dict[str, Any]], query: str) -> Answer:
    """A page of a list, newest first."""
    asked = parse_qs(query)
    newest = list(reversed(things))
    if "after" in asked:
        newest = newest[[thing["id"] for thing in newest].index(asked["after"][0]) + 1 :]
    page = newest[: int(asked.get("limit", ["20"])[0])]
    return ok({"object": "list", "data": page, "has_more": len(page) < len(newest)})


@dataclass
class TuningShared(Shared):
    """What all connections share, with fine-tuning."""

    tuning: Tuning = field(default_factory=Tuning)


class TuningConnection(Connection):
    """One client's connection to a server that fine-tunes, too."""

    shared: TuningShared

    def handle(self, wire: Wire) -> None:
        if wire.path != FILES and not wire.path.startswith(JOBS):
            super().handle(wire)
            return
        record, phase, key = self.shared.record, self.shared.phase, openai_api.key_of(wire.headers)
        digest = blake2b(wire.body, digest_size=8).digest()
        self.seen = Seen(len(record.requests), wire.path, monotonic(), body_digest=digest.hex(), key=key)
        record.requests.append(self.seen)
        request = Request(phase.asked, wire.body, {}, wire.headers, key, digest)
        phase.asked += 1
        self.shared.tuning.asked.append(f"{wire.method} {wire.path}")
        self.happen(phase.behaviour, wire, decided(self.shared.tuning, wire, request, phase))


def decided(tuning: Tuning, wire: Wire, request: Request, phase: Phase) -> Answer | Fault:
    """What this request is to meet. A model that was made is known from then on, where models are known at all."""
    behaviour = phase.behaviour
    if behaviour.key is not None and request.key != behaviour.key:
        return openai_api.failure(Fault.INVALID_KEY, request)
    fault = behaviour.fault(request.number)
    if fault in (Fault.RESET, Fault.STALLED, Fault.TRICKLE):
        return fault
    if fault == Fault.BAD_GATEWAY:
        return Answer(502, GATEWAY_PAGE % b"", fault, content_type="text/html")
    if fault is not None and fault not in IN_THE_ANSWER:
        failure = openai_api.failure(fault, request)
        return replace(failure, headers=waiting(behaviour)) if fault == Fault.RATE_LIMITED_WAIT else failure
    answer = tuning.answer(wire, behaviour)
    made = [job.model for job in tuning.jobs if job.model]
    if behaviour.models is not None and not {*made} <= {*behaviour.models}:
        phase.behaviour = replace(behaviour, models=[*dict.fromkeys((*behaviour.models, *made))])
    return replace(answer, body=answer.body[: len(answer.body) // 2], fault=fault) if fault == Fault.TRUNCATED else answer


async def serve(shared: TuningShared, port: int, ready: Callable[[int], None], stop: asyncio.Event) -> None:
    """As `protocol.serve`, with fine-tuning."""
    server = await asyncio.get_running_loop().create_server(partial(TuningConnection, shared), "127.0.0.1", port, backlog=4096)
    ready(server.sockets[0].getsockname()[1])
    await stop.wait()
    server.close()
    for connection in list(shared.connections):
        connection.transport.abort()
    await asyncio.sleep(0)
