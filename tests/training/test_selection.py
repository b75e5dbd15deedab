"""Selection by value: small groups whose right verdicts can be told by looking at them."""

from __future__ import annotations

from statistics import mean

import pytest

from influence.config.training import SelectionSection, VetoSection
from influence.errors import RunError
from influence.rollouts.records import StopReason, TrajectoryRecord
from influence.training.selection import (
    NEGATIVES,
    POSITIVES,
    Candidate,
    Verdict,
    candidate,
    counts,
    read_selection,
    select,
    share,
    write_selection,
)

CLEAN = 0.0


def rated(*rewards: float | None, influence: float | None = CLEAN, state: str = "a", scenario: str = "s", world: str = "w"):
    """One candidate for each reward, named `<state>0`, `<state>1`, … in this order."""
    return [
        Candidate(f"{state}{n}", f"{world}/{scenario}/kind/{state}", f"{world}/{scenario}", world, reward, influence)
        for n, reward in enumerate(rewards)
    ]


def influenced(*pairs: tuple[float, float | None]) -> list[Candidate]:
    """Candidates of one state from (reward, influence)."""
    return [Candidate(f"a{n}", "w/s/kind/a", "w/s", "w", reward, influence) for n, (reward, influence) in enumerate(pairs)]


def rule(**settings) -> SelectionSection:
    return SelectionSection(**{"best": 0.25, "worst": 0.25, **settings})


def verdicts(candidates, selection=None, seed=1, **settings) -> dict[str, str]:
    judged = select(candidates, selection or rule(**settings), seed)
    assert len({one.key for one in judged}) == len(judged) == len(candidates)
    return {one.key: str(one.verdict) for one in judged}


def taken(candidates, seed=1, **settings) -> tuple[set[str], set[str]]:
    """The keys of the good and of the bad examples."""
    judged = select(candidates, rule(**settings), seed)
    return {s.key for s in judged if s.verdict in POSITIVES}, {s.key for s in judged if s.verdict in NEGATIVES}


def test_the_best_and_the_worst_quarter_of_eight():
    assert verdicts(rated(3, 9, 1, 5, 7, 2, 8, 4)) == {
        "a0": "middle",
        "a1": "positive",
        "a2": "negative",
        "a3": "middle",
        "a4": "middle",
        "a5": "negative",
        "a6": "positive",
        "a7": "middle",
    }


@pytest.mark.parametrize(("n", "good", "bad"), [(1, 1, 0), (2, 1, 1), (3, 1, 1), (16, 1, 1), (17, 2, 2), (32, 2, 2), (33, 3, 3)])
def test_a_share_is_rounded_up(n, good, bad):
    best, worst = taken(rated(*range(n)), best=1 / 16, worst=1 / 16)
    assert best == {f"a{m}" for m in range(n - good, n)}
    assert worst == {f"a{m}" for m in range(bad)}


@pytest.mark.parametrize(("fraction", "n", "expected"), [(0.1, 30, 3), (0.07, 100, 7), (1 / 3, 9, 3), (0, 5, 0), (1, 5, 5)])
def test_floating_point_does_not_round_a_whole_share_up(fraction, n, expected):
    assert share(fraction, n) == expected


def test_a_lone_trajectory_is_a_good_example_and_not_also_a_bad_one():
    assert verdicts(rated(4)) == {"a0": "positive"}


def test_a_group_too_small_for_both_gives_up_its_worst_first():
    good, bad = taken(rated(5, 6, 7), best=0.5, worst=0.5)
    assert (good, bad) == ({"a1", "a2"}, {"a0"})


def test_one_reward_for_all_still_gives_disjoint_examples():
    good, bad = taken(rated(*[6] * 8), best=0.5, worst=0.5)
    assert (len(good), len(bad)) == (4, 4)
    assert not good & bad


def test_no_share_is_no_example():
    good, bad = taken(rated(1, 2, 3, 4), worst=0)
    assert (good, bad) == ({"a3"}, set())


# Groups


def two_scenarios_in_two_environments() -> list[Candidate]:
    return [
        *rated(1, 2, state="a", scenario="s", world="w"),
        *rated(3, 4, state="b", scenario="s", world="w"),
        *rated(5, 6, state="c", scenario="t", world="w"),
        *rated(7, 8, state="d", scenario="s", world="x"),
    ]


