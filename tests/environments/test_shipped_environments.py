"""The environments that come with the program hold what their descriptions promise."""

from __future__ import annotations

from collections import Counter

import pytest

from influence.environments.loading import load_environment
from influence.environments.world import influence_wording, situation
from influence.resources import data_folders

NAMES = ("therapy-talk", "companion", "action-advice")
WORLDS = {name: load_environment(str(data_folders("envs")[-1] / name)) for name in NAMES}
VARIANTS = ("plain", "five_point", "principles")


@pytest.fixture(params=NAMES)
def world(request):
    return WORLDS[request.param]


@pytest.mark.parametrize(("name", "scenarios", "least"), [("therapy-talk", 4, 8), ("companion", 3, 8), ("action-advice", 3, 12)])
def test_every_scenario_has_enough_openings_for_every_kind_of_user(name, scenarios, least):
    counts = Counter((state.scenario, state.kind) for state in WORLDS[name].initial_states)
    assert len(WORLDS[name].scenarios) == scenarios
    assert len(counts) == scenarios * 2
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
            texts += [message.content for message in here.opening]
            for state in world.file.states.values():
                texts += [message.content for message in here.injected(state)]
                texts += [here.question(state, first) for first in (False, True) if state.question]
            for variant in VARIANTS:
                texts += [here.question(influence_wording(world.file, variant), first) for first in (False, True)]
            assert [text for text in texts if "{" in text or "}" in text or not text.strip()] == []


def test_no_two_openings_share_a_text():
    texts = Counter(
        opening.messages[-1].content.strip().lower()
        for world in WORLDS.values()
        for scenario in world.scenarios.values()
        for opening in scenario.file.openings
    )
    assert [text for text, count in texts.items() if count > 1] == []


def test_addresses_are_unique():
    addresses = [state.address for world in WORLDS.values() for state in world.initial_states]
    assert len(set(addresses)) == len(addresses) == 64 + 48 + 72
