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
    sizes = [block] * (len(blocks) - 1) + [last]
    room = list(sizes)
    for group in sorted(by_prompt.values(), key=len, reverse=True):
        fullest_last = sorted(random.sample(range(len(blocks)), len(blocks)), key=room.__getitem__, reverse=True)
        taken = [0] * len(blocks)
        for row in group:
            crowding = {b: _crowding(taken[b] + 1, sizes[b]) for b in fullest_last if room[b]}
            place = min(crowding, key=crowding.__getitem__)
            blocks[place].append(row)
            room[place] -= 1
            taken[place] += 1
    return [row for one in blocks for row in _in_a_circle(one)]


def _crowding(same: int, size: int) -> tuple[int, int]:
    """How bad it is that a block has so many rows of one prompt: how many of them must be neighbours, then how many there are."""
    return max(0, 2 * same - size), same


def _in_a_circle(rows: list[Row]) -> list[Row]:
    """The rows of a block in an order in which rows of one prompt are no neighbours, if none has over half of them.

    Those of the commonest prompt take every other place, and so on; the last place is the first one's neighbour.
    """
    by_prompt: dict[tuple[int, ...], list[Row]] = defaultdict(list)
    for row in rows:
        by_prompt[tuple(row.prompt_ids)].append(row)
    commonest_first = [row for group in sorted(by_prompt.values(), key=len, reverse=True) for row in group]
    places = [*range(0, len(rows), 2), *range(1, len(rows), 2)]
    return [row for _, row in sorted(zip(places, commonest_first, strict=True), key=lambda placed: placed[0])]


def matched_pairs(rows: Sequence[Row], block: int) -> int:
    """How many rows are paired with a completion of their own prompt. 0 is what KTO assumes; `in_blocks` leaves the fewest."""
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
