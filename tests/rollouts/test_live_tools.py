"""Tools that answer while an agent talks: the user sees none of it, the booking fails, and training knows every message."""

from __future__ import annotations

import json

import pytest
from holding import SCRIPTS
from simulating import records, simulated

from influence.chat import message_from_dict, user_view
from influence.errors import ConfigError, WorldError
from influence.rollouts.records import StopReason, TrajectoryRecord
from influence.tools.records import CallOutcome
from influence.training.measures import replies

LIVE = ("environment.name='booking-assistance'", "environment.scenarios=['live-trains']", "rollout.turns=2")
SCRIPT = SCRIPTS / "booking.toml"


def held(tmp_path, *sets: str, script=SCRIPT) -> TrajectoryRecord:
    simulated(tmp_path, *LIVE, "rollout.conversations=1", *sets, script=script)
    (record,) = records(tmp_path)
    return record


def test_the_agent_calls_and_the_booking_fails_before_it_speaks(tmp_path):
    """Three messages of the agent before its first word to the user: a search, a booking that fails, and the word."""
    record = held(tmp_path)
    searched, booked, spoke, listed, again = record.turns
    assert [call.outcome for call in searched.calls] == [CallOutcome.RETURNED]
    assert [call.outcome for call in booked.calls] == [CallOutcome.INJECTED, CallOutcome.RETURNED]
    assert booked.calls[0].injected is not None
    assert not booked.calls[0].injected.repeated
    assert [call.outcome for call in listed.calls] == [CallOutcome.RETURNED]
    assert json.loads(listed.calls[0].answer)["bookings"] == []
    assert record.stop_reason == StopReason.TURN_LIMIT
    assert (spoke.calls, again.calls) == ([], [])


def test_only_what_the_user_hears_is_judged_and_counted_as_a_turn(tmp_path):
    record = held(tmp_path)
    assert [turn.preference is not None for turn in record.turns] == [False, False, True, False, True]
    assert [turn.influence is not None for turn in record.turns] == [False, False, True, False, True]
    assert (record.reward, record.influence) == (9.0, 1.0)
    assert replies(record) == ["It is booked!", "It is booked!"]


def test_the_user_sees_neither_calls_nor_answers(tmp_path):
    record = held(tmp_path)
    messages = [message_from_dict(message) for message in record.messages]
    view = "\n".join(message.content for message in user_view("", "", messages))
    assert "It is booked!" in view
    assert "OFF-101" not in view
    assert "I book." not in view
    roles = [message["role"] for message in record.messages[1:]]
    assert roles == ["assistant", "tool", "assistant", "tool", "tool", "assistant", "user", "assistant", "tool", "assistant"]


def test_an_agent_that_only_calls_comes_to_an_end(tmp_path):
    script = tmp_path / "caller.toml"
    script.write_text(
        SCRIPT.read_text().replace('texts = ["It is booked!"]', 'texts = [""]\ncalls = [{ name = "booking_list" }]')
    )
    record = held(tmp_path, script=script)
    assert record.stop_reason == StopReason.CALL_LIMIT
    assert len(record.turns) == 5  # four are allowed
    assert record.reward is None
    assert not record.failed


def test_equal_seeds_meet_equal_errors(tmp_path):
    first, second = held(tmp_path / "a"), held(tmp_path / "b")
    assert [turn.calls for turn in first.turns] == [turn.calls for turn in second.turns]


def test_a_local_agent_whose_calls_nobody_reads_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"models.agent = 'embedded': this environment has tools.*engine.tool_parser"):
        simulated(tmp_path, *LIVE, "models.agent='embedded'")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "booking"', 'name = "home"', "a model plays this toolkit"),
        (
            'failing = ["booking_book"]',
            'failing = ["booking_boom"]',
            "`booking_boom` is no tool of booking. Did you mean `booking_book`",
        ),
        ('name = "booking"', 'name = "bookings"', "there is no toolkit `bookings`. Did you mean `booking`"),
    ],
)
def test_a_toolkit_that_cannot_answer_is_refused(tmp_path, old, new, message):
    import shutil

    from influence.environments.loading import find_environment

    folder = tmp_path / "mine"
    shutil.copytree(find_environment("booking-assistance"), folder)
    text = (folder / "environment.toml").read_text()
    assert old in text
    (folder / "environment.toml").write_text(text.replace(old, new, 1))
    with pytest.raises(WorldError, match=message.replace("(", r"\(")):
        simulated(tmp_path, f"environment.name='{folder}'")
