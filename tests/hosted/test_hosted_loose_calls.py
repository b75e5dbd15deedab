"""Tool calls without their results, or under an id of another call, become words, because both APIs refuse them as they are."""

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
        (
            [ASKED, call("a", "b"), result("a")],
            ["book a seat", '(Tool call: tool-a {"of": "a"})\n(Tool call: tool-b {"of": "b"})', "(Tool result: result-a)"],
        ),
        ([call("a"), result("a"), result("a")], ['(Tool call: tool-a {"of": "a"})', *["(Tool result: result-a)"] * 2]),
        (
            [call("a", "a"), result("a"), result("a")],
            ["\n".join(['(Tool call: tool-a {"of": "a"})'] * 2), *["(Tool result: result-a)"] * 2],
        ),
    ],
    ids=["no result", "with words", "too late", "no call", "two calls", "one of two", "two results", "two calls of one id"],
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


@pytest.mark.parametrize(
    ("talk", "in_words"),
    [
        ([ASKED, call("a"), result("a"), call("a"), result("a")], [3, 4]),
        ([ASKED, call("a"), result("a"), call("b", "a"), result("a"), result("b"), call("b"), result("b")], [3, 4, 5]),
        ([ASKED, call("a"), result("a"), call("a"), ASKED], [3]),
        ([ASKED, call("a"), ASKED, call("a"), result("a")], [1]),
        ([result("a"), call("a"), result("a")], [0]),
    ],
    ids=["answered both times", "among others", "the second loose", "the first loose", "a result before its call"],
)
def test_an_id_that_comes_again_is_said_in_words_from_the_second_time_on(talk, in_words):
    spoken = without_loose_calls(talk)
    assert [n for n, (before, after) in enumerate(zip(talk, spoken, strict=True)) if before != after] == in_words


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
    """Talks in which calls are answered at once, in part, too late or never, results have no call, and ids come again."""
    talk: list[Message] = []
    for turn in range(draw(st.integers(0, 6))):
        ids = draw(st.lists(st.sampled_from(["a", "b", f"{turn}-1", f"{turn}-2"]), min_size=1, max_size=3))
        kind = draw(st.sampled_from(["words", "answered", "partly", "loose", "orphan", "late"]))
        if kind == "words":
            talk.append(Message(draw(st.sampled_from(["user", "assistant", "system"])), f"said-{turn}"))
        if kind in ("answered", "partly", "loose", "late"):
            talk.append(call(*ids, words=draw(st.sampled_from(["", f"said-{turn}"]))))
        if kind == "late":
            talk.append(Message(draw(st.sampled_from(["user", "assistant", "system"])), "meanwhile"))
        if kind in ("answered", "late"):
            talk += [result(id) for id in draw(st.permutations(ids))]
        if kind == "partly":
            talk += [result(id) for id in ids[1:]]
        if kind == "orphan":
            talk += [result(id) for id in ids]
    return talk


@given(talks())
def test_afterwards_every_call_has_its_own_id_and_is_followed_by_its_results_and_nothing_else_is_answered(talk):
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
    asked = [one.id for message in spoken for one in message.tool_calls]
    assert len(asked) == len(set(asked))


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
