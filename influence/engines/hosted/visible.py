"""How likely is each label, when a server shows only the likeliest candidates for the first token.

Two things are out of sight: tokens beyond the top k, and how a token goes on that several labels begin with ("1" of 1 and
10, where numbers are split). Neither is a zero: such labels get an upper bound, and the score says how far it could be off.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import exp, inf, log

from influence.engines.base import LabelLogprobs, Usage


def visible_labels(top: Sequence[tuple[str, float]], labels: Sequence[str], whole_numbers: bool, usage: Usage) -> LabelLogprobs:
    """The labels in sight with their log-probabilities, the others with bounds.

    `top` are (token text, log-probability). A token that only one label begins with stands for that
    label. `whole_numbers`: the model's tokenizer keeps numbers of up to three digits whole, so "1" is never half of "10".
    """
    candidates = [(text, exp(min(0.0, logprob))) for text, logprob in top]
    begun = _begun_by(tuple(labels))
    seen: dict[str, float] = {}
    undecided: dict[str, float] = {}  # what might be this label's, by tokens that several labels begin with
    shown = {text.strip() for text, _ in candidates}
    shared = 0.0
    for text, probability in candidates:
        word = text.strip()
        fitting = begun.get(word, ())
        if len(fitting) > 1 and word in fitting:
            longer = (label for label in fitting if label != word)
            if (whole_numbers and word.isdigit()) or all(label in shown for label in longer):
                fitting = (word,)
        if len(fitting) == 1:
            seen[fitting[0]] = seen.get(fitting[0], 0.0) + probability
        elif fitting:
            shared += probability
            for label in fitting:
                undecided[label] = undecided.get(label, 0.0) + probability
    hidden = max(0.0, 1.0 - sum(p for _, p in candidates))  # in any token out of sight, which may be any label's
    at_most = {label: undecided.get(label, 0.0) + hidden for label in labels if undecided.get(label, 0.0) + hidden > 0}
    logprobs = {label: log(p) if p > 0 else -inf for label, p in seen.items()}
    return LabelLogprobs(logprobs, usage, at_most, hidden + shared)


@lru_cache
def _begun_by(labels: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Every beginning of a label, the empty and the whole one too, with the labels that begin so."""
    beginnings = {label[:end] for label in labels for end in range(len(label) + 1)}
    return {beginning: tuple(label for label in labels if label.startswith(beginning)) for beginning in beginnings}
