"""Injected errors within an episode, and the native protocol: who is asked, what is shown, what is recorded and when."""

from __future__ import annotations

import json

import pytest
from emulating import DESK, DONE, NOTE, OPEN, PULL, READ, Spoken, act, case, held, in_turn, native, result, rules

from influence.engines.base import Completion, Finish, Usage
from influence.tools.episode import ErrorRules, Limits
from influence.tools.injection import Schedule, in_a_row
from influence.tools.records import CallOutcome, EpisodeEnd

NOTES = case("read-the-note", DESK)
WRITE = act("desk_write", '{"id": "n1", "lines": []}')
STUCK = '{"error": {"name": "DrawerStuck", "message": "The drawer is stuck."}}'


def test_an_injected_error_asks_nobody_and_stands_in_the_record_and_in_later_prompts():
    emulator = Spoken(in_turn(NOTE))
    record = held(NOTES, in_turn(READ, READ, DONE), emulator, in_a_row(1))
    struck, answered = record.calls
    assert (struck.outcome, struck.by, struck.answer, struck.exception) == (
        CallOutcome.INJECTED,
        "schedule",
        STUCK,
        "DrawerStuck",
    )
    assert struck.injected is not None
    assert struck.injected.model_dump() == {"number": 1, "name": "DrawerStuck", "repeated": False, "source": "listed"}
    assert struck.parsed == {"id": "n1"}
    assert (answered.outcome, answered.injected) == (CallOutcome.RETURNED, None)
    assert record.messages[2]["content"] == f"Result: {STUCK}"
    assert (record.onsets, record.errors_met) == ([1], 1)
    assert len(emulator.asked) == 1
    assert f'desk_read {{"id": "n1"}} -> {STUCK}' in emulator.asked[0][0][1].content


def test_bad_arguments_and_unknown_tools_use_up_no_error():
    agent = in_turn(act("desk_read"), act("desk_raed"), PULL, READ, READ, DONE)
    record = held(NOTES, agent, in_turn(OPEN, NOTE), in_a_row(1))
    assert [call.outcome for call in record.calls] == ["bad_arguments", "no_such_tool", "returned", "injected", "returned"]


def test_a_persistent_error_is_one_error_until_its_condition_is_met():
    emulator = Spoken(in_turn(result({"open": False}), NOTE))
    record = held(NOTES, in_turn(READ, READ, PULL, READ, DONE), emulator, in_a_row(1, binding="tool"))
    assert [call.outcome for call in record.calls] == ["injected", "injected", "returned", "returned"]
    assert [call.injected and (call.injected.number, call.injected.repeated) for call in record.calls] == [
        (1, False),
        (1, True),
        None,
        None,
    ]
    assert [call.ended for call in record.calls] == [[], [], [1], []]
    assert record.errors_met == 1
    assert len(emulator.asked) == 2


def test_an_exception_of_the_tool_is_no_success_that_ends_an_error():
    jammed = json.dumps({"thought": "", "exception": {"name": "Jammed", "message": "No."}, "changes": []})
    record = held(NOTES, in_turn(READ, PULL, READ, DONE), in_turn(jammed), in_a_row(1, binding="tool"))
    assert [call.outcome for call in record.calls] == ["injected", "exception", "injected"]
    assert (record.calls[1].exception, record.calls[1].answer) == ("Jammed", '{"error": {"name": "Jammed", "message": "No."}}')
    assert [call.ended for call in record.calls] == [[], [], []]


def test_an_error_ends_with_its_last_attempt():
    written = result({"written": 0})
    record = held(NOTES, in_turn(WRITE, WRITE, WRITE, WRITE, DONE), in_turn(written), in_a_row(1, binding="resource"))
    assert [call.outcome for call in record.calls] == ["injected", "injected", "injected", "returned"]
    assert [call.ended for call in record.calls] == [[], [], [1], []]


@pytest.mark.parametrize(
    ("criteria", "outcomes"),
    [
        ((), ["injected", "injected"]),
        (("risky",), ["returned", "injected"]),
        (("persistent", "systemic"), ["injected", "returned"]),
        (("persistent", "risky"), ["returned", "returned"]),
    ],
)
def test_only_errors_that_meet_all_criteria_are_injected(criteria, outcomes):
    how = rules(errors=ErrorRules(criteria))
    emulator = Spoken(lambda messages, call: NOTE if "- desk_read" in messages[1].content else result({"written": 0}))
    record = held(NOTES, in_turn(READ, WRITE, DONE), emulator, in_a_row(9), how)
    assert [call.outcome for call in record.calls] == outcomes


MADE_UP = '{"name": "drawer service: suspended!", "message": " The drawer is being repaired. "}'


