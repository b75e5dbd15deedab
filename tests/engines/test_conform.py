"""Conversations in the shape that a template accepts: nothing is lost, whatever the template can and cannot do."""

from __future__ import annotations

from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from influence.chat import Message, ToolCall
from influence.engines.prompts import Traits, conform

traits = st.builds(Traits, *[st.booleans()] * 7)
TOOLS = [{"type": "function", "function": {"name": "qxbook", "description": "qxbooks a seat", "parameters": {}}}]
tools = st.sampled_from([[], TOOLS])


@st.composite
def turns(draw, first=0):
    """Messages between two replies of the assistant, each with words of its own."""
    kinds = draw(st.lists(st.sampled_from(["user", "system", "assistant", "call", "result"]), min_size=1, max_size=5))
    return [numbered(kind, first + n) for n, kind in enumerate(kinds)]


def numbered(kind: str, n: int) -> Message:
    if kind == "call":
        return Message(
            "assistant",
            f"said-{n}-",
            tool_calls=(ToolCall(f"c{n}", f"tool-{n}-", '{"x": 1}'), ToolCall(f"d{n}", f"more-{n}-", "no JSON")),
        )
    if kind == "result":
        return Message("tool", f"said-{n}-", tool_call_id=f"c{n}")
    return Message(kind, f"said-{n}-")  # type: ignore[arg-type]


def everything(messages) -> str:
    return "\n".join(f"{m.content}\n{' '.join(call.name + call.arguments for call in m.tool_calls)}" for m in messages)


@given(turns(), st.booleans(), tools, traits)
def test_no_word_is_lost_and_none_is_said_twice(messages, with_system, offered, traits):
    view = [Message("system", "frame"), *messages] if with_system else messages
    shown = everything(conform(view, offered, traits))
    parts = [m.content for m in view] + [part for m in view for call in m.tool_calls for part in (call.name, call.arguments)]
    for part in set(parts):
        assert shown.count(part) == sum(other.count(part) for other in parts)
    if offered and not traits.tool_specs:
        assert "qxbook" in shown
        assert "qxbooks a seat" in shown


@given(turns(), st.booleans(), tools, traits)
def test_what_is_shown_is_what_the_template_accepts(messages, with_system, offered, traits):
    view = [Message("system", "frame"), *messages] if with_system else messages
    shown = conform(view, offered, traits)
    roles = [m.role for m in shown]
    speakers = [role for role in roles if role != "system"]
    if not traits.later_system:
        assert "system" not in roles[1:]
    if not (traits.system or traits.later_system):
        assert "system" not in roles
    if not traits.tool_messages:
        assert "tool" not in roles
        assert not any(m.tool_calls for m in shown)
    if not traits.assistant_first:
        assert speakers[:1] != ["assistant"]
    if not traits.repeated_roles:
        assert all(a != b for a, b in pairwise(roles) if a in ("user", "assistant"))
    elif not traits.whole_calls:
        assert all(len(m.tool_calls) + bool(m.content) <= 1 for m in shown)


@given(
    traits.filter(lambda t: not (t.repeated_roles or t.system or t.later_system or t.tool_messages or t.assistant_first)), turns()
)
def test_the_strictest_template_gets_user_and_assistant_in_turn(traits, messages):
    roles = [m.role for m in conform([Message("system", "frame"), *messages], TOOLS, traits)]
    assert roles == [("user", "assistant")[n % 2] for n in range(len(roles))]


@given(turns(), turns(first=100), turns(first=200), tools, traits)
def test_a_longer_conversation_begins_with_a_shorter_one(before, after, later, offered, traits):
    """Where the assistant replied, that is: its reply separates what was shown from what came after."""
    before = [Message("system", "frame"), *before, Message("user", "your turn")]
    reply = Message("assistant", "reply", token_ids=(1, 2, 3))
    asked_first = conform(before, offered, traits)
    asked_next = conform(
        [*before, reply, Message("user", "and now"), *after, Message("user", "your turn"), reply, *later], offered, traits
    )
    assert asked_next[: len(asked_first)] == asked_first
    assert asked_next[len(asked_first)] == reply


def test_templates_that_accept_everything_are_given_it_untouched():
    messages = [
        numbered(kind, n) for n, kind in enumerate(["assistant", "assistant", "system", "call", "result", "user", "user"])
    ]
    assert conform(messages, TOOLS, Traits()) == messages


def test_a_reply_that_was_sampled_is_never_rephrased():
    reply = Message("assistant", "<call/>", tool_calls=(ToolCall("c", "book", "{}"),), token_ids=(5, 6))
    for tool_messages, whole_calls in product([True, False], repeat=2):
        assert reply in conform(
            [Message("user", "book"), reply], [], Traits(tool_messages=tool_messages, whole_calls=whole_calls)
        )


@pytest.mark.parametrize(
    ("traits", "expected"),
    [
        (Traits(system=False), [("user", "frame\n\nhello"), ("assistant", "hi"), ("system", "bell rings"), ("user", "bye")]),
        (
            Traits(later_system=False),
            [("system", "frame"), ("user", "hello"), ("assistant", "hi"), ("user", "(Note: bell rings)"), ("user", "bye")],
        ),
        (
            Traits(later_system=False, repeated_roles=False),
            [("system", "frame"), ("user", "hello"), ("assistant", "hi"), ("user", "(Note: bell rings)\n\nbye")],
        ),
    ],
    ids=["no system role", "no later system", "alternating"],
)
def test_by_value(traits, expected):
    messages = [
        Message("system", "frame"),
        Message("user", "hello"),
        Message("assistant", "hi"),
        Message("system", "bell rings"),
        Message("user", "bye"),
    ]
    assert [(m.role, m.content) for m in conform(messages, [], traits)] == expected


def test_an_assistant_that_opens_is_preceded_by_a_word_where_the_template_wants_a_user():
    shown = conform([Message("system", "frame"), Message("assistant", "welcome")], [], Traits(assistant_first=False))
    assert [m.role for m in shown] == ["system", "user", "assistant"]
    folded = conform([Message("system", "frame"), Message("assistant", "welcome")], [], Traits(system=False))
    assert [m.role for m in folded] == ["user", "assistant"]
    assert folded[0].content.startswith("frame\n\n")


def test_words_and_calls_stand_apart_where_a_template_shows_only_one_of_them():
    shown = conform([numbered("call", 1)], [], Traits(whole_calls=False))
    assert [(m.content, [call.name for call in m.tool_calls]) for m in shown] == [
        ("said-1-", []),
        ("", ["tool-1-"]),
        ("", ["more-1-"]),
    ]


def test_merged_messages_keep_their_calls():
    shown = conform([numbered("call", 1), Message("assistant", "so")], [], Traits(repeated_roles=False))
    assert [(m.content, len(m.tool_calls)) for m in shown] == [("said-1-\n\nso", 2)]
