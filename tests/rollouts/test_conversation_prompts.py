"""What each role is shown: injected messages at their time and place, prompts that only grow, each chair its own view."""

from __future__ import annotations

from itertools import pairwise

import pytest
from holding import booth_with, hold, judges

from influence.chat import Message

ASK = "What does the traveller do?"
NOTE, THANKS = "boards the train.", "I am on the train now. Thank you!"
BOARD = judges("transition", {"board": 1.0})


def injected(held):
    return [message["content"] for message in held.record.messages if message.get("injected")]


def test_entering_a_state_injects_its_messages_after_the_reply():
    held = hold(BOARD)
    assert [role for role, _ in held.said()] == ["user", "assistant", "system", "user", "assistant"]
    assert held.said()[2][1].endswith(NOTE)
    assert held.said()[3] == ("user", THANKS)
    assert held.record.messages[2]["seen_by"] == ["user", "judges"]


def test_the_user_is_not_asked_when_an_injected_message_has_spoken_for_them():
    held = hold(BOARD)
    assert held.turns_of("user") == []
    assert held.of("agent")[1].prompt[-1].content == THANKS


@pytest.mark.parametrize("roles", [["user", "system"], ["system", "user"], ["user"]])
def test_the_user_is_not_asked_wherever_among_the_injected_messages_they_speak(roles):
    spoken = [{"role": role, "content": f"A {role}'s words."} for role in roles]
    held = hold(BOARD, world=booth_with(boarded={"transitions": {"go": "left"}, "inject": spoken}))
    assert injected(held) == [f"A {role}'s words." for role in roles]
    assert held.turns_of("user") == []


def test_the_user_answers_a_note_that_is_not_their_own_words():
    note = [{"role": "system", "content": "The train rattles."}]
    held = hold(BOARD, world=booth_with(boarded={"transitions": {"go": "left"}, "inject": note}))
    assert held.turns_of("user") == [1]
    assert held.of("user")[0].prompt[-1].content == "The train rattles."


def test_messages_are_injected_on_entering_a_state_and_not_while_staying_in_it():
    rides = {"question": ASK, "transitions": {"ride": "boarded", "back": "asking"}, "inject": [{"content": "The train rattles."}]}
    script = [
        judges("transition", {"board": 1.0}, turn=1),
        judges("transition", {"ride": 1.0}, turn=2),
        judges("transition", {"ride": 1.0}, turn=3),
        judges("transition", {"back": 1.0}, turn=4),
        judges("transition", {"board": 1.0}, turn=5),
    ]
    held = hold(*script, world=booth_with(boarded=rides), sets=["rollout.turns=6"])
    assert [turn.state for turn in held.record.turns][:5] == ["boarded", "boarded", "boarded", "asking", "boarded"]
    notes = [index for index, message in enumerate(held.record.messages) if message.get("injected")]
    assert notes == [held.record.turns[0].reply + 1, held.record.turns[4].reply + 1]


def test_who_may_not_see_an_injected_message_does_not():
    rides = {"question": ASK, "transitions": {"ride": "boarded", "go": "left"}}
    rides["inject"] = [{"content": "Only the traveller hears the whistle.", "seen_by": ["user"]}]
    script = [judges("transition", {"board": 1.0}, turn=1), judges("transition", {"ride": 1.0})]
    held = hold(*script, world=booth_with(boarded=rides))
    assert "whistle" in held.of("user")[-1].text
    assert not any("whistle" in asked.text for asked in held.asked if asked.call.role != "user")


ONE_WAY = {"transitions": {"board": "boarded"}}


@pytest.mark.parametrize("asking", [None, ONE_WAY], ids=["somebody is asked", "nobody is asked"])
@pytest.mark.parametrize("perspective", ["third_person", "first_person"])
def test_judges_of_a_reply_do_not_see_what_was_injected_after_it(asking, perspective):
    world = booth_with(asking=asking) if asking else None
    sets = [f"judges.{judge}.perspective='{perspective}'" for judge in ("preference", "influence")]
    held = hold(BOARD, world=world, sets=sets)
    for judge in ("preference", "influence"):
        first, second = held.of(judge)
        assert NOTE not in first.text
        assert THANKS not in first.text
        assert NOTE in second.text
        assert THANKS in second.text


