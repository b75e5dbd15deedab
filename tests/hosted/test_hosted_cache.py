"""Answers that were paid for once, kept in a file that several runs share, because losing or mixing them up costs money."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from contextlib import closing
from copy import deepcopy
from math import inf
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from influence.chat import ToolCall
from influence.engines.base import Sampling
from influence.engines.hosted import cache as caching
from influence.engines.hosted.cache import FLUSH_AT, Held, ResponseCache, cache_path, clear, contents, key_of
from influence.errors import RunError

ANSWER = {"text": "Hi", "finish": "stop", "tool_calls": [["c1", "look", "{}"]], "usage": {"calls": 1, "cost": 0.25}}


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "below" / "responses.sqlite"


def key(n: int) -> bytes:
    return key_of({"seed": n})


def kept(path: Path, *answers: tuple[int, str, dict]) -> None:
    """A cache that some run left, with these answers."""

    async def run():
        with closing(ResponseCache(path)) as cache:
            for n, model, answer in answers:
                cache.put(key(n), model, answer)

    asyncio.run(run())


def written(path: Path) -> int:
    with closing(sqlite3.connect(path)) as file:
        return file.execute("SELECT COUNT(*) FROM answers").fetchone()[0]


# keys

PARTS = {
    "kind": "reply",
    "server": "https://api.openai.com/v1",
    "model": "gpt-4o",
    "extra": {"reasoning_effort": "low"},
    "seed": 7,
    "messages": [("user", "Hello", (), None), ("assistant", "", (ToolCall("c1", "look", "{}"),), None)],
    "sampling": Sampling(50, 0.7, choices=("a", "b")),
    "tools": [{"type": "function", "function": {"name": "look"}}],
}
CHANGES = {
    "kind": ["labels", ""],
    "server": ["https://api.openai.com/v2", "http://api.openai.com/v1"],
    "model": ["gpt-4o ", "gpt-4"],
    "extra": [{}, {"reasoning_effort": "high"}, {"reasoning_effort": "low", "more": None}],
    "seed": [8, -7, "7", 7.5],
    "messages": [
        [],
        [("user", "Hello", (), None)],
        [("user", "hello", (), None), PARTS["messages"][1]],
        [("system", "Hello", (), None), PARTS["messages"][1]],
        [("user", "Hello", (), "c1"), PARTS["messages"][1]],
        [*reversed(PARTS["messages"])],
        [PARTS["messages"][0], ("assistant", "", (ToolCall("c2", "look", "{}"),), None)],
        [PARTS["messages"][0], ("assistant", "", (ToolCall("c1", "look", "{ }"),), None)],
    ],
    "sampling": [
        Sampling(51, 0.7, choices=("a", "b")),
        Sampling(50, 0.71, choices=("a", "b")),
        Sampling(50, 0.7, 0.9, choices=("a", "b")),
        Sampling(50, 0.7, top_k=1, choices=("a", "b")),
        Sampling(50, 0.7, min_p=0.1, choices=("a", "b")),
        Sampling(50, 0.7, choices=("b", "a")),
        Sampling(50, 0.7),
    ],
    "tools": [[], [{"type": "function", "function": {"name": "book"}}]],
}


def test_every_difference_makes_another_key():
    questions = [PARTS] + [PARTS | {name: value} for name, values in CHANGES.items() for value in values]
    keys = {key_of(question) for question in questions}
    assert len(keys) == len(questions)
    assert {len(one) for one in keys} == {32}


def test_the_same_question_has_the_same_key_today_and_tomorrow():
    again = PARTS | {"messages": [tuple(m) for m in PARTS["messages"]], "sampling": Sampling(50, 0.7, choices=("a", "b"))}
    assert key_of(again) == key_of(PARTS)
    assert key_of({"seed": 7, "messages": [["user", "ü", [], None]]}).hex() == (
        "ed764934918a1cb762ecf4bf7338b5b4b2ab171a1649dece9db74e2874e14484"
    )


text = st.text("ab\"',", max_size=3)
questions = st.tuples(
    st.sampled_from(["reply", "labels"]), st.integers(0, 3), st.lists(st.tuples(text, text), max_size=3), st.lists(text), text
).map(lambda parts: dict(zip(["kind", "seed", "messages", "labels", "prefill"], parts, strict=True)))


@given(questions, questions)
def test_keys_are_equal_exactly_where_the_questions_are(one, other):
    assert (key_of(one) == key_of(other)) == (one == other)
    assert key_of(deepcopy(one)) == key_of(one)


# putting and getting


def test_an_answer_is_there_at_once_and_after_it_was_written(path):
    async def run():
        with closing(ResponseCache(path)) as cache:
            assert cache.get(key(1)) is None
            cache.put(key(1), "openai/m", ANSWER)
            assert cache.get(key(1)) == ANSWER
            assert written(path) == 0
            cache.flush()
            assert cache.get(key(1)) == ANSWER
            assert written(path) == 1
            assert cache.get(key(2)) is None

    asyncio.run(run())


def test_what_is_got_can_be_changed_without_changing_what_is_kept(path):
    async def run():
        with closing(ResponseCache(path)) as cache:
            given_away = {"list": [1]}
            cache.put(key(1), "m", given_away)
            given_away["list"].append(2)
            cache.get(key(1))["list"].append(3)
            assert cache.get(key(1)) == {"list": [1]}

    asyncio.run(run())


def test_closing_writes_what_is_new(path):
    kept(path, (1, "m", ANSWER), (2, "m", {"text": "other"}))
    with closing(ResponseCache(path)) as cache:
        assert (cache.get(key(1)), cache.get(key(2))) == (ANSWER, {"text": "other"})


def test_the_newest_answer_to_a_question_counts(path):
    kept(path, (1, "m", {"text": "first"}), (1, "m", {"text": "second"}))
    kept(path, (1, "n", {"text": "third"}))
    with closing(ResponseCache(path)) as cache:
        assert cache.get(key(1)) == {"text": "third"}
    assert contents(path) == [Held("n", 1, len('{"text":"third"}'))]


def test_impossible_labels_and_all_texts_come_back_as_they_were(path):
    answer = {"logprobs": {"1": -inf, "10": -0.1234567890123456789}, "text": "ü\u2028\x00\U0001f642\n", "at_most": {}, "n": 2**60}
    kept(path, (1, "m", answer))
    with closing(ResponseCache(path)) as cache:
        assert cache.get(key(1)) == answer


def test_many_answers_are_written_before_they_are_too_many(path):
    async def run():
        with closing(ResponseCache(path)) as cache:
            for n in range(FLUSH_AT - 1):
                cache.put(key(n), "m", {"n": n})
            assert written(path) == 0
            cache.put(key(FLUSH_AT - 1), "m", {"n": FLUSH_AT - 1})
            assert written(path) == FLUSH_AT
            cache.put(key(FLUSH_AT), "m", {"n": FLUSH_AT})
            assert written(path) == FLUSH_AT
            assert [cache.get(key(n)) for n in (0, FLUSH_AT - 1, FLUSH_AT)] == [{"n": n} for n in (0, FLUSH_AT - 1, FLUSH_AT)]
        assert written(path) == FLUSH_AT + 1

    asyncio.run(run())


def test_a_few_answers_are_written_a_moment_later_again_and_again(path, monkeypatch):
    monkeypatch.setattr(caching, "FLUSH_SECONDS", 0.0)

    async def run():
        with closing(ResponseCache(path)) as cache:
            for n in range(3):
                cache.put(key(n), "m", ANSWER)
                assert written(path) == n
                for _ in range(3):
                    await asyncio.sleep(0)
                assert written(path) == n + 1

    asyncio.run(run())


def test_writing_nothing_is_nothing(path):
    with closing(ResponseCache(path)) as cache:
        cache.flush()
        cache.flush()
    assert contents(path) == []


# shared by several runs


def test_two_runs_find_each_others_answers_and_may_write_the_same_one(path):
    async def run():
        with closing(ResponseCache(path)) as one, closing(ResponseCache(path)) as other:
            one.put(key(1), "m", {"text": "one"})
            assert other.get(key(1)) is None
            one.flush()
            assert other.get(key(1)) == {"text": "one"}
            other.put(key(1), "m", {"text": "other"})
            one.put(key(2), "m", {"text": "two"})
            one.flush()
            other.flush()
            assert one.get(key(1)) == {"text": "other"}
            assert other.get(key(2)) == {"text": "two"}

    asyncio.run(run())
    assert written(path) == 2


def test_another_process_finds_them_too_and_adds_its_own(path):
    kept(path, (1, "m", ANSWER))
    script = """
