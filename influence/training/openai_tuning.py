"""An agent behind OpenAI's fine-tuning API: a file, one job at the provider, and how an interrupted wait goes on.

A job is paid for as soon as it is made. So each stage is written down before the next begins, a job is looked for before one
is made, and whoever stops waiting leaves it running.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from influence.config.model_names import ModelName
from influence.config.training import FineTuningSection
from influence.engines.hosted.accounts import account_for
from influence.engines.hosted.answers import malformed
from influence.engines.hosted.faults import Fault, FaultKind, fault_of
from influence.engines.hosted.provider import Patience, patiently
from influence.errors import ConfigError, TrainerError
from influence.redaction import redact
from influence.training.jobs import Steps
from influence.training.tuning_answers import Event, File, Item, Job, Page, TuningState, keep, losses_in, read_state

PATIENCE = Patience()
UPLOAD_SECONDS = 1800.0  # a training file may have 512 MB
LOOKS = 20  # attempts at one look at a job: some ten minutes without the provider do not end a wait of hours
PAGE = 100
SEEDS = 2**31  # the provider's go up to here
LONGEST_SUFFIX = 64
AGAIN = "run the same command again: what is uploaded and started is kept."

Shape = TypeVar("Shape", bound=BaseModel)


class OpenAiTuner:
    """Trains a hosted model by its provider's fine-tuning API."""

    def __init__(
        self,
        name: ModelName,
        section: FineTuningSection,
        patience: Patience = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Raises ConfigError for a model of another API, and for a missing key."""
        self._name = f"{name.scheme}/{name.base}"
        if name.scheme not in ("openai", "openai-api"):
            told = "OpenAI's fine-tuning API trains openai/<model> and openai-api/<name>/<model>."
            raise ConfigError(f"models.agent = {self._name!r}: {told}")
        self._account = account_for(name)
        self._section, self._patience, self._clock, self._sleep = section, patience, clock, sleep
        self._open: Any = None

    async def train(
        self,
        base_model: str,
        text: str,
        epochs: int,
        seed: int,
        state: Path,
        suffix: str,
        steps: Steps,
        note: Callable[[str], None] = lambda words: None,
    ) -> str:
        """The name of the new model, once it is trained. Raises TrainerError.

        `base_model` is what the provider calls it, `epochs` what is meant where [fine_tuning] says none. A later call with
        the same `state` goes on where this one ended. Each call tells `steps` the whole curve, from the first step on, and
        `note` in words how far the job is.
        """
        held = read_state(state, sha256(text.encode()).hexdigest(), base_model)
        if held.file is None:
            note("uploading the training file")
            file = await self._asked("uploading the training file", partial(self._uploaded, text, held.digest))
            held = keep(state, held, file=file.id, uploaded=file.created_at)
        if held.job is None:
            note("making the job")
            request = {
                "model": base_model,
                "training_file": held.file,
                "method": {"type": "supervised", "supervised": {"hyperparameters": self._hyperparameters(epochs)}},
                "seed": seed % SEEDS,
                **({"suffix": suffix[:LONGEST_SUFFIX]} if suffix else {}),
            }
            job = await self._asked("making the fine-tuning job", partial(self._made, request, held.uploaded or 0))
            held = keep(state, held, job=job.id, status=job.status)
        if held.model is None:
            return await self._waited(held, state, steps, note)
        await self._tell(held.job or "", 0, steps)
        return held.model

    async def close(self) -> None:
        """Let go of the connections. A job goes on."""
        if self._open is not None:
            await self._open.close()
            self._open = None

    def _hyperparameters(self, epochs: int) -> dict[str, Any]:
        multiplier = self._section.learning_rate_multiplier
        chosen = {"learning_rate_multiplier": multiplier} if multiplier is not None else {}
        return {"n_epochs": self._section.epochs or epochs, **chosen}

    async def _waited(self, held: TuningState, state: Path, steps: Steps, note: Callable[[str], None]) -> str:
        """Look at the job until it has ended."""
        until, told, status = self._clock() + self._section.hours * 3600, 0, ""
        patience = replace(self._patience, attempts=max(LOOKS, self._patience.attempts))
        while True:
            job = await self._asked(f"looking at the job {held.job}", partial(self._found, held.job or ""), patience)
            if job.status != status:
                status = job.status
                note(f"job {job.id}: {status.replace('_', ' ')}")
            told = await self._tell(job.id, told, steps)
            done = job.status == "succeeded"
            model = job.fine_tuned_model if done else None
            held = keep(state, held, status=job.status, model=model, trained_tokens=job.trained_tokens if done else None)
            if model:
                return model
            if done or job.status in ("failed", "cancelled"):
                self._ended(job, state)
            if self._clock() >= until:
                given = f"{self._section.hours:g} hours (fine_tuning.hours)"
                raise TrainerError(
                    f"{self._name}: the fine-tuning job {job.id} is {job.status} after {given}. It goes on at the provider.\n"
                    "    Run the same command again to look at it again."
                )
            await self._sleep(self._section.poll_seconds)

    def _ended(self, job: Job, state: Path) -> NoReturn:
        words = redact((job.error and job.error.message) or "")
        how = "ended without a model" if job.status == "succeeded" else "was cancelled" if job.status == "cancelled" else "failed"
        raise TrainerError(
            f"{self._name}: the fine-tuning job {job.id} {how}{f': {words}' if words else '.'}\n"
            f"    See to the cause. To train anew, with another job, remove {state} and run the same command again."
        )

    async def _tell(self, job: str, told: int, steps: Steps) -> int:
        """Tell the losses of the steps after `told`. Answers the newest. A curve that cannot be had costs no training."""
        try:
            losses = await patiently(self._patience, partial(self._losses, job, told))
        except Fault:
            return told
        for step in sorted(losses):
            steps({"step": step, "loss": losses[step]})
        return max(losses, default=told)

    # requests: one attempt each, which raises Fault

    async def _uploaded(self, text: str, digest: str) -> File:
        file = (f"influence-{digest[:16]}.jsonl", text.encode(), "application/jsonl")
        create = self._client().files.with_raw_response.create
        return await self._sent(File, create(file=file, purpose="fine-tune", timeout=UPLOAD_SECONDS), UPLOAD_SECONDS)

    async def _made(self, request: Mapping[str, Any], uploaded: float) -> Job:
        """The job for a training file, made if there is none yet.

        It is looked for in every attempt, among all jobs since the upload: the answer to a request that made one can be lost,
        and so can this process, before it wrote it down.
        """
        jobs = self._client().fine_tuning.jobs.with_raw_response
        async for newest in self._pages(Page[Job], jobs.list):
            for job in newest:
                if job.training_file == request["training_file"]:
                    return job
            if newest[-1].created_at < uploaded:
                break
        return await self._sent(Job, jobs.create(**request))

    async def _found(self, job: str) -> Job:
        return await self._sent(Job, self._client().fine_tuning.jobs.with_raw_response.retrieve(job))

    async def _losses(self, job: str, told: int) -> dict[int, float]:
        """The loss of each step after `told`."""
        losses: dict[int, float] = {}
        list_events = self._client().fine_tuning.jobs.with_raw_response.list_events
        async for newest in self._pages(Page[Event], partial(list_events, job)):
            found = losses_in(newest)
            losses |= {step: loss for step, loss in found.items() if step > told}
            if any(step <= told for step in found):
                break
        return losses

    async def _pages(self, shape: type[Page[Item]], listing: Callable[..., Awaitable[Any]]) -> AsyncIterator[list[Item]]:
        """A list, newest first, as long as anybody goes on reading."""
        after: dict[str, str] = {}
        while (page := await self._sent(shape, listing(limit=PAGE, **after))).data:
            yield page.data
            if not page.has_more:
                return
            after = {"after": page.data[-1].id}

    async def _sent(self, shape: type[Shape], asked: Awaitable[Any], seconds: float | None = None) -> Shape:
        """What came back, in its shape."""
        import openai

        seconds = seconds or self._patience.timeout
        try:
            async with asyncio.timeout(seconds):
                answer = await asked
            return shape.model_validate_json(answer.content)
        except openai.APIStatusError as error:
            raise fault_of(error.status_code, error.response.headers, error.response.content) from None
        except (TimeoutError, openai.APITimeoutError):
            raise Fault(FaultKind.TIMED_OUT, f"no whole answer within {seconds:g} s") from None
        except openai.APIConnectionError as error:
            raise Fault(FaultKind.CONNECTION, redact(str(error.__cause__ or error))) from None
        except ValidationError:
            raise malformed(f"an answer that is no {shape.__name__.lower()}") from None

    async def _asked(self, what: str, once: Callable[[], Awaitable[Shape]], patience: Patience | None = None) -> Shape:
        patience = patience or self._patience
        try:
            return await patiently(patience, once)
        except Fault as fault:
            remedy = self._remedy(fault.kind, patience.attempts)
            raise TrainerError(f"{self._name}: {what}: {fault}\n    {remedy}") from None

    def _remedy(self, kind: FaultKind, attempts: int) -> str:
        account = self._account
        match kind:
            case FaultKind.INVALID_KEY:
                return f"Is {account.key_variable} the right key, and may it fine-tune? Then {AGAIN}"
            case FaultKind.NO_CREDIT:
                return f"The account of {account.key_variable} needs credit. Then {AGAIN}"
            case FaultKind.UNKNOWN_MODEL | FaultKind.BAD_REQUEST | FaultKind.CONTEXT_TOO_LONG:
                return f"{account.place} does not take this request. Can this model be fine-tuned there, and by this account?"
            case _:
                return f"{account.place} was asked {attempts} times. When it answers, {AGAIN}"

    def _client(self) -> Any:
        """The official SDK's client; its loggers are kept from writing requests down."""
        if self._open is None:
            from openai import AsyncOpenAI

            for name in ("openai", "httpx2"):
                logging.getLogger(name).setLevel(logging.WARNING)
            account = self._account
            self._open = AsyncOpenAI(
                api_key=account.key, base_url=account.base_url, timeout=self._patience.timeout, max_retries=0
            )
        return self._open
