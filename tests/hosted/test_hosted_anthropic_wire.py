"""What goes to Anthropic's API, which wants its system prompt apart and speakers in turn, and what is made of its answers."""

from __future__ import annotations

import json

import pytest
from hosted_bent_json import bent, suppress_malformed
from hypothesis import given, settings
from hypothesis import strategies as st

from influence.chat import Message, ToolCall
from influence.engines.base import Finish, Sampling
from influence.engines.hosted.answers import ANSWER_ROOM, Answer
from influence.engines.hosted.anthropic_wire import FINISHES, OPTIONAL, SILENCE, AnthropicWire, to_anthropic
from influence.engines.hosted.catalogue import Tokens, Traits
from influence.engines.hosted.faults import Fault, FaultKind

TALK = [Message("system", "You help."), Message("user", "Hello")]
PLAIN = Sampling(max_tokens=50)
TOOL = {
    "type": "function",
    "function": {"name": "look", "description": "Looks.", "parameters": {"type": "object", "properties": {"x": {}}}},
}


def wire(**traits) -> AnthropicWire:
    return AnthropicWire("m", Traits(**({"logprobs": False, "structured": True, "seed": False} | traits)))


def text(words: str) -> dict:
    return {"type": "text", "text": words}


def turn(role: str, *blocks) -> dict:
    return {"role": role, "content": [text(block) if isinstance(block, str) else block for block in blocks]}


# requests


def test_a_plain_request():
    assert wire().reply_body(TALK, PLAIN, 7) == {
        "model": "m",
        "max_tokens": 50,
        "messages": [turn("user", "Hello")],
        "system": "You help.",
    }


def test_without_a_system_prompt_none_is_sent():
    assert "system" not in wire().reply_body(TALK[1:], PLAIN, 7)


def test_how_a_reply_is_drawn_as_far_as_the_api_takes_it():
    body = wire(seed=True).reply_body(TALK, Sampling(50, 0.7, 0.9, 40, 0.05), 7)
    assert {key: value for key, value in body.items() if key not in ("model", "messages", "system", "max_tokens")} == {
        "temperature": 0.7,
        "top_p": 0.9,
        "top_k": 40,
    }
    assert wire().reply_body(TALK, Sampling(50, temperature=0.0), 7)["temperature"] == 0.0


def test_what_a_model_does_not_take_by_its_traits_is_not_sent():
    body = wire(temperature=False, structured=False).reply_body(TALK, Sampling(50, 0.7, 0.9, 40, choices=("a",)), 7)
    assert body == wire().reply_body(TALK, PLAIN, 7)


def test_room_to_think_and_extras_are_in_the_request():
    body = wire(room=4_000, request={"thinking": {"type": "disabled"}}).reply_body(TALK, PLAIN, 7)
    assert (body["max_tokens"], body["thinking"]) == (4_050, {"type": "disabled"})


def test_one_of_several_choices_is_asked_for_beside_the_extras():
    extras = {"output_config": {"effort": "low"}}
    body = wire(room=100, request=extras).reply_body(TALK, Sampling(5, choices=("yes", "no")), 7)
    assert body["max_tokens"] == 5 + 100 + ANSWER_ROOM
    assert body["output_config"] == {
        "effort": "low",
        "format": {
            "type": "json_schema",
            "schema": {
                "type": "object",
                "properties": {"answer": {"type": "string", "enum": ["yes", "no"]}},
                "required": ["answer"],
                "additionalProperties": False,
            },
        },
    }
    assert extras == {"output_config": {"effort": "low"}}
    assert "effort" not in wire().reply_body(TALK, Sampling(5, choices=("yes",)), 7)["output_config"]


def test_tools_are_put_in_the_apis_shape():
    bare = {"type": "function", "function": {"name": "bare"}}
    assert wire().reply_body(TALK, PLAIN, 7, [TOOL, bare])["tools"] == [
        {"name": "look", "description": "Looks.", "input_schema": {"type": "object", "properties": {"x": {}}}},
        {"name": "bare", "description": "", "input_schema": {"type": "object", "properties": {}}},
    ]
    assert "tools" not in wire().reply_body(TALK, PLAIN, 7)