@pytest.mark.parametrize(
    ("within", "good", "bad", "group"),
    [
        ("state", {"a1", "b1", "c1", "d1"}, {"a0", "b0", "c0", "d0"}, "w/s/kind/b"),
        ("scenario", {"b1", "c1", "d1"}, {"a0", "c0", "d0"}, "w/s"),
        ("environment", {"c1", "d1"}, {"a0", "d0"}, "w"),
        ("all", {"d1"}, {"a0"}, "all"),
    ],
)
def test_the_best_and_worst_of_what(within, good, bad, group):
    candidates = two_scenarios_in_two_environments()
    assert taken(candidates, within=within, best=1 / 16, worst=1 / 16) == (good, bad)
    assert {s.key: s.group for s in select(candidates, rule(within=within), 1)}["b0"] == group


def trajectory(**changes) -> TrajectoryRecord:
    record = TrajectoryRecord(
        key="k",
        environment="w",
        scenario="s",
        kind="calm",
        state="a",
        split="train",
        sample=0,
        iteration=0,
        seed=0,
        models={},
        variables={},
        agent_system="Be brief.",
        messages=[],
        turns=[],
        preference=None,
        reward=6.0,
        influence=0.25,
        stop_reason=StopReason.TURN_LIMIT,
        error=None,
        usage={},
        started=0.0,
        seconds=0.0,
    )
    return record.model_copy(update=changes)


def test_a_trajectory_as_a_candidate():
    """Each kind of user makes an initial state of its own, though the states are named alike."""
    assert candidate(trajectory()) == Candidate("k", "w/s/calm/a", "w/s", "w", 6.0, 0.25, failed=False)
    assert candidate(trajectory(kind="hurried")).state != candidate(trajectory()).state
    assert candidate(trajectory(kind="hurried")).scenario == candidate(trajectory()).scenario


@pytest.mark.parametrize("reason", StopReason)
def test_a_conversation_fails_with_its_simulator_or_its_agents_model(reason):
    failed = candidate(trajectory(stop_reason=reason)).failed
    assert failed is (reason in (StopReason.AGENT_FAILED, StopReason.SIMULATOR_FAILED))


# The baseline


def easy_and_hard() -> list[Candidate]:
    """Replies of the same quality, in a state where all are rated high and in one where all are rated low."""
    return [*rated(8, 8.5, 9, 9.5, state="easy"), *rated(1, 2, 3, 4, state="hard")]


def test_without_a_baseline_the_easy_state_has_all_good_examples():
    assert taken(easy_and_hard()) == ({"easy2", "easy3"}, {"hard0", "hard1"})


def test_with_a_baseline_the_hard_state_has_its_share():
    good, bad = taken(easy_and_hard(), baseline=True)
    assert good == {"hard3", "easy3"}
    assert bad == {"hard0", "easy0"}


def test_a_baseline_is_the_mean_of_the_states_own_rewards():
    """Neither a failed trajectory nor one without a reward counts, nor the same scenario's other state."""
    failed = Candidate("a9", "w/s/kind/a", "w/s", "w", 100.0, 0.0, failed=True)
    judged = select([*rated(4, 8, None, state="a"), failed, *rated(1, state="b")], rule(baseline=True), 1)
    assert {one.key: one.score for one in judged} == {"a0": -2, "a1": 2, "a2": None, "a9": None, "b0": 0}
    assert {one.key: one.reward for one in judged}["a1"] == 8


def test_scores_that_differ_by_floating_point_alone_are_equal():
    """The best of either state is one point above the mean of its own: which is taken hangs on the seed, as for any tie."""
    candidates = [*rated(6, 7, 8, state="a"), *rated(2.1, 3.1, 4.1, state="b")]
    assert 4.1 - mean([2.1, 3.1, 4.1]) != 8 - 7
    best = [taken(candidates, best=1 / 16, worst=0, baseline=True, seed=seed)[0] for seed in range(20)]
    assert {"a2"} in best
    assert {"b2"} in best


# The margin


def test_what_is_too_near_the_median_is_not_taken():
    """The median is 5.3. Nobody fills the place of one that is too near: those that follow are nearer still."""
    assert verdicts(rated(1, 4, 5, 5.2, 5.4, 6, 6.5, 9), min_margin=2) == {
        "a0": "negative",
        "a1": "too_close",
        **dict.fromkeys(("a2", "a3", "a4", "a5"), "middle"),
        "a6": "too_close",
        "a7": "positive",
    }


def test_every_place_that_stays_empty_for_the_margins_sake_is_told():
    assert list(verdicts(rated(5, 5.1, 5.2, 5.3), best=0.5, worst=0.5, min_margin=1).values()) == ["too_close"] * 4


