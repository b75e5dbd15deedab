"""Which replica answers: the one that knows the conversation, unless another is clearly less busy.

A replica that has seen a conversation holds its tokens in its prefix cache; elsewhere they would be computed again.
"""

from __future__ import annotations

from collections import OrderedDict

REMEMBERED_SESSIONS = 65_536


class StickyRouter:
    """Sticky-least-loaded routing over `replicas` equal replicas. Not thread-safe: it lives on the one event loop."""

    def __init__(self, replicas: int, slack: int = 16) -> None:
        self.loads = [0] * replicas
        self._slack = slack  # how many requests busier a conversation's own replica may be before it moves
        self._homes: OrderedDict[str, int] = OrderedDict()

    def start(self, session: str) -> int:
        """Choose a replica for a request of this conversation and count the request as its load."""
        least = min(range(len(self.loads)), key=self.loads.__getitem__)
        replica = self._homes.get(session, least)
        if self.loads[replica] > self.loads[least] + self._slack:
            replica = least
        self._homes[session] = replica
        self._homes.move_to_end(session)
        if len(self._homes) > REMEMBERED_SESSIONS:
            self._homes.popitem(last=False)
        self.loads[replica] += 1
        return replica

    def end(self, replica: int) -> None:
        """A request has ended, however it ended."""
        self.loads[replica] -= 1
