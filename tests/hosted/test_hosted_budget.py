"""What a run may spend, with many requests in flight, because together they must not spend what each of them might alone."""

from __future__ import annotations

import asyncio
import re

import pytest
from hosted_virtual_time import now, simulated
from hypothesis import given, settings
from hypothesis import strategies as st

from influence.engines.hosted.budget import Amount, Budget
from influence.errors import BudgetSpentError, RunStoppedError


def tokens(count: int) -> Amount:
    return Amount(0.0, count)


async def spend(budget: Budget, most: Amount, spent: Amount, seconds: float = 0.0) -> float:
    """One request. Returns when it was sent."""
    await budget.hold(most)
    sent = now()
    await asyncio.sleep(seconds)
    budget.settle(most, spent)
    return sent


def test_amounts_are_added_and_taken_away_part_by_part():
    assert Amount(1.5, 3) + Amount(0.25, 4) == Amount(1.75, 7)
    assert Amount(1.5, 3) - Amount(0.25, 4) == Amount(1.25, -1)
    assert Amount() == Amount(0.0, 0)


def test_without_a_limit_everything_is_sent_at_once_and_counted():
    async def run():
        budget = Budget()
        sent = await asyncio.gather(*(spend(budget, Amount(1e6, 10**9), Amount(2.5, 30), 1.0) for _ in range(20)))
        return sent, budget.spent

    assert simulated(run()) == ([0.0] * 20, Amount(50.0, 600))


def test_what_is_set_aside_counts_until_it_is_known_what_was_spent():
    async def run():
        budget = Budget(max_tokens=100)
        return await asyncio.gather(
            spend(budget, tokens(60), tokens(10), 3.0),
            spend(budget, tokens(60), tokens(10), 1.0),
            spend(budget, tokens(30), tokens(30), 5.0),
        )

    assert simulated(run()) == [0.0, 3.0, 0.0]


@pytest.mark.parametrize("budget", [Budget(max_tokens=100), Budget(max_cost=100.0), Budget(max_cost=100.0, max_tokens=100)])
def test_exactly_the_maximum_may_be_spent_and_nothing_beyond(budget):
    async def run():
        for _ in range(4):
            await spend(budget, Amount(25.0, 25), Amount(25.0, 25))
        with pytest.raises(BudgetSpentError):
            await budget.hold(Amount(1.0, 1))

    simulated(run())
    assert budget.spent == Amount(100.0, 100)


@pytest.mark.parametrize(
    ("limits", "most", "sent"),
    [
        ({"max_cost": 1.0}, Amount(1.0, 10**9), True),
        ({"max_cost": 1.0}, Amount(1.001, 0), False),
        ({"max_tokens": 10}, Amount(1e9, 10), True),
        ({"max_tokens": 10}, Amount(0.0, 11), False),
        ({"max_cost": 1.0, "max_tokens": 10}, Amount(1.0, 10), True),
        ({"max_cost": 1.0, "max_tokens": 10}, Amount(0.5, 11), False),
        ({"max_cost": 1.0, "max_tokens": 10}, Amount(1.5, 5), False),
    ],
)
def test_money_and_tokens_each_have_their_own_limit(limits, most, sent):
    async def run():
        try:
            await Budget(**limits).hold(most)
        except BudgetSpentError:
            return False
        return True

    assert simulated(run()) == sent


def test_what_earlier_attempts_spent_counts():
    async def run():
        budget = Budget(max_tokens=100, spent=Amount(3.0, 90))
        await spend(budget, tokens(10), Amount(0.5, 10))
        with pytest.raises(BudgetSpentError):
            await budget.hold(tokens(1))
        return budget.spent

    assert simulated(run()) == Amount(3.5, 100)


def test_once_a_request_was_refused_no_smaller_one_slips_through():
    async def run():
        budget = Budget(max_tokens=100)
        await spend(budget, tokens(50), tokens(50))
        for most in (51, 50, 1, 0):
            with pytest.raises(BudgetSpentError):
                await budget.hold(tokens(most))
        return budget.spent.tokens

    assert simulated(run()) == 50


def test_more_than_was_set_aside_may_turn_out_and_ends_the_run_then():
    async def run():
        budget = Budget(max_tokens=100)
        await spend(budget, tokens(50), tokens(120))
        with pytest.raises(BudgetSpentError):
            await budget.hold(tokens(1))
        return budget.spent.tokens

    assert simulated(run()) == 120


