"""How a judge's question becomes a distribution: log-probabilities, samples, one stated answer, and what is left when some fail."""

from __future__ import annotations

import pytest
from asking_hosted import MODELS, PROVIDERS, asked, catalogue, question, with_parameter

from influence.errors import ProviderStoppedError, RunStoppedError
from tests.loopback import Behaviour, Fault

RATINGS = {str(n): float(n) for n in range(1, 11)}
each_provider = pytest.mark.parametrize("provider", PROVIDERS)
openai_like = pytest.mark.parametrize("provider", ["openai", "local"])


# log-probabilities


@openai_like
def test_the_likeliest_tokens_are_the_distribution(serve, provider):
    server = serve(Behaviour(logprobs={"7": 0.5, "3": 0.3, "I": 0.2}), keep_bodies=True)
    score, usage = asked(MODELS[provider], question(RATINGS)).one
    assert score.method == "logprobs"
    assert score.distribution == pytest.approx({"7": 0.625, "3": 0.375})
    assert score.label_mass == pytest.approx(0.8)
    assert score.value == pytest.approx(0.625 * 7 + 0.375 * 3)
    assert (score.reason, score.answers, usage.calls) == (None, None, 1)
    (body,) = server.bodies
    assert (body["logprobs"], body["top_logprobs"]) == (True, 20)
    assert "temperature" not in body


@openai_like
def test_what_is_out_of_sight_is_told_as_bounds(serve, provider):
    serve(Behaviour(logprobs={"7": 0.6, "3": 0.38}))
    score, _ = asked(MODELS[provider], question(RATINGS)).one
    assert score.value == pytest.approx((0.6 * 7 + 0.38 * 3) / 0.98)
    assert score.bounds == pytest.approx((0.6 * 7 + 0.38 * 3 + 0.02 * 1, 0.6 * 7 + 0.38 * 3 + 0.02 * 10))


@openai_like
def test_too_much_out_of_sight_is_a_missing_score(serve, provider):
    serve(Behaviour(logprobs={"7": 0.6, "3": 0.3}))
    score, _ = asked(MODELS[provider], question(RATINGS)).one
    assert score.value is None
    assert score.reason == "labels out of sight may hold 0.1 of what labels hold, over the ceiling of 0.05"
    assert asked(MODELS[provider], question(RATINGS, hidden_ceiling=0.2)).one[0].value == pytest.approx((4.2 + 0.9) / 0.9)


def test_a_one_that_may_go_on_to_ten_counts_where_numbers_are_whole(serve):
    serve(Behaviour(logprobs={"1": 0.5, "7": 0.5}))
    assert asked(MODELS["openai"], question(RATINGS)).one[0].value == pytest.approx(4.0)
    assert "out of sight" in asked(MODELS["local"], question(RATINGS)).one[0].reason


@openai_like
def test_a_refusal_to_say_log_probabilities_is_a_missing_score(serve, provider):
    serve(Behaviour(first=[Fault.CONTENT_FILTER], logprobs={"7": 1.0}))
    found = asked(MODELS[provider], question(RATINGS))
    score, _ = found.one
    assert (score.value, score.method) == (None, "logprobs")
    assert score.reason == f"the request failed: {MODELS[provider]}: the provider refused to answer."
    assert found.about["not_taken"] == {}


@openai_like
@pytest.mark.parametrize("refused", [[], ["logprobs"], ["top_logprobs"]], ids=lambda names: " ".join(names) or "none")
def test_without_log_probabilities_auto_draws_samples_and_logprobs_stops_the_run(serve, provider, refused):
    server = serve(Behaviour(rejects=refused, reply="7"), keep_bodies=True)
    score, usage = asked(MODELS[provider], question(RATINGS)).one
    assert (score.method, score.value, score.answers, score.label_mass) == ("samples", 7.0, 5, 1.0)
    assert usage.calls == 5
    assert len(server.bodies) == 6
    stopped = asked(MODELS[provider], question(RATINGS, method="logprobs")).one
    assert isinstance(stopped, RunStoppedError)
    assert not isinstance(stopped, ProviderStoppedError)
    assert str(stopped) == (
        f'{MODELS[provider]} tells no log-probabilities. Set judges.method to "samples" or "stated", or leave it "auto".'
    )


# samples


@openai_like
def test_samples_are_drawn_with_seeds_of_their_own(serve, provider):
    server = serve(Behaviour(reply="7"), keep_bodies=True)
    score, usage = asked(MODELS[provider], question(RATINGS, method="samples", samples=8)).one
    assert (score.value, score.answers, usage.calls) == (7.0, 8, 8)
    assert len({body["seed"] for body in server.bodies}) == 8
    again = asked(MODELS[provider], question(RATINGS, method="samples", samples=9))
    assert again.one[0].value == 7.0
    seeds = [body["seed"] for body in server.bodies]
    assert set(seeds[:8]) < set(seeds[8:])  # more samples keep those there were
    asked(MODELS[provider], question(RATINGS, seed=1, method="samples", samples=8))
    assert set(seeds).isdisjoint(body["seed"] for body in server.bodies[17:])


