"""Whatever a provider does instead of answering has one defined end: tried again, given up, or the whole run stopped."""

from __future__ import annotations

import socket
import time

import pytest
from asking_hosted import KEYS, KINDS, MODELS, PROVIDERS, VARIABLES, asked, point, question, reply

from influence.engines.base import Finish
from influence.errors import ContextOverflowError, ProviderError, ProviderStoppedError
from tests.loopback import Behaviour, Fault

RATINGS = {str(n): float(n) for n in range(1, 11)}
SILENT = (Fault.STALLED, Fault.TRICKLE)
each_provider = pytest.mark.parametrize("provider", PROVIDERS)


@each_provider
@pytest.mark.parametrize("fault", KINDS)
def test_a_fault_that_passes_is_counted_once_and_the_request_is_answered(serve, provider, fault):
    server = serve(Behaviour(first=[fault, None], reply="Fine."))
    found = asked(MODELS[provider], reply(), timeout=0.3 if fault in SILENT else 10.0)
    assert (found.one.text, found.one.finish, found.one.usage.calls) == ("Fine.", Finish.STOP, 1)
    assert found.counts == {"requests": 2, "answers": 1, "faults": {KINDS[fault]: 1}, "given_up": {}}
    assert server.by_fault() == {fault: 1, None: 1}
    assert len({seen.body_digest for seen in server.record.asked}) == 1


@each_provider
@pytest.mark.parametrize("fault", KINDS)
def test_a_fault_that_does_not_pass_is_given_up_after_so_many_attempts(serve, provider, fault):
    server = serve(Behaviour(faults={fault: 1.0}))
    attempts = 2 if fault in SILENT else 3
    found = asked(MODELS[provider], reply(), attempts=attempts, timeout=0.15 if fault in SILENT else 10.0)
    assert type(found.one) is ProviderError
    assert str(found.one).startswith(f"{MODELS[provider]}: {KINDS[fault].replace('_', ' ')}: ")
    assert found.counts == {
        "requests": attempts,
        "answers": 0,
        "faults": {KINDS[fault]: attempts},
        "given_up": {KINDS[fault]: 1},
    }
    assert server.by_fault() == {fault: attempts}


@each_provider
@pytest.mark.parametrize("fault", SILENT)
def test_an_answer_that_never_ends_is_waited_for_no_longer_than_the_time_limit(serve, provider, fault):
    serve(Behaviour(faults={fault: 1.0}, trickle_every=0.02))
    took = []

    async def timed(engine):
        started = time.monotonic()
        try:
            return await reply()(engine)
        finally:
            took.append(time.monotonic() - started)

    found = asked(MODELS[provider], timed, attempts=1, timeout=0.2)
    assert str(found.one) == f"{MODELS[provider]}: timed out: no whole answer within 0.2 s"
    assert 0.2 <= took[0] < 2


@each_provider
def test_a_server_that_says_when_is_asked_again_then(serve, provider):
    """Neither at once nor by the client's own, much longer waits."""
    server = serve(Behaviour(first=[Fault.RATE_LIMITED_WAIT, None], retry_after="9", retry_after_ms="80"))
    asked(MODELS[provider], reply(), backoff=30.0)
    first, second = server.record.asked
    assert 0.08 <= second.arrived - first.answered < 5


@each_provider
def test_an_answer_that_is_cut_or_withheld_is_an_answer(serve, provider):
    server = serve(Behaviour(first=[Fault.LENGTH, Fault.CONTENT_FILTER], reply="Half of this."))
    cut = asked(MODELS[provider], reply())
    assert (cut.one.text, cut.one.finish) == ("Half of", Finish.LENGTH)
    withheld = asked(MODELS[provider], reply())
    assert (withheld.one.text, withheld.one.finish) == ("", Finish.REFUSED)
    assert cut.counts == withheld.counts == {"requests": 1, "answers": 1, "faults": {}, "given_up": {}}
    assert server.by_fault() == {Fault.LENGTH: 1, Fault.CONTENT_FILTER: 1}


@each_provider
@pytest.mark.parametrize("method", ["auto", "samples", "stated"])
def test_an_answer_that_names_no_label_is_a_missing_score_with_its_reason(serve, provider, method):
    serve(Behaviour(faults={Fault.NO_LABEL: 1.0}, logprobs={"7": 1.0}))
    score, usage = asked(MODELS[provider], question(RATINGS, method=method)).one
    assert (score.value, score.distribution) == (None, None)
    reasons = {
        "logprobs": "the labels hold 0 of the probability, under the floor of 0.01",
        "samples": "0 of 5 sampled answers named a label",
        "stated": "the answer names no label, or several: 'I would rather talk about the weather.'",
    }
    assert score.reason == reasons[score.method]
    by_itself = "samples" if provider == "anthropic" else "logprobs"
    assert score.method == (by_itself if method == "auto" else method)
    assert usage.calls == {"logprobs": 1, "samples": 5, "stated": 1}[score.method]


