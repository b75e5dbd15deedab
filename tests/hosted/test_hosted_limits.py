"""The line in which all requests to a provider wait, in simulated time: in order, not too many, nobody forgotten."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from hosted_virtual_time import now, simulated
from hypothesis import given, settings
from hypothesis import strategies as st

from influence.engines.hosted.limits import LONGEST_PAUSE, Limits
from tests.loopback.record import most_within

FAULTS_TO_PAUSE = 4  # in a row, from a clean slate: 1 - 0.9 ** 4 > 0.3


def line(at_once=4, requests=None, tokens=None) -> Limits:
    return Limits(at_once, requests, tokens, asyncio.get_running_loop().time)


def crowd(limits: Limits, retry_after: float | None = None, times: int = FAULTS_TO_PAUSE) -> None:
    for _ in range(times):
        limits.too_many(retry_after)


async def pass_through(limits: Limits, seconds: float = 0.0, tokens: float = 0.0) -> float:
    """One request. Returns when it went in."""
    await limits.enter(tokens)
    entered = now()
    await asyncio.sleep(seconds)
    limits.leave()
    return entered


# in order, and not too many

visits = st.lists(st.tuples(st.floats(0, 5), st.floats(0, 3)), min_size=1, max_size=30)


@settings(max_examples=60)
@given(st.integers(1, 5), visits)
def test_requests_go_in_the_order_of_their_coming_each_as_soon_as_a_place_is_free(at_once, visits):
    limits, came, went, most = None, [], [], 0

    async def visit(number, arrival, seconds):
        nonlocal most
        await asyncio.sleep(arrival)
        came.append((number, now(), seconds))
        await limits.enter(0)
        went.append((number, now()))
        most = max(most, limits.running)
        await asyncio.sleep(seconds)
        limits.leave()

    async def day():
        nonlocal limits
        limits = line(at_once)
        await asyncio.gather(*(visit(number, *one) for number, one in enumerate(visits)))
        return limits.running

    assert simulated(day()) == 0
    assert most <= at_once
    assert [number for number, _ in went] == [number for number, _, _ in came]
    free = [0.0] * at_once  # when each place is free again: what a queue with so many counters does
    for (_, entered), (_, arrived, seconds) in zip(went, came, strict=True):
        place = free.index(min(free))
        start = max(arrived, free[place])
        assert entered == pytest.approx(start, abs=1e-6)
        free[place] = start + seconds


@settings(max_examples=40)
@given(st.sampled_from([1, 7, 60, 600]), st.integers(1, 8), visits)
def test_a_pace_is_kept_over_everybody_who_waits(per_minute, at_once, visits):
    async def day():
        limits = line(at_once, requests=per_minute)

        async def visit(arrival, seconds):
            await asyncio.sleep(arrival)
            return await pass_through(limits, seconds)

        return await asyncio.gather(*(visit(*one) for one in visits))

    assert most_within(simulated(day()), 60.0) <= per_minute


def test_requests_wait_for_their_pace_by_value():
    async def day():
        limits = line(at_once=10, requests=60)
        return await asyncio.gather(*(pass_through(limits) for _ in range(5)))

    interval = 61.2 / 59
    assert simulated(day()) == pytest.approx([0, 0, interval, 2 * interval, 3 * interval])


def test_requests_wait_for_their_tokens_by_value():
    async def day():
        limits = line(at_once=10, tokens=600)  # a burst of 20, then one each 61.2 / 581 seconds
        return await asyncio.gather(*(pass_through(limits, tokens=100) for _ in range(3)))

    interval = 61.2 / 581
    assert simulated(day()) == pytest.approx([0, 81 * interval, 181 * interval])


def test_the_slower_of_two_paces_counts():
    async def day(requests, tokens):
        limits = line(at_once=10, requests=requests, tokens=tokens)
        return (await asyncio.gather(*(pass_through(limits, tokens=10) for _ in range(30))))[-1]

    both = simulated(day(600, 6_000))
    assert both == pytest.approx(max(simulated(day(600, None)), simulated(day(None, 6_000))), rel=0.02)
    assert simulated(day(None, None)) == 0


@pytest.mark.parametrize("left_first", [True, False])
def test_tokens_that_were_not_used_are_given_back_to_whoever_waits(left_first):
    async def day(used):
        limits = line(at_once=1, tokens=6_000)
        await limits.enter(3_000)
        waiting = asyncio.create_task(pass_through(limits, tokens=100))
        await asyncio.sleep(1)
        if left_first:  # as requests do: what they used is read after the place is free
            limits.leave()
            limits.content()
            limits.used(used, 3_000)
        else:
            limits.used(used, 3_000)
            limits.leave()
        return await waiting

    assert simulated(day(3_000)) == pytest.approx((3_000 - 199) * 61.2 / 5_801)
    assert simulated(day(100)) == pytest.approx(1)
    assert simulated(day(5_000)) == pytest.approx((5_000 - 199) * 61.2 / 5_801)


def test_without_a_pace_a_correction_means_nothing():
    async def day():
        limits = line()
        limits.used(10, 1_000_000)
        return await pass_through(limits, tokens=1e9)

    assert simulated(day()) == 0


# cancelled


@settings(max_examples=60)
@given(
    st.integers(1, 3),
    st.sampled_from([None, 60]),
    st.lists(st.tuples(st.floats(0, 5), st.floats(0, 3), st.none() | st.floats(0, 8)), min_size=1, max_size=20),
)
def test_whoever_is_cancelled_at_any_time_leaves_the_line_whole(at_once, per_minute, visits):
    """Whatever is cancelled, everybody else has a turn, and in the end every place is free again."""
    most = 0

    async def visit(limits, arrival, seconds):
        nonlocal most
        await asyncio.sleep(arrival)
        await limits.enter(0)
        most = max(most, limits.running)
        try:
            await asyncio.sleep(seconds)
        finally:
            limits.leave()
        return "done"

    async def day():
        limits = line(at_once, requests=per_minute)
        tasks = [asyncio.create_task(visit(limits, arrival, seconds)) for arrival, seconds, _ in visits]
        for task, (_, _, cancelled) in zip(tasks, visits, strict=True):
            if cancelled is not None:
                asyncio.get_running_loop().call_later(cancelled, task.cancel)
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert limits.running == 0
        await asyncio.gather(*(limits.enter(0) for _ in range(at_once)))
        assert limits.running == at_once
        return ended

    ended = simulated(day())
    assert most <= at_once
    for end, (_, _, cancelled) in zip(ended, visits, strict=True):
        assert end == "done" or (cancelled is not None and isinstance(end, asyncio.CancelledError))


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_a_place_given_to_somebody_cancelled_in_the_same_moment_goes_to_the_next(steps):
    async def day():
        limits = line(at_once=1)
        await limits.enter(0)
        second = asyncio.create_task(limits.enter(0))
        third = asyncio.create_task(limits.enter(0))
        await asyncio.sleep(0)
        limits.leave()  # the second is let in, and has not gone yet
        assert limits.running == 1
        for _ in range(steps):
            await asyncio.sleep(0)
        went = second.done()
        second.cancel()
        if went:
            limits.leave()
        await third
        assert second.cancelled() != went
        assert limits.running == 1
        limits.leave()
        return limits.running

    assert simulated(day()) == 0


def test_the_first_in_the_line_may_go_away_while_all_wait_for_the_pace():
    async def day():
        limits = line(at_once=10, requests=1)
        await limits.enter(0)
        second = asyncio.create_task(pass_through(limits))
        third = asyncio.create_task(pass_through(limits))
        await asyncio.sleep(30)
        second.cancel()
        return await third

    assert simulated(day()) == pytest.approx(61.2)


# too many


def test_everybody_waits_for_as_long_as_the_server_asks_when_it_says_too_many_again_and_again():
    async def day():
        limits = line(at_once=8)
        waited = []
        for asked in (7.0, None, 0.25):
            crowd(limits, asked)
            begun = now()
            waited.append([round(t - begun, 6) for t in await asyncio.gather(*(pass_through(limits) for _ in range(3)))])
        return waited, limits.pauses

    assert simulated(day()) == ([[7.0] * 3, [1.0] * 3, [0.25] * 3], 3)


def test_those_who_wait_already_wait_for_it_too_and_those_under_way_go_on():
    async def day():
        limits = line(at_once=1)
        first = asyncio.create_task(pass_through(limits, seconds=2))
        waiting = [asyncio.create_task(pass_through(limits)) for _ in range(2)]
        await asyncio.sleep(1)
        crowd(limits, 10.0)
        entered = [await task for task in (first, *waiting)]
        return entered

    assert simulated(day()) == [0, 11, 11]


def test_a_pause_ends_a_wait_for_the_pace_later_and_not_earlier():
    async def day(pause):
        limits = line(at_once=8, requests=1)
        await pass_through(limits)
        waiting = asyncio.create_task(pass_through(limits))
        await asyncio.sleep(30)
        crowd(limits, pause)
        return await waiting

    assert simulated(day(5.0)) == pytest.approx(61.2)
    assert simulated(day(50.0)) == pytest.approx(80)


def test_no_server_can_ask_for_more_than_a_minute():
    async def day():
        limits = line()
        crowd(limits, 86_400.0)
        return await pass_through(limits)

    assert simulated(day()) == LONGEST_PAUSE == 60


def test_a_few_in_a_row_do_not_stop_anybody():
    async def day():
        limits = line()
        crowd(limits, 30.0, FAULTS_TO_PAUSE - 1)
        return await pass_through(limits), limits.pauses, limits.allowed

    assert simulated(day()) == (0, 0, 4)


@pytest.mark.parametrize(("contents", "pauses"), [(10, False), (4, False), (3, False), (2, True), (1, True), (0, True)])
def test_one_in_four_is_borne_for_ever_and_one_in_three_is_not(contents, pauses):
    async def day():
        limits = line()
        for _ in range(200):
            limits.too_many(1.0)
            for _ in range(contents):
                limits.content()
        return limits.pauses > 0

    assert simulated(day()) == pauses


def test_during_a_pause_more_of_the_same_changes_nothing():
    async def day():
        limits = line(at_once=10)
        crowd(limits, 5.0)
        allowed = limits.allowed
        crowd(limits, 5.0, 50)
        return limits.pauses, allowed, limits.allowed, await pass_through(limits)

    assert simulated(day()) == (1, 7, 7, 5)


def test_whoever_is_asked_to_wait_longer_during_a_pause_waits_longer_and_nobody_shorter():
    async def day(first, then):
        limits = line()
        crowd(limits, first)
        waiting = asyncio.create_task(pass_through(limits))
        await asyncio.sleep(0.5)
        limits.too_many(then)
        return await waiting, await pass_through(limits), limits.pauses

    assert simulated(day(1.0, 30.0)) == (30.5, 30.5, 1)
    assert simulated(day(30.0, 1.0)) == (30, 30, 1)


def test_fewer_go_at_once_after_every_pause_and_never_none():
    async def day():
        limits = line(at_once=10)
        allowed = []
        for _ in range(9):
            crowd(limits, 1.0)
            await asyncio.sleep(1.001)
            allowed.append(limits.allowed)
            assert limits.running == 0
            await asyncio.gather(*(pass_through(limits) for _ in range(20)))
        return allowed

    assert simulated(day()) == [7, 4, 3, 2, 1, 1, 1, 1, 1]


def test_no_more_go_in_than_are_allowed_after_a_pause():
    async def day():
        limits = line(at_once=10)
        crowd(limits, 1.0)
        await asyncio.sleep(2)
        return sorted(await asyncio.gather(*(pass_through(limits, seconds=1) for _ in range(15))))

    assert simulated(day()) == [2] * 7 + [3] * 7 + [4]


def test_answers_bring_the_number_back_and_never_beyond_what_is_configured():
    async def day():
        limits = line(at_once=10)
        crowd(limits, 0.0)
        await asyncio.sleep(0.001)
        crowd(limits, 0.0, 1)
        allowed = [limits.allowed]
        for _ in range(200):
            limits.content()
            allowed.append(limits.allowed)
        return allowed

    allowed = simulated(day())
    assert allowed[0] == 4
    assert all(after in (before, before + 1) for before, after in pairwise(allowed))
    assert allowed.index(10) == pytest.approx((10**2 - 4.9**2) / 2, abs=3)  # one more for each round of answers
    assert set(allowed[allowed.index(10) :]) == {10}


def test_a_place_that_is_won_back_is_taken_at_once():
    async def day():
        limits = line(at_once=2)
        for _ in range(2):
            crowd(limits, 0.0)
            await asyncio.sleep(0.001)
        assert limits.allowed == 1
        await limits.enter(0)
        waiting = [asyncio.create_task(pass_through(limits, seconds=5)) for _ in range(2)]
        await asyncio.sleep(1)
        limits.leave()
        limits.content()
        assert limits.allowed == 2
        return [round(await task, 1) for task in waiting]

    assert simulated(day()) == [1, 1]


def test_content_answers_forgive_what_was_too_many():
    async def day():
        limits = line()
        crowd(limits, 5.0, FAULTS_TO_PAUSE - 1)
        for _ in range(5):
            limits.content()
        crowd(limits, 5.0, 1)
        return limits.pauses

    assert simulated(day()) == 0


@settings(max_examples=60)
@given(st.integers(1, 20), st.lists(st.sampled_from(["content", "too_many", "later"]), max_size=200))
def test_between_one_and_what_is_configured_may_always_go(at_once, events):
    async def day():
        limits = line(at_once)
        for event in events:
            if event == "content":
                limits.content()
            elif event == "too_many":
                limits.too_many(0.5)
            else:
                await asyncio.sleep(0.5)
            assert 1 <= limits.allowed <= at_once
        return await pass_through(limits) - now()

    assert simulated(day()) == 0
