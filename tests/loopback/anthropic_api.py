"""Anthropic's messages: what it refuses, how it fails, and how it wraps an answer.

The module is an `answers.Api`, as `openai_api` is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import from_json, to_json

from tests.loopback.answers import Answer, Request, Said, said, schema_error, text_of, tokens
from tests.loopback.behaviour import Behaviour, Fault

PATH = "/v1/messages"
PARAMETERS = (
    "model messages max_tokens system temperature top_k top_p stop_sequences stream tools tool_choice metadata thinking "
    "service_tier output_config container cache_control context_management mcp_servers inference_geo speed diagnostics"
)
ALLOWED = frozenset(PARAMETERS.split())

FAILURES: dict[str, tuple[int, str, str]] = {
    Fault.RATE_LIMITED: (429, "rate_limit_error", "This request would exceed your organization's rate limit."),
    Fault.SERVER_ERROR: (500, "api_error", "Internal server error"),
    Fault.OVERLOADED: (529, "overloaded_error", "Overloaded"),
    Fault.CONTEXT_TOO_LONG: (400, "invalid_request_error", "prompt is too long: 250000 tokens > 200000 maximum"),
    Fault.INVALID_KEY: (401, "authentication_error", "invalid x-api-key"),
    Fault.UNKNOWN_MODEL: (404, "not_found_error", "model: {model}"),
    Fault.NO_CREDIT: (400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API."),
}
FAILURES[Fault.RATE_LIMITED_WAIT] = FAILURES[Fault.RATE_LIMITED]


def key_of(headers: Mapping[str, str]) -> str | None:
    kind, _, key = headers.get("authorization", "").partition(" ")
    return headers.get("x-api-key") or (key if kind.lower() == "bearer" else None)


def failure(fault: str, request: Request) -> Answer:
    status, kind, message = FAILURES[fault]
    model = request.body.get("model") if isinstance(request.body, dict) else None
    return error(status, message.format(model=model), kind, fault)


def error(status: int, message: str, kind: str = "invalid_request_error", fault: str = "invalid_request") -> Answer:
    return Answer(status, to_json({"type": "error", "error": {"type": kind, "message": message}}), fault)


def unsupported(name: str) -> Answer:
    return error(400, f"`{name}` is not supported for this model", fault="unsupported_parameter")


def invalid(request: Request) -> Answer | None:
    body = request.body
    if "anthropic-version" not in request.headers:
        return error(400, "anthropic-version: header is required")
    if not isinstance(body, dict):
        return error(400, "The request body is not valid JSON")
    for name in ("model", "messages", "max_tokens"):
        if name not in body:
            return error(400, f"{name}: Field required")
    if extra := body.keys() - ALLOWED:
        return error(400, f"{min(extra)}: Extra inputs are not permitted")
    if body.get("stream"):
        return error(400, "stream: this test server does not stream")
    if not isinstance(body["max_tokens"], int) or body["max_tokens"] < 1:
        return error(400, "max_tokens: must be greater than or equal to 1")
    for name in ("temperature", "top_p"):
        if name in body and not 0 <= body[name] <= 1:
            return error(400, f"{name}: range: 0..1")
    for n, tool in enumerate(body.get("tools") or ()):
        if not tool.get("name"):
            return error(400, f"tools.{n}.name: Field required")
        if not isinstance(tool.get("input_schema"), dict) and "type" not in tool:
            return error(400, f"tools.{n}.input_schema: Field required")
    wanted = schema_of(body)
    if wanted is not None and (found := schema_error(wanted)):
        return error(400, f"output_config.format.schema: For 'object' type, '{found[1]}' must be explicitly set to false")
    system = body.get("system")
    if isinstance(system, list) and not all(block.get("text") for block in system):
        return error(400, "system: text content blocks must be non-empty")
    return invalid_messages(body["messages"])


def invalid_messages(messages: Any) -> Answer | None:
    if not (isinstance(messages, list) and messages):
        return error(400, "messages: at least one message is required")
    turns: list[tuple[int, str, list[Any]]] = []  # messages of one role in a row are one turn
    for n, message in enumerate(messages):
        role = message.get("role") if isinstance(message, dict) else None
        if role == "system":
            told = 'The Messages API accepts a top-level `system` parameter, not "system" as an input message role.'
            return error(400, f'messages: Unexpected role "system". {told}')
        if role not in ("user", "assistant"):
            return error(400, f'messages: Unexpected role "{role}". Allowed roles are "user" or "assistant"')
        if extra := message.keys() - {"role", "content"}:
            return error(400, f"messages.{n}.{min(extra)}: Extra inputs are not permitted")
        content = message.get("content")
        if not isinstance(content, str | list):
            return error(400, f"messages.{n}.content: Field required")
        last_word = role == "assistant" and n == len(messages) - 1
        if not content and not last_word:
            return error(
                400, f"messages.{n}: all messages must have non-empty content except for the optional final assistant message"
            )
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) and content else content or []
        if found := invalid_blocks(n, role, blocks):
            return found
        if last_word and blocks and (text := blocks[-1].get("text", "")) != text.rstrip():
            return error(400, "messages: final assistant content cannot end with trailing whitespace")
        if turns and turns[-1][1] == role:
            turns[-1][2].extend(blocks)
        else:
            turns.append((n, role, list(blocks)))
    if turns[0][1] != "user":
        return error(400, 'messages: first message must use the "user" role')
    return unpaired(turns)


def invalid_blocks(n: int, role: str, blocks: Sequence[Any]) -> Answer | None:
    for at, block in enumerate(blocks):
        place = f"messages.{n}.content.{at}"
        match block.get("type") if isinstance(block, dict) else None:
            case "text":
                if not block.get("text"):
                    return error(400, "messages: text content blocks must be non-empty")
                if not block["text"].strip():
                    return error(400, "messages: text content blocks must contain non-whitespace text")
            case "tool_use":
                if role != "assistant":
                    return error(400, f"messages.{n}: `tool_use` blocks can only be in `assistant` messages")
                for name, kind in (("id", str), ("name", str), ("input", dict)):
                    if not isinstance(block.get(name), kind):
                        return error(400, f"{place}.tool_use.{name}: Input should be a valid {kind.__name__}")
            case "tool_result":
                if role != "user":
                    return error(400, f"messages.{n}: `tool_result` blocks can only be in `user` messages")
                if not isinstance(block.get("tool_use_id"), str):
                    return error(400, f"{place}.tool_result.tool_use_id: Field required")
            case "image" | "document" | "thinking" | "redacted_thinking":
                pass
            case kind:
                return error(400, f"{place}: Input tag '{kind}' found using 'type' does not match any of the expected tags")
    return None


def unpaired(turns: Sequence[tuple[int, str, list[Any]]]) -> Answer | None:
    """Every tool's use has its one result at the beginning of the next turn, and every result has its use in the turn before."""
    used: list[str] = []
    caller = 0
    for n, _, blocks in [*turns, (len(turns), "user", [])]:
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        for name, count in Counter(results).items():
            if count > 1:
                told = f"each tool_use must have a single result. Found multiple `tool_result` blocks with id: {name}"
                return error(400, f"messages.{n}.content: {told}")
            if name not in used:
                told = f"unexpected `tool_use_id` found in `tool_result` blocks: {name}."
                each = "Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
                return error(400, f"messages.{n}.content: {told} {each}")
        leading = {block.get("tool_use_id") for block in blocks[: len(results)]}  # text among them hides those behind it
        if missing := [name for name in used if name not in leading]:
            told = f"`tool_use` ids were found without `tool_result` blocks immediately after: {', '.join(missing)}."
            each = "Each `tool_use` block must have a corresponding `tool_result` block in the next message."
            return error(400, f"messages.{caller}: {told} {each}")
        used, caller = [block["id"] for block in blocks if block["type"] == "tool_use"], n
        if len(set(used)) < len(used):
            return error(400, f"messages.{n}: `tool_use` ids must be unique")
    return None


