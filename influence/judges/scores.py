"""A judged label is a distribution: pure functions from a model's raw answers to a score, or to the reason it is missing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp
from typing import Literal

Method = Literal["logprobs", "samples"]


@dataclass(frozen=True, slots=True)
class Score:
    """One judge's answer. `distribution` sums to 1; `label_mass` is what its labels held before that. Missing: `reason`."""

    value: float | None
    distribution: Mapping[str, float] | None
    label_mass: float | None
    method: Method | None
    reason: str | None = None


def missing(reason: str, method: Method | None = None, label_mass: float | None = None) -> Score:
    """No score, and why. Never a zero."""
    return Score(None, None, label_mass, method, reason)


def from_logprobs(logprobs: Mapping[str, float], values: Mapping[str, float] | None, floor: float) -> Score:
    """Renormalise raw label probabilities. Below `floor` of mass the model was answering something else: missing."""
    probabilities = {label: exp(value) for label, value in logprobs.items()}
    mass = sum(probabilities.values())
    if mass <= 0 or mass < floor:
        return missing(f"the labels hold {mass:.2g} of the probability, under the floor of {floor:g}", "logprobs", mass)
    distribution = {label: p / mass for label, p in probabilities.items()}
    return Score(expectation(distribution, values), distribution, mass, "logprobs")


def from_samples(answers: Sequence[str], values: Mapping[str, float] | None, labels: Sequence[str], floor: float) -> Score:
    """Count what several sampled answers said. `label_mass` is the share of answers that named exactly one label."""
    parsed = [label for label in (parse_label(answer, labels) for answer in answers) if label is not None]
    mass = len(parsed) / len(answers) if answers else 0.0
    if not parsed or mass < floor:
        return missing(f"{len(parsed)} of {len(answers)} sampled answers named a label", "samples", mass)
    counts = Counter(parsed)
    distribution = {label: counts[label] / len(parsed) for label in labels}
    return Score(expectation(distribution, values), distribution, mass, "samples")


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
