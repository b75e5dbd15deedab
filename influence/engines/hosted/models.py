"""All hosted models of a run: what they share is a budget, a cache, a catalogue, and one line for each provider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from influence.config.model_names import ModelName
from influence.config.sections import HostedSection, LimitsSection
from influence.engines.base import CallObserver
from influence.engines.hosted.accounts import Account, account_for, model_id, provider_of
from influence.engines.hosted.budget import Budget
from influence.engines.hosted.cache import ResponseCache, cache_path
from influence.engines.hosted.catalogue import Catalogue
from influence.engines.hosted.engine import HostedEngine
from influence.engines.hosted.provider import Patience, Provider


class HostedModels:
    """Makes the engines of hosted models, and keeps what they have in common."""

    def __init__(self, section: HostedSection, budget: Budget | None = None) -> None:
        self._section, self.budget = section, budget or Budget()
        self._catalogue = Catalogue(section.catalogue)
        self._cache: ResponseCache | None = None
        self._providers: dict[str, Provider] = {}

    def engine(self, name: ModelName, observe: CallObserver | None = None) -> HostedEngine:
        """The engine of one model. Raises ConfigError for a missing key, RunError for a cache that cannot be used."""
        text = f"{name.scheme}/{name.base}"
        provider = self._provider(provider_of(name), account_for(name))
        if self._section.cache and self._cache is None:
            self._cache = ResponseCache(cache_path())
        traits, prices = self._catalogue.traits(text), self._catalogue.prices(text)
        return HostedEngine(text, model_id(name), provider, traits, prices, self.budget, self._cache, observe)

    def _provider(self, name: str, account: Account) -> Provider:
        if name not in self._providers:
            section = self._section
            own = section.providers.get(name.rpartition("/")[2], LimitsSection())
            self._providers[name] = Provider(
                account,
                Patience(section.attempts, section.timeout, section.backoff),
                own.concurrency or section.concurrency,
                own.requests_per_minute or section.requests_per_minute,
                own.tokens_per_minute or section.tokens_per_minute,
            )
        return self._providers[name]

    def counts(self) -> Mapping[str, Any]:
        """Requests, answers and failures by kind, for each provider."""
        return {name: provider.to_dict() for name, provider in sorted(self._providers.items())}

    def close(self) -> None:
        if self._cache is not None:
            self._cache.close()
            self._cache = None