def test_samples_without_a_seed_are_still_different_answers_to_the_cache(serve):
    """Anthropic's API takes no seed: five requests are one text, and five answers."""
    server = serve(Behaviour(reply="7"))
    work = question(RATINGS, method="samples")
    assert asked(MODELS["anthropic"], work, cache=True).one[1].from_cache == 0
    assert len(server.record.asked) == 5
    assert len({seen.body_digest for seen in server.record.asked}) == 1
    score, usage = asked(MODELS["anthropic"], work, cache=True).one
    assert (score.value, usage.calls, usage.from_cache) == (7.0, 5, 5)
    asked(MODELS["anthropic"], question(RATINGS, method="samples", samples=7), cache=True)
    assert len(server.record.asked) == 7


@each_provider
def test_samples_are_kept_to_the_labels_by_a_schema(serve, tmp_path, provider):
    own = catalogue(tmp_path / "own.toml", 'name = "*"\nstructured = true')
    server = serve(Behaviour(reply="7"), keep_bodies=True)
    score, _ = asked(MODELS[provider], question(RATINGS, method="samples"), catalogue=own).one
    assert (score.value, score.method, score.label_mass) == (7.0, "samples", 1.0)
    for body in server.bodies:
        if provider == "anthropic":
            schema = body["output_config"]["format"]["schema"]
            assert "seed" not in body
        else:
            schema = body["response_format"]["json_schema"]["schema"]
        assert schema["properties"]["answer"]["enum"] == list(RATINGS)
        assert body.get("temperature", 1.0) == 1.0  # which is every API's own


@each_provider
def test_samples_without_a_schema_are_read_for_the_label_they_name(serve, tmp_path, provider):
    own = catalogue(tmp_path / "own.toml", 'name = "*"\nstructured = false')
    server = serve(Behaviour(reply="I would say 7, really."), keep_bodies=True)
    score, _ = asked(MODELS[provider], question(RATINGS, method="samples"), catalogue=own).one
    assert (score.value, score.label_mass) == (7.0, 1.0)
    assert with_parameter(server, "response_format") == with_parameter(server, "output_config") == []


def test_samples_are_counted(serve):
    """The server draws by seed: what it drew is what the distribution says."""
    server = serve(keep_bodies=True)
    names = ["stay", "leave", "board"]
    found = asked(MODELS["openai"], question(names, method="samples", samples=40))
    score, _ = found.one
    assert score.value is None
    assert sum(score.distribution.values()) == pytest.approx(1.0)
    assert all(0 < share < 1 and (share * 40) == pytest.approx(round(share * 40)) for share in score.distribution.values())
    assert len(server.bodies) == 40
    assert score.distribution == asked(MODELS["openai"], question(names, method="samples", samples=40)).one[0].distribution


@each_provider
def test_one_stated_answer_is_taken_at_its_word(serve, provider):
    server = serve(Behaviour(reply="7"), keep_bodies=True)
    score, usage = asked(MODELS[provider], question(RATINGS, method="stated")).one
    assert (score.method, score.value, score.distribution) == ("stated", 7.0, {"7": 1.0})
    assert (score.label_mass, score.answers, usage.calls) == (None, 1, 1)
    (body,) = server.bodies
    assert body["temperature"] == 0


# when some fail


@each_provider
@pytest.mark.parametrize("fault", [Fault.SERVER_ERROR, Fault.CONTENT_FILTER, Fault.CONTEXT_TOO_LONG, Fault.TRUNCATED])
def test_a_sample_that_fails_keeps_the_others(serve, provider, fault):
    serve(Behaviour(first=[None, fault], reply="7"))
    score, _ = asked(MODELS[provider], question(RATINGS, method="samples"), attempts=1).one
    assert (score.value, score.distribution["7"], score.label_mass, score.answers) == (7.0, 1.0, 1.0, 4)


@each_provider
def test_a_sample_that_names_nothing_lowers_the_label_mass(serve, provider):
    serve(Behaviour(first=[None, Fault.NO_LABEL], reply="7"))
    score, _ = asked(MODELS[provider], question(RATINGS, method="samples")).one
    assert (score.value, score.label_mass, score.answers) == (7.0, 0.8, 5)


@each_provider
@pytest.mark.parametrize("method", ["samples", "stated"])
def test_a_judge_that_refuses_is_a_missing_score(serve, provider, method):
    serve(Behaviour(faults={Fault.CONTENT_FILTER: 1.0}))
    score, usage = asked(MODELS[provider], question(RATINGS, method=method)).one
    assert (score.value, score.method, score.reason) == (None, method, "the provider refused")
    assert usage.calls == {"samples": 5, "stated": 1}[method]


@each_provider
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault.SERVER_ERROR, "the request failed: {model}: server error: 500"),
        (Fault.CONTEXT_TOO_LONG, "no room to ask: {model}: 400"),
    ],
)
def test_samples_that_all_fail_are_a_missing_score_with_the_reason(serve, provider, fault, reason):
    serve(Behaviour(faults={fault: 1.0}))
    score, usage = asked(MODELS[provider], question(RATINGS, method="samples"), attempts=2).one
    assert score.value is None
    assert score.reason.startswith(reason.format(model=MODELS[provider]))
    assert usage.calls == 0


@each_provider
def test_a_provider_that_stops_in_the_middle_of_the_samples_is_no_missing_score(serve, provider):
    serve(Behaviour(first=[None, None, Fault.NO_CREDIT], reply="7"))
    found = asked(MODELS[provider], question(RATINGS, method="samples"))
    assert isinstance(found.one, ProviderStoppedError)