@given(st.sets(st.sampled_from(OPTIONAL)))
def test_what_was_refused_is_left_out_and_nothing_else_is(dropped):
    def body(**traits):
        one = wire(request={"thinking": {"type": "disabled"}}, **traits)
        return one.reply_body(TALK, Sampling(50, 0.7, 0.9, 40, choices=("a",)), 7, [TOOL])

    whole = body()
    assert set(OPTIONAL) <= set(whole)
    assert body(dropped=dict.fromkeys(dropped, "unsupported")) == {k: v for k, v in whole.items() if k not in dropped}


def test_tools_are_sent_whatever_was_refused_because_without_them_it_is_another_question():
    everything = wire(dropped=dict.fromkeys(OPTIONAL, "unsupported"))
    assert [tool["name"] for tool in everything.reply_body(TALK, PLAIN, 7, [TOOL])["tools"]] == ["look"]


# messages


def test_speakers_alternate_and_each_message_is_a_block():
    talk = [
        Message("user", "a"),
        Message("user", "b"),
        Message("assistant", "c"),
        Message("assistant", "d"),
        Message("user", "e"),
    ]
    assert to_anthropic(talk) == ("", [turn("user", "a", "b"), turn("assistant", "c", "d"), turn("user", "e")])


def test_a_later_system_message_is_a_note_to_the_user():
    talk = [*TALK, Message("assistant", "Hi"), Message("system", "A bell rings."), Message("user", "Oh")]
    assert to_anthropic(talk) == (
        "You help.",
        [turn("user", "Hello"), turn("assistant", "Hi"), turn("user", "(Note: A bell rings.)", "Oh")],
    )
    assert to_anthropic([Message("user", "Hello"), Message("system", "Late.")]) == ("", [turn("user", "Hello", "(Note: Late.)")])


def test_an_assistant_that_opens_is_preceded_by_a_word():
    opened = [turn("user", "(The conversation begins.)"), turn("assistant", "Welcome"), turn("user", "Hello")]
    assert to_anthropic([Message("assistant", "Welcome"), TALK[1]]) == ("", opened)
    assert to_anthropic([TALK[0], Message("assistant", "Welcome"), TALK[1]]) == ("You help.", opened)


@pytest.mark.parametrize("nothing", ["", " ", "\n\t"])
def test_empty_text_is_said_to_be_silence(nothing):
    talk = [Message("user", nothing), Message("assistant", nothing), Message("user", "Well?")]
    assert to_anthropic(talk) == ("", [turn("user", SILENCE), turn("assistant", SILENCE), turn("user", "Well?")])


def test_calls_are_blocks_of_the_assistant_and_results_of_the_user():
    talk = [
        Message("user", "Look"),
        Message("assistant", "One moment", (ToolCall("c1", "look", '{"x": 1}'), ToolCall("c2", "book", "{}"))),
        Message("tool", "a tree", tool_call_id="c1"),
        Message("tool", "", tool_call_id="c2"),
        Message("user", "And?"),
        Message("assistant", "", (ToolCall("c3", "look", "{}"),)),
        Message("tool", "a bush", tool_call_id="c3"),
    ]
    assert to_anthropic(talk)[1] == [
        turn("user", "Look"),
        turn(
            "assistant",
            "One moment",
            {"type": "tool_use", "id": "c1", "name": "look", "input": {"x": 1}},
            {"type": "tool_use", "id": "c2", "name": "book", "input": {}},
        ),
        turn(
            "user",
            {"type": "tool_result", "tool_use_id": "c1", "content": "a tree"},
            {"type": "tool_result", "tool_use_id": "c2", "content": ""},
            "And?",
        ),
        turn("assistant", {"type": "tool_use", "id": "c3", "name": "look", "input": {}}),
        turn("user", {"type": "tool_result", "tool_use_id": "c3", "content": "a bush"}),
    ]


@pytest.mark.parametrize("arguments", ["no JSON", "[1]", "3", '"x"', "null", "", "{"])
def test_arguments_that_are_no_object_are_kept_as_text_in_one(arguments):
    talk = [
        Message("user", "Look"),
        Message("assistant", "", (ToolCall("c1", "look", arguments),)),
        Message("tool", "r", tool_call_id="c1"),
    ]
    assert to_anthropic(talk)[1][1]["content"][0]["input"] == {"arguments": arguments}


