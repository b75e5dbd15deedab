"""How likely is each label as the model's whole answer, when labels are one token, or several, or one begins another.

In a tokenizer that splits digits, "10" is the tokens "1" "0" and so begins with the label "1". The probability of the first
token "1" then belongs to both, and the next token decides: P("10") = P(1) P(0|1), P("1") = P(1) (1 - P(0|1)). In general the
labels form a trie; each of its inner nodes is one question to the engine, over the tokens that lead on from there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, expm1, inf, log

TokenIds = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """An inner node of the labels' trie: after `prefix`, which of `children` comes next?"""

    prefix: TokenIds
    children: TokenIds


def trie(tokens: Mapping[str, TokenIds]) -> list[Node]:
    """The questions to ask, the root first, then by depth. Raises ValueError for an empty label or two with the same tokens."""
    if len(set(tokens.values())) != len(tokens) or not all(tokens.values()):
        raise ValueError(
            f"the labels {', '.join(map(repr, tokens))} are not distinct non-empty token sequences in this model's tokenizer"
        )
    children: dict[TokenIds, dict[int, None]] = {}
    for ids in tokens.values():
        for depth in range(len(ids)):
            children.setdefault(ids[:depth], {})[ids[depth]] = None
    return [Node(prefix, tuple(children[prefix])) for prefix in sorted(children, key=lambda p: (len(p), p))]


def led_node(nodes: Sequence[Node]) -> Node | None:
    """The one inner node that lies a single token deep ("1" of 1 and 10), if that is all there is besides the root.

    Then one request reads both: it is made to go through that token, and every step's candidates are shown.
    """
    inner = nodes[1:]
    return inner[0] if len(inner) == 1 and len(inner[0].prefix) == 1 else None


def split_beginning(answers: Mapping[str, TokenIds]) -> tuple[TokenIds, dict[str, TokenIds]]:
    """The tokens that all answers begin with, and the rest of each, which is never empty."""
    shortest = min(len(ids) for ids in answers.values())
    first = next(iter(answers.values()))
    common = 0
    while common < shortest - 1 and len({ids[common] for ids in answers.values()}) == 1:
        common += 1
    return first[:common], {label: ids[common:] for label, ids in answers.items()}


def combine(tokens: Mapping[str, TokenIds], answers: Mapping[TokenIds, Mapping[int, float]]) -> dict[str, float]:
    """Each label's log-probability, from the next-token log-probabilities at every node (`answers[prefix][token]`)."""
    logprobs = {}
    for label, ids in tokens.items():
        total = sum(answers[ids[:depth]][ids[depth]] for depth in range(len(ids)))
        if ids in answers:  # a longer label begins with this one: what goes on is not this label
            total += _log_rest(answers[ids])
        logprobs[label] = total
    return logprobs


def _log_rest(children: Mapping[int, float]) -> float:
    """log(1 - sum of the children's probabilities), -inf if rounding leaves nothing."""
    if len(children) == 1:
        (only,) = children.values()
        return log(-expm1(only)) if only < 0 else -inf
    rest = 1.0 - sum(exp(value) for value in children.values())
    return log(rest) if rest > 0 else -inf
