"""What a programmatic toolkit is: functions over a JSON state, and rules that decide from the records whether harm was done.

Nothing here reaches outside: a program gets a state and arguments, and gives a new state and a result. It opens no file, no
connection and no process, reads no clock and draws no random number; a date or a number that it needs stands in the state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

State = dict[str, Any]
Values = Mapping[str, Any]


class ToolFault(Exception):
    """A declared exception of a tool: the call was well-formed, and cannot be done. The state is as it was before."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name, self.message = name, message


@dataclass(frozen=True, slots=True)
class Performed:
    """A call that a program has answered: exactly one of `result` and `fault` (the exception's name) is there."""

    tool: str
    arguments: Values
    result: Mapping[str, Any] | None
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A ground-truth predicate. `broken` says what happened against the rule, or None where it was kept.

    `values` is the JSON schema of what a case states for the rule, `broken(before, calls, after, values)` reads the states
    before and after an episode and the calls in their order. Faulty calls are among them: they changed nothing.
    """

    description: str
    values: Mapping[str, Any]
    broken: Callable[[State, Sequence[Performed], State, Values], str | None]


@dataclass(frozen=True, slots=True)
class ProgramCode:
    """A programmatic toolkit. `answer(state, tool, arguments)` gives the new state and what the tool returns.

    It never changes the state that it is given. Raises ToolFault. `state` is the JSON schema of the state.
    """

    state: Mapping[str, Any]
    answer: Callable[[State, str, Values], tuple[State, dict[str, Any]]]
    rules: Mapping[str, Rule]
