"""The order of KTO's rows: no completion beside its own prompt where that can be helped, and both labels in their proportion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from influence.training.ordering import in_blocks, matched_pairs, weights
from influence.training.rows import Row

SEEDS = st.integers(0, 2**63 - 1)
BLOCKS = st.integers(2, 9)


def row(prompt: int, number: int) -> Row:
    """A row of a prompt; its completion is its own."""
    key = f"{prompt}/{number}"
    ids = [7, prompt, 100 + number]
    return Row(key=key, source="rollout", trajectory=key, turns=[1], label=number % 2 == 0, token_ids=ids, trained=[(2, 3)])


def rows_of(*counts: int) -> list[Row]:
    """So many rows of each prompt."""
    return [row(prompt, number) for prompt, count in enumerate(counts) for number in range(count)]


COUNTS = st.lists(st.integers(1, 5), max_size=12)


def cut(rows: list[Row], block: int) -> list[list[Row]]:
    return [rows[start : start + block] for start in range(0, len(rows), block)]


def most_of_one_prompt(block: list[Row]) -> int:
    return max(Counter(tuple(row.prompt_ids) for row in block).values())


@given(COUNTS, BLOCKS, SEEDS)
def test_every_row_comes_once_but_for_one_that_would_be_alone(counts, block, seed):
    rows = rows_of(*counts)
    ordered = in_blocks(rows, block, seed)
    missing = Counter(row.key for row in rows) - Counter(row.key for row in ordered)
    assert Counter(row.key for row in ordered) <= Counter(row.key for row in rows)
    assert missing.total() == (1 if len(rows) % block == 1 else 0)
    assert len(ordered) % block != 1
    assert {row.key: row for row in rows} | {row.key: row for row in ordered} == {row.key: row for row in rows}


@pytest.mark.parametrize(
    ("rows", "block", "left"), [(0, 2, 0), (1, 2, 0), (2, 2, 2), (3, 2, 2), (9, 8, 8), (8, 8, 8), (10, 8, 10)]
)
def test_a_last_block_of_one_is_left_out(rows, block, left):
    assert len(in_blocks(rows_of(*[1] * rows), block, 1)) == left


def test_which_row_is_left_out_hangs_on_the_seed():
    rows = rows_of(*[1] * 9)
    left_out = {key for seed in range(60) for key in {r.key for r in rows} - {r.key for r in in_blocks(rows, 8, seed)}}
    assert left_out == {row.key for row in rows}


@given(st.lists(st.integers(1, 6), min_size=1, max_size=12), BLOCKS, SEEDS)
def test_rows_of_one_prompt_are_in_different_blocks_where_all_blocks_are_full(counts, block, seed):
    blocks = -(-sum(counts) // block)
    counts = [min(count, blocks) for count in counts]
    counts += [1] * (-sum(counts) % block)
    ordered = in_blocks(rows_of(*counts), block, seed)
    assert len(ordered) == sum(counts)
    if max(counts) <= len(ordered) // block:
        assert all(most_of_one_prompt(part) == 1 for part in cut(ordered, block))


@given(st.integers(2, 40), BLOCKS, SEEDS, st.data())
def test_rows_of_one_prompt_are_in_different_blocks_where_the_last_one_is_short(extra, block, seed, data):
    """A dealer's round proves that it can be done: rows of a prompt are dealt to blocks that all differ."""
    sizes = [block] * (extra // block) + ([extra % block] if extra % block > 1 else [])
    counts: Counter[int] = Counter()
    for size in sizes:
        counts.update(data.draw(st.lists(st.integers(0, 12), min_size=size, max_size=size, unique=True)))
    ordered = in_blocks(rows_of(*(counts[prompt] for prompt in range(13))), block, seed)
    assert [len(part) for part in cut(ordered, block)] == sizes
    assert all(most_of_one_prompt(part) == 1 for part in cut(ordered, block))
    assert matched_pairs(ordered, block) == 0


def test_where_blocks_must_share_a_prompt_its_rows_are_no_neighbours():
    """Ten rows of five prompts in blocks of eight and two: the first has some prompts twice, which does no harm apart."""
    for seed in range(30):
        ordered = in_blocks(rows_of(2, 2, 2, 2, 2), 8, seed)
        assert most_of_one_prompt(ordered[:8]) == 2
        assert matched_pairs(ordered, 8) == 0


def test_the_commonest_prompt_of_a_block_need_not_be_the_commonest_of_all():
    for seed in range(80):
        assert matched_pairs(in_blocks(rows_of(2, 3, 3), 4, seed), 4) == 0


def test_a_prompt_with_too_many_rows_is_shared_out_evenly():
    """Four of eight rows in two blocks of four: two in each, and not three and one."""
    for seed in range(30):
        ordered = in_blocks(rows_of(4, 1, 1, 1, 1), 4, seed)
        assert [most_of_one_prompt(part) for part in cut(ordered, 4)] == [2, 2]
        assert matched_pairs(ordered, 4) == 0


def shares(n: int, most: int) -> Iterator[list[int]]:
    """All ways to have n rows of some prompts, the commonest first."""
    if n == 0:
        yield []
    for first in range(min(n, most), 0, -1):
        yield from ([first, *rest] for rest in shares(n - first, first))


@pytest.mark.parametrize("block", [2, 3, 4, 5])
def test_no_order_has_fewer_matched_pairs(block):
    """All orders of up to seven rows are tried."""
    for counts in (counts for n in range(2, 8) if n % block != 1 for counts in shares(n, n)):
        prompts = [prompt for prompt, count in enumerate(counts) for _ in range(count)]
        known = [row(prompt, 0) for prompt in range(len(counts))]
        fewest = min(matched_pairs([known[prompt] for prompt in order], block) for order in set(permutations(prompts)))
        for seed in range(5):
            assert matched_pairs(in_blocks(rows_of(*counts), block, seed), block) == fewest, counts


@given(COUNTS, BLOCKS, SEEDS)
def test_the_seed_settles_the_order(counts, block, seed):
    assert in_blocks(rows_of(*counts), block, seed) == in_blocks(rows_of(*counts), block, seed)


def test_another_seed_gives_another_order():
    rows = rows_of(*[1] * 6, 2, 2)
    orders = {tuple(row.key for row in in_blocks(rows, 4, seed)) for seed in range(30)}
    assert len(orders) > 25


def test_rows_that_have_nothing_in_common_may_come_anywhere():
    """Neither the input's order nor the labels decide who is whose neighbour."""
    rows = rows_of(*[1] * 8)
    for place in range(8):
        assert {in_blocks(rows, 4, seed)[place].key for seed in range(150)} == {row.key for row in rows}


def test_rows_of_one_prompt_may_come_into_any_blocks():
    """But for the last one, which is short."""
    chosen = set()
    for seed in range(100):
        parts = cut(in_blocks(rows_of(2, *[1] * 9), 3, seed), 3)
        chosen.add(tuple(n for n, part in enumerate(parts) if any(row.key.startswith("0/") for row in part)))
    assert chosen == {(0, 1), (0, 2), (1, 2)}


def test_the_rows_that_were_given_stay_as_they_were():
    rows = rows_of(3, 1, 2)
    in_blocks(rows, 2, 5)
    assert rows == rows_of(3, 1, 2)


@pytest.mark.parametrize(
    ("prompts", "block", "pairs"),
    [
        ("", 2, 0),
        ("ab", 2, 0),
        ("aa", 2, 2),
        ("abab", 4, 0),
        ("aabb", 4, 2),
        ("abca", 4, 1),
        ("abca", 2, 0),
        ("abba", 2, 0),
        ("abbc", 2, 0),
        ("abcdd", 3, 2),
        ("aaab", 4, 2),
    ],
)
def test_a_completion_that_is_moved_on_to_its_own_prompt_is_counted(prompts, block, pairs):
    """Each block is a circle: its first row is given its last one's completion."""
    assert matched_pairs([row(ord(prompt), number) for number, prompt in enumerate(prompts)], block) == pairs


@given(COUNTS, BLOCKS)
def test_matched_pairs_are_what_the_trainer_makes(counts, block):
    """Whose completion a prompt is given, by moving each block's completions on by one."""
    rows = rows_of(*counts)
    given_to = [(one, other) for part in cut(rows, block) for one, other in zip(part, [part[-1], *part[:-1]], strict=True)]
    assert matched_pairs(rows, block) == sum(one.prompt_ids == other.prompt_ids for one, other in given_to)


@given(st.integers(1, 5000), st.integers(1, 5000), st.fractions(Fraction(1, 10), 10))
def test_weights_keep_the_ratio_and_weigh_nobody_down(good, bad, ratio):
    w_good, w_bad = weights(good, bad, float(ratio))
    assert good * w_good == pytest.approx(float(ratio) * bad * w_bad)
    assert min(w_good, w_bad) == 1


@pytest.mark.parametrize(
    ("good", "bad", "ratio", "expected"),
    [
        (10, 10, 1.0, (1, 1)),
        (10, 10, 1.05, (1.05, 1)),
        (10, 20, 1.0, (2, 1)),
        (20, 10, 1.0, (1, 2)),
        (20, 10, 2.0, (1, 1)),
        (3, 1, 4 / 3, (1, 2.25)),
        (5, 0, 1.05, (1, 1)),
        (0, 5, 1.05, (1, 1)),
        (0, 0, 1.05, (1, 1)),
    ],
)
def test_weights_by_value(good, bad, ratio, expected):
    assert weights(good, bad, ratio) == pytest.approx(expected)
