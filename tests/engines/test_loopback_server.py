"""The server that other tests trust in place of the providers, held against the providers' own SDKs."""

from __future__ import annotations

import asyncio
import json
import socket
from functools import cache
from math import exp

import anthropic
import httpx2
import openai
import pytest
from pydantic import ValidationError

from tests.loopback import Behaviour, Fault, Record, Seen, serving, serving_in_process
from tests.loopback.behaviour import behaviour_from_json
from tests.loopback.record import most_within

HELLO = [{"role": "user", "content": "x" * 40}]
APIS = ("openai", "anthropic")
LABELS = ["no", "maybe", "yes"]
RATING = {
    "type": "object",
    "properties": {"why": {"type": "string"}, "label": {"type": "string", "enum": LABELS}},
    "required": ["why", "label"],
    "additionalProperties": False,
}
ASKED_FOR = {
    "openai": {"response_format": {"type": "json_schema", "json_schema": {"name": "rating", "strict": True, "schema": RATING}}},
    "anthropic": {"output_config": {"format": {"type": "json_schema", "schema": RATING}}},
}
TOOLS = {
    "openai": [{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}],
    "anthropic": [{"name": "look", "input_schema": {"type": "object", "properties": {}}}],
}


@cache
def sdk(api):
    """One client an API: to make one takes longer than most tests here. The key says whose it is."""
    kind = {"openai": openai.OpenAI, "anthropic": anthropic.Anthropic}[api]
    return kind(base_url="http://127.0.0.1:1", api_key=f"key of {api}", max_retries=0, timeout=5)


@pytest.fixture
def server():
    with serving(Behaviour()) as server:
        yield server


def client(server, api, **options):
    return sdk(api).with_options(base_url={"openai": server.openai_url, "anthropic": server.anthropic_url}[api], **options)


def ask(server, api, messages=HELLO, timeout=5, **more):
    more = {"model": "m", "messages": messages} | more
    if api == "openai":
        return client(server, api, timeout=timeout).chat.completions.create(**more)
    return client(server, api, timeout=timeout).messages.create(**({"max_tokens": 100} | more))


def said(answer) -> tuple[str | None, str | None]:
    """Text and reason to stop, of either SDK's answer."""
    if isinstance(answer, openai.types.chat.ChatCompletion):
        return answer.choices[0].message.content, answer.choices[0].finish_reason
    return (answer.content[0].text if answer.content else None), answer.stop_reason


def mistake(server, api, **more) -> str:
    """The message of the 400 that a request gets, which is recorded as the client's own."""
    with pytest.raises((openai.BadRequestError, anthropic.BadRequestError)) as found:
        ask(server, api, **more)
    assert server.requests[-1].fault == "invalid_request"
    body = found.value.body
    return (body if api == "openai" else body["error"])["message"]


# ordinary answers


