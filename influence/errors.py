"""The errors that reach a person: one class for each boundary that was crossed, each with the exit code it ends in.

An error is made once, where the outside world is met (a file, a model, a disk), with its place and its remedy, and is
printed in one place (`influence.cli`). Code inside trusts its types and never raises these.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches


class InfluenceError(Exception):
    """Something went wrong that a person can act on. `exit_code` is what the command ends with."""

    exit_code = 1


class ConfigError(InfluenceError):
    """A configuration, an option or a preset that cannot be used."""

    exit_code = 2


class WorldError(InfluenceError):
    """An environment, a toolkit or another data file that cannot be used."""

    exit_code = 2


class EngineError(InfluenceError):
    """A local model or its engine failed, or cannot be started."""


class RunStoppedError(InfluenceError):
    """Nothing more can be asked in this run. Whatever forgives the failure of a single request passes this on."""


class EngineDiedError(EngineError, RunStoppedError):
    """The engine's process is gone."""


class ProviderError(InfluenceError):
    """A hosted model did not answer this request, or answered what retrying did not cure."""


class ProviderStoppedError(ProviderError, RunStoppedError):
    """A provider will answer no request of this run: an invalid key, an unknown model, no credit, nobody there."""


class BudgetSpentError(RunStoppedError):
    """What the run may spend on hosted models is spent."""


class NoLogprobsError(ProviderError):
    """A model turned out to tell no log-probabilities."""


class ContextOverflowError(InfluenceError):
    """A prompt leaves no room for an answer in the model's context. The conversation ends there; the run goes on."""


class TrainerError(InfluenceError):
    """The trainer's process failed."""


class RunError(InfluenceError):
    """A run folder could not be written or read."""


class RunTakenError(RunError):
    """The run belongs to another process, is finished already, or was made from another configuration."""

    exit_code = 2


@dataclass(frozen=True)
class Problem:
    """One thing wrong in a file that a person wrote: where, what was found, and what to write instead."""

    place: str
    found: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.place}: {self.found}" + (f"\n    {self.remedy}" if self.remedy else "")


def nearest(name: str, allowed: Iterable[str]) -> str:
    """The sentence "Did you mean `x`?" for a misspelt name, or nothing if no allowed name is close."""
    close = get_close_matches(name, list(allowed), n=1, cutoff=0.6)
    return f"Did you mean `{close[0]}`? " if close else ""


def not_allowed(name: str, allowed: Sequence[str]) -> str:
    """The remedy for a name that is not in a list: the nearest one, and the whole list."""
    return f"{nearest(name, allowed)}Allowed: {', '.join(allowed) or '(none)'}."
