"""Labels read from the few likeliest tokens: what is out of sight is bounded and never taken for nothing, whatever it is."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf, log

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from influence.engines.base import LabelLogprobs, Usage
from influence.engines.hosted.visible import visible_labels
from influence.judges.scores import from_logprobs

RATINGS = [str(n) for n in range(1, 11)]
WORDS = ["stay", "leave", "leave angry", "go home"]
USAGE = Usage(calls=1)
TINY = 1e-9


def read(top: dict[str, float], labels=RATINGS, whole_numbers=True) -> LabelLogprobs:
    return visible_labels([(text, log(p) if p else -inf) for text, p in top.items()], labels, whole_numbers, USAGE)


def seen(answer: LabelLogprobs) -> dict[str, float]:
    return {label: exp(value) for label, value in answer.logprobs.items()}


# by value


def test_what_is_in_sight_is_what_it_is_and_what_is_not_may_be_any_labels():
    answer = read({"7": 0.6, "8": 0.2, "I": 0.1, "9": 0.04})
    assert seen(answer) == pytest.approx({"7": 0.6, "8": 0.2, "9": 0.04})
    assert answer.at_most == pytest.approx(dict.fromkeys(RATINGS, 0.06))
    assert answer.hidden == pytest.approx(0.06)
    assert answer.usage == USAGE


def test_nothing_is_out_of_sight_where_all_the_probability_is_in_sight():
    answer = read({"7": 0.75, "8": 0.25})
    assert (answer.at_most, answer.hidden) == ({}, 0.0)


def test_a_label_in_sight_may_have_more_in_a_spelling_that_is_not():
    """In truth " yes" has 0.2 more, as the fourth of three candidates."""
    answer = read({"yes": 0.3, "no": 0.25, "I": 0.25}, ["yes", "no"])
    assert seen(answer) == pytest.approx({"yes": 0.3, "no": 0.25})
    assert answer.at_most == pytest.approx({"yes": 0.2, "no": 0.2})
    assert answer.hidden == pytest.approx(0.2)


def test_rounding_above_one_leaves_nothing_out_of_sight():
    answer = visible_labels([("7", 1e-7), ("8", -20.0)], RATINGS, True, USAGE)
    assert seen(answer) == pytest.approx({"7": 1.0, "8": exp(-20)})
    assert (answer.at_most, answer.hidden) == ({}, 0.0)


def test_one_label_with_blanks_around_it_is_one_label():
    answer = read({"7": 0.5, " 7": 0.2, "7\n": 0.1, "\t8": 0.1})
    assert seen(answer) == pytest.approx({"7": 0.8, "8": 0.1})


def test_other_words_and_longer_ones_are_no_label():
    answer = read({"I": 0.3, "100": 0.2, "7.": 0.2, "seven": 0.1, "**": 0.1})
    assert answer.logprobs == {}
    assert answer.at_most == pytest.approx(dict.fromkeys(RATINGS, 0.1))


def test_a_token_of_no_probability_is_in_sight():
    answer = read({"7": 0.9, "8": 0.0})
    assert answer.logprobs == {"7": pytest.approx(log(0.9)), "8": -inf}
    assert answer.at_most == pytest.approx(dict.fromkeys(RATINGS, 0.1))
    underflow = visible_labels([("7", log(0.9)), ("8", -9999.0)], RATINGS, True, USAGE)
    assert underflow.logprobs["8"] == -inf


def test_where_nothing_is_in_sight_anything_may_be():
    answer = visible_labels([], ["yes", "no"], True, USAGE)
    assert (answer.logprobs, answer.at_most, answer.hidden) == ({}, {"yes": 1.0, "no": 1.0}, 1.0)


def test_a_one_that_may_go_on_to_ten_is_either_where_numbers_are_split():
    answer = read({"1": 0.5, "2": 0.3, "9": 0.1}, whole_numbers=False)
    assert seen(answer) == pytest.approx({"2": 0.3, "9": 0.1})
    assert answer.at_most["1"] == answer.at_most["10"] == pytest.approx(0.5 + 0.1)
    assert answer.at_most["3"] == pytest.approx(0.1)
    assert answer.hidden == pytest.approx(0.1 + 0.5)


def test_a_one_is_a_one_where_numbers_are_whole_or_ten_is_in_sight_itself():
    whole = read({"1": 0.5, "2": 0.3, "9": 0.1}, whole_numbers=True)
    assert seen(whole) == pytest.approx({"1": 0.5, "2": 0.3, "9": 0.1})
    assert whole.hidden == pytest.approx(0.1)
    for token in ("10", " 10"):
        resolved = read({"1": 0.5, "2": 0.3, token: 0.1}, whole_numbers=False)
        assert seen(resolved) == pytest.approx({"1": 0.5, "2": 0.3, "10": 0.1})
        assert resolved.at_most == pytest.approx(dict.fromkeys(RATINGS, 0.1))


def test_whole_numbers_say_nothing_about_words():
    answer = read({"leave": 0.5, "stay": 0.4}, ["stay", "leave", "leave angry"], whole_numbers=True)
    assert seen(answer) == pytest.approx({"stay": 0.4})
    assert answer.at_most == pytest.approx({"stay": 0.1, "leave": 0.6, "leave angry": 0.6})
    assert answer.hidden == pytest.approx(0.6)


def test_the_beginning_of_one_label_alone_stands_for_it():
    answer = read({"st": 0.5, "stay": 0.2, "go": 0.1, "l": 0.1}, WORDS)
    assert seen(answer) == pytest.approx({"stay": 0.7, "go home": 0.1})
    assert answer.at_most == pytest.approx({"stay": 0.1, "go home": 0.1, "leave": 0.2, "leave angry": 0.2})
    assert answer.hidden == pytest.approx(0.2)


def test_a_blank_alone_may_lead_to_any_label():
    answer = read({"7": 0.5, " ": 0.3, "8": 0.2})
    assert seen(answer) == pytest.approx({"7": 0.5, "8": 0.2})
    assert answer.at_most == pytest.approx(dict.fromkeys(RATINGS, 0.3))
    assert answer.hidden == pytest.approx(0.3)


# against a model whose every answer is known

JUNK = ["I", "The", "**", "11", "7.", "sta", "Stay", "\u4f60", "maybe", "#"]


@dataclass(frozen=True)
class Model:
    """The first token's probabilities, and where a token that several labels begin with leads in truth."""

    tokens: dict[str, float]
    leads_to: dict[str, dict[str, float]]
    labels: list[str]
    whole_numbers: bool

    def truth(self) -> dict[str, float]:
        chances = dict.fromkeys(self.labels, 0.0)
        for token, p in self.tokens.items():
            for label, share in self.leads_to.get(token, {token.strip(): 1.0}).items():
                if label in chances:
                    chances[label] += p * share
        return chances

    def top(self, k: int) -> list[tuple[str, float]]:
        best = sorted(self.tokens.items(), key=lambda item: -item[1])[:k]
        return [(token, log(p) if p else -inf) for token, p in best]


