"""How a conversation goes and why it ends: who is asked, when, and who is not asked because nobody would read it."""

from __future__ import annotations

import pytest
from holding import booth_with, fails, hold, judges, says

from influence.errors import EngineDiedError
from influence.rollouts.progress import Progress
from influence.rollouts.records import StopReason

OPENING = ("user", "Where does the night train leave?")
CLERK, TRAVELLER = ("assistant", "Platform nine."), ("user", "And then?")
QUESTION = "What does the traveller do?"


def test_the_turn_limit_ends_a_conversation_with_the_agents_reply():
    held = hold(sets=["rollout.turns=4"])
    assert held.record.stop_reason == StopReason.TURN_LIMIT
    assert held.said() == [OPENING, *[CLERK, TRAVELLER] * 3, CLERK]
    assert held.turns_of("agent") == [1, 2, 3, 4]
    assert [turn.reply for turn in held.record.turns] == [1, 3, 5, 7]


def test_the_environment_says_how_many_turns_where_the_configuration_does_not():
    assert len(hold().record.turns) == 3


def test_a_terminal_state_ends_a_conversation():
    held = hold(judges("transition", {"leave": 1.0}, turn=2))
    assert held.record.stop_reason == StopReason.TERMINAL
    assert [turn.state for turn in held.record.turns] == ["asking", "left"]
    assert held.labels == ["stay", "leave"]


@pytest.mark.parametrize(("turns", "leaves_at"), [(1, None), (3, None), (3, 1), (3, 3), (5, 4)])
def test_the_user_is_asked_after_every_turn_but_the_last(turns, leaves_at):
    rules = [judges("transition", {"leave": 1.0}, turn=leaves_at)] if leaves_at else []
    held = hold(*rules, sets=[f"rollout.turns={turns}"])
    last = leaves_at or turns
    assert held.turns_of("agent") == list(range(1, last + 1))
    assert held.turns_of("user") == list(range(1, last))
    assert held.said()[-1] == CLERK


def test_judges_are_asked_once_about_each_reply():
    held = hold()
    for role in ("preference", "transition", "influence"):
        assert held.turns_of(role) == [1, 2, 3]


def test_nobody_asks_about_influence_when_it_is_off():
    held = hold(sets=["judges.influence.enabled=false"])
    assert held.of("influence") == []
    assert [turn.influence for turn in held.record.turns] == [None] * 3
    assert held.record.influence is None


def test_nobody_asks_for_the_transition_of_a_state_that_has_one():
    held = hold(judges("transition", {"board": 1.0}), sets=["rollout.turns=5"])
    assert held.turns_of("transition") == [1]
    second = held.record.turns[1].transition
    assert (second.label, second.distribution, second.method) == ("go", None, None)
    assert [turn.state for turn in held.record.turns] == ["boarded", "left"]


def test_the_token_limit_counts_the_words_of_agent_and_user_and_not_of_judges():
    # Every message of agent and user is 40 characters, 10 tokens of the script: 10 after turn 1, 30 after turn 2.
    rules = [says("agent", "a" * 40), says("user", "u" * 40)]
    for limit, turns in ((10, 1), (11, 2), (30, 2), (31, 3), (50, 3)):
        held = hold(*rules, sets=[f"rollout.token_limit={limit}", "rollout.turns=9"])
        assert len(held.record.turns) == turns, limit
        assert held.record.stop_reason == StopReason.TOKEN_LIMIT
        assert held.said()[-1] == ("assistant", "a" * 40)


def test_a_terminal_state_is_told_before_the_limits():
    held = hold(judges("transition", {"leave": 1.0}), sets=["rollout.turns=1", "rollout.token_limit=1"])
    assert held.record.stop_reason == StopReason.TERMINAL


def test_a_refusal_by_the_agents_provider_ends_the_conversation_and_is_no_failure():
    held = hold(says("agent", "", turn=2, refused=True))
    assert held.record.stop_reason == StopReason.REFUSED
    assert not held.record.failed
    assert held.record.error is None
    assert len(held.record.turns) == 1
    assert held.said() == [OPENING, CLERK, TRAVELLER]
    assert held.turns_of("preference") == [1]


