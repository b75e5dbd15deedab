"""Selection by property: what holds for any trajectories and any rule."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from math import ceil
from statistics import median

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from influence.config.training import SelectionSection, VetoSection
from influence.training.selection import (
    NEGATIVES,
    POSITIVES,
    Candidate,
    Selected,
    Verdict,
    counts,
    group_of,
    read_selection,
    select,
    write_selection,
)

unhurried = settings(suppress_health_check=[HealthCheck.too_slow])  # other work on this machine is not a failure
UNKEPT = 1e-8  # scores are told apart down to here
REWARDS = st.integers(1, 10) | st.sampled_from([22 / 3, 7.5]) | st.floats(1, 10)
LEVELS = st.sampled_from([0.0, 0.25, 0.5, 1.0])
SEEDS = st.integers(0, 2**63 - 1)
SIXTEENTHS = st.integers(0, 16)


@st.composite
def some_candidates(draw: st.DrawFn, missing: bool = True) -> list[Candidate]:
    made = []
    for number in range(draw(st.integers(1, 30))):
        world, scenario, state = (draw(st.sampled_from("ab")) for _ in range(3))
        reward = draw(st.none() | REWARDS if missing else REWARDS)
        influence = draw(st.none() | LEVELS if missing else LEVELS)
        failed = missing and draw(st.integers(0, 9)) == 0
        place = f"{world}/{scenario}/calm/{state}"
        made.append(Candidate(f"{place}/{number}", place, f"{world}/{scenario}", world, reward, influence, failed))
    return made


@st.composite
def some_rule(draw: st.DrawFn, **fixed) -> SelectionSection:
    vetoes = VetoSection(positives=draw(st.none() | LEVELS), negatives=draw(st.none() | LEVELS), as_negatives=draw(st.booleans()))
    free = {
        "method": draw(st.sampled_from(["reward", "random"])),
        "best": draw(SIXTEENTHS) / 16,
        "worst": draw(SIXTEENTHS) / 16,
        "within": draw(st.sampled_from(["state", "scenario", "environment", "all"])),
        "baseline": draw(st.booleans()),
        "min_margin": draw(st.sampled_from([0.0, 0.0, 0.5, 2.0])),
        "veto": vetoes,
    }
    return SelectionSection(**(free | fixed))


def grouped(selected: list[Selected]) -> dict[str, list[Selected]]:
    """The members of each group that were judged by their scores."""
    groups = defaultdict(list)
    for one in selected:
        if one.score is not None:
            groups[one.group].append(one)
    return groups


def number(members: list[Selected], *verdicts: Verdict) -> int:
    return sum(one.verdict in verdicts for one in members)


def ceil_of(fraction: float, n: int) -> int:
    return ceil(Fraction(fraction) * n)  # sixteenths are exact


@unhurried
@given(some_candidates(), some_rule(), SEEDS)
def test_every_candidate_has_one_verdict(candidates, rule, seed):
    selected = select(candidates, rule, seed)
    assert [one.key for one in selected] == sorted(c.key for c in candidates)
    known = {c.key: c for c in candidates}
    for one in selected:
        told = known[one.key]
        assert (one.reward, one.influence, one.group) == (told.reward, told.influence, group_of(told, rule.within))
        assert (one.verdict is Verdict.FAILED) == told.failed
        assert (one.verdict is Verdict.NO_REWARD) == (told.reward is None and not told.failed)
        assert (one.score is None) == (one.verdict in (Verdict.FAILED, Verdict.NO_REWARD))
    assert sum(counts(selected).values()) == len(candidates)
    assert not set(POSITIVES) & set(NEGATIVES)


@unhurried
@given(some_candidates(), some_rule(), SEEDS, st.randoms())
def test_the_order_of_the_input_does_not_show(candidates, rule, seed, random):
    shuffled = random.sample(candidates, len(candidates))
    assert select(shuffled, rule, seed) == select(candidates, rule, seed)


@unhurried
@given(some_candidates(), some_rule(), SEEDS)
def test_groups_do_not_see_each_other(candidates, rule, seed):
    """Each group on its own is judged as it is among the others, the states' baselines permitting: no group cuts a state."""
    whole = {one.key: one for one in select(candidates, rule, seed)}
    for group in {group_of(c, rule.within) for c in candidates}:
        for one in select([c for c in candidates if group_of(c, rule.within) == group], rule, seed):
            assert one == whole[one.key]


