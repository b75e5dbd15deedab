"""One root seed, from which everything random derives its own seed by name.

A seed depends on what it is for (which conversation, which role, which turn) and on nothing else: not on the order in
which conversations happen to run, nor on how many run at once.
"""

from __future__ import annotations

from hashlib import blake2b
from random import Random

SEED_BITS = 63  # what torch and vLLM accept as a signed 64-bit seed


def derive(root: int, *names: str | int) -> int:
    """A seed in [0, 2**63) for one purpose. Each name is length-prefixed, so ("ab", "c") and ("a", "bc") differ."""
    digest = blake2b(digest_size=8)
    for name in (root, *names):
        text = f"{type(name).__name__[0]}{name}".encode()
        digest.update(len(text).to_bytes(4, "big") + text)
    return int.from_bytes(digest.digest(), "big") >> (64 - SEED_BITS)


def generator(root: int, *names: str | int) -> Random:
    """A random generator of its own for one purpose."""
    return Random(derive(root, *names))


def fraction(*names: str | int) -> float:
    """A number in [0, 1) fixed by the names alone: the same on every machine and in every run."""
    return derive(0, *names) / float(2**SEED_BITS)