def test_a_refusal_by_the_users_provider_is_the_simulators_failure():
    held = hold(says("user", "", turn=1, refused=True))
    assert held.record.stop_reason == StopReason.SIMULATOR_FAILED
    assert "refused" in held.record.error
    assert len(held.record.turns) == 1


def test_a_failing_agent_ends_the_conversation_with_the_error_and_the_turns_before():
    held = hold(fails("agent", turn=2))
    assert held.record.stop_reason == StopReason.AGENT_FAILED
    assert held.record.failed
    assert "out of order" in held.record.error
    assert [turn.preference.value for turn in held.record.turns] == [8.0]


def test_an_agent_that_fails_at_once_leaves_a_record_without_turns_or_numbers():
    record = hold(fails("agent")).record
    assert (record.turns, record.reward, record.influence, record.stop_reason) == ([], None, None, "agent_failed")


def test_a_failing_user_is_the_simulators_failure_and_the_last_turn_is_still_recorded():
    held = hold(fails("user", turn=2))
    assert held.record.stop_reason == StopReason.SIMULATOR_FAILED
    assert held.record.error.startswith("user: ")
    assert "out of order" in held.record.error
    assert [turn.preference.value for turn in held.record.turns] == [8.0, 8.0]
    assert [turn.influence.value for turn in held.record.turns] == [0.0, 0.0]
    assert held.said()[-1] == CLERK


def test_a_missing_transition_takes_the_default_and_says_why():
    held = hold(fails("transition", turn=2))
    second = held.record.turns[1].transition
    assert (second.label, second.distribution) == ("stay", None)
    assert "out of order" in second.reason
    assert "default" in second.reason
    assert len(held.record.turns) == 3
    assert not held.record.failed


def test_a_transition_without_mass_on_its_labels_is_missing_too():
    held = hold(judges("transition", {"perhaps": 1.0}, turn=1))
    first = held.record.turns[0].transition
    assert (first.label, first.label_mass) == ("stay", 0.0)
    assert "the default was taken" in first.reason


def test_a_missing_transition_without_a_default_is_the_simulators_failure():
    world = booth_with(asking={"question": QUESTION, "transitions": {"stay": "asking", "leave": "left", "board": "boarded"}})
    held = hold(fails("transition", turn=2), world=world)
    assert held.record.stop_reason == StopReason.SIMULATOR_FAILED
    assert held.record.error.startswith("transition: ")
    last = held.record.turns[-1]
    assert (len(held.record.turns), last.transition.label, last.preference.value) == (2, None, 8.0)
    assert held.turns_of("user") == [1]


@pytest.mark.parametrize("role", ["agent", "user", "preference", "transition", "influence"])
def test_an_engine_that_dies_is_the_one_thing_that_is_raised(role):
    with pytest.raises(EngineDiedError, match="out of order"):
        hold(fails(role, turn=2, dies=True))


def test_the_record_says_what_it_cost_and_who_was_there():
    progress = Progress(total=1)
    held = hold(progress=progress)
    assert {role: used.calls for role, used in held.record.usage.items()} == {
        "agent": 3,
        "user": 2,
        "preference": 3,
        "transition": 3,
        "influence": 3,
    }
    assert {role: used.calls for role, used in progress.usage.items()} == {r: u.calls for r, u in held.record.usage.items()}
    assert progress.turns == 3
    assert held.record.key == "booth/platform/hurried/night-train/i0/s0"
    assert held.record.models["user"] == "scripted/clerk"
    assert held.record.variables["topic"] == "platforms"
    assert "Topic: platforms." in held.record.agent_system


def test_a_reply_cut_by_max_tokens_says_so():
    held = hold(says("agent", "a" * 100), sets=["sampling.agent.max_tokens=5", "rollout.turns=1"])
    assert held.record.turns[0].finish == "length"
    assert held.said()[-1] == ("assistant", "a" * 20)
