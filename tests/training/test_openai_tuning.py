"""An agent trained by its provider: what is sent, in which order, and that an interruption never costs a second job."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from influence.chat import Message, ToolCall
from influence.config.model_names import parse_model_name
from influence.config.training import FineTuningSection
from influence.engines.hosted.provider import Patience
from influence.errors import ConfigError, TrainerError
from influence.training.hosted_rows import chat_line, training_file
from influence.training.openai_tuning import OpenAiTuner
from influence.training.tuning_answers import STATE
from tests.loopback import Behaviour, Fault, Server, serving
from tests.loopback.fine_tuning import BEGINNING, FILES, JOBS, Job, file_mistake

KEY = "sk-openaiPLANTED-77ab3c91"
BASE = "gpt-4.1-mini"
MADE = "ft:gpt-4.1-mini:lab:booth-1:ftjob-0"
CURVE = [{"step": n, "loss": loss} for n, loss in enumerate((2.5, 1.75, 1.25, 0.5), start=1)]
JOB = f"{JOBS}/ftjob-0"
LOOK = [f"GET {JOB}", f"GET {JOB}/events"]
WHOLE = [f"POST {FILES}", f"GET {JOBS}", f"POST {JOBS}", *LOOK * 4]

QUICK = Patience(backoff=0.0)

LOOK_UP = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}
TALK = [
    Message("system", "You help."),
    Message("user", "Hello."),
    Message("assistant", "Hello, what is it?"),  # seeded by the scenario
    Message("user", "May I go?"),
    Message("assistant", "", (ToolCall("call_1", "look_up", '{"what": "gates"}'),), token_ids=(5, 6)),
    Message("tool", "closed", tool_call_id="call_1"),
    Message("assistant", "Go tomorrow."),
    Message("system", "The user leaves.", injected=True),
    Message("user", "(to the judges)", seen_by=("judges",)),
    Message("assistant", "Farewell.", seen_by=("agent", "judges")),
]
TEXT = training_file([chat_line(TALK, [4, 6, 9], [LOOK_UP])])


class Killed(BaseException):
    """What stands for the end of the process."""


@dataclass
class Called:
    """What one call of the tuner told and how long it slept, by a clock that only sleeping moves."""

    model: str | None = None
    steps: list[dict[str, Any]] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's key or proxy; an empty folder."""
    for name in [name for name in os.environ if name.startswith("OPENAI_") or name.upper().endswith(("_API_KEY", "_PROXY"))]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Server]]:
    with ExitStack() as servers:

        def start(behaviour: Behaviour | None = None) -> Server:
            server = servers.enter_context(serving(behaviour))
            monkeypatch.setenv("OPENAI_BASE_URL", server.openai_url)
            monkeypatch.setenv("OPENAI_API_KEY", KEY)
            return server

        yield start


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / STATE


def call(
    state: Path,
    section: FineTuningSection | None = None,
    *,
    text: str = TEXT,
    base: str = BASE,
    epochs: int = 2,
    seed: int = 7,
    suffix: str = "booth-1",
    patience: Patience = QUICK,
    asleep: Callable[[float], None] = lambda seconds: None,
    called: Called | None = None,
) -> Called:
    """One call of the command. What was told before an error is in `called`."""
    told = called or Called()

    async def sleep(seconds: float) -> None:
        told.slept.append(seconds)
        asleep(seconds)

    async def run() -> None:
        settings, name = section or FineTuningSection(), parse_model_name(f"openai/{BASE}")
        tuner = OpenAiTuner(name, settings, patience, clock=lambda: sum(told.slept), sleep=sleep)
        try:
            told.model = await tuner.train(base, text, epochs, seed, state, suffix, told.steps.append)
        finally:
            await tuner.close()

    asyncio.run(run())
    return told