@pytest.mark.parametrize(("api", "stop"), [("openai", "stop"), ("anthropic", "end_turn")])
def test_equal_bodies_get_equal_words_and_tokens_are_a_quarter_of_the_characters(server, api, stop):
    first, again = ask(server, api), ask(server, api)
    other = ask(server, api, [{"role": "user", "content": "y" * 40}])
    text, reason = said(first)
    assert (text, reason) == said(again)
    assert reason == stop
    assert said(other)[0] != text
    assert len(text.split()) == 12
    usage = first.usage
    if api == "openai":
        assert (usage.prompt_tokens, usage.completion_tokens) == (10, len(text) // 4)
        assert usage.prompt_tokens_details.cached_tokens == 0
        assert usage.total_tokens == 10 + len(text) // 4
    else:
        assert (usage.input_tokens, usage.output_tokens) == (10, len(text) // 4)
        assert usage.cache_read_input_tokens == usage.cache_creation_input_tokens == 0


def test_the_seed_is_part_of_the_body_and_n_answers_differ(server):
    assert len({said(ask(server, "openai", seed=seed))[0] for seed in range(20)}) == 20
    assert len({c.message.content for c in ask(server, "openai", n=5).choices}) == 5


@pytest.mark.parametrize(("api", "length"), [("openai", "length"), ("anthropic", "max_tokens")])
def test_a_fixed_reply_is_cut_where_the_limit_leaves_no_token_to_end_with(server, api, length):
    server.behave(Behaviour(reply="twelve chars"))
    assert said(ask(server, api, max_tokens=4))[0] == "twelve chars"
    assert said(ask(server, api, max_tokens=3)) == ("twelve chars", length)
    assert said(ask(server, api, max_tokens=2)) == ("twelve c", length)


@pytest.mark.parametrize("api", APIS)
def test_a_schema_is_followed_and_its_enum_chosen_evenly(server, api):
    asked = [[{"role": "user", "content": f"case {n}"}] for n in range(60)]
    answers = [json.loads(said(ask(server, api, messages, **ASKED_FOR[api]))[0]) for messages in asked]
    assert all(list(a) == ["why", "label"] and isinstance(a["why"], str) for a in answers)
    assert min([a["label"] for a in answers].count(label) for label in LABELS) >= 10
    assert json.loads(said(ask(server, api, asked[0], **ASKED_FOR[api]))[0]) == answers[0]
    server.behave(Behaviour(reply="maybe"))
    assert json.loads(said(ask(server, api, **ASKED_FOR[api]))[0])["label"] == "maybe"
    server.behave(Behaviour(reply='{"lable": "yes"}'))
    assert said(ask(server, api, **ASKED_FOR[api]))[0] == '{"lable": "yes"}'


def test_logprobs_are_the_first_tokens_distribution_best_first_and_cut(server):
    server.behave(Behaviour(logprobs={"1": 0.25, "2": 0.6, " 2": 0.15, "3": 0.0}))
    choice = ask(server, "openai", max_tokens=1, logprobs=True, top_logprobs=3).choices[0]
    assert (choice.message.content, choice.finish_reason) == ("2", "length")
    (token,) = choice.logprobs.content
    assert token.token == "2"
    assert {t.token: exp(t.logprob) for t in token.top_logprobs} == pytest.approx({"2": 0.6, "1": 0.25, " 2": 0.15})
    assert [t.token for t in token.top_logprobs] == ["2", "1", " 2"]
    everything = ask(server, "openai", logprobs=True, top_logprobs=20).choices[0].logprobs.content[0].top_logprobs
    assert everything[-1].logprob == -9999
    assert ask(server, "openai").choices[0].logprobs is None
    server.behave(Behaviour())
    assert ask(server, "openai", logprobs=True, top_logprobs=3).choices[0].logprobs is None


@pytest.mark.parametrize("api", APIS)
def test_offered_tools_are_called_and_the_call_can_be_answered(server, api):
    server.behave(Behaviour(tool_call=("look", '{"where": "here"}')))
    assert said(ask(server, api))[1] in ("stop", "end_turn")
    answer = ask(server, api, tools=TOOLS[api])
    if api == "openai":
        (call,) = answer.choices[0].message.tool_calls
        assert (call.function.name, call.function.arguments) == ("look", '{"where": "here"}')
        assert answer.choices[0].finish_reason == "tool_calls"
        back = [answer.choices[0].message.model_dump(exclude_none=True)]
        back.append({"role": "tool", "tool_call_id": call.id, "content": "a box"})
    else:
        (call,) = answer.content
        assert (call.type, call.name, call.input, answer.stop_reason) == ("tool_use", "look", {"where": "here"}, "tool_use")
        back = [{"role": "assistant", "content": [{"type": "tool_use", "id": call.id, "name": call.name, "input": call.input}]}]
        back.append({"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "a box"}]})
    assert said(ask(server, api, HELLO + back))[0]


# faults

REFUSALS = [
    (Fault.RATE_LIMITED, "RateLimitError", 429, "rate_limit_exceeded", "RateLimitError", 429, "rate_limit_error"),
    (Fault.SERVER_ERROR, "InternalServerError", 500, None, "InternalServerError", 500, "api_error"),
    (Fault.OVERLOADED, "InternalServerError", 503, None, "OverloadedError", 529, "overloaded_error"),
    (Fault.CONTEXT_TOO_LONG, "BadRequestError", 400, "context_length_exceeded", "BadRequestError", 400, "prompt is too long"),
    (Fault.INVALID_KEY, "AuthenticationError", 401, "invalid_api_key", "AuthenticationError", 401, "authentication_error"),
    (Fault.UNKNOWN_MODEL, "NotFoundError", 404, "model_not_found", "NotFoundError", 404, "not_found_error"),
    (Fault.NO_CREDIT, "RateLimitError", 429, "insufficient_quota", "BadRequestError", 400, "credit balance is too low"),
]


@pytest.mark.parametrize(("fault", "theirs", "status", "code", "other", "other_status", "words"), REFUSALS)
def test_refusals_come_in_each_apis_own_shape(server, fault, theirs, status, code, other, other_status, words):
    server.behave(Behaviour(faults={fault: 1.0}))
    with pytest.raises(getattr(openai, theirs)) as found:
        ask(server, "openai")
    assert (found.value.status_code, found.value.code) == (status, code)
    assert set(found.value.body) == {"message", "type", "param", "code"}
    with pytest.raises(getattr(anthropic, other, anthropic.InternalServerError)) as found:
        ask(server, "anthropic")
    assert found.value.status_code == other_status
    assert found.value.body["type"] == "error"
    assert words in str(found.value.body["error"])
    assert "retry-after" not in found.value.response.headers
    assert [(s.fault, s.status) for s in server.requests] == [(fault, status), (fault, other_status)]


@pytest.mark.parametrize("api", APIS)
def test_a_rate_limit_may_say_how_long_to_wait(server, api):
    server.behave(Behaviour(first=[Fault.RATE_LIMITED_WAIT] * 2, retry_after="7", retry_after_ms=None))
    with pytest.raises((openai.RateLimitError, anthropic.RateLimitError)) as found:
        ask(server, api)
    headers = found.value.response.headers
    assert headers["retry-after"] == "7"
    assert "retry-after-ms" not in headers
    assert headers["request-id"] == headers["x-request-id"] == "req_000000"
    server.behave(Behaviour(first=[Fault.RATE_LIMITED_WAIT] * 2, reply="at last"))
    retrying = client(server, api, max_retries=2)  # the SDK's own retries, which obey the 5 ms of the header
    create = retrying.chat.completions.create if api == "openai" else retrying.messages.create
    assert said(create(model="m", messages=HELLO, max_tokens=50))[0] == "at last"
    assert server.by_fault() == {Fault.RATE_LIMITED_WAIT: 3, None: 1}


@pytest.mark.parametrize("api", APIS)
def test_a_gateway_answers_in_html(server, api):
    server.behave(Behaviour(first=[Fault.BAD_GATEWAY]))
    with pytest.raises((openai.InternalServerError, anthropic.InternalServerError)) as found:
        ask(server, api)
    assert found.value.status_code == 502
    assert found.value.response.headers["content-type"] == "text/html"
    assert found.value.response.text.startswith("<html>")


@pytest.mark.parametrize("api", APIS)
def test_a_connection_may_be_reset_or_left_hanging(api):
    with serving(Behaviour(first=[Fault.RESET, Fault.STALLED])) as server:
        with pytest.raises((openai.APIConnectionError, anthropic.APIConnectionError)) as found:
            ask(server, api)
        assert not isinstance(found.value, openai.APITimeoutError | anthropic.APITimeoutError)
        with pytest.raises((openai.APITimeoutError, anthropic.APITimeoutError)):
            ask(server, api, timeout=0.1)
        assert said(ask(server, api))[0]
    reset, stalled, fine = server.requests
    assert reset.answered is stalled.answered is None
    assert reset.status is stalled.status is None
    assert stalled.ended > stalled.arrived
    assert fine.answered == fine.ended >= fine.arrived


def test_a_trickle_never_ends_and_outlasts_the_clients_own_timeout():
    """Each byte starts the SDK's timeout anew: only a limit on the whole request ends it."""

    async def patience() -> None:
        async with openai.AsyncOpenAI(base_url=server.openai_url, api_key="k", max_retries=0, timeout=0.2) as patient:
            async with asyncio.timeout(0.5):
                await patient.chat.completions.create(model="m", messages=HELLO)

    with serving(Behaviour(faults={Fault.TRICKLE: 1}, trickle_every=0.01)) as server:
        with pytest.raises(TimeoutError):
            asyncio.run(patience())
        with httpx2.stream("POST", f"{server.openai_url}/chat/completions", json={"model": "m", "messages": HELLO}) as answer:
            assert answer.status_code == 200
            chunks = answer.iter_raw()
            assert all(set(next(chunks)) == set(b" ") for _ in range(3))
    assert [(s.status, s.answered, s.fault) for s in server.requests] == [(200, None, "trickle")] * 2
    assert all(s.ended for s in server.requests)


@pytest.mark.parametrize("api", APIS)
def test_answers_without_an_answer(server, api):
    server.behave(Behaviour(first=[Fault.EMPTY_CHOICES, Fault.TRUNCATED, Fault.WRONG_SHAPE, Fault.WRONG_SHAPE]))
    empty = ask(server, api)
    assert (empty.choices if api == "openai" else empty.content) == []
    assert api == "openai" or empty.stop_reason is None
    with pytest.raises(json.JSONDecodeError):
        ask(server, api)
    assert isinstance(ask(server, api), list)
    without = ask(server, api)
    assert (without.choices[0].message if api == "openai" else without.content) is None


@pytest.mark.parametrize("api", APIS)
def test_answers_that_are_not_what_was_asked_for(server, api):
    server.behave(
        Behaviour(reply="yes, of course", first=[Fault.LENGTH, Fault.CONTENT_FILTER, Fault.NO_LABEL, Fault.BAD_TOOL_CALL])
    )
    openai_speaks = api == "openai"
    assert said(ask(server, api)) == ("yes, of", "length" if openai_speaks else "max_tokens")
    assert said(ask(server, api)) == (None, "content_filter" if openai_speaks else "refusal")
    text, reason = said(ask(server, api, **ASKED_FOR[api]))
    assert text == "I would rather talk about the weather."
    assert reason == ("stop" if openai_speaks else "end_turn")
    spoilt = ask(server, api)
    if openai_speaks:
        assert spoilt.choices[0].finish_reason == "tool_calls"
        assert spoilt.choices[0].message.tool_calls[0].function.name is None
    else:
        assert (spoilt.stop_reason, spoilt.content[0].type, spoilt.content[0].name) == ("tool_use", "tool_use", None)


def test_an_answer_that_names_no_label_names_none_in_its_logprobs_either(server):
    server.behave(Behaviour(faults={Fault.NO_LABEL: 1}, logprobs={"1": 0.5, "2": 0.5}))
    choice = ask(server, "openai", logprobs=True, top_logprobs=20).choices[0]
    assert {t.token for t in choice.logprobs.content[0].top_logprobs} == {"I", "The", "Well"}


# what the behaviour refuses


@pytest.mark.parametrize("api", APIS)
def test_one_key_is_accepted_and_a_wrong_one_repeated_only_if_told_to(server, api):
    server.behave(Behaviour(key=f"key of {api}", models=["m"]))
    assert said(ask(server, api))[0]
    assert [model.id for model in client(server, api).models.list()] == ["m"]
    with pytest.raises((openai.NotFoundError, anthropic.NotFoundError), match="n3"):
        ask(server, api, model="n3")
    errors = []
    for echo in (False, True):
        server.behave(Behaviour(key="another", echo_key=echo))
        for request in (lambda: ask(server, api), lambda: client(server, api).models.list()):
            with pytest.raises((openai.AuthenticationError, anthropic.AuthenticationError)) as found:
                request()
            errors.append(f"key of {api}" in str(found.value))
    assert errors == [False, False, True, True]
    server.behave(Behaviour(echo_key=True, faults={Fault.BAD_GATEWAY: 0.5, Fault.SERVER_ERROR: 0.5}))
    for _ in range(6):
        with pytest.raises((openai.InternalServerError, anthropic.InternalServerError)) as found:
            ask(server, api)
        assert f"key of {api}" in found.value.response.text
    assert {s.key for s in server.requests} == {f"key of {api}"}


def test_parameters_that_a_model_does_not_take(server):
    server.behave(Behaviour(rejects=["temperature", "response_format"], first=[None, Fault.RATE_LIMITED]))
    with pytest.raises(openai.BadRequestError) as found:
        ask(server, "openai", temperature=1.0)
    assert found.value.body == {
        "message": "Unsupported parameter: 'temperature' is not supported with this model.",
        "type": "invalid_request_error",
        "param": "temperature",
        "code": "unsupported_parameter",
    }
    with pytest.raises(openai.RateLimitError):  # a planted fault of the wire is not swallowed by the parameter
        ask(server, "openai", temperature=1.0)
    with pytest.raises(openai.BadRequestError, match="response_format"):
        ask(server, "openai", **ASKED_FOR["openai"])
    with pytest.raises(anthropic.BadRequestError, match="`temperature` is not supported for this model"):
        ask(server, "anthropic", extra_body={"temperature": 1.0})
    assert said(ask(server, "openai"))[0]
    assert server.by_fault() == {"unsupported_parameter": 3, "rate_limited": 1, None: 1}


# what the real APIs refuse


def called(*ids):
    calls = [{"id": i, "type": "function", "function": {"name": "look", "arguments": "{}"}} for i in ids]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def used(*ids):
    return {"role": "assistant", "content": [{"type": "tool_use", "id": i, "name": "look", "input": {}} for i in ids]}


def results(*ids):
    return {"role": "user", "content": [{"type": "tool_result", "tool_use_id": i, "content": "a box"} for i in ids]}


def tool(answered):
    return {"role": "tool", "tool_call_id": answered, "content": "a box"}


USER, ASSISTANT = HELLO[0], {"role": "assistant", "content": "well"}


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([], "empty array"),
        ([{"role": "narrator", "content": "x"}], "Invalid value: 'narrator'"),
        ([{"role": "user", "content": None}], "expected a string, got null"),
        ([USER, called("a", "b"), tool("a")], "did not have response messages: b"),
        ([USER, called("a"), USER], "did not have response messages: a"),
        ([USER, tool("a")], "must be a response to a preceeding message"),
        ([USER, called("a"), tool("a"), USER, tool("a")], "must be a response to a preceeding message"),
        ([USER, {"role": "assistant", "content": "x", "tool_calls": []}], "empty array"),
    ],
)
def test_openai_refuses(server, messages, words):
    assert words in mistake(server, "openai", messages=messages)


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([], "at least one message"),
        ([{"role": "system", "content": "x"}, USER], 'Unexpected role "system"'),
        ([ASSISTANT, USER], 'first message must use the "user" role'),
        ([{"role": "user", "content": ""}], "must have non-empty content"),
        ([{"role": "user", "content": [{"type": "text", "text": ""}]}], "text content blocks must be non-empty"),
        ([USER, {"role": "assistant", "content": "so "}], "trailing whitespace"),
        ([USER, used("a"), results("a", "a")], "multiple `tool_result` blocks with id: a"),
        ([USER, used("a"), USER], "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: a"),
        ([USER, used("a")], "without `tool_result` blocks immediately after: a"),
        ([USER, used("a"), USER, results("a")], "without `tool_result` blocks immediately after: a"),
        ([USER, results("a")], "unexpected `tool_use_id`"),
    ],
)
def test_anthropic_refuses(server, messages, words):
    assert words in mistake(server, "anthropic", messages=messages)


