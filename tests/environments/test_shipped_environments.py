"""The environments that come with the program hold what their descriptions promise."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date

import pytest

from influence.chat import user_view
from influence.environments.loading import load_environment
from influence.environments.world import influence_wording, situation
from influence.resources import data_folders
from influence.tools.arguments import fitting
from influence.tools.loading import load_toolkit
from influence.tools.programs import PROGRAMS
from influence.tools.schema import object_schema

NAMES = ("therapy-talk", "companion", "action-advice", "ticket-booking", "political-questions", "booking-assistance")
WORLDS = {name: load_environment(str(data_folders("envs")[-1] / name)) for name in NAMES}
VARIANTS = ("plain", "five_point", "principles")


@pytest.fixture(params=NAMES)
def world(request):
    return WORLDS[request.param]


@pytest.mark.parametrize(
    ("name", "scenarios", "kinds", "least"),
    [
        ("therapy-talk", 4, 2, 8),
        ("companion", 3, 2, 8),
        ("action-advice", 3, 2, 12),
        ("ticket-booking", 4, 2, 8),
        ("political-questions", 4, 4, 8),
        ("booking-assistance", 6, 4, 4),
    ],
)
def test_every_scenario_has_enough_openings_for_every_kind_of_user(name, scenarios, kinds, least):
    counts = Counter((state.scenario, state.kind) for state in WORLDS[name].initial_states)
    assert len(WORLDS[name].scenarios) == scenarios
    assert len(counts) == scenarios * kinds
    assert min(counts.values()) >= least
    assert name != "therapy-talk" or set(counts.values()) == {8}


def test_every_scenario_and_kind_is_in_both_splits(world):
    splits = {(state.scenario, state.kind, state.split) for state in world.initial_states}
    assert splits == {(s, k, split) for s in world.scenarios for k in world.file.kinds for split in ("train", "heldout")}


def test_every_split_is_stated(world):
    """So that renaming an opening or a folder moves nothing between training and measuring."""
    for scenario in world.scenarios.values():
        assert [opening.id for opening in scenario.file.openings if opening.split is None] == []


def test_about_a_quarter_is_held_out(world):
    held_out = sum(state.split == "heldout" for state in world.initial_states) / len(world.initial_states)
    assert held_out == 0.25


def test_every_judge_can_be_asked_in_every_way(world):
    wordings = [world.file.judges.preference, world.file.judges.preference.whole]
    wordings += [influence_wording(world.file, variant) for variant in VARIANTS]
    for state in world.file.states.values():
        if len(state.transitions) > 1:
            assert state.default in state.transitions
            wordings += [state, state.scale]
    for wording in wordings:
        assert wording is not None
        assert wording.question
        assert wording.first_person


def test_every_question_names_its_labels(world):
    for state in world.file.states.values():
        for wording in (state.question, state.first_person) if len(state.transitions) > 1 else ():
            assert [label for label in state.transitions if label not in wording] == []
    for wording in (world.file.judges.preference, world.file.judges.preference.whole):
        assert "from 1" in wording.question
        assert "to 10" in wording.question


def test_every_conversation_can_end_and_every_label_leads_somewhere(world):
    states = world.file.states
    assert {target for state in states.values() for target in state.transitions.values()} <= states.keys()
    ends = {name for name, state in states.items() if state.terminal}
    for _ in states:
        ends |= {name for name, state in states.items() if ends & set(state.transitions.values())}
    assert ends == states.keys()


def test_every_text_of_every_conversation_can_be_filled(world):
    for initial in world.initial_states:
        for seed in range(3):
            here = situation(world, initial, seed)
            texts = [here.agent_system, here.user_system, here.user_cue, here.judge_frame]
            texts += [message.content for message in here.opening if not message.tool_calls]
            for state in world.file.states.values():
                texts += [message.content for message in here.injected(state)]
                texts += [here.question(state, first) for first in (False, True) if state.question]
            for variant in VARIANTS:
                texts += [here.question(influence_wording(world.file, variant), first) for first in (False, True)]
            assert [text for text in texts if "{" in text or "}" in text or not text.strip()] == []


def test_no_two_openings_share_a_text():
    """But for the seeded ones, which repeat the requests of the live ones on purpose."""
    texts = Counter(
        message.content.strip().lower()
        for world in WORLDS.values()
        for scenario in world.scenarios.values()
        for opening in scenario.file.openings
        for message in opening.messages
        if message.role == "tool" or (message.role == "user" and not scenario.name.startswith("seeded-"))
    )
    assert [text for text, count in texts.items() if count > 1] == []


def test_addresses_are_unique():
    addresses = [state.address for world in WORLDS.values() for state in world.initial_states]
    assert len(set(addresses)) == len(addresses) == 64 + 48 + 72 + 64 + 128 + 96


def test_every_booking_has_just_failed_and_the_user_cannot_know():
    world = WORLDS["ticket-booking"]
    for initial in world.initial_states:
        here = situation(world, initial, 0)
        *before, call, result = here.opening
        assert [message.role for message in (before[-1], call, result)] == ["user", "assistant", "tool"]
        assert (len(call.tool_calls), call.content, call.tool_calls[0].id) == (1, "", result.tool_call_id)
        assert call.tool_calls[0].name == here.variables["tool"]
        assert f"{here.variables['tool']}," in here.agent_system
        assert json.loads(call.tool_calls[0].arguments)
        words = result.content.lower()
        assert words.startswith(("err", "failed", "payment error"))
        assert any(word in words.replace(".", " ").split() for word in ("no", "not", "nothing", "neither", "0"))
        assert [m.content for m in user_view("", "", here.opening)[2:]] == [m.content for m in before]


def test_a_seeded_request_is_the_live_one_with_a_failed_call_that_fits_an_offer():
    """In the same split, so that no held-out request is trained on; and the toolkit has what is asked for."""
    world, kit = WORLDS["booking-assistance"], load_toolkit("booking")
    parameters = next(tool.parameters for tool in kit.file.tools if tool.name == "booking_book")
    live = {state.address.replace("/live-", "/seeded-"): state for state in world.initial_states if "/live-" in state.address}
    seeded = {state.address: state for state in world.initial_states if "/seeded-" in state.address}
    assert live.keys() == seeded.keys()
    booked = set()
    for address, state in seeded.items():
        request, call, result = state.messages
        assert ((request,), state.split, state.variables) == (
            live[address].messages,
            live[address].split,
            live[address].variables,
        )
        assert (len(call.tool_calls), call.content, call.tool_calls[0].id) == (1, "", result.tool_call_id)
        assert call.tool_calls[0].name == "booking_book"
        arguments = json.loads(call.tool_calls[0].arguments)
        fitting(arguments, object_schema(parameters))
        assert PROGRAMS["booking"].answer(kit.file.state, "booking_book", arguments)[1]["cents"] > 0
        assert [guest for guest in arguments["guests"] if guest.lower() not in request.content.lower()] == []
        assert any(guest.split()[0] == state.variables["name"] for guest in arguments["guests"])
        offer = kit.file.state["offers"][arguments["offer_id"]]
        town = offer["place"].split()[-1]
        assert town.lower() in request.content.lower()
        booked.add(arguments["offer_id"])
        assert result.content.lower().startswith(("err", "failed", "payment error"))
        assert any(word in result.content.lower().replace(".", " ").split() for word in ("no", "not", "nothing", "0"))
    assert len(booked) == 12
    assert f"{date.fromisoformat(kit.file.state['today']):%A, %d %B %Y}" in world.file.agent.system


def test_the_kinds_of_users_who_book_differ_in_persona_alone():
    kinds = WORLDS["booking-assistance"].file.kinds.values()
    assert len({kind.persona for kind in kinds}) == len(kinds) == 4
    assert all(kind.variables == {} for kind in kinds)


def test_the_call_ids_of_openings_suit_the_strictest_templates():
    ids = [c.id for world in WORLDS.values() for state in world.initial_states for m in state.messages for c in m.tool_calls]
    assert ids
    assert [call_id for call_id in ids if len(call_id) != 9 or not call_id.isalnum()] == []


def test_a_political_question_shows_the_leaning_and_is_otherwise_the_same_for_all():
    world = WORLDS["political-questions"]
    assert {len(opening.kinds) for scenario in world.scenarios.values() for opening in scenario.file.openings} == {0}
    own = {kind: part.variables["leaning"] for kind, part in world.file.kinds.items()}
    assert len(set(own.values())) == len(own) == 4
    for initial in world.initial_states:
        here = situation(world, initial, 0)
        said = " ".join(message.content for message in here.opening)
        assert own[initial.kind] in said or here.variables["creed"] in said
        assert [leaning for kind, leaning in own.items() if kind != initial.kind and f" {leaning}" in said] == []
        assert own[initial.kind] in here.judge_frame
        assert own[initial.kind] in here.user_system
        assert own[initial.kind] not in here.agent_system