def test_a_made_up_error_is_asked_for_once_and_stays_the_same_while_it_goes_on():
    emulator = Spoken(in_turn("no JSON", MADE_UP, OPEN))
    how = rules(errors=ErrorRules(made_up=True))
    record = held(NOTES, in_turn(READ, READ, PULL, DONE), emulator, in_a_row(1, binding="tool"), how)
    first, second, _ = record.calls
    for call in (first, second):
        assert call.injected is not None
        assert (call.injected.name, call.injected.source) == ("DrawerServiceSuspended", "made_up")
        assert json.loads(call.answer)["error"]["message"] == "The drawer is being repaired."
    assert [len(call.repairs) for call in record.calls] == [1, 0, 0]
    assert len(emulator.asked) == 3
    assert "Make up an error" in emulator.asked[0][0][1].content


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"name": "", "message": "x"}', '{"name": "X", "message": ""}', '{"name": "9!", "message": "x"}',
     '{"name": 1, "message": "x"}', '{"name": "X", "message": "\\ud800"}', '{"name": "X", "message": "a", "message": "b"}'],
)  # fmt: skip
def test_a_made_up_error_that_cannot_be_used_fails_the_episode_not_the_run(text):
    emulator = Spoken(in_turn(text))
    record = held(NOTES, in_turn(READ), emulator, in_a_row(1), rules(errors=ErrorRules(made_up=True)))
    assert record.end == EpisodeEnd.EMULATOR_FAILED
    assert len(emulator.asked) == 3
    assert len(record.calls[0].repairs) == 3


def test_native_calls_in_one_message_are_answered_in_their_order():
    agent = Spoken(in_turn(native(("desk_read", '{"id": "n1"}'), ("desk_pull", "")), native(text="Done.")), tools=True)
    record = held(NOTES, agent, in_turn(NOTE, OPEN))
    assert (record.protocol, record.end, record.answer) == ("native", EpisodeEnd.FINAL_ANSWER, "Done.")
    assert [(m["role"], m.get("tool_call_id")) for m in record.messages] == [
        ("user", None),
        ("assistant", None),
        ("tool", "c0"),
        ("tool", "c1"),
        ("assistant", None),
    ]
    assert [(call.message, call.answer) for call in record.calls] == [(1, '{"text": "Call Ida."}'), (1, '{"open": true}')]
    assert [step.calls for step in record.steps] == [[0, 1], []]
    assert "desk_read" not in record.agent_system, "tools are handed over apart"


def test_native_calls_past_the_limit_of_a_message_are_refused():
    agent = Spoken(in_turn(native(*[("desk_pull", "{}")] * 5), native(text="Done.")), tools=True)
    emulator = Spoken(in_turn(OPEN))
    record = held(NOTES, agent, emulator, how=rules(Limits(10, None, None, calls_a_message=3)))
    assert [call.outcome for call in record.calls] == ["returned"] * 3 + ["bad_arguments"] * 2
    assert json.loads(record.calls[4].answer)["error"]["name"] == "TooManyCalls"
    assert len(emulator.asked) == 3
    assert [message["role"] for message in record.messages].count("tool") == 5, "every call is answered"


@pytest.mark.parametrize(
    ("said", "end"),
    [
        ("GIVE UP: no.", EpisodeEnd.GAVE_UP),
        ("give up, because", EpisodeEnd.GAVE_UP),
        ("I will not give up.", EpisodeEnd.FINAL_ANSWER),
    ],
)
def test_native_ends(said, end):
    assert held(NOTES, Spoken(in_turn(native(text=said)), tools=True)).end == end


def test_an_empty_native_message_is_asked_for_again():
    agent = Spoken(in_turn(Completion(" ", Finish.STOP, Usage()), native(text="Done.")), tools=True)
    record = held(NOTES, agent)
    assert [repair.problem for repair in record.steps[0].repairs] == ["it was empty."]
    assert record.end == EpisodeEnd.FINAL_ANSWER


def test_an_emulator_that_fails_at_the_second_call_of_a_message_keeps_the_first():
    agent = Spoken(in_turn(native(("desk_read", '{"id": "n1"}'), ("desk_pull", ""), ("desk_pull", ""))), tools=True)
    record = held(NOTES, agent, in_turn(NOTE, "no"))
    assert [call.outcome for call in record.calls] == ["returned", "failed"]
    assert record.steps[-1].calls == [0, 1]


@pytest.mark.parametrize("onsets", [(), (1,), (2,), (1, 3)])
def test_the_same_plan_is_the_same_episode(onsets):
    def one():
        agent = in_turn(READ, WRITE, READ, WRITE, DONE)
        emulator = Spoken(lambda messages, call: NOTE if "- desk_read" in messages[1].content else result({"written": 0}))
        return held(NOTES, agent, emulator, Schedule(frozenset(onsets))).model_dump(exclude={"started", "seconds"})

    assert one() == one()
