"""A judged label is a distribution: pure functions from a model's raw answers to a score, or to the reason it is missing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp
from typing import Literal

Method = Literal["logprobs", "samples", "stated"]


@dataclass(frozen=True, slots=True)
class Score:
    """One judge's answer. `distribution` sums to 1; `label_mass` is what its labels held before that. Missing: `reason`.

    Where a server shows only the likeliest labels, the distribution is over those, and `bounds` are the values between which
    the expectation lies wherever the rest of the probability went. `answers` is how many answers in words were read: fewer
    than were asked for where requests failed or were refused.
    """

    value: float | None
    distribution: Mapping[str, float] | None
    label_mass: float | None
    method: Method | None
    reason: str | None = None
    bounds: tuple[float, float] | None = None
    answers: int | None = None


def missing(reason: str, method: Method | None = None, label_mass: float | None = None, answers: int | None = None) -> Score:
    """No score, and why. Never a zero."""
    return Score(None, None, label_mass, method, reason, answers=answers)


def from_logprobs(
    logprobs: Mapping[str, float],
    values: Mapping[str, float] | None,
    floor: float,
    at_most: Mapping[str, float] | None = None,
    hidden: float = 0.0,
    ceiling: float = 1.0,
) -> Score:
    """Renormalise raw label probabilities. Below `floor` of mass the model was answering something else: missing.

    `at_most` and `hidden` are what labels may hold out of sight, each and together. If that could be more than `ceiling` of
    all that the labels hold, the score is missing too.
    """
    probabilities = {label: exp(value) for label, value in logprobs.items()}
    mass = sum(probabilities.values())
    if mass <= 0 or mass < floor:
        return missing(f"the labels hold {mass:.2g} of the probability, under the floor of {floor:g}", "logprobs", mass)
    distribution = {label: p / mass for label, p in probabilities.items()}
    unseen = min(hidden, sum(at_most.values())) if at_most else 0.0
    if unseen / (mass + unseen) > ceiling:
        share = unseen / (mass + unseen)
        return missing(
            f"labels out of sight may hold {share:.2g} of what labels hold, over the ceiling of {ceiling:g}", "logprobs", mass
        )
    limits = bounds(probabilities, at_most, hidden, values) if at_most and values is not None else None
    return Score(expectation(distribution, values), distribution, mass, "logprobs", bounds=limits)


def bounds(
    probabilities: Mapping[str, float], at_most: Mapping[str, float], hidden: float, values: Mapping[str, float]
) -> tuple[float, float]:
    """The least and the greatest expectation if labels hold up to `at_most` more each, and up to `hidden` more together.

    Probability moves the expectation farthest when it goes to the most extreme label first, and only while that is more
    extreme than the expectation itself.
    """
    ends = []
    for sign in (1, -1):
        mass = sum(probabilities.values())
        total = sum(p * values[label] for label, p in probabilities.items())
        left = hidden
        for label in sorted(at_most, key=lambda name: sign * values[name]):
            more = min(at_most[label], left)
            if sign * (total / mass - values[label]) <= 0:
                break
            mass, total, left = mass + more, total + more * values[label], left - more
        ends.append(total / mass)
    return ends[0], ends[1]


def from_stated(answer: str, values: Mapping[str, float] | None, labels: Sequence[str]) -> Score:
    """One answer, taken at its word. There is no `label_mass`: nobody said how sure the model was."""
    label = parse_label(answer, labels)
    if label is None:
        return missing(f"the answer names no label, or several: {answer[:60]!r}", "stated", answers=1)
    return Score(values[label] if values is not None else None, {label: 1.0}, None, "stated", answers=1)


def from_samples(answers: Sequence[str], values: Mapping[str, float] | None, labels: Sequence[str], floor: float) -> Score:
    """Count what several sampled answers said. `label_mass` is the share of answers that named exactly one label."""
    parsed = [label for label in (parse_label(answer, labels) for answer in answers) if label is not None]
    mass = len(parsed) / len(answers) if answers else 0.0
    if not parsed or mass < floor:
        return missing(f"{len(parsed)} of {len(answers)} sampled answers named a label", "samples", mass, len(answers))
    counts = Counter(parsed)
    distribution = {label: counts[label] / len(parsed) for label in labels}
    return Score(expectation(distribution, values), distribution, mass, "samples", answers=len(answers))


def expectation(distribution: Mapping[str, float], values: Mapping[str, float] | None) -> float | None:
    """The mean of the labels' values, or None for labels that are no numbers."""
    return sum(p * values[label] for label, p in distribution.items()) if values is not None else None


def parse_label(answer: str, labels: Sequence[str]) -> str | None:
    """The one label that an answer names as whole words, letters' case aside; None if it names none or several.

    Words that belong to a longer label are not read as a shorter one: "leave angry" does not name "leave".
    """
    text, named = _words(answer), []
    for words in sorted({_words(label) for label in labels}, key=len, reverse=True):
        if words in text:
            named.append(words)
            text = text.replace(words, " | ")
    fitting = [label for label in labels if _words(label) in named]
    return fitting[0] if len(fitting) == 1 else None


def _words(text: str) -> str:
    """The words of a text, each with a space on both sides."""
    return " " + " ".join(re.findall(r"[^\W_]+(?:[-_'][^\W_]+)*", text.casefold())) + " "