def schema_of(body: Mapping[str, Any]) -> Any:
    wanted = (body.get("output_config") or {}).get("format") or {}
    return wanted.get("schema") if wanted.get("type") == "json_schema" else None


def completion(request: Request, behaviour: Behaviour, fault: Fault | None) -> Answer:
    body = request.body
    has_tools = bool(body.get("tools")) and (body.get("tool_choice") or {}).get("type") != "none"
    answer = said(behaviour, request.digest, fault, schema_of(body), body["max_tokens"], has_tools)
    blocks, stop = content(request, answer, fault)
    read = text_of(body.get("system")) + "".join(text_of(m["content"]) for m in body["messages"])
    full: Any = {
        "id": f"msg_{request.id}",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": blocks,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": {
            "input_tokens": tokens(read),
            "output_tokens": answer.tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
        },
    }
    if fault == Fault.WRONG_SHAPE:
        if request.number % 2:
            del full["content"]
        else:
            full = [full]
    return Answer(200, to_json(full), fault)


def content(request: Request, answer: Said, fault: Fault | None) -> tuple[list[Any], str | None]:
    if fault == Fault.EMPTY_CHOICES:
        return [], None
    if fault == Fault.CONTENT_FILTER:
        return [], "refusal"
    if fault == Fault.BAD_TOOL_CALL:
        return [{"type": "tool_use", "id": f"toolu_{request.id}", "input": {}}], "tool_use"
    if answer.tool:
        name, arguments = answer.tool
        return [{"type": "tool_use", "id": f"toolu_{request.id}", "name": name, "input": from_json(arguments)}], "tool_use"
    return [{"type": "text", "text": answer.text}] if answer.text else [], "max_tokens" if answer.cut else "end_turn"


def model_list(models: Sequence[str]) -> bytes:
    listed = [{"type": "model", "id": n, "display_name": n, "created_at": "2025-06-15T00:00:00Z"} for n in models]
    ends = {"first_id": models[0] if models else None, "last_id": models[-1] if models else None}
    return to_json({"data": listed, "has_more": False, **ends})
