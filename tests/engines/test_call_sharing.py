"""Calls on disk, and how well they share their prefixes: against a count with sets of whole prefixes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from influence.engines.base import Call, CallRecord
from influence.engines.calls import CallLog
from influence.engines.sharing import PrefixTree, read_calls, tree_of
from influence.errors import RunError

ids = st.lists(st.integers(0, 2), max_size=6).map(tuple)
calls = st.lists(st.tuples(ids, ids, st.sampled_from([None, "iteration-1"])), max_size=12)


def least_by_sets(calls) -> int:
    """Every beginning of every prompt, less those that a call had written itself (but for the last token it sampled)."""
    read = {(adapter, prompt[:n]) for prompt, _, adapter in calls for n in range(1, len(prompt) + 1)}
    written = {(adapter, prompt + output[:n]) for prompt, output, adapter in calls for n in range(1, len(output))}
    return len(read - written)


@given(calls)
def test_the_least_that_any_engine_must_compute(calls):
    tree = PrefixTree()
    for prompt, output, adapter in calls:
        tree.add(prompt, output, 0, adapter)
    assert tree.least == least_by_sets(calls)
    assert tree.computed == tree.prompt_tokens == sum(len(prompt) for prompt, _, _ in calls)
    assert tree.ratio is None if tree.least == 0 else tree.ratio == tree.computed / tree.least


def add(*calls) -> PrefixTree:
    tree = PrefixTree()
    for prompt, output, cached in calls:
        tree.add(prompt, output, cached)
    return tree


def test_a_perfect_engine_has_a_ratio_of_one():
    """A conversation that only grows, everything cached but the new tokens and the last one sampled."""
    tree = add(([1, 2, 3], [4, 5], 0), ([1, 2, 3, 4, 5, 6], [7], 4), ([1, 2, 3, 8], [9], 3))
    assert (tree.prompt_tokens, tree.computed, tree.least, tree.ratio) == (13, 6, 6, 1.0)


def test_without_a_cache_the_same_calls_cost_the_whole_prompts():
    tree = add(([1, 2, 3], [4, 5], 0), ([1, 2, 3, 4, 5, 6], [7], 0), ([1, 2, 3, 8], [9], 0))
    assert tree.ratio == pytest.approx(13 / 6)


def test_adapters_share_nothing():
    tree = PrefixTree()
    tree.add([1, 2], [], 0, None)
    tree.add([1, 2], [], 0, "iteration-1")
    assert tree.least == 4


def test_nothing_at_all_has_no_ratio():
    assert PrefixTree().ratio is None


@given(calls)
def test_what_is_logged_is_read_back_and_gives_the_same_tree(tmp_path_factory, calls):
    path, tree = tmp_path_factory.mktemp("run") / "calls.jsonl", PrefixTree()
    log = CallLog(path)
    for n, (prompt, output, adapter) in enumerate(calls):
        cached = len(prompt) // 2
        log.write(CallRecord(Call("agent", f"conversation {n}", 7, n), prompt, output, (1, 2), cached, adapter, 1000.5, 0.25))
        tree.add(prompt, output, cached, adapter)
    log.close()
    again = tree_of(path)
    assert (again.computed, again.prompt_tokens, again.least) == (tree.computed, tree.prompt_tokens, tree.least)
    for n, (record, (prompt, output, adapter)) in enumerate(zip(read_calls(path), calls, strict=True)):
        assert record == {
            "role": "agent",
            "session": f"conversation {n}",
            "turn": n,
            "seed": 7,
            "adapter": adapter,
            "prompt_ids": list(prompt),
            "output_ids": list(output),
            "label_ids": [1, 2],
            "cached_tokens": len(prompt) // 2,
            "started": 1000.5,
            "seconds": 0.25,
        }


def test_a_second_attempt_appends_and_a_torn_last_line_is_left_out(tmp_path):
    path = tmp_path / "calls.jsonl"
    for turn in (1, 2):
        log = CallLog(path)
        log.write(CallRecord(Call("user", "s", 0, turn), [1], [2], (), 0, None, 0.0, 0.0))
        log.close()
    with path.open("a") as file:
        file.write(json.dumps({"turn": 3})[:-3])
    assert [record["turn"] for record in read_calls(path)] == [1, 2]


def test_a_place_that_cannot_be_written_is_said(tmp_path):
    with pytest.raises(RunError, match="cannot be written"):
        CallLog(tmp_path / "no such folder" / "calls.jsonl")
