"""Tool calls without their results become words, because both APIs refuse a conversation that holds one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from influence.chat import Message, ToolCall
from influence.engines.hosted.answers import label_in, without_loose_calls


def call(*ids: str, words: str = "") -> Message:
    return Message("assistant", words, tuple(ToolCall(id, f"tool-{id}", f'{{"of": "{id}"}}') for id in ids))


def result(id: str) -> Message:
    return Message("tool", f"result-{id}", tool_call_id=id)


ASKED = Message("user", "book a seat")


@pytest.mark.parametrize(
    "talk",
    [
        [ASKED, call("a"), result("a")],
        [ASKED, call("a"), result("a"), ASKED],
        [ASKED, call("a", "b", words="both"), result("b"), result("a"), Message("assistant", "done")],
        [ASKED, call("a"), result("a"), call("b"), result("b")],
    ],
    ids=["at the end", "before a user", "several in another order", "one after another"],
)
def test_calls_with_their_results_stay_as_they_are(talk):
    assert without_loose_calls(talk) == talk


@pytest.mark.parametrize(
    ("talk", "shown"),
    [
        ([ASKED, call("a")], ["book a seat", '(Tool call: tool-a {"of": "a"})']),
        ([ASKED, call("a", words="one moment")], ["book a seat", 'one moment\n(Tool call: tool-a {"of": "a"})']),
        ([call("a"), ASKED, result("a")], ['(Tool call: tool-a {"of": "a"})', "book a seat", "(Tool result: result-a)"]),
        ([result("a"), ASKED], ["(Tool result: result-a)", "book a seat"]),
        ([call("a", "b"), ASKED], ['(Tool call: tool-a {"of": "a"})\n(Tool call: tool-b {"of": "b"})', "book a seat"]),
    ],
    ids=["no result", "with words", "a result too late", "no call", "two calls"],
)
def test_what_is_loose_is_said_in_words(talk, shown):
    spoken = without_loose_calls(talk)
    assert [m.content for m in spoken] == shown
    assert [m.role for m in spoken] == ["user" if m.role == "tool" else m.role for m in talk]
    assert not any(m.tool_calls or m.tool_call_id for m in spoken)


def test_one_loose_call_leaves_the_others_alone():
    talk = [ASKED, call("a"), result("a"), call("b"), ASKED, call("c"), result("c")]
    spoken = without_loose_calls(talk)
    assert [n for n, (before, after) in enumerate(zip(talk, spoken, strict=True)) if before != after] == [3]


def test_a_result_of_somebody_elses_call_is_loose_and_the_call_too():
    assert [m.content for m in without_loose_calls([call("a"), result("b")])] == [
        '(Tool call: tool-a {"of": "a"})',
        "(Tool result: result-b)",
    ]


def test_what_another_engine_sampled_is_shown_as_the_text_that_it_is():
    sampled = [replace(m, token_ids=(1, 2)) for m in (Message("assistant", "hello"), call("a"))]
    assert without_loose_calls(sampled[:1]) == [Message("assistant", "hello")]
    assert without_loose_calls(sampled) == [
        Message("assistant", "hello"),
        Message("assistant", '(Tool call: tool-a {"of": "a"})'),
    ]


@st.composite
def talks(draw):
    """Talks in which a message's calls are all answered at once, or none of them ever is, or a result has no call."""
    talk: list[Message] = []
    for turn in range(draw(st.integers(0, 6))):
        ids = [f"{turn}-{n}" for n in range(draw(st.integers(1, 3)))]
        kind = draw(st.sampled_from(["words", "answered", "loose", "orphan", "late"]))
        if kind == "words":
            talk.append(Message(draw(st.sampled_from(["user", "assistant", "system"])), f"said-{turn}"))
        if kind in ("answered", "loose", "late"):
            talk.append(call(*ids, words=draw(st.sampled_from(["", f"said-{turn}"]))))
        if kind == "late":
            talk.append(Message(draw(st.sampled_from(["user", "assistant", "system"])), "meanwhile"))
        if kind in ("answered", "late"):
            talk += [result(id) for id in draw(st.permutations(ids))]
        if kind == "orphan":
            talk += [result(id) for id in ids]
    return talk


@given(talks())
def test_afterwards_every_call_is_followed_by_its_results_and_every_result_follows_its_call(talk):
    spoken = without_loose_calls(talk)
    assert len(spoken) == len(talk)
    waited_for: set[str] = set()
    for message in [*spoken, Message("user", "the end")]:
        if message.role == "tool":
            assert message.tool_call_id in waited_for
            waited_for.remove(message.tool_call_id)
        else:
            assert not waited_for
            waited_for = {one.id for one in message.tool_calls}


@given(talks())
def test_nothing_that_was_said_called_or_found_is_lost(talk):
    for before, after in zip(talk, without_loose_calls(talk), strict=True):
        assert before.content in after.content
        said = after.content + "".join(one.name + one.arguments for one in after.tool_calls)
        assert all(one.name in said and one.arguments in said for one in before.tool_calls)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ('{"answer": "yes"}', "yes"),
        (' {"answer" : "no"}\n', "no"),
        ('{"answer": "perhaps"}', '{"answer": "perhaps"}'),
        ('{"answer": ["yes"]}', '{"answer": ["yes"]}'),
        ('{"answer": 1}', '{"answer": 1}'),
        ('{"label": "yes"}', '{"label": "yes"}'),
        ('{"answer": "ye', '{"answer": "ye'),
        ('["yes"]', '["yes"]'),
        ('"yes"', '"yes"'),
        ("3", "3"),
        ("null", "null"),
        ("yes, I would say", "yes, I would say"),
        ("", ""),
    ],
)
def test_a_structured_answer_is_its_choice_and_anything_else_the_text_as_it_is(text, label):
    assert label_in(text, ("yes", "no")) == label


@given(st.text(max_size=40))
def test_any_text_can_be_read_for_a_choice(text):
    assert label_in(text, ("yes",)) in (text, "yes")
