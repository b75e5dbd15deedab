"""OpenAI's chat completions: what it refuses, how it fails, and how it wraps an answer.

The module is an `answers.Api`, as `anthropic_api` is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import log
from typing import Any

from pydantic_core import to_json

from tests.loopback.answers import Answer, Request, Said, another, said, schema_error, text_of, tokens
from tests.loopback.behaviour import Behaviour, Fault

PATH = "/v1/chat/completions"
ROLES = ("system", "assistant", "user", "function", "tool", "developer")
LEAST_LOGPROB = -9999.0

FAILURES: dict[str, tuple[int, str, str | None, str]] = {
    Fault.RATE_LIMITED: (429, "requests", "rate_limit_exceeded", "Rate limit reached for {model} on requests per min (RPM)."),
    Fault.SERVER_ERROR: (500, "server_error", None, "The server had an error while processing your request. Sorry about that!"),
    Fault.OVERLOADED: (503, "server_error", None, "The engine is currently overloaded, please try again later."),
    Fault.CONTEXT_TOO_LONG: (
        400,
        "invalid_request_error",
        "context_length_exceeded",
        "This model's maximum context length is 128000 tokens. However, your messages resulted in 250000 tokens. "
        "Please reduce the length of the messages.",
    ),
    Fault.INVALID_KEY: (401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    Fault.UNKNOWN_MODEL: (
        404,
        "invalid_request_error",
        "model_not_found",
        "The model `{model}` does not exist or you do not have access to it.",
    ),
    Fault.NO_CREDIT: (
        429,
        "insufficient_quota",
        "insufficient_quota",
        "You exceeded your current quota, please check your plan and billing details.",
    ),
    "unknown_path": (404, "invalid_request_error", None, "Invalid URL"),
}
FAILURES[Fault.RATE_LIMITED_WAIT] = FAILURES[Fault.RATE_LIMITED]


def key_of(headers: Mapping[str, str]) -> str | None:
    kind, _, key = headers.get("authorization", "").partition(" ")
    return key if kind.lower() == "bearer" else None


def failure(fault: str, request: Request) -> Answer:
    status, kind, code, message = FAILURES[fault]
    model = request.body.get("model") if isinstance(request.body, dict) else None
    param = "messages" if fault == Fault.CONTEXT_TOO_LONG else None
    return error(status, message.format(model=model), kind, param, code, fault)


def error(
    status: int,
    message: str,
    kind: str = "invalid_request_error",
    param: str | None = None,
    code: str | None = None,
    fault: str = "invalid_request",
) -> Answer:
    return Answer(status, to_json({"error": {"message": message, "type": kind, "param": param, "code": code}}), fault)


def unsupported(name: str) -> Answer:
    message = f"Unsupported parameter: '{name}' is not supported with this model."
    return error(400, message, param=name, code="unsupported_parameter", fault="unsupported_parameter")


def invalid(request: Request) -> Answer | None:
    body = request.body
    if not isinstance(body, dict):
        return error(400, "We could not parse the JSON body of your request.")
    if not (isinstance(body.get("model"), str) and body["model"]):
        return error(400, "you must provide a model parameter")
    if body.get("stream"):
        return error(400, "This test server does not stream.", param="stream")
    if "messages" not in body:
        return error(400, "Missing required parameter: 'messages'.", param="messages", code="missing_required_parameter")
    if not (isinstance(body["messages"], list) and body["messages"]):
        return error(400, "Invalid 'messages': empty array.", param="messages", code="empty_array")
    return invalid_messages(body["messages"]) or invalid_settings(body)


def invalid_messages(messages: Sequence[Any]) -> Answer | None:
    waiting: list[str] = []  # calls of the newest assistant message that no tool has answered
    open_calls: set[str] = set()  # all its calls, as long as only tools follow
    caller = 0
    for n, message in enumerate(messages):
        here = f"messages[{n}]"
        role = message.get("role") if isinstance(message, dict) else None
        if role not in ROLES:
            supported = ", ".join(f"'{r}'" for r in ROLES)
            return error(
                400, f"Invalid value: '{role}'. Supported values are: {supported}.", param=f"{here}.role", code="invalid_value"
            )
        if role == "tool":
            answered = message.get("tool_call_id")
            if not isinstance(answered, str):
                return error(400, f"Missing required parameter: '{here}.tool_call_id'.", param=f"{here}.tool_call_id")
            if answered not in open_calls:
                told = (
                    "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."
                )
                return error(400, told, param=f"{here}.role")
            if answered in waiting:
                waiting.remove(answered)
        elif waiting:
            return unanswered(caller, waiting)
        else:
            open_calls = set()
        if "tool_calls" in message:
            if found := invalid_calls(role, message["tool_calls"], here):
                return found
            waiting, caller = [call["id"] for call in message["tool_calls"]], n
            open_calls = set(waiting)
        if not isinstance(message.get("content"), str | list) and not ("tool_calls" in message or "refusal" in message):
            told = "Invalid value for 'content': expected a string, got null."
            return error(400, told, param=f"{here}.content")
    return unanswered(caller, waiting) if waiting else None


def unanswered(caller: int, ids: Sequence[str]) -> Answer:
    told = "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'."
    missing = f"The following tool_call_ids did not have response messages: {', '.join(ids)}"
    return error(400, f"{told} {missing}", param=f"messages[{caller}].role")


def invalid_calls(role: str, calls: Any, here: str) -> Answer | None:
    if role != "assistant":
        return error(400, f"Unknown parameter: '{here}.tool_calls'.", param=f"{here}.tool_calls", code="unknown_parameter")
    if not (isinstance(calls, list) and calls):
        return error(400, f"Invalid '{here}.tool_calls': empty array.", param=f"{here}.tool_calls", code="empty_array")
    for n, call in enumerate(calls):
        function = call.get("function") if isinstance(call, dict) else None
        parts = {"id": call.get("id"), **function} if isinstance(function, dict) else {}
        for name in ("id", "name", "arguments"):
            if not isinstance(parts.get(name), str):
                place = f"{here}.tool_calls[{n}].{'id' if name == 'id' else f'function.{name}'}"
                return error(400, f"Missing required parameter: '{place}'.", param=place, code="missing_required_parameter")
        if call.get("type") != "function":
            return error(400, f"Invalid value for '{here}.tool_calls[{n}].type'.", param=f"{here}.tool_calls[{n}].type")
    return None


def invalid_settings(body: Mapping[str, Any]) -> Answer | None:
    for name, low, high in (
        ("max_tokens", 1, None),
        ("max_completion_tokens", 1, None),
        ("n", 1, 128),
        ("temperature", 0, 2),
        ("top_p", 0, 1),
        ("top_logprobs", 0, 20),
    ):
        if (value := body.get(name)) is None:
            continue
        if value < low:
            return error(
                400, f"Invalid '{name}': expected a value >= {low}, but got {value}.", param=name, code="below_min_value"
            )
        if high is not None and value > high:
            return error(
                400, f"Invalid '{name}': expected a value <= {high}, but got {value}.", param=name, code="above_max_value"
            )
    if body.get("top_logprobs") is not None and not body.get("logprobs"):
        return error(400, "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.", param="top_logprobs")
    for n, tool in enumerate(body.get("tools") or ()):
        function = tool.get("function") if isinstance(tool, dict) else None
        if not (isinstance(function, dict) and is_name(function.get("name"))):
            return error(
                400, f"Invalid 'tools[{n}].function.name': string does not match pattern.", param=f"tools[{n}].function.name"
            )
    given = body.get("response_format") or {}
    if given.get("type") != "json_schema":
        return None
    wanted = given.get("json_schema") or {}
    if not is_name(wanted.get("name")):
        return error(
            400, "Missing required parameter: 'response_format.json_schema.name'.", param="response_format.json_schema.name"
        )
    told = f"Invalid schema for response_format '{wanted['name']}'"
    schema = wanted.get("schema")
    if not isinstance(schema, dict) or schema.get("type") != "object":
        return error(400, f"{told}: schema must be a JSON Schema of 'type: \"object\"'.", param="response_format")
    if wanted.get("strict"):
        if found := schema_error(schema):
            return error(
                400,
                f"{told}: In context={found[0]}, '{found[1]}' is required to be supplied and to be false.",
                param="response_format",
            )
        if missing := set(schema.get("properties", {})) - set(schema.get("required", ())):
            return error(
                400, f"{told}: 'required' must include every key in properties. Missing {missing}.", param="response_format"
            )
    return None


def is_name(name: Any) -> bool:
    return isinstance(name, str) and re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name) is not None


def completion(request: Request, behaviour: Behaviour, fault: Fault | None) -> Answer:
    body = request.body
    choices: list[Any] = []
    written = 0
    for index in range(body.get("n") or 1):
        answer = words(request, behaviour, fault, index)
        written += answer.tokens
        choices.append(choice(request, answer, fault, index))
    prompt = tokens("".join(text_of(m.get("content")) for m in body["messages"]))
    full: Any = {
        "id": f"chatcmpl-{request.id}",
        "object": "chat.completion",
        "created": 1_750_000_000,
        "model": body["model"],
        "choices": [] if fault == Fault.EMPTY_CHOICES else choices,
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": written,
            "total_tokens": prompt + written,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
        "system_fingerprint": "fp_loopback",
    }
    if fault == Fault.WRONG_SHAPE:
        if request.number % 2:
            del choices[0]["message"]
        else:
            full = [full]
    return Answer(200, to_json(full), fault)


def words(request: Request, behaviour: Behaviour, fault: Fault | None, index: int) -> Said:
    body = request.body
    wanted = body.get("response_format") or {}
    schema = wanted["json_schema"]["schema"] if wanted.get("type") == "json_schema" else None
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    has_tools = bool(body.get("tools")) and body.get("tool_choice") != "none"
    return said(behaviour, another(request.digest, index), fault, schema, limit, has_tools, bool(body.get("logprobs")))


def choice(request: Request, answer: Said, fault: Fault | None, index: int) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": answer.text, "refusal": None}
    finish = "length" if answer.cut else "stop"
    logprobs = None
    if fault == Fault.CONTENT_FILTER:
        message["content"], finish = None, "content_filter"
    elif fault == Fault.BAD_TOOL_CALL:
        message["content"], finish = None, "tool_calls"
        message["tool_calls"] = [{"id": f"call_{request.id}", "type": "function", "function": {"arguments": "{}"}}]
    elif answer.tool:
        name, arguments = answer.tool
        finish = "tool_calls"
        function = {"name": name, "arguments": arguments}
        message["tool_calls"] = [{"id": f"call_{request.id}{index}", "type": "function", "function": function}]
    elif answer.first_token:
        logprobs = first_token_logprobs(answer.first_token, request.body.get("top_logprobs") or 0)
    return {"index": index, "message": message, "logprobs": logprobs, "finish_reason": finish}


def first_token_logprobs(distribution: Mapping[str, float], top: int) -> dict[str, Any]:
    """The likeliest token as the one that was sampled, with the `top` likeliest beside it, best first."""
    best = sorted(distribution.items(), key=lambda item: -item[1])
    entries = [
        {"token": token, "logprob": log(share) if share > 0 else LEAST_LOGPROB, "bytes": list(token.encode())}
        for token, share in best[: max(top, 1)]
    ]
    return {"content": [{**entries[0], "top_logprobs": entries[:top]}], "refusal": None}


def model_list(models: Sequence[str]) -> bytes:
    listed = [{"id": name, "object": "model", "created": 1_750_000_000, "owned_by": "loopback"} for name in models]
    return to_json({"object": "list", "data": listed})
