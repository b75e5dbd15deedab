"""What a run may spend on hosted models, in money and in tokens, over all its attempts.

Every request sets aside the most that it can cost before it is sent, so that a thousand requests in flight cannot overspend
together. When what is left does not hold another request, and nothing in flight can give any back, the run stops.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from influence.errors import BudgetSpentError


@dataclass(frozen=True, slots=True)
class Amount:
    """US dollars, and prompt and completion tokens together."""

    cost: float = 0.0
    tokens: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.cost + other.cost, self.tokens + other.tokens)

    def __sub__(self, other: Amount) -> Amount:
        return Amount(self.cost - other.cost, self.tokens - other.tokens)


class Budget:
    """Money and tokens left. None: no limit."""

    def __init__(self, max_cost: float | None = None, max_tokens: int | None = None, spent: Amount | None = None) -> None:
        self.max_cost, self.max_tokens = max_cost, max_tokens
        self.spent = spent or Amount()
        self._held = Amount()
        self._in_flight = 0
        self._settled = asyncio.Event()
        self._over = False

    async def hold(self, most: Amount) -> None:
        """Set aside the most that a request can cost. Waits for others to settle. Raises BudgetSpentError."""
        while self._over or not self._fits(self.spent + self._held + most):
            if self._over or not self._in_flight:
                self._over = True  # nobody's smaller request slips through while the run is being stopped
                raise BudgetSpentError(self._words())
            self._settled.clear()
            await self._settled.wait()
        self._held += most
        self._in_flight += 1

    def settle(self, most: Amount, spent: Amount) -> None:
        """What was set aside has become this."""
        self._held -= most
        self._in_flight -= 1
        self.spent += spent
        self._settled.set()

    def _fits(self, amount: Amount) -> bool:
        return (self.max_cost is None or amount.cost <= self.max_cost) and (
            self.max_tokens is None or amount.tokens <= self.max_tokens
        )

    def _words(self) -> str:
        of = []
        if self.max_cost is not None:
            of.append(f"${self.spent.cost:.4g} of ${self.max_cost:.4g}")
        if self.max_tokens is not None:
            of.append(f"{self.spent.tokens:,} of {self.max_tokens:,} tokens")
        return (
            f"the budget for hosted models is spent ({', '.join(of)}): what is left does not hold another request.\n"
            "    What is finished is kept. The same command with a larger --max-cost (or budget.max_tokens) goes on from there."
        )