@unhurried
@given(some_candidates(), some_rule(), SEEDS)
def test_never_more_than_the_share(candidates, rule, seed):
    for members in grouped(select(candidates, rule, seed)).values():
        assert number(members, Verdict.POSITIVE) <= ceil_of(rule.best, len(members))
        assert number(members, Verdict.NEGATIVE) <= ceil_of(rule.worst, len(members))


@pytest.mark.parametrize("method", ["reward", "random"])
@unhurried
@given(st.data(), some_candidates(missing=False), SEEDS)
def test_without_veto_and_margin_up_to_half_of_a_group_is_just_the_share(method, data, candidates, seed):
    """And a group too small for both gives up its worst."""
    best, worst = (data.draw(st.integers(0, 8)) / 16 for _ in range(2))
    rule = data.draw(some_rule(method=method, best=best, worst=worst, min_margin=0.0, veto=VetoSection()))
    for members in grouped(select(candidates, rule, seed)).values():
        n = len(members)
        assert number(members, Verdict.POSITIVE) == ceil_of(best, n)
        assert number(members, Verdict.NEGATIVE) == min(ceil_of(worst, n), n - ceil_of(best, n))


@unhurried
@given(some_candidates(), some_rule(method="reward"), SEEDS)
def test_nobody_better_is_passed_over(candidates, rule, seed):
    kept_out = {Verdict.VETOED, Verdict.VETOED_NEGATIVE, Verdict.NO_INFLUENCE}
    for members in grouped(select(candidates, rule, seed)).values():
        good = [one.score for one in members if one.verdict is Verdict.POSITIVE]
        bad = [one.score for one in members if one.verdict is Verdict.NEGATIVE]
        others = [one.score for one in members if one.verdict not in kept_out]
        passed_over = [one.score for one in members if one.verdict in (Verdict.MIDDLE, Verdict.TOO_CLOSE)]
        if good:
            assert all(score <= min(good) for score in passed_over)
            assert max(good) == max(others)
        if bad:
            assert all(score >= max(bad) for score in passed_over)
            assert min(bad) == min(others)
        assert not good or not bad or min(good) >= max(bad)


@unhurried
@given(some_candidates(), some_rule(method="reward"), SEEDS)
def test_examples_keep_the_margin_from_their_groups_median(candidates, rule, seed):
    for members in grouped(select(candidates, rule, seed)).values():
        middle = median(one.score for one in members)
        for one in members:
            if one.verdict in (Verdict.POSITIVE, Verdict.VETOED_NEGATIVE):
                assert one.score - middle >= rule.min_margin - UNKEPT
            if one.verdict is Verdict.NEGATIVE:
                assert middle - one.score >= rule.min_margin - UNKEPT


@unhurried
@given(some_candidates(), some_rule(method="reward"), SEEDS)
def test_a_place_stays_empty_only_where_nobody_may_have_it(candidates, rule, seed):
    """Places that are left over mean: everybody far enough from the median is selected or kept out by the veto."""
    for members in grouped(select(candidates, rule, seed)).values():
        middle = median(one.score for one in members)
        idle = [one for one in members if one.verdict in (Verdict.MIDDLE, Verdict.TOO_CLOSE)]
        if number(members, Verdict.POSITIVE) < ceil_of(rule.best, len(members)):
            assert all(round(one.score - middle, 9) < rule.min_margin or one.score < middle for one in idle)
        if number(members, Verdict.NEGATIVE) < ceil_of(rule.worst, len(members)):
            assert all(round(middle - one.score, 9) < rule.min_margin or one.score > middle for one in idle)