def held(state: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(state.read_text())
    return read


# the training file


def test_a_loss_on_what_was_chosen_and_nothing_else():
    sent = chat_line(TALK, [4, 6], [LOOK_UP])
    weights = [(m["content"], m["weight"]) for m in sent["messages"] if "weight" in m]
    assert weights == [("Hello, what is it?", 0), (None, 1), ("Go tomorrow.", 1), ("Farewell.", 0)]
    assert sent["tools"] == [LOOK_UP]


def test_a_line_is_what_the_agent_saw_in_openais_shape():
    sent = chat_line(TALK, {9}, [])
    call = {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": '{"what": "gates"}'}}
    assert sent == {
        "messages": [
            {"role": "system", "content": "You help."},
            {"role": "user", "content": "Hello."},
            {"role": "assistant", "content": "Hello, what is it?", "weight": 0},
            {"role": "user", "content": "May I go?"},
            {"role": "assistant", "content": None, "tool_calls": [call], "weight": 0},
            {"role": "tool", "content": "closed", "tool_call_id": "call_1"},
            {"role": "assistant", "content": "Go tomorrow.", "weight": 0},
            {"role": "system", "content": "The user leaves."},
            {"role": "assistant", "content": "Farewell.", "weight": 1},
        ]
    }


def test_a_call_that_a_conversation_ends_with_stays_a_call():
    sent = chat_line(TALK[:5], {4}, [LOOK_UP])["messages"]
    assert len(sent) == 5
    assert sent[-1]["tool_calls"][0]["id"] == "call_1"
    assert sent[-1]["weight"] == 1


def test_a_call_in_the_middle_that_nothing_answered_is_words():
    sent = chat_line([*TALK[:5], Message("user", "Well?"), Message("assistant", "No.")], {6}, [])["messages"]
    assert sent[4] == {"role": "assistant", "content": '(Tool call: look_up {"what": "gates"})', "weight": 0}


SPOKEN = st.builds(Message, st.sampled_from(["system", "user", "assistant"]), st.text(), injected=st.booleans())


@given(st.lists(st.tuples(SPOKEN, st.booleans()), max_size=8))
def test_weights_are_those_of_the_indices(talk):
    messages = [message for message, _ in talk]
    chosen = {n for n, (message, pick) in enumerate(talk) if pick and message.role == "assistant"}
    sent = chat_line(messages, chosen, [])["messages"]
    assert [(m["role"], m["content"]) for m in sent] == [(m.role, m.content) for m in messages]
    assert {n for n, m in enumerate(sent) if m.get("weight") == 1} == chosen
    assert {n for n, m in enumerate(sent) if "weight" in m} == {n for n, m in enumerate(messages) if m.role == "assistant"}


@given(st.lists(st.text().map(lambda text: {"messages": [{"role": "user", "content": text}]})))
def test_a_line_stays_a_line_whatever_is_said(lines):
    text = training_file(lines)
    assert [json.loads(line) for line in text.splitlines()] == lines
    assert text.isascii()


@pytest.mark.parametrize(
    "message",
    [{"role": "user", "content": "x", "injected": True}, {"role": "assistant", "content": "x", "weight": 2}, {"role": "user"}],
)
def test_the_server_here_is_as_strict_as_the_real_one(message):
    good = {"role": "assistant", "content": "fine", "weight": 1}
    assert file_mistake(training_file([{"messages": [good]}]), 1) is None
    assert file_mistake(training_file([{"messages": [good, message]}]), 1) is not None


# the whole way


def test_the_whole_way(serve, state):
    server = serve(Behaviour(models=[BASE]))
    called = call(state, FineTuningSection(poll_seconds=45))
    assert (called.model, called.steps, called.slept) == (MADE, CURVE, [45, 45, 45])
    assert server.tuning.asked == WHOLE
    (file,), (job,) = server.tuning.files, server.tuning.jobs
    assert (file.text, file.purpose) == (TEXT, "fine-tune")
    assert file.name.endswith(".jsonl")
    assert job.request == {
        "model": BASE,
        "training_file": file.id,
        "method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2}}},
        "seed": 7,
        "suffix": "booth-1",
    }
    assert {seen.key for seen in server.requests} == {KEY}
    kept = held(state)
    assert {name: kept[name] for name in ("file", "job", "status", "model", "trained_tokens", "base")} == {
        "file": file.id,
        "job": job.id,
        "status": "succeeded",
        "model": MADE,
        "trained_tokens": 4321,
        "base": BASE,
    }


def test_the_new_model_can_be_asked_and_trained_on(serve, state, tmp_path):
    server = serve(Behaviour(models=[BASE]))
    made = call(state).model
    body = json.dumps({"model": made, "messages": [{"role": "user", "content": "Hello"}]}).encode()
    with urlopen(Request(f"{server.openai_url}/chat/completions", body)) as answer:
        assert json.load(answer)["model"] == made
    again = call(tmp_path / "next.json", text=TEXT * 2, base=made, suffix="booth-2")
    assert server.tuning.jobs[1].request["model"] == made
    assert again.model == "ft:gpt-4.1-mini:lab:booth-2:ftjob-1"


def test_a_long_curve_is_read_once_and_only_its_new_pages_again(serve, state):
    server = serve()
    server.tuning.losses = [1 / n for n in range(1, 251)]
    assert call(state).steps == [{"step": n, "loss": 1 / n} for n in range(1, 251)]
    pages = [asked for asked in server.tuning.asked if asked.endswith("/events")]
    assert len(pages) == 1 + 1 + 2 + 2  # nothing, nothing, 125 steps, and the 125 after them


def test_the_settings_of_a_job(serve, state):
    server = serve()
    call(state, FineTuningSection(epochs=5, learning_rate_multiplier=0.25), seed=2**63 - 1, suffix="s" * 100)
    (job,) = server.tuning.jobs
    assert job.request["method"]["supervised"]["hyperparameters"] == {"n_epochs": 5, "learning_rate_multiplier": 0.25}
    assert job.request["seed"] == 2**31 - 1
    assert job.request["suffix"] == "s" * 64


def test_a_suffix_that_is_none_is_not_sent(serve, state):
    server = serve()
    call(state, suffix="")
    assert "suffix" not in server.tuning.jobs[0].request


# interruptions


def killed_after(requests: int, monkeypatch: pytest.MonkeyPatch, state: Path) -> None:
    """A call whose process ends when an answer has come and nothing has been made of it yet."""
    real, count = openai.AsyncOpenAI.request, 0

    async def request(self: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal count
        answer = await real(self, *args, **kwargs)
        count += 1
        if count == requests:
            raise Killed
        return answer

    with monkeypatch.context() as patched:
        patched.setattr(openai.AsyncOpenAI, "request", request)
        with pytest.raises(Killed):
            call(state)


@pytest.mark.parametrize("requests", range(1, len(WHOLE) + 1))
def test_a_killed_call_is_gone_on_with(serve, state, monkeypatch, requests):
    server = serve()
    killed_after(requests, monkeypatch, state)
    assert server.tuning.asked == WHOLE[:requests]
    called = call(state)
    assert (called.model, called.steps) == (MADE, CURVE)
    assert len(server.tuning.jobs) == 1
    # only an upload whose answer was never read is made twice; nothing is trained on the first one
    assert len(server.tuning.files) == (2 if requests == 1 else 1)
    assert server.tuning.jobs[0].request["training_file"] == server.tuning.files[-1].id


def test_what_is_finished_is_not_asked_for_again(serve, state):
    server = serve()
    call(state)
    del server.tuning.asked[:]
    before = state.read_bytes()
    called = call(state)
    assert (called.model, called.steps) == (MADE, CURVE)
    assert server.tuning.asked == [f"GET {JOB}/events"]
    assert state.read_bytes() == before


def test_a_cancelled_wait_leaves_the_job_running(serve, state):
    server = serve()

    def cancel(seconds: float) -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        call(state, asleep=cancel)
    assert server.tuning.asked == WHOLE[:5]
    assert held(state)["job"] == "ftjob-0"
    assert call(state).model == MADE
    assert len(server.tuning.jobs) == 1


def others(number: int, created: int) -> list[Job]:
    """Jobs of others in the same organisation."""
    request = {"model": BASE, "training_file": "file-of-another"}
    return [Job(f"ftjob-other-{created}-{n}", request, created) for n in range(number)]


def test_a_job_is_found_behind_the_jobs_of_others(serve, state, monkeypatch):
    server = serve()
    killed_after(3, monkeypatch, state)
    server.tuning.jobs += others(150, BEGINNING + 60)
    del server.tuning.asked[:]
    assert call(state).model == MADE
    assert server.tuning.asked[:3] == [f"GET {JOBS}", f"GET {JOBS}", f"GET {JOB}"]
    assert len(server.tuning.jobs) == 151


def test_older_jobs_than_the_upload_are_not_looked_through(serve, state):
    server = serve()
    server.tuning.jobs += others(250, BEGINNING - 60)
    call(state)
    assert server.tuning.asked[:3] == WHOLE[:3]
    assert len(server.tuning.jobs) == 251


# a state that is another's


def refused(serve: Callable[..., Server], state: Path, **settings: Any) -> str:
    """The error of a call after which nothing was asked or written."""
    server, before = serve(), state.read_bytes()
    with pytest.raises(TrainerError) as error:
        call(state, **settings)
    assert server.requests == []
    assert state.read_bytes() == before
    assert f"Remove {state}" in str(error.value)
    return str(error.value)


def test_other_data_are_refused(serve, state):
    serve()
    call(state)
    told = refused(serve, state, text=TEXT + TEXT)
    assert "began with other training data" in told


def test_another_beginning_is_refused(serve, state):
    serve()
    call(state)
    assert "began from gpt-4.1-mini and not from gpt-4.1" in refused(serve, state, base="gpt-4.1")


@pytest.mark.parametrize("text", ["", "[]", '{"schema_version": 2, "digest": "x", "base": "y"}', "\udcff"])
def test_a_state_that_is_none_is_refused(serve, state, text):
    state.write_bytes(text.encode(errors="surrogateescape"))
    assert "is no state of a fine-tuning of this version" in refused(serve, state)


# endings


@pytest.mark.parametrize("ending", ["failed", "cancelled"])
def test_a_job_that_came_to_nothing(serve, state, ending):
    server = serve()
    server.tuning.ending, server.tuning.error = ending, f"Unsafe words, sent with {KEY}"
    said = {"failed": "ftjob-0 failed: Unsafe words, sent with [key]\n", "cancelled": "ftjob-0 was cancelled.\n"}[ending]
    for _ in range(2):  # a second call tells it again, and makes no other job
        with pytest.raises(TrainerError) as error:
            call(state)
        assert said in str(error.value)
        assert f"remove {state}" in str(error.value)
    assert len(server.tuning.jobs) == 1
    assert KEY not in str(error.value) + state.read_text()
    state.unlink()
    server.tuning.ending = "succeeded"
    assert call(state).model == MADE.replace("ftjob-0", "ftjob-1")


def test_a_training_file_that_the_provider_refuses(serve, state):
    server = serve()
    server.tuning.fewest = 10
    with pytest.raises(TrainerError, match=r"ftjob-0 failed: Invalid file format\. Training file has 1 example"):
        call(state)


def test_patience_ends_and_the_job_does_not(serve, state):
    server = serve()
    server.tuning.ending = None
    called = Called()
    with pytest.raises(TrainerError) as error:
        call(state, FineTuningSection(poll_seconds=1200, hours=1.5), called=called)
    assert called.slept == [1200] * 5  # the look after 100 minutes is the first one after the end
    assert "ftjob-0 is running after 1.5 hours (fine_tuning.hours). It goes on at the provider." in str(error.value)
    assert "Run the same command again" in str(error.value)
    server.tuning.ending = "succeeded"
    later = call(state, FineTuningSection(hours=1.5))
    assert (later.model, later.slept, later.steps) == (MADE, [], CURVE)
    assert len(server.tuning.jobs) == 1


# faults

PASSING = [
    Fault.RATE_LIMITED,
    Fault.RATE_LIMITED_WAIT,
    Fault.SERVER_ERROR,
    Fault.BAD_GATEWAY,
    Fault.OVERLOADED,
    Fault.RESET,
    Fault.TRUNCATED,
]


@pytest.mark.parametrize("fault", PASSING)
def test_faults_that_pass_are_tried_again(serve, state, fault):
    server = serve(Behaviour(first=[fault, None, None] * 20))
    called = call(state)
    assert (called.model, called.steps) == (MADE, CURVE)
    assert len(server.tuning.jobs) == 1  # also where the answer to the request that made it broke off
    assert server.by_fault()[fault] >= 5
    assert f"POST {FILES}" not in server.tuning.asked[2:]


def test_a_request_that_nobody_answers(serve, state):
    server = serve(Behaviour(first=[None, Fault.STALLED]))
    assert call(state, patience=Patience(timeout=0.5, backoff=0.0)).model == MADE
    assert len(server.tuning.jobs) == 1


def test_a_curve_that_cannot_be_had_costs_no_training(serve, state):
    serve(Behaviour(first=[None, None, None, *[None, Fault.SERVER_ERROR] * 4]))
    called = call(state, patience=Patience(attempts=1))
    assert (called.model, called.steps) == (MADE, [])


def test_an_outage_while_a_job_runs_is_waited_through_up_to_a_limit(serve, state):
    server = serve(Behaviour(first=[None, None, None, *[Fault.RESET] * 19]))
    assert call(state).model == MADE
    state.unlink()
    server.behave(Behaviour(first=[None, None, None, *[Fault.RESET] * 20]))
    with pytest.raises(TrainerError, match=r"looking at the job ftjob-1: (.|\n)*was asked 20 times.*run the same command again"):
        call(state)
    assert call(state).model == MADE.replace("ftjob-0", "ftjob-1")


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (Fault.INVALID_KEY, "Is OPENAI_API_KEY the right key"),
        (Fault.NO_CREDIT, "The account of OPENAI_API_KEY needs credit"),
        (Fault.UNKNOWN_MODEL, "Can this model be fine-tuned there"),
        (Fault.SERVER_ERROR, "was asked 2 times"),
    ],
)
@pytest.mark.parametrize("request_number", range(3))
def test_faults_that_do_not_pass_say_what_to_do_and_no_key(serve, state, tmp_path, fault, told, request_number):
    server = serve(Behaviour(first=[*[None] * request_number, *[fault] * 4], echo_key=True))
    with pytest.raises(TrainerError) as error:
        call(state, patience=Patience(attempts=2, backoff=0.0))
    words = str(error.value)
    assert told in words
    assert words.startswith(
        f"openai/{BASE}: {'uploading the training file' if request_number == 0 else 'making the fine-tuning job'}"
    )
    assert "(key: [key])" in words
    assert KEY not in words + "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    assert len(server.tuning.jobs) == 0
    server.behave(Behaviour())
    assert call(state).model == MADE
    assert len(server.tuning.files) == 1


def test_a_model_that_cannot_be_fine_tuned(serve, state):
    server = serve(Behaviour(models=["gpt-9"]))
    with pytest.raises(TrainerError) as error:
        call(state)
    assert "The model gpt-4.1-mini is not available for fine-tuning." in str(error.value)
    assert f"{server.openai_url} does not take this request" in str(error.value)
    assert server.tuning.asked == WHOLE[:3]  # and is not tried again


def test_nothing_is_sent_without_a_key(serve, monkeypatch):
    serve()
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(ConfigError, match="set OPENAI_API_KEY"):
        OpenAiTuner(parse_model_name("openai/m"), FineTuningSection())


@pytest.mark.parametrize("name", ["anthropic/claude", "vllm/some/model", "embedded"])
def test_models_of_others_are_refused(name):
    with pytest.raises(ConfigError, match=r"OpenAI's fine-tuning API trains openai/<model> and openai-api/<name>/<model>\."):
        OpenAiTuner(parse_model_name(name), FineTuningSection())
