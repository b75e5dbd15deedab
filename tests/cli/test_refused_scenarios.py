"""Every mistake in a scenario or its openings gets one message with its line and its remedy, and nothing is written.

Each case edits the small environment `booth` in one place: the file, what stands there, what stands there instead.
"""

from __future__ import annotations

import pytest

WORLD, PLATFORM, TICKET, LINES = "environment.toml", "scenarios/platform.toml", "scenarios/ticket.toml", "scenarios/ticket.jsonl"
BUILT_IN = "is built in and cannot be set."

EDITS = {
    "a misspelt key of a scenario": (
        PLATFORM,
        'title = "Which platform"',
        'titel = "Which platform"',
        "booth/scenarios/platform.toml: the key `title` is missing.\n"
        "booth/scenarios/platform.toml, line 1, `titel`: `titel` is not a key here.\n"
        "    Did you mean `title`? Allowed: kinds, openings, title, variables.",
    ),
    "a misspelt key of an opening": (
        PLATFORM,
        'split = "heldout"',
        'slpit = "heldout"',
        "booth/scenarios/platform.toml, line 11, `openings.1.slpit`: `slpit` is not a key here.\n"
        "    Did you mean `split`? Allowed: id, kinds, messages, split, variables.",
    ),
    "a variable that one scenario lacks": (
        TICKET,
        '[variables]\ntopic = "tickets"',
        "",
        "booth/environment.toml, line 23, `agent.system`: `{topic}` is not a variable here.\n"
        "    It is missing for booth/ticket/hurried/failed-booking. Allowed: kind, persona, principles, station, traveller.",
    ),
    "a missing variable in an opening": (
        PLATFORM,
        "my {child}",
        "my {chidl}",
        "booth/scenarios/platform.toml, line 9, `openings.1`: `{chidl}` is not a variable here.\n"
        "    Did you mean `child`? Allowed: child, kind, persona, station, topic, traveller.\n"
        "booth/scenarios/platform.toml, line 9, `openings.1`: `{chidl}` is not a variable here.\n"
        "    Did you mean `child`? Allowed: child, kind, minutes, persona, station, topic, traveller.\n"
        "booth/scenarios/platform.toml, line 9, `openings.1`, `variables.child`: the variable `child` is never used.\n"
        "    Did you mean `chidl`? Use it in a text as {child}, or remove it.",
    ),
    "the principles in an opening": (
        LINES,
        "I want my money back.",
        "{principles}",
        "booth/scenarios/ticket.jsonl, line 2: `{principles}` is not a variable here.\n"
        "    Allowed: kind, persona, station, topic, traveller.",
    ),
    "an unused variable of a scenario": (
        TICKET,
        'topic = "tickets"',
        'topic = "tickets"\nfare = "low"',
        "booth/scenarios/ticket.toml, line 5, `variables.fare`: the variable `fare` is never used.\n"
        "    Use it in a text as {fare}, or remove it.",
    ),
    "an unused variable of an opening": (
        PLATFORM,
        'child = "son"',
        'child = "son", age = "ten"',
        "booth/scenarios/platform.toml, line 9, `openings.1`, `variables.age`: the variable `age` is never used.\n"
        "    Use it in a text as {age}, or remove it.",
    ),
    "a variable of an opening that is built in": (
        PLATFORM,
        'child = "son"',
        'child = "son", persona = "x"',
        f"booth/scenarios/platform.toml, line 9, `openings.1`, `variables.persona`: `persona` {BUILT_IN}",
    ),
    "a stray brace in an opening": (
        PLATFORM,
        "leave?",
        "{Leave}?",
        "booth/scenarios/platform.toml, line 5, `openings.0`: "
        "a stray `{` near `he night train {Leave}?`. Write `{{` for a brace.",
    ),
    "an unknown kind in a scenario": (
        TICKET,
        '["hurried"]',
        '["huried"]',
        "booth/scenarios/ticket.toml, line 2, `kinds.0`: `huried` is not a kind of user here.\n"
        "    Did you mean `hurried`? Allowed: hurried, calm.\n"
        "booth/scenarios/ticket.toml: the scenario has no openings.\n"
        "    Write [[openings]] here, or a file beside it: ticket.jsonl.",
    ),
    "a kind twice": (
        TICKET,
        '["hurried"]',
        '["hurried", "hurried"]',
        "booth/scenarios/ticket.toml, line 2, `kinds.1`: `hurried` stands here already.",
    ),
    "an unknown kind in an opening": (
        PLATFORM,
        '["calm"]',
        '["clam"]',
        "booth/scenarios/platform.toml, line 19, `openings.2`: `clam` is not a kind of user of this scenario.\n"
        "    Did you mean `calm`? Allowed: hurried, calm.",
    ),
    "an id twice": (
        PLATFORM,
        'id = "only-calm"',
        'id = "night-train"',
        "booth/scenarios/platform.toml, line 19, `openings.2`: the id `night-train` is taken already, at "
        "booth/scenarios/platform.toml, line 5, `openings.0`.\n    Ids are unique in a scenario.",
    ),
    "an opening that ends with the agent": (
        PLATFORM,
        'messages = [{ role = "user", content = "Where does',
        'messages = [{ role = "assistant", content = "Where does',
        "booth/scenarios/platform.toml, line 5, `openings.0`: the last message is the agent's own, but the agent is the one to "
        "answer: end with a `user` or `tool` message.",
    ),
    "an opening without the user": (
        PLATFORM,
        'messages = [{ role = "user", content = "Where does',
        'messages = [{ role = "system", content = "Where does',
        "booth/scenarios/platform.toml, line 5, `openings.0`: no message is the `user`'s.",
    ),
    "an empty message": (
        PLATFORM,
        "Good evening, how can I help?",
        " ",
        "booth/scenarios/platform.toml, line 14, `openings.1.messages.1`: the message is empty.",
    ),
    "no messages": (
        PLATFORM,
        '[{ role = "user", content = "Where does the night train leave?" }]',
        "[]",
        "booth/scenarios/platform.toml, line 7, `openings.0.messages`: found [], but it should have at least 1 item.",
    ),
    "an unknown role": (
        PLATFORM,
        '{ role = "user", content = "Good evening." }',
        '{ role = "agent", content = "Good evening." }',
        "booth/scenarios/platform.toml, line 13, `openings.1.messages.0.role`: found 'agent'.\n"
        "    Allowed: 'user', 'assistant', 'system' or 'tool'.",
    ),
    "no openings at all": (
        LINES,
        None,
        "",
        "booth/scenarios/ticket.toml: the scenario has no openings.\n"
        "    Write [[openings]] here, or a file beside it: ticket.jsonl.",
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_a_mistake_in_one_place(name, refused_edit):
    refused_edit(*EDITS[name])


def test_all_mistakes_of_a_folder_are_told_at_once(refused, folder):
    for file, old, new in ((WORLD, 'go = "left"', 'go = "x"'), (PLATFORM, '["calm"]', '["clam"]'), (TICKET, "topic", "topics")):
        (folder / "booth" / file).write_text((folder / "booth" / file).read_text().replace(old, new))
    refused(
        [],
        "booth/environment.toml, line 59, `states.boarded.transitions.go`: the transition leads to `x`, which is not a state.\n"
        "    Allowed: asking, boarded, left.\n"
        "booth/scenarios/platform.toml, line 19, `openings.2`: `clam` is not a kind of user of this scenario.\n"
        "    Did you mean `calm`? Allowed: hurried, calm.\n"
        "booth/environment.toml, line 23, `agent.system`: `{topic}` is not a variable here.\n"
        "    It is missing for booth/ticket/hurried/failed-booking. Did you mean `topics`? "
        "Allowed: kind, persona, principles, station, topics, traveller.\n"
        "booth/scenarios/ticket.toml, line 4, `variables.topics`: the variable `topics` is never used.\n"
        "    Did you mean `topic`? Use it in a text as {topics}, or remove it.",
    )
