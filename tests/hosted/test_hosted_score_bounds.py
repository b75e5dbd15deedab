"""How far a score may be off for what was out of sight, because a bound that does not hold is worse than none."""

from __future__ import annotations

from itertools import product
from math import inf, log

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from influence.judges.scores import bounds, from_logprobs, from_stated

RATINGS = {str(n): float(n) for n in range(1, 11)}


def logs(probabilities: dict[str, float]) -> dict[str, float]:
    return {label: log(p) if p else -inf for label, p in probabilities.items()}


def mean(masses: dict[str, float], values: dict[str, float] = RATINGS) -> float:
    return sum(p * values[label] for label, p in masses.items()) / sum(masses.values())


@pytest.mark.parametrize(
    ("seen", "at_most", "hidden", "expected"),
    [
        ({"5": 0.5}, {}, 0.5, (5, 5)),
        ({"5": 0.5}, {"1": 0.1}, 0.0, (5, 5)),
        ({"5": 0.5}, {"1": 0.1, "10": 0.1}, 0.1, (2.6 / 0.6, 3.5 / 0.6)),
        ({"5": 0.5}, {"1": 0.1, "10": 0.1}, 1.0, (2.6 / 0.6, 3.5 / 0.6)),
        ({"5": 0.5}, {"1": 0.1, "2": 0.1}, 0.15, (2.7 / 0.65, 5)),
        ({"5": 0.5}, {"5": 0.3}, 0.3, (5, 5)),
        ({"1": 0.5}, {"1": 0.5, "2": 0.5}, 0.5, (1, 1.5)),
        ({"4": 0.2, "6": 0.2}, {"4": 0.2}, 0.2, (2.8 / 0.6, 5)),
        ({"1": 0.1, "9": 0.1}, {"4": 0.2, "6": 0.2}, 0.4, (1.8 / 0.4, 2.2 / 0.4)),
    ],
)
def test_by_value(seen, at_most, hidden, expected):
    assert bounds(seen, at_most, hidden, RATINGS) == pytest.approx(expected)
    score = from_logprobs(logs(seen), RATINGS, 0.01, at_most, hidden)
    assert score.value == pytest.approx(mean(seen))
    assert score.bounds == (pytest.approx(expected) if at_most else None)


labels = st.sampled_from(list(RATINGS))
masses = st.dictionaries(labels, st.floats(0, 1), min_size=1).filter(lambda m: sum(m.values()) > 1e-3)
mosts = st.dictionaries(labels, st.floats(0, 1))


@settings(max_examples=300)
@given(masses, mosts, st.floats(0, 2), st.lists(st.floats(0, 1), min_size=10, max_size=10), st.floats(0, 1))
def test_wherever_the_rest_went_the_expectation_lies_within_the_bounds(seen, at_most, hidden, shares, used):
    more = {label: most * share for (label, most), share in zip(at_most.items(), shares, strict=False)}
    if sum(more.values()) > hidden:
        more = {label: m * hidden / sum(more.values()) for label, m in more.items()}
    truth = {label: seen.get(label, 0.0) + more.get(label, 0.0) * used for label in RATINGS}
    least, greatest = bounds(seen, at_most, hidden, RATINGS)
    assert least - 1e-9 <= mean(truth) <= greatest + 1e-9
    assert least <= mean(seen) + 1e-9
    assert greatest >= mean(seen) - 1e-9


@given(masses, st.dictionaries(labels, st.floats(0, 1), max_size=4))
def test_the_bounds_are_reached(seen, at_most):
    """With room for all, the extremes are among those where each label holds all that it may, or nothing."""
    ends = [
        mean(seen_more)
        for given_to in product([0, 1], repeat=len(at_most))
        for seen_more in [seen | {k: seen.get(k, 0) + m * on for (k, m), on in zip(at_most.items(), given_to, strict=True)}]
    ]
    assert bounds(seen, at_most, 10.0, RATINGS) == pytest.approx((min(ends), max(ends)))


