"""The order in which KTO sees its rows, and how good and bad examples are weighed.

KTO's reference point is estimated from mismatched pairs: within each block of rows that are on one device together, TRL
gives every prompt the completion of the row before it. So rows of one prompt must not share a block, and a block of one
row would pair a completion with its own prompt.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from math import ceil

from influence.seeds import generator
from influence.training.rows import Row


def in_blocks(rows: Sequence[Row], block: int, seed: int) -> list[Row]:
    """The rows in a random order in which rows of one prompt are in different blocks of `block`, where there are enough blocks.

    A last block of one row is left out, so the result may be one row shorter. `block` is at least 2.
    """
    random = generator(seed, "blocks")
    rows = list(rows)
    random.shuffle(rows)
    if len(rows) % block == 1:
        rows = rows[:-1]
    by_prompt: dict[tuple[int, ...], list[Row]] = defaultdict(list)
    for row in rows:
        by_prompt[tuple(row.prompt_ids)].append(row)
    blocks: list[list[Row]] = [[] for _ in range(ceil(len(rows) / block))]
    if not blocks:
        return []
    last = len(rows) % block or block
    room = [block] * (len(blocks) - 1) + [last]
    for group in sorted(by_prompt.values(), key=len, reverse=True):
        fullest_last = sorted(range(len(blocks)), key=lambda b: (-room[b], random.random()))
        taken: list[int] = []
        for row in group:
            free = [b for b in fullest_last if room[b] and b not in taken] or [b for b in range(len(blocks)) if room[b]]
            blocks[free[0]].append(row)
            room[free[0]] -= 1
            taken.append(free[0])
    whole, short = blocks[:-1], blocks[-1]
    random.shuffle(whole)
    for one in blocks:
        random.shuffle(one)
    return [row for one in [*whole, short] for row in one]


def matched_pairs(rows: Sequence[Row], block: int) -> int:
    """How many rows are paired with a completion of their own prompt, which no order could avoid. 0 is what KTO assumes."""
    count = 0
    for start in range(0, len(rows), block):
        part = rows[start : start + block]
        count += sum(row.prompt_ids == part[place - 1].prompt_ids for place, row in enumerate(part))
    return count


def weights(good: int, bad: int, ratio: float) -> tuple[float, float]:
    """Weights (w_good, w_bad) with good * w_good = ratio * bad * w_bad, the side with fewer rows weighed up, the other by 1.

    Ethayarajh et al. 2024, "KTO", equation 8, wants the ratio between 1 and 4/3. With one side alone there is nothing to weigh.
    """
    if not good or not bad:
        return 1.0, 1.0
    up = ratio * bad / good
    return (up, 1.0) if up >= 1 else (1.0, 1 / up)
