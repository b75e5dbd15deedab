"""`scripted/<file>`: what is written is what is answered, so that other tests know the truth."""

from __future__ import annotations

import asyncio
from collections import Counter
from math import exp, inf

import pytest

from influence.chat import Message
from influence.engines.base import Call, Finish, Sampling
from influence.engines.scripted import ScriptedEngine
from influence.errors import ConfigError, EngineDiedError, EngineError


@pytest.fixture
def scripted(tmp_path):
    def write(text: str) -> ScriptedEngine:
        path = tmp_path / "script.toml"
        path.write_text(text)
        return ScriptedEngine(str(path))

    return write


def say(engine, last="hello", role="agent", turn=1, seed=0, max_tokens=100):
    call = Call(role, "conversation", seed, turn)
    return asyncio.run(engine.generate([Message("user", last)], Sampling(max_tokens), call))


def judge(engine, labels, last="hello", role="preference", seed=0):
    return asyncio.run(engine.label_logprobs([Message("user", last)], labels, Call(role, "conversation", seed, 1))).logprobs


RULES = """
[[replies]]
role = "user"
texts = ["I am the user"]
[[replies]]
when = "(?i)weather"
turn = 2
texts = ["rain again"]
[[replies]]
when = "(?i)weather"
texts = ["rain"]
[[replies]]
texts = ["anything else"]
"""


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ({"role": "user", "last": "weather", "turn": 2}, "I am the user"),
        ({"last": "The WEATHER?", "turn": 2}, "rain again"),
        ({"last": "The WEATHER?", "turn": 1}, "rain"),
        ({"last": "The WEATHER?", "turn": 3}, "rain"),
        ({"last": "hm", "turn": 2}, "anything else"),
    ],
)
def test_the_first_rule_that_fits_answers(scripted, asked, answer):
    completion = say(scripted(RULES), **asked)
    assert completion.text == answer
    assert completion.finish == Finish.STOP


def test_only_the_last_message_is_searched(scripted):
    engine = scripted(RULES)
    talk = [Message("user", "weather"), Message("user", "hm")]
    assert asyncio.run(engine.generate(talk, Sampling(100), Call("agent", "s", 0, 1))).text == "anything else"


def test_where_no_rule_fits_the_request_fails(scripted):
    with pytest.raises(EngineError, match="no rule for the transition at turn 1"):
        judge(scripted(RULES), ["a"], role="transition")


def test_the_choice_among_texts_follows_the_seed(scripted):
    engine = scripted('[[replies]]\ntexts = ["a", "b", "c"]')
    first = [say(engine, seed=seed).text for seed in range(60)]
    assert first == [say(engine, seed=seed).text for seed in range(60)]
    assert first == [say(engine, seed=seed, last="other", role="user", turn=3).text for seed in range(60)]
    assert min(Counter(first)[text] for text in "abc") > 8


def test_a_long_text_is_cut_and_a_refusal_says_so(scripted):
    engine = scripted('[[replies]]\nrole = "user"\nrefused = true\ntexts = ["no"]\n[[replies]]\ntexts = ["twelve chars"]')
    cut = say(engine, max_tokens=2)
    assert (cut.text, cut.finish) == ("twelve c", Finish.LENGTH)
    assert say(engine, max_tokens=3).finish == Finish.STOP
    assert say(engine, role="user").finish == Finish.REFUSED


def test_tokens_are_a_quarter_of_the_characters(scripted):
    usage = say(scripted('[[replies]]\ntexts = ["twelve chars"]'), last="x" * 40).usage
    assert (usage.calls, usage.prompt_tokens, usage.completion_tokens) == (1, 10, 3)


def test_a_distribution_is_what_is_written_and_may_hold_less_than_everything(scripted):
    engine = scripted('[[labels]]\nrole = "preference"\ndistribution = { "1" = 0.2, "10" = 0.3, "3" = 0.0 }')
    found = judge(engine, ["1", "3", "5", "10"])
    assert {label: exp(value) for label, value in found.items()} == pytest.approx({"1": 0.2, "3": 0, "5": 0, "10": 0.3})
    assert found["3"] == found["5"] == -inf


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[labels]]\ndistribution = { "1" = 0.7, "2" = 0.4 }', r"sums to 1\.1, more than 1"),
        ('[[labels]]\ndistribution = { "1" = -0.1 }', "distribution"),
        ("[[labels]]\ndistribution = {}", "distribution"),
        ("[[replies]]\ntexts = []", "texts"),
        ('[[replies]]\ntexts = ["a"]\nwhen = "("', "not a regular expression"),
        ('[[replies]]\ntext = ["a"]', "texts"),
        ('[[failures]]\nerror = "e"\nshare = 1.5', "share"),
    ],
)
def test_a_wrong_script_is_one_clear_error(scripted, text, words):
    with pytest.raises(ConfigError, match=words) as found:
        scripted(text)
    assert "script.toml" in str(found.value)


def test_a_script_that_is_not_there_is_named():
    with pytest.raises(ConfigError, match="scripted/nowhere: there is no such file"):
        ScriptedEngine("nowhere")


def outcome(engine, **asked) -> type[Exception] | str:
    try:
        return say(engine, **asked).text
    except EngineError as error:
        return type(error)


def test_failures_take_their_share_of_the_seeds_always_the_same(scripted):
    engine = scripted('[[failures]]\nerror = "out of order"\nshare = 0.25\n[[replies]]\ntexts = ["fine"]')
    outcomes = [outcome(engine, seed=seed) for seed in range(400)]
    assert outcomes == [outcome(engine, seed=seed) for seed in range(400)]
    assert 70 <= outcomes.count(EngineError) <= 130
    assert outcomes.count("fine") == 400 - outcomes.count(EngineError)


def test_failures_follow_rules_and_may_take_the_engine_down(scripted):
    engine = scripted(
        '[[failures]]\nrole = "agent"\nturn = 2\nerror = "out of order"\ndies = true\n[[replies]]\ntexts = ["fine"]'
    )
    assert outcome(engine, turn=1) == "fine"
    assert outcome(engine, turn=2, role="user") == "fine"
    assert outcome(engine, turn=2) is EngineDiedError
    with pytest.raises(EngineDiedError, match="out of order"):
        say(engine, turn=2)


def test_a_judge_without_log_probabilities_says_so(scripted):
    engine = scripted('logprobs = false\n[[labels]]\ndistribution = { "1" = 1.0 }\n[[replies]]\ntexts = ["1"]')
    assert not engine.capabilities.logprobs
    assert scripted("").capabilities.logprobs
    with pytest.raises(EngineError, match="no log-probabilities"):
        judge(engine, ["1"])
    assert say(engine).text == "1"


def test_calls_give_way_to_others_as_often_as_written(scripted):
    async def order(yields: int) -> list[str]:
        engine, done = scripted(f'yields = {yields}\n[[replies]]\ntexts = ["a"]'), []

        async def ask() -> None:
            await engine.generate([Message("user", "x")], Sampling(1), Call("agent", "s", 0))
            done.append("asked")

        async def other() -> None:
            for n in range(3):
                done.append(f"other {n}")
                await asyncio.sleep(0)

        await asyncio.gather(ask(), other())
        return done

    assert asyncio.run(order(0)) == ["asked", "other 0", "other 1", "other 2"]
    assert asyncio.run(order(2)).index("asked") == 2