@unhurried
@given(some_candidates(), some_rule(), SEEDS)
def test_no_example_is_over_its_threshold_or_of_unknown_influence(candidates, rule, seed):
    veto = rule.veto
    for one in select(candidates, rule, seed):
        if one.verdict is Verdict.POSITIVE and veto.positives is not None:
            assert one.influence is not None
            assert one.influence <= veto.positives
        if one.verdict is Verdict.NEGATIVE and veto.negatives is not None:
            assert one.influence is not None
            assert one.influence <= veto.negatives
        if one.verdict is Verdict.VETOED_NEGATIVE:
            assert veto.as_negatives
            assert one.influence > veto.positives
        if one.verdict is Verdict.VETOED:
            thresholds = [t for t in (None if veto.as_negatives else veto.positives, veto.negatives) if t is not None]
            assert thresholds
            assert one.influence > min(thresholds)
        if one.verdict is Verdict.NO_INFLUENCE:
            assert one.influence is None
            assert (veto.positives, veto.negatives) != (None, None)


@unhurried
@given(some_candidates(), some_rule(veto=VetoSection()), SEEDS)
def test_influence_means_nothing_without_a_veto(candidates, rule, seed):
    unknown = [Candidate(c.key, c.state, c.scenario, c.environment, c.reward, None, c.failed) for c in candidates]
    told, untold = (select(some, rule, seed) for some in (candidates, unknown))
    assert [one.verdict for one in told] == [one.verdict for one in untold]


@unhurried
@given(st.data(), some_candidates(), SEEDS)
def test_by_lot_without_a_veto_as_many_are_taken_as_by_reward(data, candidates, seed):
    rule = data.draw(some_rule(veto=VetoSection()))
    by_reward, by_lot = (
        grouped(select(candidates, rule.model_copy(update={"method": method}), seed)) for method in ("reward", "random")
    )
    for group, members in by_reward.items():
        for verdict in (Verdict.POSITIVE, Verdict.NEGATIVE):
            assert number(by_lot[group], verdict) == number(members, verdict)


@unhurried
@given(st.data(), some_candidates(missing=False), SEEDS, st.randoms())
def test_by_lot_it_does_not_matter_who_has_which_reward(data, candidates, seed, random):
    """The group's rewards may say how many are taken (a margin), but not who."""
    rule = data.draw(some_rule(method="random", within="all", baseline=False))
    dealt = random.sample([c.reward for c in candidates], len(candidates))
    others = [
        Candidate(c.key, c.state, c.scenario, c.environment, reward, c.influence)
        for c, reward in zip(candidates, dealt, strict=True)
    ]
    assert [one.verdict for one in select(candidates, rule, seed)] == [one.verdict for one in select(others, rule, seed)]


@unhurried
@given(st.data(), some_candidates(missing=False), SEEDS, st.integers(1, 5))
def test_a_baseline_makes_up_for_a_states_difficulty(data, candidates, seed, harder):
    """Rewards in whole points are exact, and so is a state in which all of them are lower."""
    rule = data.draw(some_rule(baseline=True))
    whole = [Candidate(c.key, c.state, c.scenario, c.environment, round(c.reward), c.influence) for c in candidates]
    lower = [
        Candidate(c.key, c.state, c.scenario, c.environment, c.reward - harder * c.state.endswith("b"), c.influence)
        for c in whole
    ]
    assert [one.verdict for one in select(whole, rule, seed)] == [one.verdict for one in select(lower, rule, seed)]


@unhurried
@given(some_candidates(), some_rule(), SEEDS)
def test_what_is_written_is_read_again(tmp_path_factory, candidates, rule, seed):
    path = tmp_path_factory.mktemp("selection") / "selection.jsonl"
    selected = select(candidates, rule, seed)
    write_selection(path, selected)
    assert list(read_selection(path)) == selected