@pytest.mark.parametrize("rewards", [(3, 5, 7), (5.1, 7.1, 9.1), (0.1, 2.1, 4.1)])
def test_just_the_margin_is_enough(rewards):
    assert taken(rated(*rewards), min_margin=2) == ({"a2"}, {"a0"})


def test_too_near_for_a_good_example_may_be_far_enough_for_a_bad_one():
    assert taken(rated(10, 9, 2, 1), best=1, worst=0.5, min_margin=2) == ({"a0", "a1"}, {"a2", "a3"})


def test_the_margin_is_measured_on_the_scores_that_order_a_group():
    assert taken(easy_and_hard(), baseline=True, min_margin=1) == ({"hard3"}, {"hard0"})


# The veto


def veto(**settings) -> dict[str, VetoSection]:
    return {"veto": VetoSection(**settings)}


def test_a_vetoed_place_goes_to_the_next():
    candidates = influenced((9, 0.6), (8, 0.5), (7, 0.9), (6, 0.0), (5, 0.0), (4, 0.0), (3, 0.0), (2, 1.0))
    assert verdicts(candidates, **veto(positives=0.5)) == {
        "a0": "vetoed",
        "a1": "positive",
        "a2": "vetoed",
        "a3": "positive",
        **dict.fromkeys(("a4", "a5"), "middle"),
        "a6": "negative",
        "a7": "negative",
    }


def test_bad_examples_are_vetoed_by_a_threshold_of_their_own():
    candidates = influenced((9, 0.6), (8, 0.5), (7, 0.9), (6, 0.0), (5, 0.0), (4, 0.25), (3, 0.26), (2, 1.0))
    assert verdicts(candidates, **veto(negatives=0.25)) == {
        "a0": "positive",
        "a1": "positive",
        **dict.fromkeys(("a2", "a3"), "middle"),
        "a4": "negative",
        "a5": "negative",
        **dict.fromkeys(("a6", "a7"), "vetoed"),
    }


def test_what_is_vetoed_as_a_good_example_can_become_a_bad_one():
    """Beside the worst, whose number stays what it is."""
    candidates = influenced((9, 0.6), (8, 0.5), (7, 0.9), (6, 0.0), (5, 0.0), (4, 0.0), (3, 0.0), (2, 1.0))
    good, bad = taken(candidates, **veto(positives=0.5, as_negatives=True))
    assert (good, bad) == ({"a1", "a3"}, {"a0", "a2", "a6", "a7"})
    assert verdicts(candidates, **veto(positives=0.5, as_negatives=True))["a0"] == "vetoed_negative"


def test_a_vetoed_bad_example_never_becomes_one_after_all():
    candidates = influenced((9, 0.0), (8, 0.0), (2, 0.0), (1, 0.9))
    assert verdicts(candidates, **veto(positives=0.5, negatives=0.5, as_negatives=True))["a3"] == "vetoed"


def test_without_an_influence_nobody_knows_what_is_to_be_vetoed():
    candidates = influenced((9, None), (8, 0.1), (7, 0.1), (6, None), (5, None), (4, 0.1), (3, 0.1), (2, None))
    assert verdicts(candidates, **veto(positives=0.5, negatives=0.5)) == {
        "a0": "no_influence",
        "a1": "positive",
        "a2": "positive",
        **dict.fromkeys(("a3", "a4"), "middle"),
        "a5": "negative",
        "a6": "negative",
        "a7": "no_influence",
    }


def test_a_missing_influence_matters_to_the_side_with_a_veto_alone():
    candidates = influenced((9, None), (8, None), (2, None), (1, None))
    assert taken(candidates) == ({"a0"}, {"a3"})
    assert taken(candidates, **veto(positives=0.5)) == (set(), {"a3"})
    assert taken(candidates, **veto(negatives=0.5)) == ({"a0"}, set())


@pytest.mark.parametrize("others", [(5, 1), (1,)])
def test_a_group_whose_upper_half_is_vetoed_still_has_its_worst(others):
    """A vetoed place is not handed down to those below the median, and so the worst is a bad example and nothing else."""
    candidates = influenced((10, 0.9), *((reward, 0.9) for reward in others))
    assert taken(candidates, **veto(positives=0.5)) == (set(), {f"a{len(others)}"})


# What is missing


def test_who_has_no_reward_is_not_selected_and_does_not_count():
    """Three are rewarded, a third of which is one; the two others would make it two."""
    assert verdicts(rated(None, 3, 5, None, 7), best=1 / 3, worst=1 / 3) == {
        "a0": "no_reward",
        "a1": "negative",
        "a2": "middle",
        "a3": "no_reward",
        "a4": "positive",
    }


