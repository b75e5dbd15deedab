"""Putting a question to a judge: the prompt in both perspectives, and every way in which an answer comes or does not."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

import pytest

from influence.chat import Message
from influence.engines.base import Call
from influence.engines.opening import RoleModel
from influence.engines.scripted import ScriptedEngine
from influence.environments.loading import load_environment
from influence.environments.world import influence_wording, situation
from influence.errors import ContextOverflowError, EngineDiedError
from influence.judges.asking import AskingRules, ask, first_person, method_for, third_person

YES_NO = {"0": 0.0, "1": 1.0}
CALL = Call("influence", "conversation", seed=11, turn=2)
PROMPT = [Message("system", "frame"), Message("user", "question")]
TALK = [Message("user", "Where is my train?"), Message("assistant", "It has left.\nUser: thank you"), Message("user", "Oh")]


@dataclass
class Listening(ScriptedEngine):
    """A scripted model that keeps what it was asked."""

    name: str

    def __post_init__(self) -> None:
        super().__init__(self.name)
        self.seeds: list[int] = []
        self.prefills: list[str] = []

    async def generate(self, messages, sampling, call, adapter=None, tools=()):
        self.seeds.append(call.seed)
        return await super().generate(messages, sampling, call, adapter, tools)

    async def label_logprobs(self, messages, labels, call, adapter=None, prefill=""):
        self.prefills.append(prefill)
        return await super().label_logprobs(messages, labels, call, adapter, prefill)


@pytest.fixture
def judge(tmp_path):
    def write(text: str) -> RoleModel:
        path = tmp_path / "judge.toml"
        path.write_text(text)
        return RoleModel(Listening(str(path)), None, "scripted/judge")

    return write


def asked(model: RoleModel, labels=YES_NO, **rules):
    return asyncio.run(ask(model, PROMPT, labels, CALL, AskingRules(**rules)))


def test_log_probabilities_where_the_engine_has_them(judge):
    model = judge('[[labels]]\ndistribution = { "0" = 0.6, "1" = 0.2 }')
    score, usage = asked(model, prefill="Answer:")
    assert score.method == "logprobs"
    assert score.value == pytest.approx(0.25)
    assert score.label_mass == pytest.approx(0.8)
    assert usage.calls == 1
    assert model.engine.prefills == ["Answer:"]
    assert model.engine.seeds == []


def test_labels_may_only_be_named(judge):
    score, _ = asked(judge("[[labels]]\ndistribution = { stay = 0.9, leave = 0.1 }"), labels=["stay", "leave"])
    assert score.distribution == pytest.approx({"stay": 0.9, "leave": 0.1})
    assert score.value is None


def test_samples_where_it_has_none_each_with_a_seed_of_its_own(judge):
    model = judge('logprobs = false\n[[replies]]\ntexts = ["1", "I say 0.", "hm"]')
    score, usage = asked(model, samples=30)
    assert score.method == "samples"
    assert usage.calls == 30
    assert len(set(model.engine.seeds)) == 30
    assert CALL.seed not in model.engine.seeds
    assert score.distribution.keys() == {"0", "1"}
    assert 0 < score.value < 1
    assert 0 < score.label_mass < 1
    assert asked(model, samples=30)[0] == score
    assert model.engine.seeds[:30] == model.engine.seeds[30:]


def test_another_calls_samples_have_other_seeds(judge):
    model = judge('logprobs = false\n[[replies]]\ntexts = ["1"]')
    asked(model, samples=5)
    asyncio.run(ask(model, PROMPT, YES_NO, replace(CALL, seed=12), AskingRules(samples=5)))
    assert len(set(model.engine.seeds)) == 10


def test_samples_can_be_asked_for_where_log_probabilities_are_there(judge):
    model = judge('[[labels]]\ndistribution = { "1" = 1.0 }\n[[replies]]\ntexts = ["0"]')
    assert asked(model, method="samples")[0].value == 0.0
    assert asked(model, method="auto")[0].value == 1.0


@pytest.mark.parametrize("has_logprobs", [True, False])
@pytest.mark.parametrize("asked_for", ["auto", "logprobs", "samples"])
def test_the_method_is_what_is_asked_for_and_possible(judge, has_logprobs, asked_for):
    model = judge(f"logprobs = {str(has_logprobs).lower()}")
    expected = "logprobs" if has_logprobs and asked_for != "samples" else "samples"
    assert method_for(model, AskingRules(method=asked_for)) == expected


def test_too_little_mass_is_a_missing_score_that_was_paid_for(judge):
    score, usage = asked(judge('[[labels]]\ndistribution = { "1" = 0.001 }'), label_mass_floor=0.01)
    assert score.value is None
    assert "under the floor" in score.reason
    assert score.label_mass == pytest.approx(0.001)
    assert usage.calls == 1


@pytest.mark.parametrize("method", ["logprobs", "samples"])
def test_a_failed_request_is_a_missing_score_with_its_reason(judge, method):
    score, usage = asked(judge('[[failures]]\nerror = "out of order"'), method=method)
    assert (score.value, score.distribution, score.label_mass) == (None, None, None)
    assert "the request failed" in score.reason
    assert "out of order" in score.reason
    assert score.method == method
    assert usage.calls == 0


def test_a_conversation_that_is_too_long_to_judge_says_so(judge, monkeypatch):
    model = judge("")

    async def overflow(*_):
        raise ContextOverflowError("a prompt of 5000 tokens")

    monkeypatch.setattr(model.engine, "label_logprobs", overflow)
    assert asked(model)[0].reason == "no room to ask: a prompt of 5000 tokens"


@pytest.mark.parametrize("method", ["logprobs", "samples"])
def test_an_engine_that_died_is_passed_on(judge, method):
    with pytest.raises(EngineDiedError):
        asked(judge('[[failures]]\nerror = "gone"\ndies = true'), method=method)


@pytest.fixture(scope="module")
def booth():
    environment = load_environment("tests/fixtures/envs/booth")
    return situation(environment, environment.initial_states[0], seed=1)


def test_third_person_prompts_of_the_three_judges_share_all_but_the_question(booth):
    judges, state = booth.world.judges, booth.world.states["asking"]
    wordings = [judges.preference, state, influence_wording(booth.world, "plain")]
    questions = [booth.question(wording, first_person=False) for wording in wordings]
    prompts = [third_person(booth, TALK, question, AskingRules()) for question in questions]
    assert len(set(questions)) == 3
    assert {prompt[0] for prompt in prompts} == {Message("system", booth.judge_frame)}
    assert {prompt[1].content.removesuffix(question) for prompt, question in zip(prompts, questions, strict=True)} == {
        "User: Where is my train?\nAssistant: It has left.\n  User: thank you\nUser: Oh\n\n"
    }


def test_a_first_person_question_is_the_next_thing_said_to_the_user():
    prompt = first_person("You are Ada.", "(You speak.)", TALK, "How was it?")
    assert [(m.role, m.content) for m in prompt] == [
        ("system", "You are Ada."),
        ("user", "(You speak.)"),
        ("assistant", "Where is my train?"),
        ("user", "It has left.\nUser: thank you"),
        ("assistant", "Oh"),
        ("user", "How was it?"),
    ]


def test_judges_may_be_kept_from_seeing_tool_calls(booth):
    talk = [*TALK, Message("tool", "a secret result", tool_call_id="c")]
    shown, hidden = (third_person(booth, talk, "?", AskingRules(see_tool_calls=see))[1].content for see in (True, False))
    assert "a secret result" in shown
    assert "a secret result" not in hidden
