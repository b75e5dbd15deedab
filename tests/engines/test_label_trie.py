"""How likely is each label: against a model so small that every text it could write can be listed."""

from __future__ import annotations

from itertools import product
from math import exp, inf, isclose, log
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from influence.engines.labels import combine, split_beginning, trie

VOCABULARY = range(4)
tokens = st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=3).map(tuple)
labels = st.lists(tokens, min_size=1, max_size=8, unique=True).map(
    lambda all_ids: {f"label {n}": ids for n, ids in enumerate(all_ids)}
)


def next_token(seed: int, prefix: tuple[int, ...]) -> dict[int, float]:
    """A model: any distribution over the vocabulary, depending on everything that stands before."""
    weights = [Random(f"{seed} {prefix} {token}").expovariate(1) for token in VOCABULARY]
    return {token: weight / sum(weights) for token, weight in zip(VOCABULARY, weights, strict=True)}


def asked(seed: int, answers: dict[str, tuple[int, ...]]) -> dict[tuple[int, ...], dict[int, float]]:
    """What the engine answers to the trie's questions: log-probabilities of the tokens it was asked for, and of no others."""
    return {node.prefix: {token: log(next_token(seed, node.prefix)[token]) for token in node.children} for node in trie(answers)}


def named_by(text: tuple[int, ...], answers: dict[str, tuple[int, ...]]) -> str | None:
    """The label that a text says: follow the labels' tokens as far as they lead, and see whether a label ends there."""
    followed = 0
    while followed < len(text) and any(ids[: followed + 1] == text[: followed + 1] for ids in answers.values()):
        followed += 1
    return next((label for label, ids in answers.items() if ids == text[:followed]), None)


@given(labels, st.integers(0, 1000))
def test_a_label_is_as_likely_as_all_the_texts_that_say_it(answers, seed):
    longest = max(map(len, answers.values())) + 1
    expected = dict.fromkeys(answers, 0.0)
    for text in product(VOCABULARY, repeat=longest):
        label = named_by(text, answers)
        if label is not None:
            chance = 1.0
            for n, token in enumerate(text):
                chance *= next_token(seed, text[:n])[token]
            expected[label] += chance
    found = {label: exp(value) for label, value in combine(answers, asked(seed, answers)).items()}
    assert found == pytest.approx(expected, abs=1e-9)
    assert sum(found.values()) <= 1 + 1e-9


@given(labels)
def test_the_trie_asks_once_at_every_place_where_a_label_goes_on(answers):
    nodes = trie(answers)
    assert [node.prefix for node in nodes] == sorted(
        {ids[:n] for ids in answers.values() for n in range(len(ids))}, key=lambda p: (len(p), p)
    )
    assert nodes[0].prefix == ()
    for node in nodes:
        lead_on = {ids[len(node.prefix)] for ids in answers.values() if ids[: len(node.prefix)] == node.prefix != ids}
        assert set(node.children) == lead_on
        assert len(node.children) == len(lead_on)


def test_ten_begins_with_one_and_the_next_token_decides():
    answers = {"1": (1,), "2": (2,), "10": (1, 0)}
    found = combine(answers, {(): {1: log(0.5), 2: log(0.3)}, (1,): {0: log(0.2)}})
    assert {label: exp(value) for label, value in found.items()} == pytest.approx({"1": 0.4, "2": 0.3, "10": 0.1})


def test_single_tokens_are_one_question_and_keep_their_log_probabilities():
    answers = {"yes": (7,), "no": (9,)}
    assert [(node.prefix, set(node.children)) for node in trie(answers)] == [((), {7, 9})]
    assert combine(answers, {(): {7: -0.25, 9: -3.0}}) == {"yes": -0.25, "no": -3.0}


@pytest.mark.parametrize(
    ("goes_on", "left"),
    [({5: 0.0}, -inf), ({5: 1e-9}, -inf), ({5: log(0.7), 6: log(0.3 + 1e-12)}, -inf), ({5: -inf}, 0.0)],
    ids=["all of it", "more than all by rounding", "more than all in sum", "nothing"],
)
def test_rounding_at_a_longer_label_gives_zero_or_everything_and_never_an_error(goes_on, left):
    answers = {"short": (4,), **{f"long {token}": (4, token) for token in goes_on}}
    found = combine(answers, {(): {4: 0.0}, (4,): goes_on})
    assert found["short"] == pytest.approx(left, abs=1e-9)


def test_a_tiny_rest_is_not_lost_to_rounding():
    found = combine({"1": (1,), "10": (1, 0)}, {(): {1: 0.0}, (1,): {0: -1e-20}})
    assert isclose(found["1"], log(1e-20))


@pytest.mark.parametrize(
    "answers", [{"a": (1,), "b": (1,)}, {"a": (1,), "b": ()}, {"": ()}], ids=["same tokens", "empty", "only empty"]
)
def test_labels_that_cannot_be_told_apart_are_refused(answers):
    with pytest.raises(ValueError, match="not distinct non-empty"):
        trie(answers)


@given(labels)
def test_the_common_beginning_and_the_rests_are_the_answers_again(answers):
    begun, rests = split_beginning(answers)
    assert {label: begun + rest for label, rest in rests.items()} == answers
    assert all(rests.values())
    assert any(len(rest) == 1 for rest in rests.values()) or len({rest[0] for rest in rests.values()}) > 1  # no longer one exists


@given(labels, st.lists(st.integers(10, 13), max_size=4).map(tuple))
def test_a_prefill_before_every_answer_is_found(answers, prefill):
    begun, _ = split_beginning({label: prefill + ids for label, ids in answers.items()})
    assert begun[: len(prefill)] == prefill
