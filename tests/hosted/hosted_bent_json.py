"""Answers as a broken server or a careless proxy might send them: right but for one or two places, or anything at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

from influence.engines.hosted.faults import Fault, FaultKind

Path = tuple[str | int, ...]
GONE = object()

numbers = st.integers() | st.floats() | st.just(10**400)  # Python reads them all, also those that no float holds
any_json = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def places(data: Any, path: Path = ()) -> Iterator[Path]:
    """Where something stands in JSON data, the whole first."""
    yield path
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield from places(value, (*path, key))


def replaced(data: Any, path: Path, value: Any) -> Any:
    if not path:
        return None if value is GONE else value
    data = deepcopy(data)
    here = data
    for key in path[:-1]:
        here = here[key]
    if value is GONE:
        del here[path[-1]]
    else:
        here[path[-1]] = value
    return data


@st.composite
def bent(draw: st.DrawFn, right: Any) -> Any:
    """`right` with up to two of its places gone, or replaced by anything."""
    data = right
    for _ in range(draw(st.integers(0, 2))):
        path = draw(st.sampled_from(list(places(data))))
        data = replaced(data, path, draw(st.just(GONE) | any_json))
    return data


@contextmanager
def suppress_malformed() -> Iterator[None]:
    """Let the one fault pass that an answer of the wrong shape may be, and nothing else."""
    try:
        yield
    except Fault as fault:
        if fault.kind != FaultKind.MALFORMED:
            raise
