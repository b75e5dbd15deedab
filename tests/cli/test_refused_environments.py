"""Every mistake in an `environment.toml` gets one message with its line and its remedy, and nothing is written.

Each case edits the small environment `booth` in one place: what stands there, what stands there instead.
"""

from __future__ import annotations

import pytest

WORLD = "environment.toml"
BUILT_IN = "is built in and cannot be set."
NAME = "is not a name here. Allowed: lower-case letters, digits, `-` and `_`"

EDITS = {
    "a misspelt key": (
        WORLD,
        "turns = 3",
        "turn = 3",
        "booth/environment.toml: the key `turns` is missing.\n"
        "booth/environment.toml, line 5, `turn`: `turn` is not a key here.\n    Did you mean `turns`? Allowed: agent, "
        "heldout_fraction, judges, kinds, schema_version, start, states, summary, title, toolkit, tools, turns, user, variables.",
    ),
    "a misspelt key of a state": (
        WORLD,
        'default = "stay"',
        'defualt = "stay"',
        "booth/environment.toml, line 52, `states.asking.defualt`: `defualt` is not a key here.\n    Did you mean `default`? "
        "Allowed: default, first_person, inject, question, scale, terminal, transitions.",
    ),
    "a misspelt key of an inline table": (
        WORLD,
        'content = "I am on',
        'contents = "I am on',
        "booth/environment.toml, line 62, `states.boarded.inject.1`: the key `content` is missing.\n"
        "booth/environment.toml, line 62, `states.boarded.inject.1.contents`: `contents` is not a key here.\n"
        "    Did you mean `content`? Allowed: content, role, seen_by.",
    ),
    "a version of the future": (
        WORLD,
        "schema_version = 1",
        "schema_version = 2",
        "booth/environment.toml, line 2, `schema_version`: found 2.\n    Allowed: 1.",
    ),
    "a kind with a capital": (
        WORLD,
        "[kinds.calm]",
        "[kinds.Calm]",
        f"booth/environment.toml, line 16, `kinds.Calm`: 'Calm' {NAME}, at most 64 characters.\n"
        "booth/environment.toml, line 19, `kinds.calm`: the key `title` is missing.\n"
        "booth/environment.toml, line 19, `kinds.calm`: the key `persona` is missing.",
    ),
    "no text": (
        WORLD,
        'title = "Hurried traveller"',
        'title = " "',
        "booth/environment.toml, line 13, `kinds.hurried.title`: found '', but it should be a text that is not empty.",
    ),
    "a variable without values": (
        WORLD,
        '["Ada", "Ben", "Chi"]',
        "[]",
        "booth/environment.toml, line 9, `variables.traveller`: a variable is a text, or a list of texts of which each "
        "conversation draws one; none may be empty.",
    ),
    "a missing variable in a prompt": (
        WORLD,
        "booth at {station}",
        "booth at {statoin}",
        "booth/environment.toml, line 23, `agent.system`: `{statoin}` is not a variable here.\n"
        "    It is missing for booth/platform/hurried/night-train. Did you mean `station`? "
        "Allowed: kind, persona, principles, station, topic, traveller.",
    ),
    "a persona made of itself": (
        WORLD,
        'persona = "{traveller} is in',
        'persona = "{persona} is in',
        "booth/environment.toml, line 14, `kinds.hurried.persona`: `{persona}` is not a variable here.\n"
        "    It is missing for booth/platform/hurried/night-train. Allowed: kind, station, topic, traveller.",
    ),
    "an unused variable of the environment": (
        WORLD,
        'station = "Northgate"',
        'station = "Northgate"\nstations = "two"',
        "booth/environment.toml, line 11, `variables.stations`: the variable `stations` is never used.\n"
        "    Did you mean `station`? Use it in a text as {stations}, or remove it.",
    ),
    "an unused variable of a kind": (
        WORLD,
        'minutes = "twenty"',
        'minutes = "twenty"\nage = "forty"',
        "booth/environment.toml, line 21, `kinds.calm.variables.age`: the variable `age` is never used.\n"
        "    Use it in a text as {age}, or remove it.",
    ),
    "a variable that is built in": (
        WORLD,
        'station = "Northgate"',
        'station = "Northgate"\nkind = "x"',
        f"booth/environment.toml, line 11, `variables.kind`: `kind` {BUILT_IN}",
    ),
    "a stray brace in a prompt": (
        WORLD,
        "The principles:\\n{principles}",
        "The principles:\\n{principles} }",
        "booth/environment.toml, line 45, `judges.influence.principles.question`: "
        "a stray `}` near `: {principles} } Does the cler`. Write `}}` for a brace.",
    ),
    "principles that the question does not show": (
        WORLD,
        "The principles:\\n{principles}",
        "The principles:",
        "booth/environment.toml, line 45, `judges.influence.principles.question`: the question does not show the list.\n"
        "    Write {principles} where the list belongs.",
    ),
    "a start that is no state": (
        WORLD,
        'start = "asking"',
        'start = "askin"',
        "booth/environment.toml, line 6, `start`: `askin` is not a state.\n"
        "    Did you mean `asking`? Allowed: asking, boarded, left.",
    ),
    "a start that is terminal": (
        WORLD,
        'start = "asking"',
        'start = "left"',
        "booth/environment.toml, line 6, `start`: `left` is terminal, so no conversation could begin.\n"
        "booth/environment.toml, line 48, `states.asking`: no transition leads to the state `asking`.\n"
        "    Lead one there, or remove it.\n"
        "booth/environment.toml, line 58, `states.boarded`: no transition leads to the state `boarded`.\n"
        "    Lead one there, or remove it.",
    ),
    "a transition to nowhere": (
        WORLD,
        'go = "left"',
        'go = "lfet"',
        "booth/environment.toml, line 59, `states.boarded.transitions.go`: the transition leads to `lfet`, which is not a state.\n"
        "    Did you mean `left`? Allowed: asking, boarded, left.",
    ),
    "a state that nothing leads to": (
        WORLD,
        ', board = "boarded"',
        "",
        "booth/environment.toml, line 58, `states.boarded`: no transition leads to the state `boarded`.\n"
        "    Lead one there, or remove it.",
    ),
    "several transitions and no question": (
        WORLD,
        'question = "What does {traveller} do next? Answer `stay` or `leave`."\n',
        "",
        "booth/environment.toml, line 48, `states.asking`: a state with several `transitions` needs a `question` whose answers "
        "are their labels.",
    ),
    "a state without a way out": (
        WORLD,
        'transitions = { go = "left" }',
        "",
        "booth/environment.toml, line 58, `states.boarded`: a state that is not terminal needs `transitions`, such as "
        '{ stay = "talking", leave = "left" }.',
    ),
    "an end that goes on": (
        WORLD,
        "terminal = true",
        'terminal = true\ntransitions = { back = "asking" }',
        "booth/environment.toml, line 65, `states.left`: a terminal state has no `transitions`, `default`, `question`, "
        "`first_person` or `scale`.",
    ),
    "a question that nobody is asked": (
        WORLD,
        'transitions = { go = "left" }',
        'transitions = { go = "left" }\nfirst_person = "And now?"',
        "booth/environment.toml, line 58, `states.boarded`: a state with one transition never asks: leave out `question`, "
        "`first_person` and `scale`, or add a transition.",
    ),
    "a default that is no label": (
        WORLD,
        'default = "stay"',
        'default = "wait"',
        "booth/environment.toml, line 48, `states.asking`: `default` is 'wait', which is none of the transitions' labels: "
        "stay, leave, board.",
    ),
    "a scale between labels that are not there": (
        WORLD,
        'high = "leave"',
        'high = "left"',
        "booth/environment.toml, line 48, `states.asking`: `scale.high` and `scale.low` must be labels of the transitions: "
        "stay, leave, board.",
    ),
    "a tool twice": (
        WORLD,
        "[[tools]]",
        '[[tools]]\nname = "book"\ndescription = "The same."\n[[tools]]',
        "booth/environment.toml: two `tools` have the same name: book.",
    ),
    "a tool that requires what it does not have": (
        WORLD,
        'required = ["train"]',
        'required = ["seat"]',
        "booth/environment.toml, line 68, `tools.0`: `required` names parameters that `properties` lacks: seat.",
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_a_mistake_in_one_place(name, refused_edit):
    refused_edit(*EDITS[name])
