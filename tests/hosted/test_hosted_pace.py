"""The pace of requests and of tokens against a simulated clock, because a provider counts every minute, not the average one."""

from __future__ import annotations

from itertools import cycle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from influence.engines.hosted.limits import Pace
from tests.loopback.record import most_within

MINUTE = 60.0
limits = st.integers(1, 10_000) | st.sampled_from([1, 2, 29, 30, 31, 59, 60, 61, 90, 10_000])


def gone(per_minute: int, gaps: list[float], seconds: float, start: float = 0.0) -> list[float]:
    """When each unit goes, of units that come `gaps` apart, over and over."""
    pace, arrival, now, taken = Pace(per_minute), start, start, []
    for gap in cycle(gaps):
        arrival += gap
        now = pace.ready_at(max(now, arrival))
        if now > start + seconds:
            return taken
        pace.take(now)
        taken.append(now)
    raise AssertionError


@st.composite
def arrivals(draw):
    """A limit, and gaps of which some are far below and some far above the pace that it allows."""
    per_minute = draw(limits)
    even = MINUTE / per_minute
    gap = st.floats(0, 4).map(lambda share: share * even) | st.just(0.0) | st.floats(0, 90)
    gaps = draw(st.lists(gap, min_size=1, max_size=12))
    return per_minute, [*gaps, even / 2]  # so that time goes on


@settings(max_examples=60)
@given(arrivals(), st.sampled_from([0.0, 3e6]))
def test_no_sixty_seconds_hold_more_than_a_minutes_worth(arriving, start):
    per_minute, gaps = arriving
    assert most_within(gone(per_minute, gaps, 150.0, start), MINUTE) <= per_minute


@pytest.mark.parametrize("per_minute", [1, 2, 29, 30, 59, 60, 61, 119, 120, 500, 3_333, 10_000])
def test_a_line_that_never_empties_goes_nearly_at_the_limit(per_minute):
    taken = gone(per_minute, [0.0], 20 * MINUTE)
    assert most_within(taken, MINUTE) <= per_minute
    late = [t for t in taken if t > 10 * MINUTE]
    assert 0.94 * per_minute * 10 - 1 <= len(late) <= per_minute * 10


@given(limits, st.integers(2, 200))
def test_after_a_burst_of_two_seconds_worth_units_go_evenly(per_minute, units):
    pace = Pace(per_minute)
    times = []
    for _ in range(units):
        now = pace.ready_at(times[-1] if times else 5.0)
        pace.take(now)
        times.append(now)
    burst = max(1, per_minute * 2 // 60)
    assert sum(time < 5.0 + 1e-6 for time in times) == min(burst, units)
    gaps = [b - a for a, b in zip(times[burst - 1 :], times[burst:], strict=False)]
    assert gaps == pytest.approx([pace.interval] * len(gaps))
    assert pace.interval * per_minute >= MINUTE


@given(limits, st.floats(0, 1e4), st.floats(0, 1e6))
def test_whoever_was_idle_gains_no_more_than_one_burst(per_minute, used, idle):
    pace = Pace(per_minute)
    pace.take(0.0, used)
    later = pace.ready_at(0.0) + idle + 2 * MINUTE
    at_once = 0
    while pace.ready_at(later) < later + 1e-6:
        pace.take(later)
        at_once += 1
    assert at_once == max(1, per_minute * 2 // 60)


@st.composite
def requests_for_tokens(draw):
    per_minute = draw(st.integers(1_000, 1_000_000))
    sizes = draw(st.lists(st.integers(1, per_minute // 2), min_size=1, max_size=20))
    return per_minute, sizes


@settings(max_examples=60)
@given(requests_for_tokens())
def test_tokens_keep_to_a_minutes_worth_and_at_most_one_request_more(asked):
    per_minute, sizes = asked
    pace, now, taken = Pace(per_minute), 0.0, []
    for size in cycle(sizes):
        now = pace.ready_at(now)
        if now > 5 * MINUTE or len(taken) > 3000:
            break
        pace.take(now, size)
        taken.append((now, size))
    oldest = held = 0
    for newest, (time, size) in enumerate(taken):
        held += size
        while time - taken[oldest][0] >= MINUTE:
            held -= taken[oldest][1]
            oldest += 1
        assert held - taken[newest][1] <= per_minute
    last = taken[-1][0]
    if last > 2 * MINUTE:  # whatever the requests' sizes, the line moves nearly at the limit
        assert sum(size for _, size in taken) / last * MINUTE >= 0.94 * per_minute


@given(st.integers(1, 100_000), st.integers(1, 5_000), st.integers(0, 5_000), st.floats(0, 1e5))
def test_a_correction_makes_it_as_if_the_truth_had_been_known(per_minute, estimated, used, now):
    guessed, knowing = Pace(per_minute), Pace(per_minute)
    guessed.take(now, estimated)
    guessed.correct(used - estimated)
    knowing.take(now, used)
    assert guessed.ready_at(now) == pytest.approx(knowing.ready_at(now))


@given(st.integers(1_000, 100_000), st.lists(st.tuples(st.integers(1, 900), st.integers(0, 900)), min_size=1, max_size=30))
def test_corrections_in_any_order_come_to_the_same(per_minute, requests):
    first, last = Pace(per_minute), Pace(per_minute)
    for estimated, _ in requests:
        first.take(0.0, estimated)
        last.take(0.0, estimated)
    for estimated, used in requests:
        first.correct(used - estimated)
    for estimated, used in reversed(requests):
        last.correct(used - estimated)
    assert first.ready_at(0.0) == pytest.approx(last.ready_at(0.0))
    knowing = Pace(per_minute)
    knowing.take(0.0, sum(used for _, used in requests))
    assert first.ready_at(0.0) == pytest.approx(knowing.ready_at(0.0), abs=1e-6)


def test_by_value():
    pace = Pace(60)  # a burst of 2, then one each 61.2 / 59 seconds
    assert pace.ready_at(10.0) == 10.0
    pace.take(10.0)
    assert pace.ready_at(10.0) == 10.0
    pace.take(10.0)
    assert pace.ready_at(10.0) == pytest.approx(10 + 61.2 / 59)
    pace.correct(-1)
    assert pace.ready_at(10.0) == 10.0
    single = Pace(1)
    single.take(0.0)
    assert single.ready_at(0.0) == pytest.approx(61.2)
