"""A hundred malformed outputs of an agent and a hundred of an emulator: each episode ends as it is defined, within its bounds."""

from __future__ import annotations

import json
from random import Random

import pytest
from emulating import DESK, READ, Spoken, case, held, in_turn, native, result, rules

from influence.seeds import generator
from influence.tools.episode import Limits
from influence.tools.records import CallOutcome, EpisodeEnd, EpisodeRecord

NOTES = case("read-the-note", DESK)
STEPS, TRIES = 4, 3
CALL = 'Thought: I look.\nAction: desk_read\nInput: {"id": "n1"}'
ANSWER = result({"text": "Call Ida."}, {"op": "add", "path": "/desk/notes/-", "value": {"id": "n2", "text": "x"}})
JUNK = [
    "", " ", "\x00", "\x07\x1b[31m", "\ufeff", "\u202e", "}{", "{", "}", "[[[[", "null", "true", "NaN", "[]", "{}", '"', "\\", "\\u",
    "Action:", "Input:", "Result:", "Final answer", "Action: desk_read\nInput:", "Action: rm -rf /\nInput: {}", "`" * 999,
    '{"result":', '{"result": null}', '{"result": {"text": "\\ud800"}}', '{"result": {"text": NaN}}', '{"exception": {}}',
    '{"result": {"text": "x"}, "changes": [[]]}', '{"result": {"text": "x"}, "changes": [{"op": "add", "path": "/", "value": 1}]}',
    '{"result": {"text": "x"}, "changes": [{"op": "remove", "path": "/desk"}]}', '{"result": {"text": "x"}, "changes": {"a": 1}}',
    '{"result": {"text": "x"}, "thought": [1], "summary": {}, "changes": false}', '{"exception": {"name": ["NoSuchNote"]}}',
    '{"a":' * 5000, "[" * 20_000, "x" * 200_000, " \n" * 50_000, '{"id": ' + "9" * 6000 + "}", '{"id": 1e999}',
]  # fmt: skip


def broken(text: str, random: Random) -> str:
    """The text, spoilt in one of several ways, or junk."""
    place = random.randrange(len(text))
    return random.choice(
        [
            text[:place],
            text[place:],
            text[:place] + random.choice('{}[]":,\\\n') + text[place:],
            text[:place] + random.choice(JUNK) + text[place:],
            text.replace(random.choice('{}:"n'), random.choice(JUNK[:16])),
            "".join(random.sample(text, len(text))),
            random.choice(JUNK),
            text + random.choice(JUNK),
        ]
    )


def outputs(text: str, number: int) -> list[str]:
    """What is said in one episode, one after the other."""
    random = generator(5, text[:7], number)
    return [JUNK[number % len(JUNK)], *(broken(text, random) for _ in range(STEPS * TRIES - 1))]


def assert_defined(record: EpisodeRecord, agent: Spoken, emulator: Spoken) -> None:
    assert len(agent.asked) <= STEPS * TRIES
    assert len(emulator.asked) <= STEPS * TRIES * 3
    assert len(record.steps) <= STEPS
    assert all(len(step.repairs) <= TRIES for step in record.steps)
    assert all(len(call.repairs) <= TRIES for call in record.calls)
    assert (record.error is not None) == (record.end in (EpisodeEnd.UNREADABLE, EpisodeEnd.EMULATOR_FAILED))
    assert EpisodeRecord.model_validate_json(record.model_dump_json()) == record


@pytest.mark.parametrize("number", range(100))
def test_malformed_agents(number):
    texts = outputs(CALL, number)
    agent, emulator = Spoken(in_turn(*texts)), Spoken(in_turn(result({"text": "x"})))
    record = held(NOTES, agent, emulator, how=rules(Limits(STEPS, None, None)))
    assert_defined(record, agent, emulator)
    ends = {EpisodeEnd.UNREADABLE, EpisodeEnd.STEP_LIMIT, EpisodeEnd.FINAL_ANSWER, EpisodeEnd.GAVE_UP, EpisodeEnd.EMULATOR_FAILED}
    assert record.end in ends
    good = sum(call.outcome in (CallOutcome.RETURNED, CallOutcome.FAILED) for call in record.calls)
    assert bool(emulator.asked) is bool(good), "the emulator is asked about good calls alone"


@pytest.mark.parametrize("number", range(100))
def test_malformed_emulators(number):
    agent, emulator = Spoken(in_turn(READ)), Spoken(in_turn(*outputs(ANSWER, number)))
    record = held(NOTES, agent, emulator, how=rules(Limits(STEPS, None, None)))
    assert_defined(record, agent, emulator)
    assert record.end in (EpisodeEnd.EMULATOR_FAILED, EpisodeEnd.STEP_LIMIT)
    assert len(emulator.asked) == sum(len(call.repairs) + (call.outcome != CallOutcome.FAILED) for call in record.calls)
    json.dumps(record.state_after, allow_nan=False, ensure_ascii=False).encode()


@pytest.mark.parametrize("number", range(len(JUNK)))
def test_malformed_native_calls(number):
    junk = JUNK[number]
    said = native(("desk_read", junk), (junk, "{}"), ("desk_read", '{"id": "n1"}'), text=junk)
    agent, emulator = Spoken(in_turn(said), tools=True), Spoken(in_turn(result({"text": "x"})))
    record = held(NOTES, agent, emulator, how=rules(Limits(2, None, None)))
    assert_defined(record, agent, emulator)
    assert [call.outcome for call in record.calls] == ["bad_arguments", "no_such_tool", "returned"] * 2
    assert record.end == EpisodeEnd.STEP_LIMIT


@pytest.mark.parametrize("number", range(len(JUNK)))
def test_malformed_made_up_errors(number):
    from influence.tools.episode import ErrorRules
    from influence.tools.injection import in_a_row

    agent, emulator = Spoken(in_turn(READ)), Spoken(in_turn(JUNK[number]))
    how = rules(Limits(2, None, None), ErrorRules(made_up=True))
    record = held(NOTES, agent, emulator, in_a_row(1), how)
    assert_defined(record, agent, emulator)
    assert record.end == EpisodeEnd.EMULATOR_FAILED


def test_the_malformed_outputs_reach_many_ends():
    """Not every one of them is caught at the first check."""
    ends, outcomes, repairs = set(), set(), set()
    for number in range(100):
        for text, place in ((CALL, 0), (ANSWER, 1)):
            speakers = [in_turn(READ), in_turn(ANSWER)]
            speakers[place] = in_turn(*outputs(text, number))
            record = held(NOTES, *speakers, how=rules(Limits(STEPS, None, None)))
            ends.add(record.end)
            outcomes |= {call.outcome for call in record.calls}
            repairs |= {repair.problem[:20] for call in record.calls for repair in call.repairs}
    assert ends >= {EpisodeEnd.UNREADABLE, EpisodeEnd.EMULATOR_FAILED}
    assert outcomes >= {CallOutcome.RETURNED, CallOutcome.FAILED, CallOutcome.BAD_ARGUMENTS, CallOutcome.NO_SUCH_TOOL}
    assert len(repairs) >= 4