@each_provider
def test_a_prompt_that_is_too_long_is_not_sent_again(serve, provider):
    server = serve(Behaviour(first=[Fault.CONTEXT_TOO_LONG], reply="Fine."))
    found = asked(MODELS[provider], reply())
    assert isinstance(found.one, ContextOverflowError)
    assert found.counts["faults"] == found.counts["given_up"] == {"context_too_long": 1}
    assert server.by_fault() == {Fault.CONTEXT_TOO_LONG: 1}


STOPPING = {  # what each stop says, apart from the server's own words
    Fault.INVALID_KEY: "Is {variable} the right key, with access to this model?",
    Fault.UNKNOWN_MODEL: "Is the model's name right, and {place} the right place?",
    Fault.NO_CREDIT: "The account of {variable} needs credit.",
}


@each_provider
@pytest.mark.parametrize("fault", STOPPING)
def test_a_provider_that_will_never_answer_is_asked_once_by_fifty_at_the_same_time(serve, provider, fault):
    server = serve(Behaviour(faults={fault: 1.0}, echo_key=True, latency=0.02))
    found = asked(MODELS[provider], *(reply(seed) for seed in range(50)))
    assert {type(result) for result in found.results} == {ProviderStoppedError}
    assert server.by_fault() == {fault: 1}
    assert found.counts == {"requests": 1, "answers": 0, "faults": {fault: 1}, "given_up": {fault: 1}}
    (message,) = {str(result) for result in found.results}
    place = server.url if provider == "anthropic" else f"{server.url}/v1"
    assert STOPPING[fault].format(variable=VARIABLES[provider], place=place) in message
    assert "(key: [key])" in message
    assert KEYS[provider] not in message


@each_provider
def test_a_key_that_is_revoked_in_the_middle_stops_what_is_waiting(serve, provider):
    server = serve(Behaviour(first=[None] * 30, faults={Fault.INVALID_KEY: 1.0}, latency=0.002))
    found = asked(MODELS[provider], *(reply(seed) for seed in range(200)), concurrency=8)
    stopped = [result for result in found.results if isinstance(result, ProviderStoppedError)]
    assert len(stopped) == 170
    assert len(server.record.asked) <= 30 + 8
    assert found.counts["answers"] == 30


@pytest.fixture
def closed_port():
    with socket.socket() as taken:  # bound and not listening: nobody else gets it, and nobody answers
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def test_a_server_of_ones_own_that_is_not_there_is_looked_for_once_by_fifty(monkeypatch, closed_port):
    point(monkeypatch, f"http://127.0.0.1:{closed_port}")
    found = asked(MODELS["local"], *(reply(seed) for seed in range(50)))
    assert {type(result) for result in found.results} == {ProviderStoppedError}
    (message,) = {str(result) for result in found.results}
    assert message.startswith(f"{MODELS['local']}: no answer from http://127.0.0.1:{closed_port}/v1, tried 3 times: ")
    assert message.endswith("Is the server running there?")
    assert found.counts["requests"] == 0


def test_a_server_of_ones_own_that_does_not_take_the_key_is_told_before_anything_is_asked(serve):
    server = serve(Behaviour(key="sk-another", echo_key=True))
    found = asked(MODELS["local"], *(reply(seed) for seed in range(50)))
    assert {type(result) for result in found.results} == {ProviderStoppedError}
    (message,) = {str(result) for result in found.results}
    assert "Is LOCAL_API_KEY the right key" in message
    assert KEYS["local"] not in message
    assert [seen.path for seen in server.requests] == ["/v1/models"]


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_big_provider_that_is_not_there_stops_the_run_after_twenty_requests(monkeypatch, closed_port, provider):
    point(monkeypatch, f"http://127.0.0.1:{closed_port}")
    found = asked(MODELS[provider], *(reply(seed) for seed in range(50)), attempts=2)
    given_up = [result for result in found.results if type(result) is ProviderError]
    stopped = [result for result in found.results if isinstance(result, ProviderStoppedError)]
    assert (len(given_up), len(given_up) + len(stopped)) == (19, 50)
    assert all("connection" in str(error) for error in given_up)
    assert all(f"no answer from http://127.0.0.1:{closed_port}" in str(error) for error in stopped)
    assert found.counts["answers"] == 0
