"""Tool calls in plain text: the three forms, what is not read, and that no text at all makes the parser fail."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from influence.tools.react import Act, Answer, Unreadable, parse

CALL = 'Thought: I look.\nAction: desk_read\nInput: {"id": "n1"}'


def acted(text: str) -> Act:
    move = parse(text)
    assert isinstance(move, Act), move
    return move


@pytest.mark.parametrize(
    ("text", "tool", "arguments", "thought"),
    [
        (CALL, "desk_read", '{"id": "n1"}', "I look."),
        ("Action: desk_pull\nInput:", "desk_pull", "", ""),
        ("Action: desk_pull\nInput: {}", "desk_pull", "{}", ""),
        ("I look.\n\nAction: desk_pull\n\nInput: {}\n\n", "desk_pull", "{}", "I look."),
        ("action: desk_pull\nINPUT: {}", "desk_pull", "{}", ""),
        ("  Action :  desk_pull \n\tInput\t:{}", "desk_pull", "{}", ""),
        ("Action: `desk_pull`\nInput: {}", "desk_pull", "{}", ""),
        ('Action: "desk_pull"\nInput: {}', "desk_pull", "{}", ""),
        ("Action: [desk_pull]\nInput: {}", "desk_pull", "{}", ""),
        ('Action: a\nInput: ```json\n{"x": 1}\n```', "a", '{"x": 1}', ""),
        ('Action: a\nInput:\n```\n{"x": 1}\n```\n', "a", '{"x": 1}', ""),
        ('Action: a\nInput: {\n  "x": [\n    1\n  ]\n}', "a", '{\n  "x": [\n    1\n  ]\n}', ""),
        ('Action: a\nInput: {"x": "Action: b"}', "a", '{"x": "Action: b"}', ""),
        ("Thought: first one\nThought: then another\nAction: a\nInput: {}", "a", "{}", "first one\nthen another"),
        ("Result: I made this up\nAction: a\nInput: {}", "a", "{}", "I made this up"),
        ("Action: a\r\nInput: {}\r\n", "a", "{}", ""),
    ],
)
def test_a_call(text, tool, arguments, thought):
    move = acted(text)
    assert (move.tool, move.arguments, move.thought) == (tool, arguments, thought)


@pytest.mark.parametrize(
    "made_up",
    ["Result: {}", "Thought: it worked", "Action: a\nInput: {}", "Final answer: done", "RESULT : {}", "Give up: no"],
)
def test_what_is_made_up_behind_the_input_is_not_read(made_up):
    move = acted(f"{CALL}\n{made_up}\nmore")
    assert (move.tool, move.arguments) == ("desk_read", '{"id": "n1"}')
    assert move.end == len(CALL)


@pytest.mark.parametrize(
    ("text", "answer", "gave_up"),
    [
        ("Thought: done\nFinal answer: All is done.", "All is done.", False),
        ("FINAL ANSWER: x", "x", False),
        ("Give up: no such note", "no such note", True),
        ("give up:", "", True),
        ("Final answer:\nfirst\n\nsecond\n", "first\n\nsecond", False),
        (
            "Final answer: the log says\nAction: none\nResult: 3\nInput: x",
            "the log says\nAction: none\nResult: 3\nInput: x",
            False,
        ),
        ("Give up: I could\nFinal answer: not", "I could\nFinal answer: not", True),
    ],
)
def test_an_answer_is_everything_behind_its_label(text, answer, gave_up):
    move = parse(text)
    assert isinstance(move, Answer)
    assert (move.text, move.gave_up, move.end) == (answer, gave_up, len(text))


NOTHING = "there is neither `Action:` nor `Final answer:` nor `Give up:` in it."
ONE_NAME = "behind `Action:` there must be the name of one tool, and nothing else."
INPUT = "the line `Action:` must be followed by `Input:` with the arguments as JSON."


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", NOTHING),
        ("Hello.", NOTHING),
        ("Thought: I should use Action: desk_read", NOTHING),
        ("Input: {}", NOTHING),
        ("Result: {}", NOTHING),
        ("**Action:** desk_read\nInput: {}", NOTHING),
        ("Action:\nInput: {}", ONE_NAME),
        ("Action: ``\nInput: {}", ONE_NAME),
        ("Action: desk_read\nand desk_pull\nInput: {}", ONE_NAME),
        ("Action: desk_read", INPUT),
        ('Action: desk_read {"id": "n1"}', INPUT),
        ("Action: desk_read\nThought: now the input\nInput: {}", INPUT),
        ("Action: desk_read\nFinal answer: done", INPUT),
    ],
)
def test_what_is_neither_says_why(text, reason):
    assert parse(text) == Unreadable(reason)


LABELS = [
    "Action:",
    "Input:",
    "Final answer:",
    "Give up:",
    "Thought:",
    "Result:",
    "action :",
    "\n",
    " ",
    "\t",
    "```",
    "{}",
    "x",
    "`",
]


@given(st.text() | st.lists(st.sampled_from(LABELS) | st.text(max_size=3), max_size=20).map("".join))
@example("Action: " * 2000)
@example("\n".join(["Action:", "Input:"] * 2000))
@example("`" * 30_000)
def test_no_text_makes_it_fail_and_the_end_lies_within(text):
    move = parse(text)
    if isinstance(move, Unreadable):
        assert move.reason
        return
    assert 0 < move.end <= len(text)
    if isinstance(move, Act):
        assert move.tool
        assert "\n" not in move.tool
        assert acted(text[: move.end]).arguments == move.arguments, "what is cut off behind the end changes nothing"
