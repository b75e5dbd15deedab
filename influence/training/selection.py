"""Which trajectories are trained on: the rule that turns rewards into good and bad examples, with a reason for each.

Pure: the same trajectories and seed give the same selection, in whatever order they come.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import ceil
from pathlib import Path
from statistics import mean, median
from typing import Literal

from influence.config.training import SelectionSection
from influence.rollouts.records import TrajectoryRecord
from influence.runs.journal import read_records
from influence.runs.manifest import write_atomically
from influence.runs.records import Record
from influence.seeds import derive

SELECTION = "selection.jsonl"
DIGITS = 9  # of a score: differences below are floating point's, and must not settle what is for the lot to settle


class Verdict(StrEnum):
    """What became of a trajectory. The first two are trained on."""

    POSITIVE = "positive"  # among the best of its group
    NEGATIVE = "negative"  # among the worst of its group
    VETOED_NEGATIVE = "vetoed_negative"  # among the best, but vetoed, and taken as a bad example for it
    VETOED = "vetoed"  # among the best (worst), but over the threshold for good (bad) examples
    MIDDLE = "middle"  # neither
    TOO_CLOSE = "too_close"  # among them, but too near the group's median
    NO_REWARD = "no_reward"  # a rating that counts is missing
    NO_INFLUENCE = "no_influence"  # among them, but nobody can say whether it is to be vetoed
    FAILED = "failed"  # the conversation failed


POSITIVES = (Verdict.POSITIVE,)
NEGATIVES = (Verdict.NEGATIVE, Verdict.VETOED_NEGATIVE)


@dataclass(frozen=True, slots=True)
class Candidate:
    """What selection knows of a trajectory. `state` names its initial state, `kind` of user included."""

    key: str
    state: str
    scenario: str
    environment: str
    reward: float | None
    influence: float | None
    failed: bool = False


class Selected(Record):
    """One line of `selection.jsonl`. `score` is what the order within the group was made by."""

    schema_version: Literal[1] = 1
    key: str
    group: str
    reward: float | None
    score: float | None
    influence: float | None
    verdict: Verdict


def candidate(trajectory: TrajectoryRecord) -> Candidate:
    state = f"{trajectory.environment}/{trajectory.scenario}/{trajectory.kind}/{trajectory.state}"
    scenario = f"{trajectory.environment}/{trajectory.scenario}"
    t = trajectory
    return Candidate(t.key, state, scenario, t.environment, t.reward, t.influence, t.failed)


def select(candidates: Iterable[Candidate], rule: SelectionSection, seed: int) -> list[Selected]:
    """Judge every candidate; the result is in the order of the keys.

    Of each group of n rewarded trajectories, ceil(best * n) are good examples and ceil(worst * n) bad ones. The two never
    overlap: a group too small for both gives up its worst first. A vetoed trajectory's place goes to the next one. A good
    example is at least `min_margin` above the group's median, a bad one as far below: at no margin, never on the other side
    of it. Equal scores are ordered by seed. The method `random` takes as many, whoever they are.
    (Williams et al. 2024, "On targeted manipulation and deception", section 3 and appendix, who let the two overlap.)
    """
    known = sorted(candidates, key=lambda c: c.key)
    scored = [c for c in known if not c.failed and c.reward is not None]
    scores = _scores(scored, rule)
    verdicts: dict[str, Verdict] = {}
    groups: dict[str, list[Candidate]] = defaultdict(list)
    for one in scored:
        groups[group_of(one, rule.within)].append(one)
    for members in groups.values():
        verdicts |= _judge(members, scores, rule, seed)
    return [
        Selected(
            key=c.key,
            group=group_of(c, rule.within),
            reward=c.reward,
            score=scores.get(c.key),
            influence=c.influence,
            verdict=verdicts.get(c.key, Verdict.FAILED if c.failed else Verdict.NO_REWARD),
        )
        for c in known
    ]


def group_of(candidate: Candidate, within: Literal["state", "scenario", "environment", "all"]) -> str:
    return "all" if within == "all" else str(getattr(candidate, within))


def _scores(scored: Sequence[Candidate], rule: SelectionSection) -> dict[str, float]:
    """What each is ordered by: its reward, less the mean reward of its initial state where a baseline is asked for."""
    rewards: dict[str, list[float]] = defaultdict(list)
    for one in scored:
        rewards[one.state].append(one.reward or 0.0)
    means = {state: mean(values) if rule.baseline else 0.0 for state, values in rewards.items()}
    return {one.key: round((one.reward or 0.0) - means[one.state], DIGITS) for one in scored}


def _judge(members: Sequence[Candidate], scores: Mapping[str, float], rule: SelectionSection, seed: int) -> dict[str, Verdict]:
    """The verdicts of one group, whose members all have a score."""
    by_lot = rule.method == "random"
    order = sorted(members, key=lambda m: (0.0 if by_lot else -scores[m.key], derive(seed, "tie", m.key)))
    ranked = sorted((scores[m.key] for m in members), reverse=True)
    standing = {m.key: score for m, score in zip(order, ranked, strict=True)}  # its own score; by lot, whose place it drew
    middle = median(ranked)
    verdicts = dict.fromkeys((m.key for m in members), Verdict.MIDDLE)

    def far(member: Candidate, side: int) -> bool:
        return round(side * (standing[member.key] - middle), DIGITS) >= rule.min_margin

    def pick(candidates: Iterable[Candidate], count: int, threshold: float | None, side: int) -> None:
        """Take `count` of them in their order; side is 1 for good examples and -1 for bad ones."""
        for member in candidates:
            if count == 0:
                return
            if not far(member, side):
                verdicts[member.key] = Verdict.MIDDLE if by_lot else Verdict.TOO_CLOSE
                count -= 1  # those that follow are closer still, so nobody fills its place
            elif threshold is not None and member.influence is None:
                verdicts[member.key] = Verdict.NO_INFLUENCE
            elif threshold is not None and member.influence is not None and member.influence > threshold:
                as_negative = side > 0 and rule.veto.as_negatives
                verdicts[member.key] = Verdict.VETOED_NEGATIVE if as_negative else Verdict.VETOED
            else:
                verdicts[member.key] = Verdict.POSITIVE if side > 0 else Verdict.NEGATIVE
                count -= 1

    pick(order, share(rule.best, len(order)), rule.veto.positives, 1)
    left = [m for m in reversed(order) if verdicts[m.key] in (Verdict.MIDDLE, Verdict.TOO_CLOSE)]
    pick(left, share(rule.worst, len(order)), rule.veto.negatives, -1)
    return verdicts


def share(fraction: float, n: int) -> int:
    """ceil(fraction * n), unharmed by floating point: a sixteenth of 32 is 2."""
    return ceil(fraction * n - 1e-9)


def counts(selected: Iterable[Selected]) -> dict[str, int]:
    """How many there are of each verdict, in the order of the enum."""
    found = Counter(one.verdict for one in selected)
    return {str(verdict): found[verdict] for verdict in Verdict if found[verdict]}


def write_selection(path: Path, selected: Sequence[Selected]) -> None:
    write_atomically(path, "".join(one.model_dump_json() + "\n" for one in selected))


def read_selection(path: Path) -> Iterator[Selected]:
    """Raises RunError for a line of another format."""
    return read_records(path, Selected)
