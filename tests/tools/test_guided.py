"""Tool calls as JSON: the schema takes exactly what can be read, and nothing makes the reading raise."""

from __future__ import annotations

import json

import jsonschema
import pytest
from emulating import case, held, in_turn, rules
from hypothesis import given
from hypothesis import strategies as st

from influence.tools.guided import move_schema, parse
from influence.tools.loading import load_toolkit, toolkit_names
from influence.tools.react import Act, Answer, Unreadable
from influence.tools.records import CallOutcome, EpisodeEnd

LOOK = '{"thought": "First.", "tool": "bank_get_account", "arguments": {"account_id": "ACC-4401"}}'
DONE = '{"thought": "All there.", "answer": "You have 1773.85."}'


def test_the_three_forms_are_read():
    assert parse(LOOK) == Act("First.", "bank_get_account", '{"account_id": "ACC-4401"}', len(LOOK))
    assert parse(DONE) == Answer("All there.", "You have 1773.85.", False, len(DONE))
    gives_up = 'Well: {"thought": "", "give_up": "No."}'
    assert parse(gives_up) == Answer("", "No.", True, len(gives_up))


@pytest.mark.parametrize("text", ["", "bank_get_account", "[1]", '{"thought": "Hm."}', '{"answer": 3}', LOOK[:-5], '{"a": NaN}'])
def test_what_is_none_of_them_says_why(text):
    assert isinstance(parse(text), Unreadable)


@given(st.text())
def test_no_text_makes_it_raise(text):
    assert isinstance(parse(text), Act | Answer | Unreadable)


@pytest.mark.parametrize("name", toolkit_names())
def test_the_schema_of_every_shipped_toolkit_is_one_and_knows_its_tools(name):
    kit = load_toolkit(name)
    schema = move_schema([kit])
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(DONE), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"thought": "", "tool": "no_such_tool", "arguments": {}}, schema)


def test_an_episode_is_held_in_it():
    how = rules(protocol="guided")
    record = held(case("pay-the-rent"), in_turn("Hm.", LOOK, DONE), how=how)
    assert (record.end, record.answer, record.protocol) == (EpisodeEnd.FINAL_ANSWER, "You have 1773.85.", "guided")
    assert [call.outcome for call in record.calls] == [CallOutcome.RETURNED]
    assert [len(step.repairs) for step in record.steps] == [1, 0]