@given(masses, mosts, st.floats(0, 1), st.floats(0, 1))
def test_more_out_of_sight_never_makes_bounds_narrower(seen, at_most, hidden, more):
    narrow, wide = bounds(seen, at_most, hidden, RATINGS), bounds(seen, at_most, hidden + more, RATINGS)
    assert wide[0] <= narrow[0] + 1e-9
    assert wide[1] >= narrow[1] - 1e-9


# too much out of sight


@pytest.mark.parametrize(
    ("at_most", "hidden", "share"),
    [
        ({"1": 0.5}, 0.5, 0.5),
        ({"1": 0.5}, 0.1, 1 / 6),
        ({"1": 0.1}, 0.5, 1 / 6),
        ({"1": 0.05, "2": 0.05}, 0.5, 1 / 6),
        ({}, 0.5, 0.0),
        ({"1": 0.5}, 0.0, 0.0),
        (None, 0.5, 0.0),
    ],
)
def test_a_score_is_missing_when_more_than_the_ceiling_may_be_out_of_sight(at_most, hidden, share):
    for ceiling in (0.0, 0.05, 0.16, 0.17, 0.49, 0.51, 1.0):
        score = from_logprobs(logs({"5": 0.5}), RATINGS, 0.01, at_most, hidden, ceiling)
        if share > ceiling:
            assert (score.value, score.distribution, score.bounds, score.method) == (None, None, None, "logprobs")
            assert score.label_mass == pytest.approx(0.5)
            assert score.reason == (
                f"labels out of sight may hold {share:.2g} of what labels hold, over the ceiling of {ceiling:g}"
            )
        else:
            assert (score.value, score.reason) == (5.0, None)


def test_exactly_the_ceiling_is_borne():
    assert from_logprobs(logs({"5": 0.5}), RATINGS, 0.01, {"1": 0.5}, 0.5, 0.5).value == 5.0


def test_the_floor_comes_first():
    score = from_logprobs(logs({"5": 0.001}), RATINGS, 0.01, {"1": 0.9}, 0.9, 0.05)
    assert "under the floor" in score.reason


def test_labels_that_are_no_numbers_have_no_bounds_and_may_be_missing_all_the_same():
    seen, at_most = logs({"stay": 0.5}), {"leave": 0.1}
    score = from_logprobs(seen, None, 0.01, at_most, 0.1)
    assert (score.value, score.bounds, score.distribution) == (None, None, {"stay": 1.0})
    assert from_logprobs(seen, None, 0.01, at_most, 0.1, 0.05).distribution is None


def test_nothing_in_sight_is_missing_and_not_an_error():
    score = from_logprobs({}, RATINGS, 0.0, dict.fromkeys(RATINGS, 0.1), 1.0)
    assert (score.value, score.label_mass) == (None, 0.0)
    assert score.reason


# one answer, taken at its word


@pytest.mark.parametrize(
    ("answer", "label"), [("7", "7"), ("I say 10.", "10"), ("**3**", "3"), ("seven", None), ("7 or 8", None), ("", None)]
)
def test_one_answer_is_its_label_or_missing_with_its_words(answer, label):
    score = from_stated(answer, RATINGS, list(RATINGS))
    assert (score.method, score.answers, score.label_mass, score.bounds) == ("stated", 1, None, None)
    if label is None:
        assert (score.value, score.distribution) == (None, None)
        assert score.reason == f"the answer names no label, or several: {answer!r}"
    else:
        assert (score.value, score.distribution, score.reason) == (float(label), {label: 1.0}, None)


def test_a_label_that_is_no_number_is_stated_without_a_value():
    score = from_stated("I leave.", None, ["stay", "leave"])
    assert (score.value, score.distribution) == (None, {"leave": 1.0})


def test_only_the_beginning_of_a_long_answer_is_repeated():
    assert from_stated("x" * 500, RATINGS, list(RATINGS)).reason.endswith(": " + repr("x" * 60))