def test_what_is_well_formed_passes(server):
    several = [{"role": "developer", "content": "x"}, USER, called("a", "b"), tool("b"), tool("a"), ASSISTANT, USER, USER]
    assert said(ask(server, "openai", several, temperature=1.3, seed=3, max_completion_tokens=9))[0]
    blocks = [USER, used("a", "b"), results("a"), results("b"), USER, ASSISTANT, USER, {"role": "assistant", "content": "The"}]
    assert said(ask(server, "anthropic", blocks, system="x", stop_sequences=["."], extra_body={"temperature": 0.3}))[0]
    assert server.by_fault() == {None: 2}


def test_settings_that_the_apis_refuse(server):
    assert "seed: Extra inputs" in mistake(server, "anthropic", extra_body={"seed": 1})
    assert "temperature: range: 0..1" in mistake(server, "anthropic", extra_body={"temperature": 1.5})
    assert "additionalProperties" in mistake(
        server, "anthropic", output_config={"format": {"type": "json_schema", "schema": {"type": "object"}}}
    )
    assert "'top_logprobs'" in mistake(server, "openai", logprobs=True, top_logprobs=21)
    assert "when 'logprobs' is enabled" in mistake(server, "openai", top_logprobs=2)
    assert "malformed request" in mistake(server, "openai", extra_body={"temperature": "hot"})
    loose = {"name": "rating", "strict": True, "schema": RATING | {"required": ["label"]}}
    told = mistake(server, "openai", response_format={"type": "json_schema", "json_schema": loose})
    assert "Missing {'why'}" in told


