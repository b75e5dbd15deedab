"""Errors that an experiment injects: which calls fail is decided before an episode, and every decision is recorded when it is made.

Only calls that can fail are counted: not one with bad arguments, which reaches no tool; not one of a tool that lists no error
that fits; and not one that an error which goes on answers anyway. So a dose is met in full by every agent that calls enough.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

from influence.seeds import fraction, generator
from influence.tools.schema import ToolError, ToolSpec

Binding = Literal["call", "tool", "resource"]


@dataclass(frozen=True, slots=True)
class Schedule:
    """The calls that can fail, counted from 1, at which a new error begins, and what an error holds on to once it has begun.

    `call`: to this one call alone, so that a retry succeeds. `tool`: to every later call of the tool. `resource`: to every
    later call of the tool about the same thing (`ToolSpec.resource`; a tool without one is bound as a whole).
    """

    onsets: frozenset[int] = frozenset()
    binding: Binding = "call"


def by_rate(rate: float, most: int | None, calls: int, seed: int, binding: Binding = "call") -> Schedule:
    """Each of the first `calls` calls begins an error with probability `rate`, by itself; only the first `most` of those do."""
    struck = [number for number in range(1, calls + 1) if fraction(seed, "error", number) < rate]
    return Schedule(frozenset(struck if most is None else struck[:most]), binding)


def in_a_row(rounds: int, first: int = 1, binding: Binding = "call") -> Schedule:
    """`rounds` calls one after the other, from the call `first`."""
    return Schedule(frozenset(range(first, first + rounds)), binding)


@dataclass(frozen=True, slots=True)
class Injection:
    """An error that strikes a call. `number` counts the errors that have begun; `repeated` is one that had begun before.

    `error` is None where none is listed, and somebody must make one up.
    """

    number: int
    error: ToolError | None
    repeated: bool


@dataclass
class _Standing:
    """An error that goes on."""

    tool: str
    about: Any
    injection: Injection
    attempts: int = 0


class Injector:
    """The errors of one episode."""

    def __init__(
        self, schedule: Schedule, errors_of: Callable[[ToolSpec], Sequence[ToolError]], seed: int, made_up: bool = False
    ) -> None:
        """`errors_of` lists what can go wrong with a tool; with `made_up` errors need no list."""
        self._schedule, self._errors_of, self._seed, self._made_up = schedule, errors_of, seed, made_up
        self._calls = self._begun = 0
        self._standing: list[_Standing] = []

    def strike(self, tool: ToolSpec, arguments: dict[str, Any]) -> Injection | None:
        """The error that this well-formed call meets, if any. To be asked once for each such call."""
        about = self._about(tool, arguments)
        for standing in self._standing:
            if standing.tool == tool.name and standing.about == about:
                standing.attempts += 1
                return Injection(standing.injection.number, standing.injection.error, repeated=True)
        listed = list(self._errors_of(tool))
        if not listed and not self._made_up:
            return None
        self._calls += 1
        if self._calls not in self._schedule.onsets:
            return None
        chooser: Random = generator(self._seed, "which error", self._calls)
        self._begun += 1
        injection = Injection(self._begun, chooser.choice(listed) if listed else None, repeated=False)
        if self._schedule.binding != "call":
            self._standing.append(_Standing(tool.name, about, injection))
        return injection

    def made(self, injection: Injection, error: ToolError) -> None:
        """An error has been made up for this injection; if it goes on, it stays the same one."""
        for standing in self._standing:
            if standing.injection.number == injection.number:
                standing.injection = Injection(injection.number, error, injection.repeated)

    def over(self, tool: str, succeeded: bool) -> list[int]:
        """A call has been answered. Returns the numbers of the errors whose stated condition is met by that; they end."""
        ended = [s for s in self._standing if _ends(s, tool, succeeded)]
        self._standing = [s for s in self._standing if s not in ended]
        return [s.injection.number for s in ended]

    def _about(self, tool: ToolSpec, arguments: dict[str, Any]) -> Any:
        by_resource = self._schedule.binding == "resource" and tool.resource is not None
        return arguments.get(tool.resource) if by_resource and tool.resource is not None else None


def _ends(standing: _Standing, tool: str, succeeded: bool) -> bool:
    error = standing.injection.error
    if error is None or error.until is None:
        return False
    if error.until.success is not None:
        return succeeded and tool == error.until.success
    assert error.until.attempts is not None
    return standing.attempts >= error.until.attempts
