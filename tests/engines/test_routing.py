"""Which replica answers: a conversation's own, unless another is clearly less busy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from influence.engines import routing
from influence.engines.routing import StickyRouter


def test_a_conversation_stays_where_it_began():
    router = StickyRouter(4)
    homes = {session: router.start(session) for session in "abcdefgh"}
    for replica in homes.values():
        router.end(replica)
    for session in reversed("abcdefgh"):
        assert router.start(session) == homes[session]


def test_new_conversations_go_to_the_least_busy_replica():
    router = StickyRouter(3)
    assert [router.start(session) for session in "abcdef"] == [0, 1, 2, 0, 1, 2]
    assert router.loads == [2, 2, 2]
    router.end(1)
    assert router.start("new") == 1


def test_it_moves_when_its_replica_is_clearly_busier_and_then_stays_there():
    router = StickyRouter(2, slack=3)
    assert router.start("mine") == 0
    router.end(0)
    router.loads[:] = [3, 0]
    assert router.start("mine") == 0  # three busier is within the slack
    assert router.start("mine") == 1  # four is not
    router.loads[:] = [0, 0]
    assert router.start("mine") == 1  # its new home


@given(st.integers(1, 5), st.integers(0, 4), st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=80))
def test_loads_count_what_is_under_way_and_never_drift_apart_by_more_than_the_slack(replicas, slack, steps):
    router, under_way = StickyRouter(replicas, slack), []
    for session, ends in steps:
        if ends and under_way:
            router.end(under_way.pop(0))
        else:
            least = min(router.loads)
            replica = router.start(str(session))
            assert router.loads[replica] - 1 <= least + slack
            under_way.append(replica)
        assert router.loads == [under_way.count(n) for n in range(replicas)]
    for replica in under_way:
        router.end(replica)
    assert router.loads == [0] * replicas


def test_it_remembers_the_latest_conversations_and_forgets_the_oldest(monkeypatch):
    monkeypatch.setattr(routing, "REMEMBERED_SESSIONS", 10)
    router = StickyRouter(2)
    router.loads[:] = [1, 0]
    assert router.start("old but busy") == 1
    router.loads[:] = [0, 0]
    for n in range(1000):
        router.end(router.start(f"session {n}"))
        assert router.start("old but busy") == 1
        router.end(1)
    assert len(router._homes) == 10
    assert "session 0" not in router._homes


@pytest.mark.parametrize("requests", [1, 7])
def test_one_replica_takes_everything(requests):
    router = StickyRouter(1)
    assert {router.start(str(n)) for n in range(requests)} == {0}
    assert router.loads == [requests]
