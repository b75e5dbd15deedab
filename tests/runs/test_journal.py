"""Journals: what was whole stays whole, wherever a kill, a full disk or a hand has cut the file."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from influence.errors import RunError
from influence.runs import journal as module
from influence.runs.journal import Journal, read_lines

KEYS = ["a", "b", "c", "d"]
WORDS = ["plain", "zwölf – “十二”", "a\u2028b\u0085c", '{"key": "no"}', "x" * 70_000]


def line(key: str, text: str) -> str:
    return json.dumps({"key": key, "text": text}, ensure_ascii=False)


def written(folder: Path, texts: list[str]) -> Path:
    path = folder / "trajectories.jsonl"
    journal = Journal(path)
    for key, text in zip(KEYS, texts, strict=False):
        journal.append(key, line(key, text))
    journal.close()
    return path


@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=4), st.data())
@settings(deadline=None, max_examples=150)
def test_a_line_torn_at_any_byte_is_cut_and_can_be_redone(texts, data):
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder), texts)
        whole = path.read_bytes()
        cut = data.draw(st.one_of(st.integers(0, len(whole)), st.integers(max(0, len(whole) - 200), len(whole))))
        path.write_bytes(whole[:cut])
        seen: list[str] = []
        journal = Journal(path, seen.append)
        left = whole[:cut].count(b"\n")
        assert journal.keys == set(KEYS[:left])
        assert seen == [line(key, text) + "\n" for key, text in zip(KEYS, texts, strict=False)][:left]
        for key, text in list(zip(KEYS, texts, strict=False))[left:]:
            journal.append(key, line(key, text))
        journal.close()
        assert path.read_bytes() == whole


@pytest.mark.parametrize(
    "damage", [b"{", b"[]", b'{"kay": 1}', b"", b"null", b"\xff\xfe\xff", b"[" * 100_000, b'{"key"', b"\0\0\0"]
)
def test_a_damaged_line_in_the_middle_is_an_error_with_its_place_and_changes_nothing(tmp_path, damage):
    path = written(tmp_path, ["one", "two", "three"])
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([lines[0], damage, *lines[2:]]))
    before = path.read_bytes()
    with pytest.raises(RunError, match=r"trajectories\.jsonl, line 2: this is not a record") as caught:
        Journal(path)
    assert len(str(caught.value)) < 500
    assert path.read_bytes() == before


@given(st.integers(0, 400))
@settings(deadline=None)
def test_an_append_that_fails_half_way_leaves_the_journal_as_it_was(room):
    """`room` bytes still fit on the disk; the next write says that it is full."""
    real, text = os.write, "y" * 300
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = written(Path(folder), ["one", "two"])
        before = path.read_bytes()
        journal = Journal(path)

        def on_a_full_disk(file: int, data: bytes) -> int:
            if room == 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(file, data[:room])

        patch.setattr(module.os, "write", on_a_full_disk)
        if room <= len(line("c", text)):
            with pytest.raises(RunError, match=r"trajectories\.jsonl: cannot be written: .*(?i:no space left).*safe"):
                journal.append("c", line("c", text))
            assert journal.keys == {"a", "b"}
            assert path.read_bytes() == before
        patch.undo()
        if "c" not in journal.keys:
            journal.append("c", line("c", text))
            assert path.read_bytes() == before + line("c", text).encode() + b"\n"
        journal.close()


@given(st.permutations(KEYS), st.permutations(KEYS))
@settings(deadline=None)
def test_sorting_puts_records_in_the_plans_order_and_changes_none(written_order, order):
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder) / "trajectories.jsonl")
        for key in written_order:
            journal.append(key, line(key, f"text of {key}"))
        journal.sort([*order, "never held"])
        journal.close()
        assert list(read_lines(journal.path)) == [line(key, f"text of {key}") + "\n" for key in order]
        assert os.listdir(folder) == ["trajectories.jsonl"]


def test_sorting_leaves_a_journal_with_unknown_records_alone(tmp_path):
    path = written(tmp_path, ["one", "two", "three"])
    before = path.read_bytes()
    journal = Journal(path)
    journal.sort(["c", "a"])
    journal.close()
    assert path.read_bytes() == before


def test_a_sort_that_fails_leaves_every_record_in_place(tmp_path, monkeypatch):
    path = written(tmp_path, ["one", "two", "three"])
    before = path.read_bytes()
    journal = Journal(path)

    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", full)
    with pytest.raises(RunError, match="could not be put in order"):
        journal.sort(["c", "b", "a"])
    journal.close()
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["trajectories.jsonl"]


def test_a_journal_that_cannot_be_opened_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be opened for writing: Not a directory"):
        Journal(tmp_path / "file" / "trajectories.jsonl")
