"""Which conversations a run holds: as many as asked for, each with its own key and seed, in the shares asked for."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from fractions import Fraction
from math import ceil

import pytest
from holding import booth, initial
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from influence.environments.world import InitialState, situation
from influence.errors import ConfigError
from influence.rollouts.draws import choose, in_turns, largest_remainder, plan
from influence.seeds import derive

KINDS = ("calm", "hurried", "lost")
CHOICES = st.sampled_from(["sequential", "random", "fixed"])
SEEDS = st.integers(0, 2**63 - 1)


def state(number: int, kind: str = "calm", scenario: str = "platform") -> InitialState:
    return InitialState("booth", scenario, kind, f"opening-{number}", "train", (), {})


def states(count: int) -> list[InitialState]:
    return [state(n) for n in range(count)]


worlds = st.lists(
    st.tuples(st.integers(0, 8), st.sampled_from(KINDS), st.sampled_from(["platform", "ticket"])), min_size=1, unique=True
).map(lambda addresses: [state(*address) for address in addresses])


@given(worlds, st.integers(1, 200), st.integers(1, 9), CHOICES, st.integers(0, 5), SEEDS)
@settings(deadline=None)
def test_a_plan_holds_exactly_as_many_conversations_as_asked_for_each_with_its_key_and_seed(
    world, conversations, samples, choice, iteration, seed
):
    planned = plan(world, conversations, samples, choice, iteration, seed)
    assert len(planned) == conversations
    assert len({p.key for p in planned}) == conversations
    assert len({p.seed for p in planned}) == conversations
    assert planned == plan(world, conversations, samples, choice, iteration, seed)


@given(worlds, st.integers(1, 40), st.integers(1, 4), CHOICES, SEEDS)
@settings(deadline=None)
def test_iterations_and_root_seeds_share_no_conversation_seed(world, conversations, samples, choice, seed):
    assume(seed + 1 < 2**63)
    plans = [plan(world, conversations, samples, choice, n, s) for n in (0, 1) for s in (seed, seed + 1)]
    assert len({p.seed for planned in plans for p in planned}) == 4 * conversations


@given(st.integers(0, 500), st.dictionaries(st.text("abcdef", min_size=1), st.integers(0, 1000), min_size=1, max_size=6))
def test_largest_remainders_sum_to_the_total_and_stay_within_one_of_the_quota(total, weights):
    assume(sum(weights.values()))
    whole = sum(weights.values())
    parts = largest_remainder(total, {name: weight / whole for name, weight in weights.items()})
    assert sum(parts.values()) == total
    for name, weight in weights.items():
        assert abs(parts[name] - Fraction(total * weight, whole)) < 1 + Fraction(1, 10**6)
        assert weight or not parts[name]


def test_equal_shares_are_split_as_equally_as_they_can_be():
    assert largest_remainder(10, {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}) == {"a": 4, "b": 3, "c": 3}
    assert largest_remainder(10, {"calm": 0.29, "hurried": 0.71}) == {"calm": 3, "hurried": 7}
    assert largest_remainder(100, {"calm": 0.29, "hurried": 0.71}) == {"calm": 29, "hurried": 71}


@given(st.integers(1, 60), st.integers(1, 20))
def test_a_sequential_window_moves_on_and_covers_every_state(size, count):
    pool = states(size)
    windows = [choose(pool, count, "sequential", n, 0) for n in range(ceil(size / count))]
    flat = [one for window in windows for one in window]
    assert flat == [pool[n % size] for n in range(len(flat))]
    assert {s.id for s in pool} == {s.id for s in flat}


@given(st.integers(1, 30), st.integers(1, 20), st.integers(1, 8), SEEDS)
def test_random_draws_take_each_state_once_before_any_twice(size, count, iterations, seed):
    drawn = [s.id for n in range(iterations) for s in choose(states(size), count, "random", n, seed)]
    for start in range(0, len(drawn) - size + 1, size):
        assert len(set(drawn[start : start + size])) == size
    assert max(Counter(drawn).values()) <= ceil(len(drawn) / size)


def test_random_draws_differ_between_seeds_and_between_rounds():
    orders = [[s.id for s in choose(states(20), 20, "random", n, seed)] for seed in (1, 2) for n in (0, 1)]
    assert len({tuple(order) for order in orders}) == 4


@given(st.integers(1, 30), st.integers(1, 60), st.integers(0, 9), SEEDS)
def test_fixed_draws_take_the_first_states_every_time(size, count, iteration, seed):
    assert choose(states(size), count, "fixed", iteration, seed) == [states(size)[n % size] for n in range(count)]


@given(worlds)
def test_scenarios_and_kinds_take_turns(world):
    ordered = in_turns(world)
    assert sorted(s.address for s in ordered) == sorted(s.address for s in world)
    groups = Counter((s.scenario, s.kind) for s in world)
    seen: Counter = Counter()
    for one in ordered:
        seen[one.scenario, one.kind] += 1
        behind = [group for group in groups if seen[group] < min(groups[group], seen[one.scenario, one.kind] - 1)]
        assert not behind


def test_a_state_that_is_drawn_again_becomes_a_further_sample():
    planned = plan(states(3), 8, 1, "sequential", 0, 5)
    assert [(p.initial.id[-1], p.sample) for p in planned] == [(str(n % 3), n // 3) for n in range(8)]


def test_k_samples_a_state_stand_together():
    planned = plan(states(5), 12, 4, "sequential", 2, 5)
    assert [p.sample for p in planned] == [0, 1, 2, 3] * 3
    assert [p.initial.id for p in planned[::4]] == ["opening-1", "opening-2", "opening-3"]
    assert planned[0].key == "booth/platform/calm/opening-1/i2/s0"


@given(st.integers(1, 300), st.integers(0, 100))
def test_kinds_of_user_come_in_the_shares_asked_for(conversations, percent):
    pool = [state(n, kind) for n in range(4) for kind in ("calm", "hurried")]
    planned = plan(pool, conversations, 1, "sequential", 0, 0, {"calm": percent / 100, "hurried": 1 - percent / 100})
    counts = Counter(p.initial.kind for p in planned)
    assert counts.total() == conversations
    assert abs(counts["calm"] - conversations * percent / 100) < 1 + 1e-6


def test_a_share_for_a_kind_that_no_state_is_for_is_an_error_with_the_kinds_there_are():
    with pytest.raises(ConfigError, match=r"`hurryed`.*Did you mean `hurried`.*Allowed: calm, hurried"):
        plan([state(1), state(1, "hurried")], 4, 1, "fixed", 0, 0, {"calm": 0.5, "hurryed": 0.5})


def test_every_role_and_turn_of_every_conversation_has_its_own_seed():
    planned = plan(states(7), 40, 2, "random", 0, 3)
    roles = ("agent", "user", "preference", "transition", "influence", "transition draw")
    seeds = [derive(p.seed, role, turn) for p in planned for role in roles for turn in range(1, 6)]
    assert len(set(seeds)) == len(seeds) == 40 * 6 * 5


def test_a_new_variable_leaves_the_draws_of_the_others_as_they_were():
    world = booth()
    more = {"weather": ["rain", "snow"], **world.file.variables, "zeal": ["some", "none"]}
    larger = replace(world, file=world.file.model_copy(update={"variables": more}))
    night_train = initial("booth/platform/calm/night-train")
    drawn = [(situation(world, night_train, s).variables, situation(larger, night_train, s).variables) for s in range(60)]
    assert all(before["traveller"] == after["traveller"] for before, after in drawn)
    assert {before["traveller"] for before, _ in drawn} == {"Ada", "Ben", "Chi"}
    assert {after["weather"] for _, after in drawn} == {"rain", "snow"}