def test_a_request_that_failed_gives_back_all_that_was_set_aside():
    async def run():
        budget = Budget(max_tokens=100)
        for _ in range(50):
            await spend(budget, tokens(100), Amount())
        return budget.spent

    assert simulated(run()) == Amount()


def test_whoever_waits_goes_on_or_gives_up_when_the_last_one_settles():
    async def run(spent):
        budget = Budget(max_tokens=100)
        first = asyncio.create_task(spend(budget, tokens(100), tokens(spent), 2.0))
        await asyncio.sleep(1)
        others = [asyncio.create_task(spend(budget, tokens(50), tokens(50), 1.0)) for _ in range(3)]
        await first
        return [
            type(r) if isinstance(r, BaseException) else r for r in await asyncio.gather(*others, return_exceptions=True)
        ], now()

    assert simulated(run(0)) == ([2.0, 2.0, BudgetSpentError], 3.0)
    assert simulated(run(50)) == ([2.0, BudgetSpentError, BudgetSpentError], 3.0)
    assert simulated(run(51)) == ([BudgetSpentError] * 3, 2.0)


def test_whoever_is_cancelled_while_waiting_has_set_nothing_aside():
    async def run():
        budget = Budget(max_tokens=100)
        first = asyncio.create_task(spend(budget, tokens(60), tokens(0), 2.0))
        await asyncio.sleep(1)
        waiting = asyncio.create_task(budget.hold(tokens(60)))
        await asyncio.sleep(0)
        waiting.cancel()
        await first
        return await spend(budget, tokens(100), tokens(100))

    assert simulated(run()) == 2.0


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        (Budget(max_cost=1.0), "($0 of $1)"),
        (Budget(max_cost=0.5, spent=Amount(0.49876, 10)), "($0.4988 of $0.5)"),
        (Budget(max_tokens=10), "(0 of 10 tokens)"),
        (Budget(max_cost=0.5, max_tokens=1_000, spent=Amount(1.25, 1_234_567)), "($1.25 of $0.5, 1,234,567 of 1,000 tokens)"),
    ],
)
def test_the_error_says_how_much_of_how_much_and_stops_the_run(budget, words):
    with pytest.raises(
        RunStoppedError,
        match=re.escape(f"the budget for hosted models is spent {words}: what is left does not hold another request."),
    ):
        simulated(budget.hold(Amount(1e9, 10**9)))


# any requests at any time

amounts = st.tuples(st.integers(0, 40), st.integers(0, 40))
requests = st.lists(st.tuples(amounts, st.floats(0, 1), st.integers(0, 5), st.integers(1, 5)), min_size=1, max_size=25)


@settings(max_examples=100)
@given(requests, st.none() | st.integers(1, 120), st.none() | st.integers(1, 120), amounts)
def test_however_many_are_in_flight_no_more_is_spent_than_may_be(requests, max_cost, max_tokens, earlier):
    """Each request uses at most what it set aside. Whole dollars, so that sums are exact."""
    most_spent = (float("inf") if max_cost is None else max_cost, float("inf") if max_tokens is None else max_tokens)
    in_flight: list[Amount] = []
    refused: list[Amount] = []

    def fits(budget, more):
        total = sum(in_flight, budget.spent + more)
        return total.cost <= most_spent[0] and total.tokens <= most_spent[1]

    async def one(budget, most, used, arrival, seconds):
        most = Amount(float(most[0]), most[1])
        await asyncio.sleep(arrival)
        at_once = fits(budget, most)
        arrived = now()
        try:
            await budget.hold(most)
        except BudgetSpentError:
            assert not in_flight  # nothing that could have given any back
            assert refused or not fits(budget, most)
            refused.append(most)
            return "refused"
        assert not refused  # after the first, the run is being stopped
        assert fits(budget, most)
        assert not at_once or now() == arrived  # nobody waits without need
        in_flight.append(most)
        await asyncio.sleep(seconds)
        in_flight.remove(most)
        budget.settle(most, Amount(float(int(most.cost * used)), int(most.tokens * used)))
        return "sent"

    async def run():
        budget = Budget(max_cost, max_tokens, Amount(float(earlier[0]), earlier[1]))
        ends = await asyncio.gather(*(one(budget, *request) for request in requests))
        return budget.spent, ends

    spent, ends = simulated(run())
    assert len(ends) == len(requests)  # nobody was left waiting: the simulation would have failed
    assert spent.cost <= max(most_spent[0], earlier[0])
    assert spent.tokens <= max(most_spent[1], earlier[1])
    if max_cost is None and max_tokens is None:
        assert set(ends) == {"sent"}
