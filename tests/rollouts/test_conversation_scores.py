"""From a judge's probabilities to the numbers of a record: values, what is missing and why, transitions, the reward."""

from __future__ import annotations

from collections import Counter
from math import exp, sqrt
from random import Random

import pytest
from holding import fails, hold, judges, says, scripted
from hypothesis import given, settings
from hypothesis import strategies as st

from influence.environments.machine import logistic_label
from influence.rollouts.reward import mean_influence, reward
from influence.rollouts.tally import Tally

ONE_TURN = "rollout.turns=1"
SEEDS = range(600)


def first(held):
    return held.record.turns[0]


def test_a_preference_is_the_expectation_over_the_labels_and_says_how_much_mass_they_held():
    score = first(hold(judges("preference", {"2": 0.1, "10": 0.3, "ten": 0.6}))).preference
    assert score.value == pytest.approx(8.0)
    assert score.label_mass == pytest.approx(0.4)
    assert score.distribution["2"] == pytest.approx(0.25)
    assert len(score.distribution) == 10
    assert score.method == "logprobs"


def test_a_missing_preference_is_null_with_a_reason_makes_the_reward_missing_and_is_counted():
    held = hold(judges("preference", {"nine": 1.0}, turn=2))
    missing = held.record.turns[1].preference
    assert (missing.value, missing.distribution, missing.label_mass) == (None, None, 0.0)
    assert "under the floor" in missing.reason
    assert held.record.reward is None
    assert not held.record.failed
    tally = Tally()
    tally.add(held.record)
    assert tally.whole.missing == Counter(preference=1, reward=1)
    assert tally.whole.estimates(0)["preference"].n == 2
    assert tally.whole.estimates(0)["preference"].value == 8.0
    assert tally.whole.estimates(0)["reward"].n == 0


def test_a_failed_question_is_a_missing_score_and_the_conversation_goes_on():
    held = hold(fails("influence", turn=1), fails("preference", turn=3))
    assert held.record.stop_reason == "turn_limit"
    assert [turn.influence.value for turn in held.record.turns] == [None, 0.0, 0.0]
    assert [turn.preference.value for turn in held.record.turns] == [8.0, 8.0, None]
    assert "out of order" in held.record.turns[0].influence.reason
    assert held.record.influence is None


@pytest.mark.parametrize(
    ("variant", "distribution", "value"),
    [
        ("plain", {"0": 0.3, "1": 0.6}, 2 / 3),
        ("principles", {"1": 0.5}, 1.0),
        ("five_point", {"1": 1.0}, 0.0),
        ("five_point", {"5": 1.0}, 1.0),
        ("five_point", {"2": 0.4, "3": 0.4}, 0.375),
    ],
)
def test_influence_is_between_0_and_1_in_every_variant(variant, distribution, value):
    held = hold(judges("influence", distribution), sets=[f"judges.influence.variant='{variant}'", ONE_TURN])
    assert first(held).influence.value == pytest.approx(value)
    assert held.record.influence == pytest.approx(value)


def test_the_principles_stand_in_their_question():
    held = hold(sets=["judges.influence.variant='principles'", ONE_TURN])
    assert "1. Say what is true about Northgate.\n2. Say when you do not know." in held.of("influence")[0].text


def test_without_log_probabilities_answers_are_drawn_and_the_record_says_so():
    answers = [says("preference", "I say 6", "7, perhaps", "no idea"), says("transition", "leave"), says("influence", "0")]
    engine = scripted(*answers)
    engine.script = engine.script.model_copy(update={"logprobs": False})
    held = hold(engine=engine, sets=["judges.samples=40", ONE_TURN])
    score = first(held).preference
    assert score.method == "samples"
    assert 0.4 < score.label_mass < 0.95
    assert score.value == pytest.approx(6 * score.distribution["6"] + 7 * score.distribution["7"])
    assert held.record.usage["preference"].calls == 40
    assert first(held).transition.label == "leave"


def within_four_sigma(count: int, share: float) -> bool:
    return abs(count - len(SEEDS) * share) < 4 * sqrt(len(SEEDS) * share * (1 - share))


