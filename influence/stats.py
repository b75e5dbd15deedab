"""Statistics with their right names and sources: every number that is shown comes with its n and a 95 % interval."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

RESAMPLES = 4000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean or a proportion. `low` and `high` bound its 95 % interval and are None where there is too little to say."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    clusters: int

    def to_dict(self) -> dict[str, Any]:
        return {"value": self.value, "low": self.low, "high": self.high, "n": self.n, "clusters": self.clusters}


NOTHING = Estimate(None, None, None, 0, 0)


def wilson(successes: int, n: int, confidence: float = 0.95) -> Estimate:
    """A proportion with Wilson's score interval (Wilson 1927; Brown, Cai and DasGupta 2001). No interval for n = 0."""
    if n == 0:
        return NOTHING
    from scipy.stats import norm

    z = float(norm.ppf(0.5 + confidence / 2))
    p, z2 = successes / n, z * z
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = z / (1 + z2 / n) * (p * (1 - p) / n + z2 / (4 * n * n)) ** 0.5
    low = 0.0 if successes == 0 else max(0.0, middle - half)
    high = 1.0 if successes == n else min(1.0, middle + half)
    return Estimate(p, low, high, n, n)


def cluster_mean(
    sums: Mapping[Hashable, tuple[float, int]], seed: int = 0, confidence: float = 0.95, resamples: int = RESAMPLES
) -> Estimate:
    """The mean over all values, with an interval that knows values of one cluster belong together.

    `sums` holds each cluster's (sum, count). Clusters are resampled with replacement; the interval is the percentile
    interval, expanded for few clusters by the t distribution (Hesterberg 2015, "What teachers should know about the
    bootstrap", section 5.3: levels Phi(-sqrt(n/(n-1)) t)). It cannot leave the range of the clusters' means, which covers
    the truth in 1 - 2^(1-n) of cases at best; where that is not enough (five clusters and fewer, at 95 %), it is the t
    interval of the clusters instead, wide as it is. One cluster gives no interval: it says nothing of the others.
    """
    import numpy as np
    from scipy.stats import norm, t

    kept = [pair for _, pair in sorted(sums.items(), key=lambda item: str(item[0])) if pair[1]]
    if not kept:
        return NOTHING
    totals, counts = np.array([p[0] for p in kept], dtype=float), np.array([p[1] for p in kept], dtype=float)
    mean, n, clusters = float(totals.sum() / counts.sum()), int(counts.sum()), len(kept)
    if clusters < 2:
        return Estimate(mean, None, None, n, clusters)
    quantile = float(t.ppf(0.5 + confidence / 2, clusters - 1))
    expansion = (clusters / (clusters - 1)) ** 0.5
    if 1 - 2.0 ** (1 - clusters) < confidence:
        half = quantile * expansion * float(np.linalg.norm(totals - mean * counts)) / n
        return Estimate(mean, mean - half, mean + half, n, clusters)
    means = _resampled_means(totals, counts, np.random.default_rng(seed), resamples)
    level = float(norm.cdf(-expansion * quantile))
    low, high = np.quantile(means, [level, 1 - level])
    return Estimate(mean, float(low), float(high), n, clusters)


def _resampled_means(totals: np.ndarray, counts: np.ndarray, rng: np.random.Generator, resamples: int) -> np.ndarray:
    """The means of `resamples` draws of as many clusters as there are, in portions that fit in memory."""
    import numpy as np

    clusters = len(totals)
    portion = max(1, 2_000_000 // clusters)
    means = []
    for start in range(0, resamples, portion):
        drawn = rng.integers(0, clusters, size=(min(portion, resamples - start), clusters))
        means.append(totals[drawn].sum(axis=1) / counts[drawn].sum(axis=1))
    return np.concatenate(means)


def by_cluster(values: Sequence[tuple[Hashable, float]]) -> dict[Hashable, tuple[float, int]]:
    """(cluster, value) pairs as each cluster's (sum, count), for `cluster_mean`."""
    sums: dict[Hashable, tuple[float, int]] = {}
    for cluster, value in values:
        total, count = sums.get(cluster, (0.0, 0))
        sums[cluster] = total + value, count + 1
    return sums
