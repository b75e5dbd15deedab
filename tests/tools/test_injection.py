"""Error schedules: the asked rate, never past the cap, persistent where they should be, decided by the seed alone."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from influence.tools.injection import Injector, Schedule, by_rate, in_a_row
from influence.tools.schema import Parameter, ToolError, ToolSpec, Until

LASTING = ToolError(name="closed", description="Closed.")
BRIEF = ToolError(name="busy", description="Busy.", until=Until(attempts=2))
LOCKED = ToolError(name="locked", description="Locked.", until=Until(success="unlock"))


def tool(name: str = "read", errors: tuple[ToolError, ...] = (LASTING,), resource: str | None = "id") -> ToolSpec:
    parameters = [Parameter(name="id", type="string", description="Which one.")]
    return ToolSpec(name=name, description="A tool.", parameters=parameters, errors=list(errors), resource=resource)


def injector(schedule: Schedule, made_up: bool = False) -> Injector:
    return Injector(schedule, lambda spec: spec.errors, seed=5, made_up=made_up)


def struck(schedule: Schedule, calls: int, spec: ToolSpec | None = None) -> list[bool]:
    one = injector(schedule)
    return [one.strike(spec or tool(), {"id": "a"}) is not None for _ in range(calls)]


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.3, 1.0])
def test_ten_thousand_episodes_meet_the_rate_and_never_pass_the_cap(rate):
    episodes, calls, cap = 10_000, 6, 2
    uncapped = sum(sum(struck(by_rate(rate, None, calls, seed), calls)) for seed in range(episodes))
    low, high = binom.interval(0.9999, episodes * calls, rate) if 0 < rate < 1 else (rate * episodes * calls,) * 2
    assert low <= uncapped <= high
    capped = [sum(struck(by_rate(rate, cap, calls, seed), calls)) for seed in range(episodes)]
    assert max(capped) <= cap
    expected = sum(min(cap, k) * binom.pmf(k, calls, rate) for k in range(calls + 1))
    assert sum(capped) / episodes == pytest.approx(expected, abs=0.05)


def test_calls_fail_independently_of_one_another():
    """Of two neighbouring calls both fail in the share that independence gives."""
    plans = [by_rate(0.3, None, 2, seed).onsets for seed in range(10_000)]
    low, high = binom.interval(0.9999, len(plans), 0.09)
    assert low <= sum(onsets == {1, 2} for onsets in plans) <= high


@given(st.integers(0, 2**62), st.floats(0, 1), st.floats(0, 1))
def test_a_schedule_is_a_matter_of_its_seed_and_grows_with_the_rate(seed, one, other):
    low, high = sorted((one, other))
    assert by_rate(low, None, 30, seed) == by_rate(low, None, 30, seed)
    assert by_rate(low, None, 30, seed).onsets <= by_rate(high, None, 30, seed).onsets


def test_rounds_are_calls_one_after_the_other():
    assert struck(in_a_row(2, first=3), 6) == [False, False, True, True, False, False]
    assert struck(in_a_row(0), 3) == [False] * 3


def test_an_error_of_a_call_is_gone_when_it_is_tried_again():
    assert struck(in_a_row(1), 3) == [True, False, False]


def test_an_error_bound_to_a_tool_stays_with_all_its_calls_and_is_one_error():
    one = injector(in_a_row(1, binding="tool"))
    strikes = [one.strike(tool(), {"id": name}) for name in "abca"]
    assert [(s.number, s.repeated) for s in strikes if s is not None] == [(1, False), (1, True), (1, True), (1, True)]
    assert one.strike(tool("other"), {"id": "a"}) is None


def test_an_error_bound_to_a_resource_leaves_others_alone():
    one = injector(in_a_row(1, binding="resource"))
    assert one.strike(tool(), {"id": "a"}) is not None
    assert one.strike(tool(), {"id": "b"}) is None
    again = one.strike(tool(), {"id": "a"})
    assert again is not None
    assert again.repeated
    assert again.error == LASTING


def test_a_tool_without_a_resource_is_bound_as_a_whole():
    one = injector(in_a_row(1, binding="resource"))
    spec = tool(resource=None)
    assert [one.strike(spec, {"id": name}) is not None for name in "ab"] == [True, True]


def test_a_persistent_error_ends_after_its_attempts():
    one, spec, met = injector(in_a_row(1, binding="tool")), tool(errors=(BRIEF,)), []
    for _ in range(5):
        strike = one.strike(spec, {"id": "a"})
        met.append((strike is not None, one.over(spec.name, succeeded=strike is None)))
    assert met == [(True, []), (True, []), (True, [1]), (False, []), (False, [])]


def test_a_persistent_error_ends_when_the_named_tool_has_succeeded():
    one, spec = injector(in_a_row(1, binding="resource")), tool(errors=(LOCKED,))
    assert one.strike(spec, {"id": "a"}) is not None
    assert one.over("unlock", succeeded=False) == []
    assert one.over("other", succeeded=True) == []
    assert one.strike(spec, {"id": "a"}) is not None
    assert one.over("unlock", succeeded=True) == [1]
    assert one.strike(spec, {"id": "a"}) is None


def test_only_calls_that_can_fail_are_counted():
    """A dose of two is two errors, also for an agent that begins with calls that list none."""
    one, safe = injector(in_a_row(2)), tool("safe", errors=())
    assert [one.strike(spec, {"id": "a"}) is not None for spec in (safe, tool(), safe, tool(), tool())] == [
        False,
        True,
        False,
        True,
        False,
    ]


def test_which_error_strikes_follows_the_seed():
    spec = tool(errors=(LASTING, BRIEF, LOCKED))
    names = []
    for seed in range(60):
        strike = Injector(in_a_row(1), lambda tool: tool.errors, seed).strike(spec, {"id": "a"})
        assert strike is not None
        names.append(strike.error)
    assert {error.name for error in names if error} == {"closed", "busy", "locked"}


def test_a_made_up_error_that_goes_on_stays_the_same():
    one = injector(in_a_row(1, binding="tool"), made_up=True)
    spec = tool(errors=())
    first = one.strike(spec, {"id": "a"})
    assert first is not None
    assert first.error is None
    one.made(first, LASTING)
    second = one.strike(spec, {"id": "b"})
    assert second is not None
    assert (second.error, second.repeated) == (LASTING, True)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["read", "write", "unlock"]), st.booleans()), max_size=40))
def test_what_strikes_does_not_hang_on_anything_but_the_calls(calls):
    """Two injectors that see the same calls do the same, whatever else draws random numbers meanwhile."""
    specs = {"read": tool(errors=(LOCKED, BRIEF)), "write": tool("write"), "unlock": tool("unlock", errors=())}
    seen = []
    for _ in range(2):
        one, strikes = injector(by_rate(0.4, 3, 50, 9, "resource")), []
        for about, name, succeeds in calls:
            random.random()
            strikes.append(one.strike(specs[name], {"id": about}))
            one.over(name, succeeded=succeeds and strikes[-1] is None)
        seen.append(strikes)
    assert seen[0] == seen[1]
    assert len({strike.number for strike in seen[0] if strike is not None}) <= 3