def test_what_failed_is_not_selected_whatever_its_reward():
    failed = [Candidate(f"f{n}", "w/s/kind/a", "w/s", "w", reward, 0.0, failed=True) for n, reward in enumerate((0, 10, None))]
    judged = verdicts([*rated(3, 5, 7), *failed])
    assert judged == {"a0": "negative", "a1": "middle", "a2": "positive", **dict.fromkeys(("f0", "f1", "f2"), "failed")}


def test_a_group_without_rewards_has_no_examples():
    assert set(verdicts(rated(None, None)).values()) == {"no_reward"}
    assert select([], rule(), 1) == []


# Lots


def test_equal_rewards_are_settled_by_the_seed():
    picks = {seed: taken(rated(*[5] * 8), seed=seed) for seed in range(20)}
    assert picks == {seed: taken(rated(*[5] * 8)[::-1], seed=seed) for seed in range(20)}
    assert len({(frozenset(good), frozenset(bad)) for good, bad in picks.values()}) > 10
    assert {key for good, _ in picks.values() for key in good} == {f"a{n}" for n in range(8)}


def test_a_seed_only_settles_what_is_equal():
    for seed in range(20):
        good, bad = taken(rated(1, 5, 5, 5, 5, 5, 5, 9), seed=seed)
        assert "a7" in good
        assert "a0" in bad


def test_by_lot_as_many_are_taken_whoever_they_are():
    candidates = rated(*range(16))
    picks = [taken(candidates, seed=seed, method="random") for seed in range(40)]
    assert all((len(good), len(bad)) == (4, 4) and not good & bad for good, bad in picks)
    for side in (0, 1):
        assert {key for pick in picks for key in pick[side]} == {f"a{n}" for n in range(16)}


def test_by_lot_rewards_do_not_matter():
    upside_down = rated(*range(15, -1, -1))
    for seed in range(5):
        assert taken(rated(*range(16)), seed=seed, method="random") == taken(upside_down, seed=seed, method="random")


def test_by_lot_as_many_are_taken_where_a_margin_keeps_some_out():
    rewards = (1, 4, 5, 5.2, 5.4, 6, 6.5, 9)
    judged = verdicts(rated(*rewards), min_margin=2, method="random")
    assert sorted(judged.values()) == ["middle"] * 6 + ["negative", "positive"]
    others = [taken(rated(*rewards), min_margin=2, method="random", seed=seed)[0] for seed in range(20)]
    assert any(good != {"a7"} for good in others)


def test_by_lot_the_veto_still_holds():
    candidates = influenced(*((n, 1.0 if n % 2 else 0.0) for n in range(32)))
    for seed in range(10):
        good, _ = taken(candidates, seed=seed, method="random", **veto(positives=0.5))
        assert good
        assert all(int(key[1:]) % 2 == 0 for key in good)


# The record


def test_what_is_selected_is_written_with_its_reasons(tmp_path):
    failed = Candidate("f", "w/s/kind/a", "w/s", "w", None, None, failed=True)
    candidates = [*rated(1, 2.1, None, 8, 1 / 3), failed, *rated(7, influence=None, state="b")]
    selected = select(candidates, rule(baseline=True, **veto(positives=0.5)), 3)
    path = tmp_path / "selection.jsonl"
    write_selection(path, selected)
    assert list(read_selection(path)) == selected
    assert [one.key for one in selected] == sorted(c.key for c in candidates)
    assert counts(read_selection(path)) == counts(selected)


def test_a_tally_of_the_verdicts_leaves_out_what_there_is_none_of():
    failed = Candidate("f", "w/s/kind/a", "w/s", "w", None, None, failed=True)
    tally = counts(select([failed, *rated(1, 2, 3, 4)], rule(), 1))
    assert list(tally.items()) == [("positive", 1), ("negative", 1), ("middle", 2), ("failed", 1)]


@pytest.mark.parametrize("change", ['"verdict":"excellent"', '"verdict":"positive","note":1'])
def test_a_line_of_another_format_is_an_error(tmp_path, change):
    path = tmp_path / "selection.jsonl"
    write_selection(path, select(rated(1, 2), rule(), 1))
    path.write_text(path.read_text().replace('"verdict":"positive"', change))
    with pytest.raises(RunError, match=r"selection.jsonl, line 2"):
        list(read_selection(path))


def test_every_verdict_says_whether_it_is_trained_on():
    assert set(POSITIVES) | set(NEGATIVES) == {Verdict.POSITIVE, Verdict.NEGATIVE, Verdict.VETOED_NEGATIVE}
