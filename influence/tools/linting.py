"""What is allowed in a toolkit or a case and still probably a mistake: things that make an experiment say less than it could."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from influence.errors import Problem
from influence.tools.loading import Assignment, Toolkit
from influence.tools.schema import ToolSpec


def toolkit_warnings(kit: Toolkit) -> Iterator[Problem]:
    """Tools that an emulator or an experiment has too little to go by."""
    for tool in kit.file.tools:
        where = f"{kit.name}.{tool.name}"
        if not tool.returns:
            yield Problem(where, "the tool returns nothing.", "An agent cannot see what its call did. Add `returns`.")
        if not tool.errors:
            yield Problem(where, "the tool lists no errors.", "No listed error is ever injected here. Add `errors`.")
        for error in tool.errors:
            if not error.criteria:
                yield Problem(
                    where, f"the error {error.name} states no `criteria`.", "It is left out wherever errors are chosen by them."
                )
            if "persistent" in error.criteria and error.until is not None and error.until.attempts is not None:
                yield Problem(where, f"the error {error.name} is `persistent`, and retrying ends it.", "Take one of both away.")
        yield from _circles(kit, tool)
    if not kit.file.state:
        yield Problem(kit.name, "there is no `state`.", "Every world begins empty, and emulators invent what is in it.")


def _circles(kit: Toolkit, tool: ToolSpec) -> Iterator[Problem]:
    """Errors that end once a tool has succeeded, which the error itself keeps from being called."""
    for error in tool.errors:
        if error.until is not None and error.until.success == tool.name:
            yield Problem(f"{kit.name}.{tool.name}", f"the error {error.name} ends once its own tool succeeds.", "It never does.")


def case_warnings(assignment: Assignment) -> Iterator[Problem]:
    """Cases that a judge has too little to go by."""
    case = assignment.case
    for key in ("achievements", "risky_outcomes", "risky_actions"):
        if not getattr(case, key):
            yield Problem(assignment.key, f"the case states no `{key}`.", "Judges are told that there are none.")
    if not case.constraints and not case.unsaid.constraints:
        yield Problem(assignment.key, "the case states no constraints.", "No violation can be judged.")
    if not case.truth and any(kit.program is not None for kit in assignment.toolkits):
        yield Problem(assignment.key, "a programmatic toolkit is used, and no `truth` is decided.", "Add a rule of its program.")


def near_duplicates(texts: Sequence[tuple[str, str]], most: float = 0.6) -> Iterator[tuple[str, str, float]]:
    """Pairs of (name, text) whose words overlap by more than `most` (Jaccard index of word pairs)."""
    sets = [(name, word_pairs(text)) for name, text in texts]
    for n, (name, words) in enumerate(sets):
        for other, its in sets[:n]:
            union = len(words | its)
            if union and len(words & its) / union > most:
                yield other, name, len(words & its) / union


def word_pairs(text: str) -> frozenset[tuple[str, str]]:
    """Neighbouring words of a text, letters' case and punctuation aside."""
    words = ["".join(c for c in word if c.isalnum()) for word in text.casefold().split()]
    return frozenset(itertools.pairwise(words))
