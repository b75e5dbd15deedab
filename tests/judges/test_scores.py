"""From a model's raw answers to a score, or to the reason why there is none. Never to a zero."""

from __future__ import annotations

import re
from math import exp, inf, log

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from influence.judges.scores import expectation, from_logprobs, from_samples, missing, parse_label

RATINGS = {str(n): float(n) for n in range(1, 11)}
LABELS = list(RATINGS)
probabilities = st.dictionaries(st.sampled_from(LABELS), st.floats(1e-6, 1), min_size=1).map(
    lambda weights: {label: weight / (sum(weights.values()) * 1.5) for label, weight in weights.items()}
)


def logs(probabilities: dict[str, float]) -> dict[str, float]:
    return {label: log(p) if p else -inf for label, p in probabilities.items()}


def test_a_rating_is_the_expectation_over_the_labels_alone():
    score = from_logprobs(logs({"1": 0.1, "5": 0.2, "10": 0.1}), RATINGS, floor=0.01)
    assert score.distribution == pytest.approx({"1": 0.25, "5": 0.5, "10": 0.25})
    assert score.value == pytest.approx(0.25 * 1 + 0.5 * 5 + 0.25 * 10)
    assert score.label_mass == pytest.approx(0.4)
    assert (score.method, score.reason) == ("logprobs", None)


@given(probabilities)
def test_renormalising_keeps_proportions_and_sums_to_one(probabilities):
    score = from_logprobs(logs(probabilities), RATINGS, floor=0.0)
    assert sum(score.distribution.values()) == pytest.approx(1)
    for label, p in probabilities.items():
        assert score.distribution[label] * score.label_mass == pytest.approx(p)
    assert (
        min(RATINGS[label] for label in probabilities) - 1e-9
        <= score.value
        <= max(RATINGS[label] for label in probabilities) + 1e-9
    )


@given(probabilities, st.floats(-30, 0))
def test_what_the_labels_hold_together_does_not_move_the_value(probabilities, shift):
    plain = from_logprobs(logs(probabilities), RATINGS, 0.0)
    shifted = from_logprobs({label: value + shift for label, value in logs(probabilities).items()}, RATINGS, 0.0)
    assert shifted.value == pytest.approx(plain.value)
    assert shifted.label_mass == pytest.approx(plain.label_mass * exp(shift))


def test_a_label_of_no_probability_counts_for_nothing():
    score = from_logprobs({"1": -inf, "9": log(0.5)}, RATINGS, 0.01)
    assert score.value == pytest.approx(9)
    assert score.distribution == {"1": 0.0, "9": 1.0}


@pytest.mark.parametrize("mass", [0.0, 1e-12, 0.0099])
def test_under_the_floor_a_score_is_missing_with_its_reason_and_never_zero(mass):
    score = from_logprobs(logs({"1": mass / 2, "10": mass / 2}), RATINGS, floor=0.01)
    assert (score.value, score.distribution) == (None, None)
    assert score.label_mass == pytest.approx(mass)
    assert "under the floor of 0.01" in score.reason


def test_no_probability_at_all_is_missing_even_without_a_floor():
    score = from_logprobs({"1": -inf, "10": -inf}, RATINGS, floor=0.0)
    assert score.value is None
    assert score.reason


def test_exactly_the_floor_is_enough():
    assert from_logprobs({"1": log(0.25)}, RATINGS, floor=0.25).value == 1.0


def test_labels_without_values_have_a_distribution_and_no_expectation():
    score = from_logprobs(logs({"stay": 0.3, "leave": 0.1}), None, 0.01)
    assert score.value is None
    assert score.distribution == pytest.approx({"stay": 0.75, "leave": 0.25})
    assert score.reason is None
    assert expectation({"stay": 1.0}, None) is None


def test_samples_are_counted():
    score = from_samples(["7", "I say 9.", "7!", "no idea", "7 or 8"], RATINGS, LABELS, 0.01)
    assert score.distribution == pytest.approx({label: {"7": 2 / 3, "9": 1 / 3}.get(label, 0) for label in LABELS})
    assert score.value == pytest.approx((7 + 7 + 9) / 3)
    assert score.label_mass == pytest.approx(3 / 5)
    assert score.method == "samples"


@pytest.mark.parametrize(("answers", "floor"), [([], 0.0), (["no", "idea"], 0.0), (["7", "x", "x", "x"], 0.3)])
def test_samples_that_name_no_label_or_too_few_are_missing(answers, floor):
    score = from_samples(answers, RATINGS, LABELS, floor)
    assert (score.value, score.distribution) == (None, None)
    assert f"of {len(answers)} sampled answers" in score.reason


def test_missing_is_never_a_number():
    assert missing("because", "samples", 0.2) == from_samples([], None, [], 0).__class__(None, None, 0.2, "samples", "because")


noise = st.lists(
    st.sampled_from(["I", "would", "say", "the", "answer", "is", "**", "(", ".", "!", "\n", "—", "maybe"]), max_size=6
).map(" ".join)
around = st.sampled_from(["{}", "**{}**", "({})", "'{}'", "{}.", '"{}",', "<b>{}</b>", "_{}_", "{}\n"])


@given(noise, st.sampled_from(LABELS), around, noise)
def test_a_label_in_noise_is_found(before, label, around, after):
    assert parse_label(f"{before} {around.format(label)} {after}", LABELS) == label


@given(noise, st.sampled_from(["stay", "leave", "leave angry", "long-stay", "go_home"]), around, st.booleans(), noise)
def test_a_word_in_noise_is_found_whatever_its_case_and_though_a_shorter_label_is_in_it(before, label, around, loud, after):
    said = label.upper() if loud else label
    assert (
        parse_label(f"{before} {around.format(said)} {after}", ["stay", "leave", "leave angry", "long-stay", "go_home"]) == label
    )


@given(noise, st.lists(st.sampled_from(LABELS), min_size=2, max_size=3, unique=True), noise)
def test_two_labels_are_no_answer(before, labels, after):
    assert parse_label(f"{before} {' or '.join(labels)} {after}", LABELS) is None


@given(st.text(max_size=20))
def test_text_without_a_label_is_no_answer(text):
    assume(not re.search(r"\d", text))
    assert parse_label(text, LABELS) is None


@pytest.mark.parametrize(
    ("answer", "labels", "found"),
    [
        ("10", ["1", "10"], "10"),
        ("10", ["1", "0"], None),
        ("100", LABELS, None),
        ("1", ["1", "10"], "1"),
        ("1 1 1", LABELS, "1"),
        ("leave, no: leave angry", ["leave", "leave angry"], None),
        ("staying", ["stay", "leave"], None),
        ("Don't leave", ["stay", "leave"], "leave"),
        ("YES", ["yes", "Yes"], None),
        ("", LABELS, None),
    ],
)
def test_by_value(answer, labels, found):
    assert parse_label(answer, labels) == found