weight = st.floats(0, 1) | st.just(0.0) | st.floats(1e-9, 1e-3)


@st.composite
def models(draw, variants=False):
    """Ratings of whole or of split numbers, or words that begin alike; and junk that is no label."""
    style = draw(st.sampled_from(["whole", "split", "words"]))
    if style == "words":
        labels, tokens, shared = WORDS, ["stay", "leave", "go"], {"leave": ["leave", "leave angry"], "go": ["go home"]}
    else:
        labels, tokens, shared = RATINGS, RATINGS if style == "whole" else RATINGS[:-1], {}
        if style == "split":
            shared = {"1": ["1", "10"]}
    tokens = [
        *tokens,
        *draw(st.lists(st.sampled_from([j for j in JUNK if not any(x.startswith(j) for x in labels)]), unique=True)),
    ]
    if variants:
        tokens = tokens + [f" {token}" for token in tokens if draw(st.booleans())]
    weights = [draw(weight) for _ in tokens]
    total = sum(weights)
    if total == 0:
        weights[0] = total = 1.0
    leads_to = {}
    for token in tokens:
        if token.strip() in shared:
            names = shared[token.strip()]
            share = draw(st.floats(0, 1))
            leads_to[token] = {names[0]: share, names[-1]: 1 - share} if len(names) > 1 else {names[0]: 1.0}
    return Model({t: w / total for t, w in zip(tokens, weights, strict=True)}, leads_to, labels, style == "whole")


@settings(max_examples=300)
@given(models(variants=True), st.integers(1, 20))
def test_a_label_is_as_likely_as_is_seen_and_no_likelier_than_it_may_be(model, k):
    answer = visible_labels(model.top(k), model.labels, model.whole_numbers, USAGE)
    known, unseen = seen(answer), 0.0
    for label, p in model.truth().items():
        least = known.get(label, 0.0)
        assert least - TINY <= p <= least + answer.at_most.get(label, 0.0) + TINY
        unseen += p - least
    assert unseen <= answer.hidden + TINY
    assert set(known) | set(answer.at_most) <= set(model.labels)
    assert all(most > 0 for most in answer.at_most.values())


@given(models(variants=True))
def test_with_all_tokens_in_sight_only_what_is_split_is_uncertain(model):
    answer = visible_labels(model.top(len(model.tokens)), model.labels, model.whole_numbers, USAGE)
    known, truth = seen(answer), model.truth()
    split = {label for shares in model.leads_to.values() if len(shares) > 1 for label in shares}
    for label in set(model.labels) - split:
        assert known.get(label, 0.0) == pytest.approx(truth[label], abs=TINY)
        assert answer.at_most.get(label, 0.0) <= TINY
    for label in split:
        assert known.get(label, 0.0) - TINY <= truth[label] <= known.get(label, 0.0) + answer.at_most.get(label, 0.0) + TINY


@settings(max_examples=200)
@given(models(variants=True).filter(lambda m: m.labels is RATINGS), st.integers(1, 20))
def test_a_score_lies_within_its_bounds_wherever_the_rest_went(model, k):
    values = {label: float(label) for label in RATINGS}
    answer = visible_labels(model.top(k), RATINGS, model.whole_numbers, USAGE)
    score = from_logprobs(answer.logprobs, values, 0.01, answer.at_most, answer.hidden)
    truth = model.truth()
    if score.value is None:
        assert score.label_mass < 0.01
        return
    expected = sum(p * values[label] for label, p in truth.items()) / sum(truth.values())
    least, greatest = score.bounds or (score.value, score.value)
    assert least - 1e-6 <= expected <= greatest + 1e-6


@given(models(variants=True), st.integers(1, 19))
def test_seeing_more_never_widens_what_is_uncertain(model, k):
    less, more = (visible_labels(model.top(n), model.labels, model.whole_numbers, USAGE) for n in (k, k + 1))
    assert more.hidden <= less.hidden + sum(model.tokens[t] for t in model.leads_to if len(model.leads_to[t]) > 1) + TINY
    for label, p in seen(less).items():
        assert seen(more)[label] >= p - TINY
