"""The state machine: labels lead where the file says, and are drawn with the probabilities that the judge gave."""

from __future__ import annotations

from math import exp, isclose, sqrt
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from influence.environments.loading import load_environment
from influence.environments.machine import likeliest_label, logistic_label, move, only_label, sample_label
from influence.seeds import generator

BOOTH = str(Path(__file__).parent.parent / "fixtures" / "envs" / "booth")


@pytest.fixture(scope="module")
def booth():
    return load_environment(BOOTH).file


@pytest.mark.parametrize(
    ("state", "label", "target", "entered"),
    [
        ("asking", "stay", "asking", False),
        ("asking", "leave", "left", True),
        ("asking", "board", "boarded", True),
        ("boarded", "go", "left", True),
    ],
)
def test_a_label_leads_to_its_state_and_only_a_new_state_is_entered(booth, state, label, target, entered):
    arrival = move(booth, state, label)
    assert (arrival.name, arrival.state, arrival.entered) == (target, booth.states[target], entered)


def test_a_label_that_the_state_lacks(booth):
    with pytest.raises(KeyError):
        move(booth, "asking", "go")


def test_nobody_is_asked_where_there_is_one_way(booth):
    assert [only_label(booth.states[name]) for name in ("asking", "boarded", "left")] == [None, "go", None]


def test_labels_are_drawn_as_often_as_they_are_likely():
    likely = {"stay": 0.7, "leave": 0.25, "board": 0.05, "never": 0.0}
    drawn = [sample_label(likely, generator(1, "draw", n)) for n in range(20_000)]
    for label, probability in likely.items():
        tolerance = 4 * sqrt(probability * (1 - probability) / len(drawn))
        assert abs(drawn.count(label) / len(drawn) - probability) <= tolerance


def test_a_draw_hangs_on_its_seed_and_not_on_the_order_of_the_labels():
    one, other = {"a": 0.3, "b": 0.3, "c": 0.4}, {"c": 0.4, "b": 0.3, "a": 0.3}
    assert [sample_label(one, Random(n)) for n in range(200)] == [sample_label(other, Random(n)) for n in range(200)]


def test_the_likeliest_label_and_what_happens_when_two_are():
    assert likeliest_label({"stay": 0.2, "leave": 0.8}) == "leave"
    assert likeliest_label({"stay": 0.5, "leave": 0.5}) == "leave"
    assert likeliest_label({"leave": 0.5, "stay": 0.5}) == "leave"


@pytest.mark.parametrize(
    ("expectation", "probability"),
    [
        (3.0, 0.5),
        (4.0, 1 / (1 + exp(-5))),
        (2.0, 1 / (1 + exp(5))),
        (3.2, 1 / (1 + exp(-1))),
        (1.0, 1 / (1 + exp(10))),
        (5.0, 1 / (1 + exp(-10))),
    ],
)
def test_the_logistic_by_value(expectation, probability):
    assert isclose(logistic_label(expectation, "leave", "stay", Random(0))[1], probability, rel_tol=1e-12)


@settings(deadline=None)
@given(st.floats(1, 5), st.floats(1, 5))
def test_the_logistic_rises_and_is_symmetric_about_the_middle(one, other):
    def high(expectation: float) -> float:
        return logistic_label(expectation, "h", "l", Random(0))[1]

    assert (high(one) <= high(other)) or one > other
    assert isclose(high(one) + high(6 - one), 1, abs_tol=1e-9)


def test_the_logistic_draws_high_as_often_as_it_says():
    drawn = [logistic_label(3.2, "leave", "stay", generator(2, n)) for n in range(10_000)]
    share = sum(label == "leave" for label, _ in drawn) / len(drawn)
    assert {label for label, _ in drawn} == {"leave", "stay"}
    assert abs(share - 1 / (1 + exp(-1))) < 4 * sqrt(0.25 / len(drawn))
