"""What a run has spent, in its manifest: the budget of the next attempt hangs on it, also after a kill."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from influence.config.sections import BudgetSection
from influence.engines.hosted.budget import Amount, Budget
from influence.engines.hosted.models import HostedModels
from influence.engines.opening import Engines
from influence.rollouts.progress import Progress
from influence.runs.folder import RunFolder

BOOKS_EVERY = 5.0  # seconds


def budget_left(section: BudgetSection, run: RunFolder) -> Budget:
    """What is left to spend after the earlier attempts at this run."""
    spent = [attempt.spent for attempt in run.manifest.attempts]
    before = Amount(sum(s.get("cost", 0.0) for s in spent), int(sum(s.get("tokens", 0) for s in spent)))
    return Budget(section.max_cost, section.max_tokens, before)


@asynccontextmanager
async def kept_books(run: RunFolder, engines: Engines, hosted: HostedModels, progress: Progress) -> AsyncIterator[None]:
    """Keep usage and costs in the manifest while the block runs, so that a killed attempt's spending is known too."""
    before = hosted.budget.spent

    def write() -> None:
        run.attempt.usage = {
            role: {"model": engines.roles[role].name, **used.to_dict()} for role, used in sorted(progress.usage.items())
        }
        run.attempt.hosted = dict(hosted.counts())
        spent = hosted.budget.spent - before
        run.attempt.spent = {"cost": spent.cost, "tokens": spent.tokens}

    async def now_and_then() -> None:
        while True:
            await asyncio.sleep(BOOKS_EVERY)
            write()
            run.write_manifest()

    keeper = asyncio.create_task(now_and_then())
    try:
        yield
    finally:
        keeper.cancel()
        write()
        run.write_manifest()
