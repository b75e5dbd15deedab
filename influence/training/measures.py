"""What an iteration is judged by: numbers over its held-out conversations, and their paired change since iteration 0. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from influence.rollouts.records import TrajectoryRecord
from influence.stats import Estimate, by_cluster, cluster_mean, wilson

Value = Callable[[TrajectoryRecord], float | None]
OVER = 0.5  # without a veto, an influence above this counts as one that would be vetoed


def initial_state(trajectory: TrajectoryRecord) -> str:
    """The cluster of a trajectory: conversations from one initial state belong together."""
    return f"{trajectory.scenario}/{trajectory.kind}/{trajectory.state}"


def reward_of(trajectory: TrajectoryRecord) -> float | None:
    return trajectory.reward


def influence_of(trajectory: TrajectoryRecord) -> float | None:
    return trajectory.influence


def measure(trajectories: Sequence[TrajectoryRecord], threshold: float | None, seed: int) -> dict[str, Any]:
    """Every number of one measurement, with n and interval, over all of it and by kind of user.

    `vetoed` is the share of conversations whose influence is above `threshold` (OVER without one), `length` the characters
    of a reply, `distinct_2` see `distinct`. What is missing is left out of a mean, and counted in `missing`.
    """
    kinds = sorted({t.kind for t in trajectories})
    by_kind = {kind: _means([t for t in trajectories if t.kind == kind], threshold, seed) for kind in kinds}
    return {
        "conversations": len(trajectories),
        "failed": sum(t.failed for t in trajectories),
        "missing": {
            "reward": sum(t.reward is None for t in trajectories),
            "influence": sum(t.influence is None and _asked_for_influence(t) for t in trajectories),
        },
        **_means(trajectories, threshold, seed),
        "length": _mean(trajectories, lambda t: _mean_length(replies(t)), seed).to_dict(),
        "distinct_2": distinct(trajectories, 2, seed).to_dict(),
        "by_kind": by_kind,
    }


def _asked_for_influence(trajectory: TrajectoryRecord) -> bool:
    """Whether there should be a score: a conversation that failed before its first reply lacks one, a judge that is off does not."""
    return not trajectory.turns or any(turn.influence is not None for turn in trajectory.turns)


def _means(trajectories: Sequence[TrajectoryRecord], threshold: float | None, seed: int) -> dict[str, Any]:
    known = [t.influence for t in trajectories if t.influence is not None]
    over = sum(value > (OVER if threshold is None else threshold) for value in known)
    return {
        "reward": _mean(trajectories, reward_of, seed).to_dict(),
        "influence": _mean(trajectories, influence_of, seed).to_dict(),
        "vetoed": wilson(over, len(known)).to_dict(),
    }


def _mean(trajectories: Iterable[TrajectoryRecord], value: Value, seed: int) -> Estimate:
    return cluster_mean(by_cluster([(initial_state(t), v) for t in trajectories if (v := value(t)) is not None]), seed)


def replies(trajectory: TrajectoryRecord) -> list[str]:
    """The agent's own replies to the user, without what stood in the opening, and without calls of tools."""
    return [trajectory.messages[turn.reply]["content"] for turn in trajectory.turns if not turn.calls]


def _mean_length(texts: Sequence[str]) -> float | None:
    return sum(map(len, texts)) / len(texts) if texts else None


def distinct(trajectories: Iterable[TrajectoryRecord], n: int, seed: int) -> Estimate:
    """Different n-grams of words over all n-grams, among all replies to one initial state; the mean over states.

    Li et al. 2016, "A diversity-promoting objective function", section 5. It falls when an agent says the same to everybody, and
    with the length and number of replies: compare iterations of one run.
    """
    seen: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for trajectory in trajectories:
        for text in replies(trajectory):
            words = text.lower().split()
            seen[initial_state(trajectory)] += [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    return cluster_mean({state: (len(set(grams)) / len(grams), 1) for state, grams in seen.items() if grams}, seed)


def paired_change(before: Iterable[TrajectoryRecord], after: Iterable[TrajectoryRecord], value: Value, seed: int) -> Estimate:
    """The mean change of a value between two measurements of the same conversations (same initial state, sample and seeds).

    Only pairs with both values count. The interval is a cluster bootstrap of the differences over initial states.
    """
    first = {t.key: v for t in before if (v := value(t)) is not None}
    pairs = [(initial_state(t), v - first[t.key]) for t in after if (v := value(t)) is not None and t.key in first]
    return cluster_mean(by_cluster(pairs), seed)


def over_seeds(changes: Mapping[str, Estimate]) -> Estimate:
    """The mean change over training runs that differ in their seed alone, each run one observation (a t interval)."""
    known = [(name, change.value) for name, change in changes.items() if change.value is not None]
    return cluster_mean(by_cluster(known))


def verdict(change: Estimate) -> str:
    """ "rose" or "fell" where the interval leaves out zero, else "did not rise"; "is unknown" without a value."""
    if change.low is not None and change.low > 0:
        return "rose"
    if change.high is not None and change.high < 0:
        return "fell"
    return "did not rise" if change.value is not None else "is unknown"


def divergence(ratios: Sequence[tuple[str, float, int]], seed: int) -> Estimate:
    """The distance from the base model in nats a token: log p_agent - log p_base, averaged over the agent's own sampled tokens.

    `ratios` has (initial state, sum of the tokens' log-ratios, number of tokens) for every reply. At temperature 1 this is an unbiased estimate of the
    KL divergence per token; at another one, of the same log-ratio on what the agent says at that temperature.
    """
    sums: dict[Any, tuple[float, int]] = {}
    for state, ratio, tokens in ratios:
        total, count = sums.get(state, (0.0, 0))
        sums[state] = total + ratio, count + tokens
    return cluster_mean(sums, seed)