def test_headers_and_bodies_that_no_sdk_would_send(server):
    def post(path, **more):
        answer = httpx2.post(server.url + path, **more)
        return answer.status_code, answer.json()["error"]["message"]

    fine = {"model": "m", "messages": HELLO}
    version = {"anthropic-version": "2023-06-01"}
    assert post("/v1/messages", json=fine) == (400, "anthropic-version: header is required")
    assert post("/v1/messages", json=fine, headers=version) == (400, "max_tokens: Field required")
    assert post("/v1/messages", content=b"{", headers=version) == (400, "The request body is not valid JSON")
    assert post("/v1/chat/completions", json={"messages": HELLO}) == (400, "you must provide a model parameter")
    assert post("/v1/chat/completions", content=b"[1") == (400, "We could not parse the JSON body of your request.")
    assert post("/v1/responses", json=fine)[0] == 404
    assert server.by_fault() == {"invalid_request": 5, "unknown_path": 1}


# the wire


def port(server) -> int:
    return int(server.url.rpartition(":")[2])


def raw(body: bytes, extra: str = "") -> bytes:
    return f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n{extra}Content-Length: {len(body)}\r\n\r\n".encode() + body


def test_requests_in_one_piece_or_in_many_are_answered_in_order_on_one_connection():
    bodies = [json.dumps({"model": f"model-{n}", "messages": HELLO}).encode() for n in range(3)]
    with serving(Behaviour(latency=0.01)) as server, socket.create_connection(("127.0.0.1", port(server))) as wire:
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wire.sendall(raw(bodies[0]) + raw(bodies[1])[:30])
        for byte in raw(bodies[1])[30:] + raw(bodies[2], "Connection: close\r\n"):
            wire.sendall(bytes([byte]))
        received = b"".join(iter(lambda: wire.recv(65536), b""))
    assert received.count(b"HTTP/1.1 200 OK") == 3
    places = [received.index(b'"model":"model-%d"' % n) for n in range(3)]
    assert places == sorted(places)
    assert server.most_at_once == 1
    assert all(s.answered - s.arrived >= 0.01 for s in server.requests)


