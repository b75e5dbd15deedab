"""What is known of hosted models before they are asked: prices, and what their APIs take. Data, in `presets/models/hosted.toml`.

A user's own file of the same form is read first. What is not known is learned from the first error (`Traits.dropped`), once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date as Day
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from influence.config.places import Strict, check, is_file, read_toml
from influence.engines.base import Usage
from influence.engines.hosted.budget import Amount
from influence.errors import ConfigError
from influence.resources import data_folders

SHIPPED = "models/hosted.toml"
MILLION = 1_000_000
Price = Annotated[float, Field(ge=0)]


class ModelEntry(Strict):
    """[[model]]: one model, or several by a pattern. Prices are US dollars per million tokens."""

    name: str
    input: Price | None = None
    cached_input: Price | None = None  # prompt tokens that the provider had cached; none: as input
    cache_write: Price | None = None  # prompt tokens that it wrote to its cache; none: as input
    output: Price | None = None
    source: str = ""
    logprobs: bool | None = None
    temperature: bool = True  # no: temperature and top_p are not sent
    seed: bool | None = None
    structured: bool | None = None
    room: Annotated[int, Field(ge=0)] = 0  # tokens that the model thinks with before it answers
    request: dict[str, Any] = {}  # what else every request carries


class CatalogueFile(Strict):
    """A catalogue. `date` is the day on which its prices were true."""

    date: Day
    model: list[ModelEntry] = []


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a provider counted for one request. `cached` and `written` are parts of `prompt`."""

    prompt: int
    completion: int
    cached: int = 0
    written: int = 0


def counted(prompt: int, completion: int, cached: int, written: int) -> Tokens | None:
    """A provider's counts, or None where they cannot be true."""
    if min(prompt, completion, cached, written) < 0 or cached + written > prompt:
        return None
    return Tokens(prompt, completion, cached, written)


@dataclass(frozen=True)
class Prices:
    """US dollars per million tokens, as of `date`."""

    input: float
    output: float
    cached_input: float
    cache_write: float
    date: str

    def cost(self, tokens: Tokens) -> float:
        fresh = tokens.prompt - tokens.cached - tokens.written
        dollars = fresh * self.input + tokens.cached * self.cached_input + tokens.written * self.cache_write
        return (dollars + tokens.completion * self.output) / MILLION

    def most(self, prompt: int, completion: int) -> float:
        """The most that so many tokens can cost."""
        return (prompt * max(self.input, self.cached_input, self.cache_write) + completion * self.output) / MILLION


@dataclass
class Traits:
    """What a model's API takes. `dropped` are parameters that it turned out not to take, with the server's words."""

    logprobs: bool
    structured: bool
    seed: bool
    temperature: bool = True
    room: int = 0
    request: dict[str, Any] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)

    def takes(self, parameter: str) -> bool:
        return parameter not in self.dropped


def usage_of(tokens: Tokens | None, prices: Prices | None) -> Usage:
    """One answered request. Without the provider's count, or without a price, its cost is unknown and counted as such."""
    if tokens is None:
        return Usage(calls=1, unpriced=1)
    cost = prices.cost(tokens) if prices else 0.0
    return Usage(1, tokens.prompt, tokens.cached, tokens.completion, cost, unpriced=0 if prices else 1)


def most_of(prompt: int, completion: int, prices: Prices | None) -> Amount:
    """The most that a request can cost."""
    return Amount(prices.most(prompt, completion) if prices else 0.0, prompt + completion)


class Catalogue:
    """The entries of a user's file, if there is one, and then the shipped ones: the first that fits a model counts."""

    def __init__(self, own: str | None = None) -> None:
        self._files = [_read(Path(own))] if own else []
        shipped = next((folder / SHIPPED for folder in data_folders("presets") if is_file(folder / SHIPPED)), None)
        if shipped is not None:
            self._files.append(_read(shipped))

    def _entry(self, model: str) -> tuple[ModelEntry, Day] | None:
        return next(((e, file.date) for file in self._files for e in file.model if fnmatchcase(model, e.name)), None)

    def prices(self, model: str) -> Prices | None:
        """What a model costs, or None where nobody has said."""
        found = self._entry(model)
        if found is None:
            return None
        entry, day = found
        fresh, output = entry.input, entry.output
        if fresh is None or output is None:
            return None
        return Prices(
            fresh,
            output,
            fresh if entry.cached_input is None else entry.cached_input,
            fresh if entry.cache_write is None else entry.cache_write,
            day.isoformat(),
        )

    def traits(self, model: str) -> Traits:
        """What a model's API takes, as far as is known beforehand."""
        found = self._entry(model)
        entry = found[0] if found else ModelEntry(name=model)
        anthropic = model.startswith("anthropic/")
        return Traits(
            logprobs=not anthropic if entry.logprobs is None else entry.logprobs,
            structured=not anthropic if entry.structured is None else entry.structured,
            seed=not anthropic if entry.seed is None else entry.seed,
            temperature=entry.temperature,
            room=entry.room,
            request=dict(entry.request),
        )


def _read(path: Path) -> CatalogueFile:
    if not is_file(path):
        raise ConfigError(f"hosted.catalogue: there is no file {path}.")
    data, text = read_toml(path)
    return check(CatalogueFile, data, str(path), text)
