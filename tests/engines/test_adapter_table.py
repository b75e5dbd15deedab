"""Adapters an engine holds, and the digests by which a manifest knows weights."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from influence.engines import digests
from influence.engines.adapters import AdapterTable
from influence.engines.digests import full_digest, quick_digest
from influence.errors import EngineError


@pytest.fixture
def adapter(tmp_path):
    def make(name: str, weights: bytes = b"weights") -> str:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "adapter_config.json").write_text("{}")
        (folder / "adapter_model.safetensors").write_bytes(weights)
        return str(folder)

    return make


def test_an_adapter_can_be_asked_for_once_it_is_ready(adapter):
    table, folder = AdapterTable(2), adapter("third")
    slot = table.add(folder)
    assert slot.name == f"third-{slot.digest[:12]}"
    assert folder not in table
    with pytest.raises(EngineError, match="has not been added"):
        table.request(folder)
    table.ready(folder, "request")
    assert folder in table
    assert table.request(folder) == "request"
    assert table.describe() == {folder: slot.digest}


def test_names_and_numbers_are_never_used_twice(adapter):
    """A prefix cache is keyed by them, and would hand out the old adapter's values."""
    table, numbers = AdapterTable(1), []
    for n in range(5):
        folder = adapter(f"iteration-{n}")
        numbers.append(table.add(folder).number)
        table.ready(folder, n)
        assert table.remove(folder) == n
        assert folder not in table
    assert numbers == [1, 2, 3, 4, 5]


def test_one_folder_with_new_weights_has_a_new_name(adapter, tmp_path):
    table, folder = AdapterTable(1), adapter("latest", b"old")
    old = table.add(folder)
    table.ready(folder, None)
    table.remove(folder)
    (tmp_path / "latest" / "adapter_model.safetensors").write_bytes(b"new")
    new = table.add(folder)
    assert old.name != new.name
    assert old.number != new.number


def test_a_full_table_and_a_folder_that_is_no_adapter_are_refused(adapter, tmp_path):
    table = AdapterTable(1)
    with pytest.raises(EngineError, match=r"no adapter_config\.json"):
        table.add(str(tmp_path))
    table.add(adapter("first"))
    with pytest.raises(EngineError, match=r"holds 1 adapters already; `engine\.max_loras`"):
        table.add(adapter("second"))


def test_an_adapter_that_failed_to_load_can_be_tried_again(adapter):
    table, folder = AdapterTable(1), adapter("first")
    assert table.add(folder).number != table.add(folder).number


def test_removing_what_is_not_there_is_an_error(adapter):
    with pytest.raises(EngineError, match="has not been added"):
        AdapterTable(1).remove(adapter("first"))


@pytest.mark.parametrize("digest", [full_digest, quick_digest])
@given(data=st.binary(min_size=1, max_size=64), where=st.integers(0, 63), bit=st.integers(0, 7))
def test_a_change_of_any_bit_changes_the_digest(tmp_path_factory, digest, data, where, bit):
    folder = tmp_path_factory.mktemp("model")
    (folder / "other").write_bytes(b"other")
    (folder / "weights").write_bytes(data)
    before = digest(folder)
    assert digest(folder) == before
    changed = bytearray(data)
    changed[where % len(data)] ^= 1 << bit
    (folder / "weights").write_bytes(changed)
    assert digest(folder) != before


@pytest.mark.parametrize("digest", [full_digest, quick_digest])
def test_names_lengths_and_borders_between_files_count(tmp_path, digest):
    seen = set()
    for n, files in enumerate(
        [{"a": b"xy", "b": b"z"}, {"a": b"x", "b": b"yz"}, {"a": b"xyz"}, {"b": b"xyz"}, {"a": b"xy", "c": b"z"}, {}]
    ):
        folder = tmp_path / str(n)
        folder.mkdir()
        for name, data in files.items():
            (folder / name).write_bytes(data)
        seen.add(digest(folder))
    assert len(seen) == 6


def test_a_large_file_is_read_whole_by_the_full_digest_and_at_both_ends_by_the_quick_one(tmp_path, monkeypatch):
    monkeypatch.setattr(digests, "EDGE", 10)
    path = tmp_path / "weights"

    def both(data: bytes) -> tuple[str, str]:
        path.write_bytes(data)
        return full_digest(tmp_path), quick_digest(tmp_path)

    plain, middle, first, last = (
        both(data) for data in (b"." * 35, b"." * 17 + b"x" + b"." * 17, b"x" + b"." * 34, b"." * 34 + b"x")
    )
    assert len({plain[0], middle[0], first[0], last[0]}) == 4
    assert len({plain[1], first[1], last[1]}) == 3
    assert middle[1] == plain[1]  # the price of not reading gigabytes at every start