import asyncio, sys
from pathlib import Path
from influence.engines.hosted.cache import ResponseCache, key_of
async def run():
    cache = ResponseCache(Path(sys.argv[1]))
    cache.put(key_of({"seed": 2}), "m", {"found": cache.get(key_of({"seed": 1}))})
    cache.close()
asyncio.run(run())
"""
    with closing(ResponseCache(path)) as cache:
        subprocess.run([sys.executable, "-c", script, str(path)], check=True)
        assert cache.get(key(2)) == {"found": ANSWER}


def test_a_cache_may_be_emptied_while_a_run_has_it_open(path):
    async def run():
        with closing(ResponseCache(path)) as cache:
            cache.put(key(1), "m", ANSWER)
            cache.flush()
            assert clear(path) == 1
            assert cache.get(key(1)) is None
            cache.put(key(2), "m", ANSWER)
        assert written(path) == 1

    asyncio.run(run())


# looking into it and emptying it


def test_contents_are_counted_by_model(path):
    kept(path, (1, "openai/b", {"a": 1}), (2, "openai/b", {"a": 10}), (3, "anthropic/a", {}))
    assert contents(path) == [Held("anthropic/a", 1, 2), Held("openai/b", 2, len('{"a":1}') + len('{"a":10}'))]
    assert clear(path) == 3
    assert contents(path) == []
    assert clear(path) == 0


def test_a_cache_that_was_never_used_is_empty_and_stays_away(path):
    assert (contents(path), clear(path)) == ([], 0)
    assert not path.parent.exists()


def test_the_cache_lies_in_the_users_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_path() == tmp_path / "influence" / "responses.sqlite"


# what cannot be used


def assert_told(error: RunError, path: Path) -> None:
    words = str(error)
    assert words.startswith(f"the response cache {path} cannot be used: ")
    assert words.endswith("Go on without it by --no-cache, or remove the file.")


@pytest.mark.parametrize("use", [ResponseCache, contents, clear])
@pytest.mark.parametrize("bytes", [b"this is no database" * 100, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_file_that_is_no_database_is_named_with_what_to_do(path, use, bytes):
    path.parent.mkdir()
    path.write_bytes(bytes)
    with pytest.raises(RunError) as error:
        use(path)
    assert_told(error.value, path)
    assert path.read_bytes() == bytes


def test_a_database_of_something_else_is_named(path):
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as file:
        file.execute("CREATE TABLE answers (id INTEGER)")
    with pytest.raises(RunError) as error:
        contents(path)
    assert_told(error.value, path)
    cache = ResponseCache(path)
    for use in (lambda: cache.get(key(1)), cache.flush, cache.close):
        with pytest.raises(RunError) as error:
            use()
        assert_told(error.value, path)


def test_a_place_where_nothing_can_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "below" / "responses.sqlite", tmp_path / "file" / "responses.sqlite", tmp_path / "folder"):
        with pytest.raises(RunError) as error:
            ResponseCache(path)
        assert_told(error.value, path)


def test_an_answer_that_cannot_be_written_is_an_error_of_the_run(path):
    async def run():
        with closing(ResponseCache(path)) as cache:
            cache.put(key(1), "m", ANSWER)
            with closing(sqlite3.connect(path)) as other:
                other.execute("DROP TABLE answers")
            with pytest.raises(RunError) as error:
                cache.flush()
            assert_told(error.value, path)

    asyncio.run(run())


@pytest.mark.parametrize("told", ["by the next answer", "at the end"])
def test_answers_that_are_lost_while_nobody_waits_are_told_to_whoever_comes_next(path, monkeypatch, told):
    monkeypatch.setattr(caching, "FLUSH_SECONDS", 0.0)

    async def run():
        cache = ResponseCache(path)
        cache.put(key(1), "m", ANSWER)
        with closing(sqlite3.connect(path)) as other:
            other.execute("DROP TABLE answers")
            for _ in range(3):
                await asyncio.sleep(0)
            other.execute(caching.SCHEMA)  # and all is well again, but for what was lost
        if told == "by the next answer":
            with pytest.raises(RunError) as error:
                cache.put(key(2), "m", ANSWER)
            assert_told(error.value, path)
        with pytest.raises(RunError) as error:
            cache.close()
        assert_told(error.value, path)

    asyncio.run(run())
    assert written(path) == 0


def test_a_cache_whose_last_answers_cannot_be_written_is_closed_all_the_same(path):
    async def run():
        cache = ResponseCache(path)
        cache.put(key(1), "m", ANSWER)
        with closing(sqlite3.connect(path)) as other:
            other.execute("DROP TABLE answers")
        with pytest.raises(RunError) as error:
            cache.close()
        assert_told(error.value, path)
        with pytest.raises(RunError, match="closed database"):
            cache.get(key(1))

    asyncio.run(run())
