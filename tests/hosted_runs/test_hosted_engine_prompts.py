"""What a provider is shown of a conversation: each party's own words are `assistant` to itself, and the APIs' own rules are kept."""

from __future__ import annotations

import pytest
from asking_hosted import MODELS, PROVIDERS, asked, records, reply, simulated

from influence.chat import Message, ToolCall
from influence.engines.base import Finish
from tests.loopback import Behaviour
from tests.loopback.answers import text_of

STAYS = """
[[labels]]
role = "transition"
distribution = { stay = 1.0 }
[[labels]]
distribution = { "7" = 0.5, "0" = 0.5 }
"""
each_provider = pytest.mark.parametrize("provider", PROVIDERS)


def shown(body):
    """A request's system prompt and its messages as (role, words), for both APIs."""
    talk = [(message["role"], text_of(message["content"])) for message in body["messages"]]
    if "system" in body:
        return body["system"], talk
    return talk[0][1], talk[1:]


@each_provider
def test_everybodys_own_turns_are_the_assistants(serve, tmp_path, provider):
    server = serve(keep_bodies=True)
    judge = tmp_path / "judge.toml"
    judge.write_text(STAYS)
    sets = (f"models.judge='scripted/{judge}'", "rollout.conversations=1", 'environment.scenarios=["platform"]')
    simulated(tmp_path, MODELS[provider], *sets, "rollout.turns=3", "environment.split='train'")
    (record,) = records(tmp_path / "run")
    said = [message["content"] for message in record.messages]
    assert [message["role"] for message in record.messages] == ["user", "assistant"] * 3
    assert len(set(said)) == 6
    prompts = [shown(body) for body in server.bodies]
    assert [talk for system, talk in prompts if system.startswith("You are the clerk")] == [
        [("user", said[0])],
        [("user", said[0]), ("assistant", said[1]), ("user", said[2])],
        [("user", said[0]), ("assistant", said[1]), ("user", said[2]), ("assistant", said[3]), ("user", said[4])],
    ]
    cue = ("user", "(You step up to the booth.)")
    assert [talk for system, talk in prompts if system.startswith("You are a traveller")] == [
        [cue, ("assistant", said[0]), ("user", said[1])],
        [cue, ("assistant", said[0]), ("user", said[1]), ("assistant", said[2]), ("user", said[3])],
    ]
    assert len(prompts) == 5
    assert all(("system" in body) == (provider == "anthropic") for body in server.bodies)


@each_provider
def test_a_judge_reads_a_transcript_and_is_told_who_spoke(serve, tmp_path, provider):
    server = serve(Behaviour(reply="9"), keep_bodies=True)
    sets = ("rollout.conversations=1", "rollout.turns=1", 'environment.scenarios=["platform"]', "judges.method='stated'")
    simulated(tmp_path, MODELS[provider], *sets, "environment.split='train'")
    judged = [talk for system, talk in map(shown, server.bodies) if system.startswith("You read a conversation")]
    assert len(judged) == 3
    for ((role, words),) in judged:
        assert role == "user"
        assert words.index("Where does the night train leave?") < words.index("9")


@each_provider
def test_a_system_message_in_the_middle_reaches_anthropic_as_a_users_words(serve, provider):
    server = serve(keep_bodies=True)
    talk = [Message("system", "Rule."), Message("user", "One."), Message("assistant", "Two."), Message("system", "Note.")]
    asked(MODELS[provider], reply(messages=talk))
    (body,) = server.bodies
    assert server.by_fault() == {None: 1}
    if provider == "anthropic":
        assert body["system"] == "Rule."
        assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]
        assert "Note." in text_of(body["messages"][-1]["content"])
    else:
        assert [message["role"] for message in body["messages"]] == ["system", "user", "assistant", "system"]


@each_provider
def test_a_conversation_that_the_agent_opens_and_an_empty_reply_are_taken_by_all(serve, provider):
    server = serve(Behaviour(reply="Fine."))
    talks = [
        [Message("system", "Rule."), Message("assistant", "Hello."), Message("user", "Yes?")],
        [Message("user", "One."), Message("assistant", ""), Message("user", "Two.")],
        [Message("user", "One."), Message("assistant", " "), Message("user", "  ")],
        [Message("user", "One."), Message("user", "Two."), Message("assistant", "Three."), Message("assistant", "Four.")],
        [Message("user", "One."), Message("assistant", "Trailing blank "), Message("user", "Two.")],
    ]
    found = asked(MODELS[provider], *(reply(messages=talk) for talk in talks))
    assert [getattr(result, "text", result) for result in found.results] == ["Fine."] * 5
    assert server.by_fault() == {None: 5}


BOOK = {"type": "function", "function": {"name": "book", "description": "Book.", "parameters": {"type": "object"}}}


@each_provider
def test_tools_are_offered_called_and_their_results_shown(serve, provider):
    server = serve(Behaviour(tool_call=("book", '{"train":"9:40"}')), keep_bodies=True)
    called = asked(MODELS[provider], reply(tools=[BOOK])).one
    (call,) = called.tool_calls
    assert (called.finish, call.name, call.arguments) == (Finish.TOOL_CALLS, "book", '{"train":"9:40"}')
    answered = [
        Message("user", "Book the 9:40."),
        Message("assistant", called.text, tool_calls=called.tool_calls),
        Message("tool", "sold out", tool_call_id=call.id),
    ]
    unanswered = [
        Message("user", "Book."),
        Message("assistant", "", tool_calls=(ToolCall("c1", "book", "{}"),)),
        Message("user", "?"),
    ]
    server.behave(Behaviour(reply="Sold out."))
    found = asked(MODELS[provider], reply(messages=answered, tools=[BOOK]), reply(messages=unanswered))
    assert [getattr(result, "text", result) for result in found.results] == ["Sold out."] * 2
    assert server.by_fault() == {None: 3}
    assert "sold out" in text_of(server.bodies[1]["messages"][-1]["content"])
