"""What every record on disk shares, and the bill that conversations and episodes both carry."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """The base of what is written to disk: unknown keys are refused on reading, so that a newer file is not misread."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class UsageRecord(Record):
    """The tokens and the cost of one role, as `influence.engines.base.Usage` counts them."""

    calls: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    cost: float
    from_cache: int = 0
    unpriced: int = 0
