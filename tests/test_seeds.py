"""Everything random hangs on one root seed and a name, and on nothing else."""

from __future__ import annotations

import subprocess
import sys

from hypothesis import given, settings
from hypothesis import strategies as st

from influence.seeds import SEED_BITS, derive, fraction, generator

NAMES = st.lists(st.text(max_size=8) | st.integers(-(10**6), 10**6), max_size=4)


def test_a_seed_is_the_same_on_every_machine_and_in_every_version():
    assert derive(0) == 2455350324181343126
    assert derive(7, "agent", 3) == 6773208693148748978


def test_a_seed_is_the_same_in_another_process():
    code = "from influence.seeds import derive; print(derive(7, 'agent', 3))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "5"})
    assert int(shown.stdout) == derive(7, "agent", 3)


@settings(deadline=None)
@given(st.integers(0, 2**63 - 1), NAMES)
def test_seeds_are_what_torch_and_vllm_accept(root, names):
    assert 0 <= derive(root, *names) < 2**SEED_BITS
    assert derive(root, *names) == derive(root, *names)
    assert generator(root, *names).random() == generator(root, *names).random()
    assert 0 <= fraction(*names) < 1


@settings(deadline=None)
@given(st.integers(0, 99), NAMES, st.integers(0, 99), NAMES)
def test_other_names_give_another_seed(root, names, other_root, other_names):
    same = root == other_root and [(type(n), n) for n in names] == [(type(n), n) for n in other_names]
    assert (derive(root, *names) == derive(other_root, *other_names)) == same


def test_where_one_name_ends_and_the_next_begins_matters():
    seeds = [derive(0, "ab", "c"), derive(0, "a", "bc"), derive(0, "abc"), derive(0, "ab", "c", ""), derive(0, "", "ab", "c")]
    seeds += [derive(0, 1, 23), derive(0, 12, 3), derive(0, 123), derive(0, "123"), derive(1, 23)]
    assert len(set(seeds)) == len(seeds)


def test_a_hundred_thousand_seeds_are_all_different():
    seeds = {derive(0, "conversation", n, role) for n in range(25_000) for role in ("agent", "user", "preference", "transition")}
    assert len(seeds) == 100_000


def test_fractions_are_spread_evenly():
    tenths = [0] * 10
    for n in range(20_000):
        tenths[int(fraction("opening", n) * 10)] += 1
    assert all(abs(count - 2000) < 4 * (20_000 * 0.1 * 0.9) ** 0.5 for count in tenths)
