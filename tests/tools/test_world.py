"""The emulated world: changes are made whole or not at all, to a copy, within bounds."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from influence.tools.arguments import DEEPEST
from influence.tools.world import LARGEST, MOST_CHANGES, BadPatchError, digest, patched

STATE = {"desk": {"notes": [{"id": "n1", "text": "Call Ida."}], "drawer": {"locked": False}, "count": 1}}


def change(op: str, path: Any, *value: Any) -> dict[str, Any]:
    return {"op": op, "path": path, **({"value": value[0]} if value else {})}


@pytest.mark.parametrize(
    ("changes", "path", "value"),
    [
        ([], ["desk", "count"], 1),
        ([change("replace", "/desk/count", 2)], ["desk", "count"], 2),
        ([change("add", "/desk/notes/-", {"id": "n2"})], ["desk", "notes", 1], {"id": "n2"}),
        ([change("add", "/desk/notes/0", {"id": "n0"})], ["desk", "notes", 1, "id"], "n1"),
        ([change("remove", "/desk/notes/0")], ["desk", "notes"], []),
        ([change("add", "/desk/drawer/a~1b", 1)], ["desk", "drawer", "a/b"], 1),
        ([change("add", "/desk/new", {}), change("add", "/desk/new/x", None)], ["desk", "new"], {"x": None}),
    ],
)
def test_changes_are_made_to_a_copy(changes, path, value):
    before = deepcopy(STATE)
    found: Any = patched(STATE, changes)
    for part in path:
        found = found[part]
    assert found == value
    assert before == STATE


def test_a_value_that_a_later_change_fills_is_recorded_as_it_was_given():
    changes = [change("add", "/desk/list", []), change("add", "/desk/list/-", 1)]
    after = patched(STATE, changes)
    assert changes == [change("add", "/desk/list", []), change("add", "/desk/list/-", 1)]
    assert patched(STATE, changes) == after


DOES_NOT_FIT = "the changes do not fit the state: "
WRONG = {
    "a key that is not there": ([change("replace", "/desk/drawr", 1)], DOES_NOT_FIT),
    "a parent that is not there": ([change("add", "/desk/a/b", 1)], DOES_NOT_FIT),
    "removing what is not there": ([change("remove", "/desk/gone")], DOES_NOT_FIT),
    "a number past the end": ([change("add", "/desk/notes/7", 1)], DOES_NOT_FIT),
    "a number that is none": ([change("replace", "/desk/notes/first", 1)], DOES_NOT_FIT),
    "a huge number": ([change("remove", f"/desk/notes/{'9' * 5000}")], DOES_NOT_FIT),
    "inside a number": ([change("add", "/desk/count/x", 1)], DOES_NOT_FIT),
    "inside a text": ([change("add", "/desk/notes/0/text/0", "x")], DOES_NOT_FIT),
    "removing from a text": ([change("remove", "/desk/notes/0/text/0")], DOES_NOT_FIT),
    "a wrong escape": ([change("add", "/desk/a~2", 1)], DOES_NOT_FIT),
    "an operation that only looks": (
        [change("test", "/desk/count", 1)],
        "`op` is 'test'. Allowed: add, replace, remove.",
    ),
    "a move": ([{"op": "move", "from": "/desk/count", "path": "/desk/x"}], "`op` is 'move'. Allowed: add, replace, remove."),
    "no operation": ([{"path": "/desk/count"}], "`op` is None."),
    "no value": ([change("add", "/desk/x")], "the change at '/desk/x' has no `value`."),
    "no path": ([{"op": "remove"}], "`path` is None; a path begins with `/` and a key of the state."),
    "the whole state": ([change("replace", "", {})], "`path` is ''; a path begins with `/` and a key of the state."),
    "a path without a slash": ([change("add", "desk/x", 1)], "`path` is 'desk/x'; a path begins"),
    "too much": ([change("add", "/desk/x", "y" * LARGEST)], f"the state would grow past {LARGEST} characters."),
    "too many": ([change("add", "/desk/x", 1)] * (MOST_CHANGES + 1), f"changes at once, more than {MOST_CHANGES}."),
    "too deep": (
        [change("add", "/desk/x", json.loads("[" * DEEPEST + "]" * DEEPEST))],
        f"the state cannot be kept so: it is nested deeper than {DEEPEST} levels.",
    ),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("good_before", [0, 1])
def test_changes_that_cannot_be_made_change_nothing(name, good_before):
    changes, message = WRONG[name]
    before = deepcopy(STATE)
    good = [change("replace", "/desk/drawer/locked", True)] * good_before
    with pytest.raises(BadPatchError) as wrong:
        patched(STATE, [*good, *changes])
    assert message in str(wrong.value)
    assert len(str(wrong.value)) < 300
    assert before == STATE


def test_depth_is_not_smuggled_in_bit_by_bit():
    state: dict[str, Any] = {}
    path = ""
    for _ in range(DEEPEST - 1):
        path += "/a"
        state = patched(state, [change("add", path, {})])
    with pytest.raises(BadPatchError, match="nested deeper"):
        patched(state, [change("add", f"{path}/a", {})])


VALUES = st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3) | st.just([]) | st.just({})
PATHS = st.lists(st.sampled_from(["desk", "notes", "0", "-", "1", "text", "drawer", "a~0", "", "~"]), max_size=4).map(
    lambda parts: "".join(f"/{part}" for part in parts)
)
CHANGES = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "replace", "remove", "move", ""]), "path": PATHS | st.text(max_size=5)},
    optional={"value": VALUES},
)


@given(st.lists(CHANGES, max_size=5))
def test_any_changes_are_made_or_refused_and_leave_what_they_were_made_to(changes):
    before, given_ = deepcopy(STATE), deepcopy(changes)
    try:
        after = patched(STATE, changes)
    except BadPatchError as error:
        refused = str(error)
        assert refused
    else:
        json.dumps(after, allow_nan=False)
        after["desk"] = None  # the copy shares nothing that matters
    assert before == STATE
    assert given_ == changes


def test_equal_states_have_one_digest_and_others_have_not():
    assert digest({"a": 1, "b": [1, 2]}) == digest({"b": [1, 2], "a": 1})
    assert digest({"a": [1, 2]}) != digest({"a": [2, 1]})