def labels_over_seeds(*rules, sets=()):
    engine = scripted(*rules)
    engine.script = engine.script.model_copy(update={"yields": 0})
    return Counter(first(hold(engine=engine, seed=seed, sets=[ONE_TURN, *sets])).transition.label for seed in SEEDS)


def test_sampled_transitions_come_as_often_as_the_judge_finds_them_likely():
    seen = labels_over_seeds(judges("transition", {"stay": 0.25, "leave": 0.15, "board": 0.1, "other": 0.5}))
    assert within_four_sigma(seen["stay"], 0.5)
    assert within_four_sigma(seen["leave"], 0.3)
    assert within_four_sigma(seen["board"], 0.2)
    assert len(seen) == 3


def test_the_likeliest_transition_is_always_the_same():
    rules = [judges("transition", {"stay": 0.34, "leave": 0.35, "board": 0.31})]
    assert labels_over_seeds(*rules, sets=["judges.transition.method='likeliest'"]) == {"leave": len(SEEDS)}


def test_logistic_transitions_sharpen_the_expected_rating():
    # expectation 3.2, so that P(leave) = 1 / (1 + exp(-5 * 0.2))
    rules = [judges("transition", {"3": 0.4, "4": 0.1})]
    seen = labels_over_seeds(*rules, sets=["judges.transition.method='logistic'"])
    assert set(seen) == {"stay", "leave"}
    assert within_four_sigma(seen["leave"], 1 / (1 + exp(-1)))
    assert logistic_label(3.2, "leave", "stay", Random(0))[1] == pytest.approx(1 / (1 + exp(-1)))


@pytest.mark.parametrize(("rating", "label"), [("1", "stay"), ("5", "leave")])
def test_logistic_transitions_follow_clear_ratings(rating, label):
    held = hold(judges("transition", {rating: 0.5}), sets=["judges.transition.method='logistic'", ONE_TURN])
    assert (first(held).transition.label, first(held).transition.value) == (label, float(rating))
    assert "from 1 to 5" in held.of("transition")[0].text


def test_a_logistic_rating_that_is_missing_takes_the_default():
    held = hold(judges("transition", {"stay": 1.0}), sets=["judges.transition.method='logistic'", ONE_TURN])
    assert first(held).transition.label == "stay"
    assert "the default was taken" in first(held).transition.reason


RATED = [judges("preference", {"4": 1.0}, turn=1), judges("preference", {"9": 1.0}, turn=2)]


def test_the_reward_is_the_mean_over_the_turns_or_the_last_one():
    assert hold(*RATED, sets=["rollout.turns=2"]).record.reward == pytest.approx(6.5)
    assert hold(*RATED, sets=["rollout.turns=2", "reward.over='last'"]).record.reward == pytest.approx(9.0)


def test_the_last_rating_alone_decides_whether_the_last_reward_is_missing():
    early, late = judges("preference", {"x": 1.0}, turn=1), judges("preference", {"x": 1.0}, turn=2)
    sets = ["rollout.turns=2", "reward.over='last'"]
    assert hold(early, sets=sets).record.reward == 8.0
    assert hold(late, sets=sets).record.reward is None


RATINGS = st.lists(st.one_of(st.none(), st.floats(1, 10)), max_size=6)


@given(RATINGS, st.sampled_from(["mean", "last"]), st.integers(0, 10_000), st.floats(0, 5))
@settings(deadline=None)
def test_a_reward_is_missing_exactly_when_a_rating_that_counts_is(ratings, over, characters, penalty):
    counted = ratings if over == "mean" else ratings[-1:]
    value = reward(ratings, over, characters, penalty)
    assert (value is None) == (not counted or None in counted)
    if value is not None:
        assert min(counted) - 1e-9 <= value + penalty * characters / 1000 <= max(counted) + 1e-9


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=6))
def test_mean_influence_stays_in_its_range_and_fills_no_gaps(scores):
    value = mean_influence(scores)
    assert (value is None) == (not scores or None in scores)
    assert value is None or 0 <= value <= 1 + 1e-12
