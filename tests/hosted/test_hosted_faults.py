"""What came back instead of an answer, case by case, because the kind decides whether a request, or the whole run, goes on."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from influence import redaction
from influence.engines.hosted import anthropic_wire, faults, openai_wire
from influence.engines.hosted.faults import (
    PERHAPS_BILLED,
    RETRIED,
    STOPPING,
    Fault,
    FaultKind,
    fault_of,
    refused_parameter,
    retry_after,
)

NOW = datetime(2026, 9, 21, 13, 33, 20, tzinfo=UTC).timestamp()  # a Monday
HTML = b"""<html>
<head><title>502 Bad Gateway</title></head>
<body><center><h1>502 Bad Gateway</h1></center><hr><center>nginx</center></body>
</html>"""


def openai(message="no", code=None, param=None, type="invalid_request_error") -> bytes:
    return json.dumps({"error": {"message": message, "type": type, "param": param, "code": code}}).encode()


def anthropic(message="no", type="invalid_request_error") -> bytes:
    return json.dumps({"type": "error", "error": {"type": type, "message": message}}).encode()


def vllm(message="no", type="BadRequestError", param=None, code=400) -> bytes:
    return json.dumps({"error": {"message": message, "type": type, "param": param, "code": code}}).encode()


def older_vllm(message="no") -> bytes:
    return json.dumps({"object": "error", "message": message, "type": "BadRequestError", "param": None, "code": 400}).encode()


QUOTA = openai(
    "You exceeded your current quota, please check your plan and billing details.",
    "insufficient_quota",
    type="insufficient_quota",
)
SMALL_ACCOUNT = (
    "Rate limit reached for gpt-4o in organization org-x on requests per min (RPM): Limit 3, Used 3, Requested 1. Please try again "
    "in 20s. You can increase your rate limit by adding a payment method to your account at "
    "https://platform.openai.com/account/billing."
)
GEMINIS_MINUTE = (
    "You exceeded your current quota, please check your plan and billing details. * Quota exceeded for metric: "
    "generate_content_free_tier_requests, limit: 10. Please retry in 36s."
)
LOW = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to purchase credits."


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (
            429,
            openai("Rate limit reached for gpt-4o on requests per min", "rate_limit_exceeded", type="requests"),
            "rate_limited",
        ),
        (429, anthropic("This request would exceed your organization's rate limit", "rate_limit_error"), "rate_limited"),
        (429, b"", "rate_limited"),
        # what passes by itself, though it is said in words of billing and quota
        (429, openai(SMALL_ACCOUNT, "rate_limit_exceeded", type="requests"), "rate_limited"),
        (
            429,
            json.dumps({"error": {"message": GEMINIS_MINUTE, "code": 429, "status": "RESOURCE_EXHAUSTED"}}).encode(),
            "rate_limited",
        ),
        (429, QUOTA, "no_credit"),
        (429, openai("no", "insufficient_quota"), "no_credit"),
        (400, anthropic(LOW), "no_credit"),
        (403, anthropic(LOW), "no_credit"),
        (402, anthropic("Payment required", "billing_error"), "no_credit"),
        (402, b"", "no_credit"),
        (500, openai("The server had an error", type="server_error"), "server_error"),
        (500, b"", "server_error"),
        (501, b"", "server_error"),
        (502, HTML, "server_error"),
        (504, HTML, "server_error"),
        (599, b"", "server_error"),
        (408, b"", "server_error"),
        (409, openai("Conflict"), "server_error"),
        (503, openai("The engine is currently overloaded", type="server_error"), "overloaded"),
        (503, HTML, "overloaded"),
        (529, anthropic("Overloaded", "overloaded_error"), "overloaded"),
        (401, openai("Incorrect API key provided", "invalid_api_key"), "invalid_key"),
        (401, anthropic("invalid x-api-key", "authentication_error"), "invalid_key"),
        (401, b"", "invalid_key"),
        (403, openai("Country, region, or territory not supported", "unsupported_country_region_territory"), "invalid_key"),
        (404, openai("The model `gpt-9` does not exist", "model_not_found"), "unknown_model"),
        (404, anthropic("model: claude-9", "not_found_error"), "unknown_model"),
        (404, b'{"detail":"Not Found"}', "unknown_model"),
        (413, anthropic("Request exceeds the maximum size", "request_too_large"), "context_too_long"),
        (413, HTML, "context_too_long"),
        (400, openai("no", "context_length_exceeded"), "context_too_long"),
        (
            400,
            openai("This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens."),
            "context_too_long",
        ),
        (400, anthropic("prompt is too long: 208310 tokens > 200000 maximum"), "context_too_long"),
        (400, vllm("This model's maximum context length is 4096 tokens. However, your prompt contains 5000"), "context_too_long"),
        (
            400,
            vllm(
                "'max_tokens' or 'max_completion_tokens' is too large: 4000. This model's maximum context length is 4096 tokens and "
                "your request has 500 input tokens (4000 > 4096 - 500)."
            ),
            "context_too_long",
        ),
        (400, older_vllm("This model's maximum context length is 4096 tokens."), "context_too_long"),
        (422, b'{"detail":"the prompt is too long"}', "context_too_long"),
        (
            400,
            anthropic(
                "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000, decrease input length or "
                "`max_tokens` and try again"
            ),
            "context_too_long",
        ),
        (400, vllm("The decoder prompt (length 5000) is longer than the maximum model length of 4096."), "context_too_long"),
        (400, openai("the request exceeds the available context size, try increasing it"), "context_too_long"),  # llama.cpp
        (
            400,
            openai("The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."),  # Gemini
            "context_too_long",
        ),
        (
            400,
            openai("This model's maximum prompt length is 131072 but the request contains 537812 tokens."),  # xAI
            "context_too_long",
        ),
        (400, openai("Invalid value for 'content': expected a string, got null."), "bad_request"),
        (400, anthropic("messages: at least one message is required"), "bad_request"),
        (400, b"", "bad_request"),
        (405, b"", "bad_request"),
        (422, b'{"detail":[{"loc":["body","messages"],"msg":"Field required"}]}', "bad_request"),
        (301, HTML, "bad_request"),
        (307, b"", "bad_request"),
        (204, b"", "bad_request"),
    ],
)
def test_a_status_and_its_words_have_one_kind(status, body, kind):
    assert fault_of(status, {}, body).kind == kind


def test_every_kind_is_retried_or_stops_the_run_or_ends_this_request_alone():
    assert RETRIED.isdisjoint(STOPPING)
    assert set(FaultKind) - RETRIED - STOPPING == {FaultKind.CONTEXT_TOO_LONG, FaultKind.BAD_REQUEST}
    assert PERHAPS_BILLED <= RETRIED


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (500, b"", "500"),
        (500, b" \n ", "500"),
        (502, HTML, "502 502 Bad Gateway 502 Bad Gateway nginx"),
        (500, b"plain\n\twords  here", "500 plain words here"),
        (400, openai("said so"), "400 said so"),
        (400, anthropic("said so"), "400 said so"),
        (400, older_vllm("said so"), "400 said so"),
        (500, b'{"error": "model is loading"}', "500 model is loading"),
        (404, b'{"detail":"Not Found"}', '404 {"detail":"Not Found"}'),
        (400, b'[{"error": {"message": "in a list"}}]', '400 [{"error": {"message": "in a list"}}]'),
        (400, b'"only a text"', '400 "only a text"'),
        (400, b'{"error": null}', '400 {"error": null}'),
        (400, b'{"error": {"message": null}}', '400 {"error": {"message": null}}'),
        (400, b'{"error": {"message": ["a", 1]}}', "400 ['a', 1]"),
        (500, b"\xff\xfe broken", "500 \ufffd\ufffd broken"),
        (500, b"{" * 5000, "500 " + "{" * 300),
    ],
)
def test_the_words_of_an_error_are_the_servers_without_its_markup(status, body, words):
    assert str(fault_of(status, {}, body)) == words


@pytest.mark.parametrize("body", [b"w" * 10_000, openai("w" * 10_000), b"<p>" + b"w" * 10_000 + b"</p>"])
def test_long_words_are_cut(body):
    assert str(fault_of(500, {}, body)) == "500 " + "w" * 300


def test_what_decides_may_stand_behind_what_is_shown():
    fault = fault_of(400, {}, openai("x" * 400 + " maximum context length is 8"))
    assert fault.kind == FaultKind.CONTEXT_TOO_LONG
    assert "maximum" not in str(fault)


@pytest.mark.parametrize("body", [b"<p>your key %s is wrong</p>", b'{"error": {"message": "your key %s is wrong"}}'])
def test_a_key_that_a_server_repeats_is_blotted_out(monkeypatch, body):
    monkeypatch.setattr(redaction, "_secrets", ["sk-0123456789abcdef"])
    assert str(fault_of(401, {}, body % b"sk-0123456789abcdef")) == "401 your key [key] is wrong"


@pytest.mark.parametrize("before", range(280, 301, 4))
def test_a_key_across_the_cut_is_blotted_out_too(monkeypatch, before):
    monkeypatch.setattr(redaction, "_secrets", ["sk-0123456789abcdef"])
    assert "sk-" not in str(fault_of(400, {}, openai("x" * before + "sk-0123456789abcdef")))


def test_the_servers_own_word_and_its_parameter_are_kept():
    fault = fault_of(400, {}, openai("no", "unsupported_value", "temperature"))
    assert (fault.code, fault.parameter) == ("unsupported_value", "temperature")
    assert fault_of(400, {}, anthropic("no")).code == "invalid_request_error"
    assert fault_of(429, {}, openai("no", param="temperature")).parameter == ""
    assert fault_of(400, {}, vllm("no", code=400)).code == "400"


# how long to wait


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after": " 7 "}, 7.0),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "1500", "retry-after": "7"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "7"}, 7.0),
        ({"retry-after": "Mon, 21 Sep 2026 13:33:50 GMT"}, 30.0),
        ({"retry-after": "Mon, 21 Sep 2026 15:33:50 +0200"}, 30.0),
        ({"retry-after": "Mon, 21 Sep 2026 13:33:20 GMT"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": ""}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "-inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "1e400"}, None),
        ({"retry-after": "Mon, 01 Jan 99999 00:00:00 GMT"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 +99999999999999"}, None),
    ],
)
def test_a_server_says_how_long_to_wait_in_seconds_milliseconds_or_by_a_date(monkeypatch, headers, seconds):
    monkeypatch.setattr(faults, "time", SimpleNamespace(time=lambda: NOW))
    assert retry_after(headers) == seconds
    assert fault_of(429, headers, b"").retry_after == seconds


@given(st.floats(0, 1e9))
def test_seconds_are_what_they_say(seconds):
    assert retry_after({"retry-after": repr(seconds)}) == seconds
    assert retry_after({"retry-after-ms": repr(seconds)}) == pytest.approx(seconds / 1000)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
ERRORS = st.fixed_dictionaries({}, optional={"message": JSON, "code": JSON, "type": JSON, "param": JSON})
BODIES = st.binary(max_size=60) | (JSON | ERRORS | st.builds(lambda e: {"error": e}, ERRORS | JSON)).map(
    lambda data: json.dumps(data).encode()
)


@given(st.integers(100, 599), st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms"]), st.text(max_size=20)), BODIES)
def test_whatever_comes_back_is_a_fault_of_bounded_length_that_names_its_status(status, headers, body):
    fault = fault_of(status, headers, body)
    assert str(fault).startswith(str(status))
    assert len(str(fault)) <= len("500 ") + faults.SHOWN
    assert fault.retry_after is None or 0 <= fault.retry_after < float("inf")


# a parameter that the model does not take

SENT = ["temperature", "top_p", "seed", "logprobs", "top_logprobs", "max_tokens", "max_completion_tokens", "response_format"]
UNSUPPORTED = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."


@pytest.mark.parametrize(
    ("body", "sent", "refused"),
    [
        (openai(UNSUPPORTED, "unsupported_parameter", "max_tokens"), SENT, "max_tokens"),
        (openai(UNSUPPORTED, "unsupported_parameter"), ["max_tokens", "seed"], "max_tokens"),
        (openai("'temperature' does not support 0.2 with this model.", "unsupported_value", "temperature"), SENT, "temperature"),
        (openai("no", "unsupported_value", "temperature"), SENT, "temperature"),
        (openai("no", "unknown_parameter", "response_format.json_schema"), SENT, "response_format"),
        (openai("Unknown parameter: 'top_logprobs', needs 'logprobs'."), SENT, "top_logprobs"),
        (openai("Unknown parameter: 'logprobs'."), SENT, "logprobs"),
        (openai("Unrecognized request argument supplied: seed"), SENT, "seed"),
        (openai("You are not allowed to request logprobs from this model", None, "logprobs"), SENT, "logprobs"),
        (anthropic("top_k: Extra inputs are not permitted"), ["temperature", "top_k"], "top_k"),
        (anthropic("`temperature` is deprecated for this model."), SENT, "temperature"),
        (anthropic("output_config.format: This model does not support structured output."), ["output_config"], "output_config"),
        (vllm("[{'type': 'extra_forbidden', 'loc': ('body', 'min_p'), 'msg': 'extra fields'}]"), ["min_p"], "min_p"),
        (b'{"detail":[{"loc":["body","seed"],"msg":"Extra inputs are not permitted"}]}', SENT, "seed"),
        # a value is wrong, not the parameter
        (openai("Invalid 'temperature': decimal above maximum value.", "decimal_above_max_value", "temperature"), SENT, None),
        (openai("Invalid 'max_tokens': integer below minimum value.", "integer_below_min_value", "max_tokens"), SENT, None),
        (openai("max_tokens is too large: 100000. This model supports at most 16384.", None, "max_tokens"), SENT, None),
        (anthropic("temperature: range: 0..1"), SENT, None),
        (anthropic("max_tokens: 99999 > 64000, which is the maximum allowed number of output tokens"), SENT, None),
        (vllm("temperature must be non-negative, got -1.0.", param="temperature"), SENT, None),
        (vllm("top_p must be in (0, 1], got 3.0.", param="top_p"), SENT, None),
        # nothing that was sent
        (openai("Unsupported parameter: 'temperature'", "unsupported_parameter", "temperature"), ["seed"], None),
        (openai("Unsupported parameter: 'temperature'", "unsupported_parameter", "temperature"), [], None),
        (openai("Unknown parameter: 'my_seed' or 'seeds'."), SENT, None),
        (openai("This content is not allowed."), SENT, None),
        (b"<h1>unsupported</h1>", SENT, None),
    ],
)
def test_a_parameter_is_refused_when_the_server_says_so_of_one_that_was_sent(body, sent, refused):
    assert refused_parameter(fault_of(400, {}, body), sent) == refused
    assert refused_parameter(fault_of(400, {}, body), reversed(sent)) == refused


@pytest.mark.parametrize(
    "body",
    [
        openai("Unknown parameter: 'tools[0].function.strict'.", "unknown_parameter", "tools[0].function.strict"),
        anthropic("tools.0.custom.strict: Extra inputs are not permitted"),
        vllm("tools are not supported by this model", param="tools"),
    ],
)
def test_what_is_wrong_with_the_tools_takes_nothing_away_least_of_all_the_tools(body):
    for wire in (openai_wire, anthropic_wire):
        assert refused_parameter(fault_of(400, {}, body), wire.OPTIONAL) is None


def test_the_longest_name_that_a_message_holds_is_meant():
    fault = fault_of(400, {}, openai("unknown: top_logprobs and logprobs and top_p"))
    assert refused_parameter(fault, SENT) == "top_logprobs"
    assert refused_parameter(fault, ["logprobs", "top_p"]) == "logprobs"


@pytest.mark.parametrize("status", [401, 404, 429, 500, 503])
def test_only_a_request_that_was_refused_teaches_anything(status):
    fault = fault_of(status, {}, openai("Unsupported parameter: 'temperature'", "unsupported_parameter", "temperature"))
    assert refused_parameter(fault, SENT) is None


@given(
    st.sampled_from(FaultKind),
    st.lists(st.sampled_from([*SENT, "unsupported", "unknown", "'", ".", " ", "not", "allowed"])).map("".join),
    st.sampled_from(["", "unsupported_value", "400"]),
    st.sampled_from(["", "body", "a.b", *SENT]),
    st.lists(st.sampled_from(SENT), unique=True),
)
def test_nothing_is_dropped_that_was_not_sent(kind, words, code, parameter, sent):
    refused = refused_parameter(Fault(kind, words, None, code, parameter), sent)
    assert refused is None or (kind == FaultKind.BAD_REQUEST and refused in sent and refused in words + parameter)
