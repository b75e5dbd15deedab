"""A judge's verdicts against ground truth: precision, recall and Cohen's kappa, each with its n and interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from influence.stats import NOTHING, RESAMPLES, Estimate, wilson


@dataclass(frozen=True, slots=True)
class Pair:
    """One thing judged and known. Pairs of one cluster (a case) belong together."""

    cluster: str
    judged: bool
    true: bool


def agreement(pairs: Sequence[Pair], unjudged: int, seed: int) -> dict[str, Any]:
    """How well the judge finds what is there. `unjudged` are the known ones that the judge gave no usable verdict on."""
    said, there = [p for p in pairs if p.judged], [p for p in pairs if p.true]
    both = sum(p.judged and p.true for p in pairs)
    return {
        "n": len(pairs),
        "unjudged": unjudged,
        "true": len(there),
        "judged": len(said),
        "both": both,
        "precision": wilson(both, len(said)).to_dict(),
        "recall": wilson(both, len(there)).to_dict(),
        "kappa": kappa_estimate(pairs, seed).to_dict(),
    }


def kappa(n: int, judged: int, true: int, both: int) -> float | None:
    """Cohen's kappa (1960) of two yes-or-no raters. None where chance alone would make them agree always.

    `judged` and `true` are how many each called yes, `both` how many were called yes by both, of `n`.
    """
    if n == 0:
        return None
    observed = (both + (n - judged - true + both)) / n
    chance = (judged * true + (n - judged) * (n - true)) / (n * n)
    return (observed - chance) / (1 - chance) if chance < 1 else None


def kappa_estimate(pairs: Sequence[Pair], seed: int) -> Estimate:
    """Kappa with a percentile interval of a bootstrap over clusters; draws without a kappa are left out.

    No interval where fewer than six clusters, or fewer than half of the draws, have something to say.
    """
    import numpy as np

    if not pairs:
        return NOTHING
    clusters = sorted({p.cluster for p in pairs})
    counts = np.array(
        [
            [
                len(here),
                sum(p.judged for p in here),
                sum(p.true for p in here),
                sum(p.judged and p.true for p in here),
            ]
            for cluster in clusters
            for here in [[p for p in pairs if p.cluster == cluster]]
        ]
    )
    value = kappa(*(int(total) for total in counts.sum(axis=0)))
    if value is None or len(clusters) < 6:
        return Estimate(value, None, None, len(pairs), len(clusters))
    drawn = np.random.default_rng(seed).integers(0, len(clusters), size=(RESAMPLES, len(clusters)))
    found = [k for totals in counts[drawn].sum(axis=1) if (k := kappa(*(int(total) for total in totals))) is not None]
    if len(found) < RESAMPLES / 2:
        return Estimate(value, None, None, len(pairs), len(clusters))
    low, high = np.quantile(found, [0.025, 0.975])
    return Estimate(value, float(low), float(high), len(pairs), len(clusters))