def test_a_call_without_its_result_is_said_in_words():
    talk = [Message("user", "Look"), Message("assistant", "", (ToolCall("c1", "look", "{}"),)), Message("user", "Well?")]
    assert to_anthropic(talk)[1] == [turn("user", "Look"), turn("assistant", "(Tool call: look {})"), turn("user", "Well?")]


talks = st.lists(
    st.tuples(st.sampled_from(["user", "assistant", "system", "calls"]), st.sampled_from(["", "  ", "words"])),
    min_size=1,
    max_size=12,
)


@given(talks)
def test_the_api_is_never_shown_what_it_refuses(kinds):
    talk = []
    for n, (kind, words) in enumerate(kinds):
        said = f"{words}-{n}" if words.strip() else words
        if kind == "calls":
            talk += [Message("assistant", said, (ToolCall(f"c{n}", "look", "{}"),)), Message("tool", "r", tool_call_id=f"c{n}")]
        else:
            talk.append(Message(kind, said))
    system, turns = to_anthropic([*talk, Message("user", "Well?")])
    assert [one["role"] for one in turns] == [("user", "assistant")[n % 2] for n in range(len(turns))]
    for before, one in zip([turn("user"), *turns], turns, strict=False):
        assert one["content"]
        assert all(block["text"].strip() for block in one["content"] if block["type"] == "text")
        called = [block["id"] for block in before["content"] if block["type"] == "tool_use"]
        answered = [block["tool_use_id"] for block in one["content"] if block["type"] == "tool_result"]
        assert sorted(called) == sorted(answered)
        kinds_here = [block["type"] for block in one["content"]]
        assert kinds_here == sorted(kinds_here, key=lambda kind: kind != "tool_result")  # results come first
    shown = system + json.dumps(turns)
    assert all(m.content in shown for m in talk if m.content.strip())


# answers


def answer(*blocks, reason="end_turn", usage=None) -> dict:
    return {"content": [text(b) if isinstance(b, str) else b for b in blocks], "stop_reason": reason, "usage": usage}


USE = {"type": "tool_use", "id": "c1", "name": "look", "input": {"x": [1, "ü"]}}


def test_a_plain_answer():
    read = wire().read(answer("Hi", " there", usage={"input_tokens": 10, "output_tokens": 5}))
    assert read == Answer("Hi there", Finish.STOP, (), Tokens(10, 5))


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", Finish.STOP),
        ("stop_sequence", Finish.STOP),
        ("max_tokens", Finish.LENGTH),
        ("model_context_window_exceeded", Finish.LENGTH),
        ("tool_use", Finish.TOOL_CALLS),
        ("refusal", Finish.REFUSED),
    ],
)
def test_why_an_answer_ended(reason, finish):
    assert wire().read(answer("Hi", reason=reason)).finish == finish
    assert len(FINISHES) == 6


def test_an_answer_may_be_empty():
    assert wire().read(answer()) == Answer("", Finish.STOP)
    assert wire().read(answer("")) == Answer("", Finish.STOP)


def test_thoughts_and_other_blocks_are_not_words():
    blocks = ({"type": "thinking", "thinking": "hm", "signature": "s"}, "Hi", {"type": "redacted_thinking", "data": "x"}, {})
    assert wire().read(answer(*blocks)).text == "Hi"


def test_tool_calls_are_read_with_their_input_as_text():
    read = wire().read(answer("Wait", USE, USE | {"id": "c2", "input": {}}, reason="tool_use"))
    assert (read.text, read.finish) == ("Wait", Finish.TOOL_CALLS)
    assert [(call.id, call.name, json.loads(call.arguments)) for call in read.tool_calls] == [
        ("c1", "look", {"x": [1, "ü"]}),
        ("c2", "look", {}),
    ]


def test_a_call_that_was_read_is_shown_again_as_it_was():
    (call,) = wire().read(answer(USE, reason="tool_use")).tool_calls
    talk = [Message("user", "Look"), Message("assistant", "", (call,)), Message("tool", "r", tool_call_id="c1")]
    assert to_anthropic(talk)[1][1]["content"] == [USE]