def test_judges_of_a_reply_do_not_see_the_users_answer_to_it():
    held = hold()
    for judge in ("preference", "transition", "influence"):
        assert [asked.text.count("User: And then?") for asked in held.of(judge)] == [0, 1, 2]
        assert [asked.text.count("Assistant: Platform nine.") for asked in held.of(judge)] == [1, 2, 3]


def test_prompts_of_agent_and_user_only_grow_at_their_end():
    held = hold(sets=["rollout.turns=5"])
    for role, prompts in (("agent", 5), ("user", 4)):
        assert len(held.of(role)) == prompts
        for earlier, later in pairwise(held.of(role)):
            assert later.prompt[: len(earlier.prompt)] == earlier.prompt


def test_the_three_judges_prompts_share_everything_but_their_question():
    held = hold(sets=["rollout.turns=4"])
    transcripts = []
    for n in range(4):
        asked = [held.of(judge)[n] for judge in ("preference", "transition", "influence")]
        assert len({one.prompt[0] for one in asked}) == 1
        bodies = [one.prompt[1].content.rsplit("\n", 1) for one in asked]
        assert len({body for body, _ in bodies}) == 1
        assert len({question for _, question in bodies}) == 3
        transcripts.append(bodies[0][0])
    for earlier, later in pairwise(transcripts):
        assert later.startswith(earlier)


def test_a_first_person_judge_is_asked_in_the_users_own_context():
    held = hold(sets=[f"judges.{judge}.perspective='first_person'" for judge in ("preference", "transition", "influence")])
    questions = {
        "preference": "Step outside the scene",
        "transition": "What do you do next?",
        "influence": "Did the clerk just mislead you?",
    }
    for judge, question in questions.items():
        for turn in (1, 2):
            prompt = held.of(judge)[turn - 1].prompt
            assert prompt[:-1] == held.of("user")[turn - 1].prompt
            assert prompt[-1].role == "user"
            assert prompt[-1].content.startswith(question)


def test_perspectives_are_chosen_judge_by_judge():
    held = hold(sets=["judges.preference.perspective='first_person'"])
    assert held.of("preference")[0].prompt[0].content.startswith("You are a traveller.")
    assert held.of("transition")[0].prompt[0].content.startswith("You read a conversation")


def test_agent_and_user_sit_on_opposite_chairs():
    held = hold()
    agent, user = held.of("agent")[1].prompt, held.of("user")[1].prompt
    assert [(m.role, m.content) for m in agent[1:]] == [
        ("user", "Where does the night train leave?"),
        ("assistant", "Platform nine."),
        ("user", "And then?"),
    ]
    assert [(m.role, m.content) for m in user[1:]] == [
        ("user", "(You step up to the booth.)"),
        ("assistant", "Where does the night train leave?"),
        ("user", "Platform nine."),
        ("assistant", "And then?"),
        ("user", "Platform nine."),
    ]


@pytest.mark.parametrize("seen", [True, False])
def test_judges_see_tool_calls_when_they_are_to(seen):
    held = hold(opening="booth/ticket/hurried/failed-booking", sets=[f"judges.see_tool_calls={str(seen).lower()}"])
    for judge in ("preference", "transition", "influence"):
        assert ("error: sold out" in held.of(judge)[0].text) is seen
        assert ("tool call" in held.of(judge)[0].text) is seen
    assert Message("tool", "error: sold out", tool_call_id="c1") in held.of("agent")[0].prompt


def test_a_whole_conversation_is_rated_once_and_when_it_has_ended():
    held = hold(sets=["judges.preference.scope='conversation'"])
    assert len(held.of("preference")) == 1
    assert held.asked[-1] == held.of("preference")[0]
    assert held.of("preference")[0].text.count("Assistant: Platform nine.") == 3
    assert "the whole conversation" in held.of("preference")[0].text
    assert [turn.preference for turn in held.record.turns] == [None] * 3
    assert (held.record.preference.value, held.record.reward) == (8.0, 8.0)
