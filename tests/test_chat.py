"""One conversation from three chairs: who sees what, under which role, and how it is kept on disk."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from influence.chat import EVERYONE, Message, ToolCall, agent_view, message_from_dict, user_view, visible_to

CALL = ToolCall("c1", "book", '{"train": "9:40"}')
TALK = [
    Message("user", "Book me the 9:40."),
    Message("assistant", "", tool_calls=(CALL,), token_ids=(1, 2)),
    Message("tool", "error: sold out", tool_call_id="c1"),
    Message("assistant", "It is sold out.", token_ids=(3, 4)),
    Message("system", "A bell rings.", injected=True, seen_by=("user", "judges")),
    Message("system", "Be brief.", injected=True, seen_by=("agent",)),
    Message("user", "What now?", token_ids=(5,)),
]


def test_the_agent_sees_its_own_tool_traffic_and_not_what_is_for_others():
    view = agent_view("You are a clerk.", TALK)
    assert view == [Message("system", "You are a clerk."), *TALK[:4], *TALK[5:]]


def test_the_user_sees_the_same_talk_from_the_other_chair():
    view = user_view("You are a traveller.", "(You step up.)", TALK)
    assert [(m.role, m.content) for m in view] == [
        ("system", "You are a traveller."),
        ("user", "(You step up.)"),
        ("assistant", "Book me the 9:40."),
        ("user", "It is sold out."),
        ("system", "A bell rings."),
        ("assistant", "What now?"),
    ]


def test_the_users_own_words_keep_their_tokens_and_the_agents_do_not():
    """The agent's ids belong to its own prompt; under another role they would be wrong."""
    view = user_view("", "", TALK)
    assert [m.token_ids for m in view] == [None, None, None, None, None, (5,)]


def test_words_beside_a_tool_call_are_heard_and_the_call_is_not():
    (heard,) = user_view("", "", [Message("assistant", "One moment.", tool_calls=(CALL,))])[2:]
    assert (heard.role, heard.content, heard.tool_calls) == ("user", "One moment.", ())


def test_an_empty_reply_is_still_a_reply():
    assert [m.content for m in user_view("", "", [Message("user", "Hello?"), Message("assistant", "")])] == ["", "", "Hello?", ""]


TEXT = st.text(max_size=20)
CALLS = st.lists(st.builds(ToolCall, TEXT, TEXT, TEXT), max_size=3).map(tuple)
PARTIES = st.lists(st.sampled_from(EVERYONE), min_size=1, unique=True).map(tuple)
MESSAGES = st.builds(
    Message,
    role=st.sampled_from(["system", "user", "assistant", "tool"]),
    content=TEXT,
    tool_calls=CALLS,
    tool_call_id=st.none() | TEXT,
    injected=st.booleans(),
    seen_by=PARTIES,
)


@settings(deadline=None)
@given(MESSAGES)
def test_a_message_comes_back_from_disk_as_it_was(message):
    assert message_from_dict(json.loads(json.dumps(message.to_dict()))) == message


def test_on_disk_a_message_has_openais_keys_and_ours_only_where_they_say_something():
    assert TALK[0].to_dict() == {"role": "user", "content": "Book me the 9:40."}
    assert TALK[1].to_dict() == {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "book", "arguments": '{"train": "9:40"}'}}],
    }
    assert TALK[2].to_dict() == {"role": "tool", "content": "error: sold out", "tool_call_id": "c1"}
    assert TALK[4].to_dict() == {"role": "system", "content": "A bell rings.", "injected": True, "seen_by": ["user", "judges"]}


def test_a_record_without_content_is_read_as_empty():
    assert message_from_dict({"role": "assistant", "content": None}).content == ""


@settings(deadline=None)
@given(st.lists(MESSAGES, max_size=8), st.sampled_from(EVERYONE))
def test_nobody_sees_what_is_not_for_them_and_the_order_stays(messages, party):
    visible = visible_to(party, messages)
    assert all(party in message.seen_by for message in visible)
    assert [m for m in messages if m in visible] == visible


@settings(deadline=None)
@given(st.lists(MESSAGES, max_size=8))
def test_in_the_users_view_roles_are_swapped_and_tools_are_gone(messages):
    view = user_view("s", "c", messages)[2:]
    spoken = [
        m for m in visible_to("user", messages) if m.role != "tool" and (m.role != "assistant" or m.content or not m.tool_calls)
    ]
    swapped = {"user": "assistant", "assistant": "user", "system": "system"}
    assert [(m.role, m.content) for m in view] == [(swapped[m.role], m.content) for m in spoken]