def test_one_of_several_choices_is_read_from_its_frame():
    assert wire().read(answer('{"answer":', '"no"}'), ("yes", "no")).text == "no"
    assert wire().read(answer("I say no"), ("yes", "no")).text == "I say no"
    assert wire().read(answer('{"answer": "no"}')).text == '{"answer": "no"}'


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"input_tokens": 10, "output_tokens": 5}, Tokens(10, 5)),
        (
            {"input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 20},
            Tokens(130, 5, 100, 20),
        ),
        (
            {"input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": None, "cache_creation_input_tokens": None},
            Tokens(10, 5),
        ),
        (None, None),
        ({}, None),
        ([], None),
        ("10", None),
        ({"input_tokens": 10}, None),
        ({"output_tokens": 5}, None),
        ({"input_tokens": None, "output_tokens": 5}, None),
        ({"input_tokens": "many", "output_tokens": 5}, None),
        ({"input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": [1]}, None),
        # counts that cannot be true
        ({"input_tokens": -10, "output_tokens": 5}, None),
        ({"input_tokens": 10, "output_tokens": -5}, None),
        ({"input_tokens": -10, "output_tokens": 5, "cache_read_input_tokens": 100}, None),
        ({"input_tokens": 10, "output_tokens": 5, "cache_creation_input_tokens": -1}, None),
        ({"input_tokens": float("inf"), "output_tokens": 5}, None),
    ],
)
def test_tokens_are_what_the_server_counted_or_unknown(usage, tokens):
    assert wire().read(answer("Hi", usage=usage)).tokens == tokens


def test_an_answer_without_usage_is_an_answer():
    data = answer("Hi")
    del data["usage"]
    assert wire().read(data).tokens is None


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "words",
        3,
        {},
        {"content": [text("Hi")]},
        {"stop_reason": "end_turn"},
        {"content": None, "stop_reason": "end_turn"},
        {"content": "Hi", "stop_reason": "end_turn"},
        {"content": {"type": "text"}, "stop_reason": "end_turn"},
        {"content": ["Hi"], "stop_reason": "end_turn"},
        {"content": [None], "stop_reason": "end_turn"},
        answer("Hi", reason=None),
        answer("Hi", reason="pause_turn"),
        answer("Hi", reason=3),
        answer("Hi", reason=[]),
        answer("Hi", reason={}),
        answer("Hi", reason="error"),
        answer({"type": "text"}),
        answer({"type": "text", "text": None}),
        answer({"type": "text", "text": ["Hi"]}),
        answer("Hi", {"type": "tool_use"}),
        answer(USE | {"id": None}),
        answer(USE | {"id": 1}),
        answer(USE | {"name": ""}),
        answer(USE | {"name": None}),
        answer(USE | {"input": None}),
        answer(USE | {"input": "{}"}),
        answer(USE | {"input": []}),
    ],
    ids=lambda data: json.dumps(data)[:90],
)
def test_an_answer_of_another_shape_is_malformed(data):
    with pytest.raises(Fault) as fault:
        wire().read(data)
    assert fault.value.kind == FaultKind.MALFORMED
    assert str(fault.value)


RIGHT = answer(
    {"type": "thinking", "thinking": "hm"},
    '{"answer": "yes"}',
    USE,
    usage={"input_tokens": 9, "output_tokens": 5, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 1},
)


@settings(max_examples=500)
@given(bent(RIGHT), st.sampled_from([(), ("yes", "no")]))
def test_any_json_is_an_answer_or_a_fault_that_says_malformed(data, choices):
    read = None
    with suppress_malformed():
        read = wire().read(data, choices)
    if read is not None:
        assert isinstance(read.text, str)
        assert all(isinstance(json.loads(call.arguments), dict) for call in read.tool_calls)
        assert read.tops is None
        assert read.tokens is None or 0 <= read.tokens.cached + read.tokens.written <= read.tokens.prompt


def test_log_probabilities_cannot_be_asked_for():
    with pytest.raises(NotImplementedError, match="log-probabilities"):
        wire().labels_body(TALK)
