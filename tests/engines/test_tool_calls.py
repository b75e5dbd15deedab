"""Native tool calls of local models, read by vLLM's own parsers with the embedded model's tokenizer."""

from __future__ import annotations

from typing import Any

import pytest

from influence.engines.embedded import model_folder
from influence.engines.tool_calls import ToolCallReader, call_id
from influence.errors import ConfigError

TOOLS = [
    {"type": "function", "function": {"name": "look", "description": "Look.", "parameters": {"type": "object", "properties": {}}}}
]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    pytest.importorskip("vllm")
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(model_folder()))


def read(tokenizer: Any, text: str, parser: str = "hermes", seed: int = 1) -> Any:
    return ToolCallReader(parser, tokenizer).read(tokenizer.encode(text), TOOLS, seed)


def test_calls_are_read_with_the_words_before_them(tokenizer):
    text = 'I look.\n<tool_call>\n{"name": "look", "arguments": {"at": "the sea"}}\n</tool_call>\n<tool_call>\n{"name": "b", "arguments": {}}\n</tool_call>'
    words, calls = read(tokenizer, text)
    assert words == "I look."
    assert [(call.name, call.arguments) for call in calls] == [("look", '{"at": "the sea"}'), ("b", "{}")]
    assert [call.id for call in calls] == [call_id(1, 0), call_id(1, 1)]


@pytest.mark.parametrize("text", ["Just words.", '<tool_call>\n{"name": "look", "arg', "<tool_call>nothing</tool_call>", ""])
def test_what_is_no_call_stays_text(tokenizer, text):
    assert read(tokenizer, text) == (text, ())


def test_ids_follow_the_seed_and_suit_strict_templates():
    ids = {call_id(seed, n) for seed in range(20) for n in range(3)}
    assert len(ids) == 60
    assert all(len(one) == 9 and one.isalnum() for one in ids)


def test_a_parser_that_is_not_there_is_refused_with_the_nearest(tokenizer):
    with pytest.raises(ConfigError, match=r"engine.tool_parser = 'hermess': vLLM has no such parser. Did you mean `hermes`"):
        ToolCallReader("hermess", tokenizer)