def test_a_reset_is_a_reset():
    with serving(Behaviour(first=[Fault.RESET])) as server, socket.create_connection(("127.0.0.1", port(server))) as wire:
        wire.sendall(raw(b'{"model":"m","messages":[{"role":"user","content":"x"}]}'))
        with pytest.raises(ConnectionResetError):
            wire.recv(1)


def test_many_at_once_are_all_open_together():
    async def crowd() -> None:
        async with openai.AsyncOpenAI(base_url=server.openai_url, api_key="k", max_retries=0) as several:
            await asyncio.gather(*(several.chat.completions.create(model="m", messages=HELLO, seed=n) for n in range(10)))

    with serving(Behaviour(latency=0.5), keep_bodies=True) as server:
        asyncio.run(crowd())
    assert server.most_at_once == server.most_in_any_minute() == 10
    assert sorted(body["seed"] for body in server.bodies) == list(range(10))
    assert len({s.body_digest for s in server.requests}) == 10
    first, last = server.requests[0].arrived, max(s.answered for s in server.requests)
    assert 0 < server.busy(10, first, last) <= 1
    assert server.requests[0].user_agent.startswith("AsyncOpenAI/Python")


# the schedule and the figures


def test_the_schedule_is_a_function_of_the_seed_and_takes_its_shares():
    shares = {Fault.RATE_LIMITED: 0.2, Fault.SERVER_ERROR: 0.1}
    behaviour = Behaviour(faults=shares, first=[None, Fault.RESET], seed=4)
    drawn = [behaviour.fault(n) for n in range(3000)]
    assert drawn[:2] == [None, Fault.RESET]
    assert drawn == [behaviour_from_json(behaviour.to_json()).fault(n) for n in range(3000)]
    assert drawn[2:] != [Behaviour(faults=shares, seed=5).fault(n) for n in range(2, 3000)]
    assert drawn.count(Fault.RATE_LIMITED) == pytest.approx(600, abs=90)
    assert drawn.count(Fault.SERVER_ERROR) == pytest.approx(300, abs=70)
    assert {Behaviour(faults={Fault.LENGTH: 1}).fault(n) for n in range(300)} == {Fault.LENGTH}


