"""Native tool calls of local models: every family writes them in a form of its own, and vLLM has a parser for each.

Calls are looked for only in replies to prompts that offered tools. What a parser cannot read stays text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

from influence.chat import ToolCall
from influence.errors import ConfigError, not_allowed

ID_LETTERS = 9  # what the strictest templates ask of a call's id: letters and digits


class ToolCallReader:
    """A parser of vLLM's for one tokenizer. Parsers keep state while they read, so each reply gets a new one."""

    def __init__(self, name: str, tokenizer: Any) -> None:
        """Raises ConfigError for a parser that vLLM does not have."""
        from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
        from vllm.tool_parsers import ToolParserManager

        names = sorted({*ToolParserManager.tool_parsers, *ToolParserManager.lazy_parsers})
        if name not in names:
            raise ConfigError(f"engine.tool_parser = {name!r}: vLLM has no such parser. {not_allowed(name, names)}")
        self._parser, self._tokenizer, self._request = ToolParserManager.get_tool_parser(name), tokenizer, ChatCompletionRequest

    def read(self, ids: Sequence[int], tools: Sequence[Mapping[str, Any]], seed: int) -> tuple[str, tuple[ToolCall, ...]]:
        """The words and the calls of a reply, which is given without the token that ends it.

        The ids of calls follow the seed, so that equal runs give equal records.
        """
        marked = self._tokenizer.decode(ids, skip_special_tokens=False)  # calls may stand between special tokens
        plain = self._tokenizer.decode(ids, skip_special_tokens=True)
        try:
            request = self._request(messages=[], model="", tools=list(tools))
            found = self._parser(self._tokenizer, request.tools).extract_tool_calls(marked, request)
        except Exception:  # parsers raise whatever their authors let them: then there is no call to read
            return plain, ()
        if not found.tools_called or not found.tool_calls:
            return plain, ()
        calls = [
            ToolCall(call_id(seed, n), call.function.name, call.function.arguments) for n, call in enumerate(found.tool_calls)
        ]
        return (found.content or "").strip(), tuple(calls)


def call_id(seed: int, number: int) -> str:
    """An id for a call."""
    return "c" + blake2b(f"{seed}/{number}".encode(), digest_size=8).hexdigest()[: ID_LETTERS - 1]
