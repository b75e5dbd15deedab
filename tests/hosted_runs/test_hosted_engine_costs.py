"""What an answer cost: the provider's own count of tokens at the prices of a catalogue, nothing for what the cache holds."""

from __future__ import annotations

import pytest
from asking_hosted import MODELS, PROVIDERS, asked, catalogue, prompt_tokens, question, reply

from influence.chat import Message
from influence.engines.base import Usage
from influence.engines.hosted.budget import Budget
from tests.loopback import Behaviour, Fault

PRICES = "input = 3.0\noutput = 15.0"
LONG = (Message("user", "word " * 80),)  # 400 characters: 100 tokens to the server
ANSWER = "x" * 80  # 20 tokens
COST = (100 * 3.0 + 20 * 15.0) / 1e6
each_provider = pytest.mark.parametrize("provider", PROVIDERS)


@pytest.fixture
def prices(tmp_path):
    return catalogue(tmp_path / "own.toml", *(f'name = "{MODELS[provider]}"\n{PRICES}' for provider in PROVIDERS))


@each_provider
def test_tokens_at_their_prices(serve, prices, provider):
    serve(Behaviour(reply=ANSWER))
    budget = Budget()
    found = asked(MODELS[provider], reply(messages=LONG), catalogue=prices, budget=budget)
    assert found.one.usage == Usage(1, 100, 0, 20, pytest.approx(COST), 0, 0)
    assert (budget.spent.cost, budget.spent.tokens) == (pytest.approx(COST), 120)
    assert found.about["prices"] == {
        "input": 3.0,
        "output": 15.0,
        "cached_input": 3.0,
        "cache_write": 3.0,
        "date": "2026-11-01",
    }


@each_provider
def test_a_model_without_a_price_is_counted_as_unpriced(serve, provider):
    serve(Behaviour(reply=ANSWER))
    budget = Budget()
    found = asked(MODELS[provider], reply(messages=LONG), reply(1, messages=LONG), budget=budget)
    assert sum((result.usage for result in found.results), Usage()) == Usage(2, 200, 0, 40, 0.0, 0, 2)
    assert (budget.spent.cost, budget.spent.tokens) == (0.0, 240)
    assert found.about["prices"] is None


@each_provider
def test_what_the_cache_holds_costs_nothing_and_is_marked(serve, prices, provider):
    server = serve(Behaviour(reply=ANSWER))
    asked(MODELS[provider], reply(messages=LONG), catalogue=prices, cache=True)
    budget = Budget()
    found = asked(MODELS[provider], reply(messages=LONG), catalogue=prices, cache=True, budget=budget)
    assert found.one.usage == Usage(1, 100, 0, 20, 0.0, 1, 0)
    assert found.one.text == ANSWER
    assert (budget.spent.cost, budget.spent.tokens) == (0.0, 0)
    assert found.counts["requests"] == 0
    assert len(server.record.asked) == 1


@each_provider
def test_a_score_costs_what_its_samples_cost(serve, prices, provider):
    server = serve(Behaviour(reply="7"), keep_bodies=True)
    budget = Budget()
    score, usage = asked(MODELS[provider], question({"7": 7.0}, method="samples", samples=3), catalogue=prices, budget=budget).one
    assert score.value == 7.0
    read = sum(prompt_tokens(body) for body in server.bodies)
    assert (usage.calls, usage.prompt_tokens) == (3, read)
    assert usage.cost == pytest.approx((read * 3 + usage.completion_tokens * 15) / 1e6)
    assert budget.spent.cost == pytest.approx(usage.cost)


@each_provider
def test_requests_that_failed_before_are_no_part_of_the_answers_usage(serve, prices, provider):
    serve(Behaviour(first=[Fault.SERVER_ERROR, Fault.RATE_LIMITED], reply=ANSWER))
    budget = Budget()
    found = asked(MODELS[provider], reply(messages=LONG), catalogue=prices, budget=budget)
    assert found.one.usage == Usage(1, 100, 0, 20, pytest.approx(COST), 0, 0)
    assert budget.spent.cost == pytest.approx(COST)


@each_provider
def test_an_answer_that_could_not_be_read_is_taken_to_have_cost_the_most_it_could(serve, prices, provider):
    """The provider has most likely charged for it, and did not say how much."""
    serve(Behaviour(first=[Fault.TRUNCATED], reply=ANSWER))
    budget = Budget()
    found = asked(MODELS[provider], reply(messages=LONG, max_tokens=1000), catalogue=prices, budget=budget)
    assert found.one.usage.cost == pytest.approx(COST)
    assert budget.spent.cost > COST + 1000 * 15.0 / 1e6


@each_provider
def test_a_count_of_tokens_that_is_missing_is_no_zero(serve, prices, provider, monkeypatch):
    """A server may leave `usage` out: then the cost is unknown, and the budget takes the most that it can have been."""
    from tests.loopback import anthropic_api, openai_api

    serve(Behaviour(reply=ANSWER))
    for api in (openai_api, anthropic_api):
        real = api.to_json
        monkeypatch.setattr(api, "to_json", lambda full, real=real: real({k: v for k, v in full.items() if k != "usage"}))
    budget = Budget()
    found = asked(MODELS[provider], reply(messages=LONG, max_tokens=1000), catalogue=prices, budget=budget)
    assert found.one.usage == Usage(calls=1, unpriced=1)
    assert budget.spent.cost > 1000 * 15.0 / 1e6