def test_the_server_keeps_to_the_schedule_and_a_phase_begins_it_anew(server):
    behaviour = Behaviour(faults={Fault.NO_LABEL: 0.3, Fault.LENGTH: 0.3}, first=[Fault.LENGTH], seed=9)
    for _ in range(2):
        server.behave(behaviour)
        for _ in range(15):
            ask(server, "openai")
        assert [s.fault for s in server.requests[-15:]] == [behaviour.fault(n) for n in range(15)]
    assert [s.number for s in server.requests] == list(range(30))


@pytest.mark.parametrize(
    "wrong",
    ['{"latncy": 1}', '{"faults": {"tired": 0.1}}', '{"faults": {"reset": 0.6, "length": 0.5}}', '{"faults": {"reset": -1}}'],
)
def test_a_wrong_behaviour_is_an_error(wrong):
    with pytest.raises(ValidationError):
        behaviour_from_json(wrong)


def test_the_most_in_any_window_is_half_open():
    assert most_within([], 60) == 0
    assert most_within([59.9, 0, 30, 60, 89], 60) == 4
    assert most_within([0, 60, 120], 60) == 1


def test_the_figures_by_value():
    def seen(arrived, ended, **more):
        return Seen(0, more.pop("path", "/v1/messages"), arrived, ended=ended, **more)

    record = Record(
        [
            seen(0, 4, status=200),
            seen(2, 6, status=429, fault="rate_limited"),
            seen(4, 8),
            seen(5, None),
            seen(0, 9, path="/v1/models"),
        ]
    )
    assert record.most_at_once == 3  # from 5 on: those of 2, 4 and 5; the first has ended as the third came
    assert record.busy(2, 2, 6) == pytest.approx((2 + 4 + 2 + 1) / 8)
    assert record.busy(10, 20, 30) == pytest.approx(0.1)
    assert record.most_in_any_minute(2.5) == 2
    assert record.by_fault() == {None: 3, "rate_limited": 1}
    stats = record.stats(slots=2)
    assert stats["busy"] == pytest.approx((2 + 4 + 2 + 1) / 8)
    assert stats["by_status"] == {"200": 1, "429": 1, "none": 2}


def test_a_process_of_its_own_counts_and_stops():
    with serving_in_process(Behaviour(first=[Fault.RESET, Fault.OVERLOADED], reply="hello")) as served:
        for status in (openai.APIConnectionError, openai.InternalServerError):
            with pytest.raises(status):
                ask(served, "openai")
        assert said(ask(served, "anthropic"))[0] == "hello"
        stats = served.stats(slots=500)
    assert served.process.returncode == 0
    assert stats["by_fault"] == {"reset": 1, "overloaded": 1, "none": 1}
    assert stats["by_status"] == {"none": 1, "503": 1, "200": 1}
    assert (stats["requests"], stats["most_at_once"], stats["most_in_any_minute"]) == (3, 1, 3)
    assert 0 <= stats["busy"] <= 1
