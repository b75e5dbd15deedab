"""A parameter that a model does not take is found out by one request, whoever else is waiting, and is told in the manifest."""

from __future__ import annotations

import pytest
from asking_hosted import MODELS, asked, catalogue, labels, question, reply, with_parameter

from influence.engines.base import Completion
from influence.errors import NoLogprobsError
from tests.loopback import Behaviour

SAMPLING = {"temperature": 0.7, "top_p": 0.9, "top_k": 40, "min_p": 0.05, "choices": ("1", "2")}
LEFT_OUT = {  # parameters without which a request is still one
    "openai": ("temperature", "top_p", "seed", "response_format"),
    "anthropic": ("temperature", "top_p", "top_k", "output_config"),
    "local": ("temperature", "top_p", "top_k", "min_p", "seed", "response_format"),
}
CASES = [(provider, name) for provider, names in LEFT_OUT.items() for name in names]


@pytest.fixture
def known(tmp_path):
    """A catalogue in which every model takes everything."""
    return catalogue(tmp_path / "own.toml", 'name = "*"\nstructured = true')


@pytest.mark.parametrize(("provider", "name"), CASES)
def test_fifty_at_once_find_out_by_one_refusal(serve, known, provider, name):
    server = serve(Behaviour(rejects=[name], latency=0.01, reply="2"), keep_bodies=True)
    works = [reply(seed, **SAMPLING) for seed in range(50)]
    found = asked(MODELS[provider], *works, catalogue=known)
    assert [result.text for result in found.results] == ["2"] * 50
    assert server.by_fault() == {"unsupported_parameter": 1, None: 50}
    assert len(with_parameter(server, name)) == 1
    assert all(len(with_parameter(server, other)) == 51 for other in LEFT_OUT[provider] if other != name)
    assert list(found.about["not_taken"]) == [name]
    assert name in found.about["not_taken"][name]
    assert found.counts == {"requests": 51, "answers": 50, "faults": {"bad_request": 1}, "given_up": {}}


@pytest.mark.parametrize(
    ("provider", "name", "instead"),
    [("local", "max_tokens", "max_completion_tokens"), ("openai", "max_completion_tokens", "max_tokens")],
)
def test_a_limit_is_said_in_other_words_rather_than_not_at_all(serve, provider, name, instead):
    server = serve(Behaviour(rejects=[name]), keep_bodies=True)
    found = asked(MODELS[provider], *(reply(seed, max_tokens=17) for seed in range(50)))
    assert all(isinstance(result, Completion) for result in found.results)
    assert server.by_fault() == {"unsupported_parameter": 1, None: 50}
    assert [body[name] for body in with_parameter(server, name)] == [17]
    assert [body[instead] for body in with_parameter(server, instead)] == [17] * 50
    assert list(found.about["not_taken"]) == [name]


@pytest.mark.parametrize("provider", LEFT_OUT)
def test_several_are_found_out_one_after_the_other(serve, known, provider):
    refused = LEFT_OUT[provider][:3]
    server = serve(Behaviour(rejects=refused), keep_bodies=True)
    found = asked(MODELS[provider], *(reply(seed, **SAMPLING) for seed in range(50)), catalogue=known)
    assert all(isinstance(result, Completion) for result in found.results)
    assert server.by_fault() == {"unsupported_parameter": 3, None: 50}
    assert sorted(found.about["not_taken"]) == sorted(refused)


@pytest.mark.parametrize("provider", ["openai", "local"])
@pytest.mark.parametrize("refused", [["top_logprobs"], ["logprobs"], ["logprobs", "top_logprobs"]], ids=" and ".join)
def test_log_probabilities_that_are_refused_are_asked_for_once_by_fifty(serve, provider, refused):
    server = serve(Behaviour(rejects=refused, latency=0.01), keep_bodies=True)
    found = asked(MODELS[provider], *(labels(seed) for seed in range(50)))
    assert {type(result) for result in found.results} == {NoLogprobsError}
    assert server.by_fault() == {"unsupported_parameter": 1}
    assert found.about["not_taken"].keys() & {"logprobs", "top_logprobs"}


@pytest.mark.parametrize("provider", ["openai", "local"])
def test_log_probabilities_that_are_left_out_of_the_answer_are_asked_for_once_by_fifty(serve, provider):
    server = serve(Behaviour(latency=0.01), keep_bodies=True)
    found = asked(MODELS[provider], *(labels(seed) for seed in range(50)))
    assert {type(result) for result in found.results} == {NoLogprobsError}
    assert server.by_fault() == {None: 1}
    assert found.about["not_taken"] == {"logprobs": "an answer without them"}


@pytest.mark.parametrize("provider", ["openai", "local"])
@pytest.mark.parametrize("refused", [[], ["logprobs"], ["top_logprobs"]], ids=lambda names: " ".join(names) or "none")
def test_fifty_judges_at_once_fall_back_to_samples(serve, provider, refused):
    serve(Behaviour(rejects=refused, reply="2", latency=0.01))
    works = [question({"1": 1.0, "2": 2.0}, seed, samples=2) for seed in range(50)]
    found = asked(MODELS[provider], *works)
    assert [type(result) for result in found.results if isinstance(result, BaseException)] == []
    assert [(score.method, score.value, score.answers) for score, _ in found.results] == [("samples", 2.0, 2)] * 50
    assert found.counts["given_up"] == {}


def test_what_is_known_from_the_catalogue_is_never_sent(serve, tmp_path):
    own = catalogue(tmp_path / "own.toml", 'name = "*"\ntemperature = false\nseed = false\nstructured = false')
    server = serve(Behaviour(rejects=LEFT_OUT["openai"]), keep_bodies=True)
    found = asked(MODELS["openai"], reply(**SAMPLING), catalogue=own)
    assert server.by_fault() == {None: 1}
    assert found.about["not_taken"] == {}


@pytest.mark.parametrize("provider", LEFT_OUT)
def test_a_parameter_that_is_out_of_range_is_no_parameter_that_is_not_taken(serve, provider):
    server = serve(keep_bodies=True)
    found = asked(MODELS[provider], reply(temperature=3.0), reply(temperature=0.5))
    assert "bad request: 400" in str(found.results[0])
    assert isinstance(found.results[1], Completion)
    assert [body["temperature"] for body in server.bodies] == [3.0, 0.5]
    assert found.about["not_taken"] == {}
