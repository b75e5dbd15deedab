"""Preference data of others: every layout as examples, nothing guessed, and windows of it that use everything up evenly."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from influence.chat import Message
from influence.config.training import StaticDataSection
from influence.errors import ConfigError
from influence.training.static_data import StaticData, StaticExample, draw, load_static, require_labels
from influence.training.static_formats import UnusableRecordError, WrongRecordError, examples_of, layout_of

FIXTURES = Path(__file__).parents[1] / "fixtures" / "static"


def load(path, **settings) -> StaticData:
    return load_static(StaticDataSection(source=str(path), **settings))


def in_short(data: StaticData) -> list[tuple[list[tuple[str, str]], str, bool]]:
    return [([(m.role, m.content) for m in e.prompt], e.completion, e.label) for e in data.examples]


def written(path: Path, *records) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def said(*contents: str) -> list[dict[str, str]]:
    """Messages from user and assistant in turn."""
    return [{"role": ("user", "assistant")[n % 2], "content": content} for n, content in enumerate(contents)]


def transcript(*contents: str) -> str:
    return "".join(f"\n\n{('Human', 'Assistant')[n % 2]}: {content}" for n, content in enumerate(contents))


def test_hh_rlhf_ends_in_the_answer_and_a_transcript_without_one_is_counted():
    data = load(FIXTURES / "hh.jsonl")
    bus = [("user", "Which bus goes to the harbour?"), ("assistant", "The 12, from the town hall."), ("user", "And on Sundays?")]
    assert in_short(data) == [
        ([("user", "How long do lentils take?")], "About twenty minutes.", True),
        ([("user", "How long do lentils take?")], "No idea.", False),
        (bus, "Then the 12 runs once an hour.", True),
        (bus, "Buses are blue.", False),
        ([("user", "Is tea warm?")], "Usually.\n\nIced tea is not.", True),
        ([("user", "Is tea warm?")], "It depends on the weekday.", False),
    ]
    assert data.unusable == 1
    numbers = ["1/good", "1/bad", "2/good", "2/bad", "4/good", "4/bad"]
    assert [e.key for e in data.examples] == [f"static/hh/{n}" for n in numbers]


@pytest.mark.parametrize(("prefer", "boat"), [("better", "Fold the sheet in half first."), ("safer", "Crumple it up.")])
def test_pku_saferlhf_has_two_opinions_and_prefer_says_which_counts(prefer, boat):
    data = load(FIXTURES / "pku.jsonl", prefer=prefer)
    assert [e.completion for e in data.examples if e.label] == [boat, "Ferns and ivy."]
    assert len({e.completion for e in data.examples}) == 4
    assert data.examples[0].prompt == (Message("user", "How do I fold a paper boat?"),)


def test_unpaired_examples_are_texts_or_messages_with_a_label():
    assert in_short(load(FIXTURES / "unpaired.jsonl")) == [
        ([("user", "Suggest a name for a cat.")], "Pebble.", True),
        ([("user", "Suggest a name for a dog.")], "A name.", False),
        ([("system", "Answer in one word."), ("user", "Colour of grass?")], "Green.", True),
    ]


def test_paired_examples_are_texts_or_messages_with_a_prompt():
    data = load(FIXTURES / "paired.jsonl")
    walk, door = [("user", "What is a good day for a walk?")], "How wide is a door?"
    assert in_short(data)[:2] == [(walk, "A dry one.", True), (walk, "Walks are long.", False)]
    assert [(len(e.prompt), e.prompt[-1].content, e.completion) for e in data.examples[2:]] == [
        (3, door, "About ninety centimetres."),
        (3, door, "Wide."),
    ]


def test_paired_messages_may_hold_their_prompt_themselves():
    floats = [("user", "What floats?")]
    assert in_short(load(FIXTURES / "paired_whole.jsonl")) == [(floats, "Cork.", True), (floats, "Gravel.", False)]


def test_paired_messages_may_repeat_the_prompt_and_may_contradict_it(tmp_path):
    record = {"prompt": "One?", "chosen": said("One?", "Yes."), "rejected": said("One?", "No.")}
    data = load(written(tmp_path / "repeated.jsonl", record, record | {"prompt": "Two?"}))
    assert in_short(data) == [([("user", "One?")], "Yes.", True), ([("user", "One?")], "No.", False)]
    assert data.unusable == 1


TURN = st.text(st.characters(exclude_characters=":", exclude_categories=["Cs"]), min_size=1).map(str.strip).filter(bool)
TURNS = st.lists(TURN, min_size=2, max_size=8).filter(lambda turns: len(turns) % 2 == 0)


@given(TURNS, TURN, st.sampled_from(["", " ", "\n\n"]))
def test_a_transcript_gives_back_the_turns_it_was_written_from(turns, other, trailing):
    assume(turns[-1] != other)
    record = {"chosen": transcript(*turns) + trailing, "rejected": transcript(*turns[:-1], other)}
    good, bad = examples_of("hh-rlhf", record, "better")
    assert [m.content for m in good[0]] == [m.content for m in bad[0]] == turns[:-1]
    assert [m.role for m in good[0]] == [("user", "assistant")[n % 2] for n in range(len(turns) - 1)]
    assert (good[1:], bad[1:]) == ((turns[-1], True), (other, False))


@given(st.text(), st.text(), st.lists(st.sampled_from(["\n\nHuman:", "\n\nAssistant:", "Human:", " ", "\n\n", "a"]), max_size=9))
def test_whatever_a_transcript_holds_it_is_usable_or_counted(start, end, pieces):
    try:
        both = examples_of("hh-rlhf", {"chosen": start + "".join(pieces) + end, "rejected": transcript("a", "b")}, "better")
    except UnusableRecordError:
        return
    for prompt, completion, _ in both:
        assert completion == completion.strip() != ""
        assert [m.role for m in prompt] == ["user", "assistant"] * (len(prompt) // 2) + ["user"]
        assert all(m.content for m in prompt)


@pytest.mark.parametrize(
    ("chosen", "reason"),
    [
        ("", "does not begin with Human:"),
        ("Tea is warm.", "does not begin with Human:"),
        ("Hello.\n\nHuman: a\n\nAssistant: b", "does not begin with Human:"),
        (transcript("a", "b", "c"), "does not end with an answer"),
        (transcript("a", ""), "is empty"),
        (transcript("", "b"), "is empty"),
        ("\n\nAssistant: b", "take turns"),
        ("\n\nHuman: a\n\nHuman: b\n\nAssistant: c", "take turns"),
        (transcript("a", "he wrote\n\nAssistant: b"), "take turns"),
        (transcript("a", "\ud800"), "half a character"),
        (transcript("a", "same"), "the same"),
    ],
)
def test_a_transcript_that_says_nothing_to_train_on_is_unusable_and_says_why(chosen, reason):
    with pytest.raises(UnusableRecordError, match=reason):
        examples_of("hh-rlhf", {"chosen": chosen, "rejected": transcript("a", "same")}, "better")


@pytest.mark.parametrize(
    ("prompt", "completion", "reason"),
    [
        ("", "b", "is empty"),
        ("a", " \n", "is empty"),
        ([], "b", "take turns"),
        (said("a", "b"), "c", "take turns"),
        ([{"role": "user", "content": "a"}, {"role": "user", "content": "b"}], "c", "take turns"),
        ([*said("a"), {"role": "system", "content": "s"}], "c", "take turns"),
        ([{"role": "tool", "content": "4"}], "c", "belongs to a tool"),
        ("a", [{"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}], "belongs to a tool"),
        ("a", said("b"), "does not end with an answer"),
        ("a", said("b", "c"), "no answer to `prompt`"),
    ],
)
def test_messages_that_are_no_prompt_and_answer_are_unusable_and_say_why(prompt, completion, reason):
    with pytest.raises(UnusableRecordError, match=reason):
        examples_of("unpaired", {"prompt": prompt, "completion": completion, "label": True}, "better")


PKU = {"prompt": "a", "response_0": "b", "response_1": "c", "better_response_id": 0, "safer_response_id": 1}
UNPAIRED = {"prompt": "a", "completion": "b", "label": True}
LINE = json.dumps(UNPAIRED).encode() + b"\n"


@pytest.mark.parametrize(
    ("record", "layout"),
    [
        ({"chosen": "", "rejected": ""}, "hh-rlhf"),
        (PKU | {"extra": 1}, "pku-saferlhf"),
        ({key: PKU[key] for key in ("prompt", "response_0", "response_1", "safer_response_id")}, "pku-saferlhf"),
        (UNPAIRED, "unpaired"),
        ({"prompt": "", "chosen": "", "rejected": ""}, "paired"),
        ({"chosen": [], "rejected": []}, "paired"),
    ],
)
def test_a_layout_is_known_by_its_keys(record, layout):
    assert layout_of(record) == layout


def test_keys_that_fit_nothing_are_shown_with_those_that_would(tmp_path):
    path = written(tmp_path / "other.jsonl", {"question": "a", "answer": "b"})
    with pytest.raises(ConfigError) as error:
        load(path)
    assert f"{path}, line 1: the keys 'question', 'answer' fit no format." in str(error.value)
    for layout in ("hh-rlhf", "pku-saferlhf", "unpaired", "paired"):
        assert f"{layout}: `" in str(error.value)


def test_keys_that_fit_two_layouts_need_a_word():
    with pytest.raises(WrongRecordError, match="fit unpaired and paired") as error:
        layout_of(UNPAIRED | {"chosen": "c", "rejected": "d"})
    assert "static_data.format" in error.value.remedy


def test_a_format_that_was_named_is_not_looked_for(tmp_path):
    path = written(tmp_path / "both.jsonl", UNPAIRED | {"chosen": "c", "rejected": "d"})
    assert [e.completion for e in load(path, format="paired").examples] == ["c", "d"]
    with pytest.raises(ConfigError, match=r"line 1: the key `\w+_response_id` is missing.\n.*`response_0`, `response_1`"):
        load(path, format="pku-saferlhf")


def test_a_preference_that_the_data_does_not_say_is_missing(tmp_path):
    path = written(tmp_path / "one.jsonl", {key: PKU[key] for key in PKU if key != "safer_response_id"})
    assert [e.completion for e in load(path).examples] == ["b", "c"]
    with pytest.raises(ConfigError, match=r"the key `safer_response_id` is missing.\n.*`static_data.prefer`"):
        load(path, prefer="safer")


@pytest.mark.parametrize(
    ("layout", "record", "found"),
    [
        ("hh-rlhf", {"chosen": 5, "rejected": ""}, "`chosen` is 5, but it should be a text."),
        ("hh-rlhf", {"chosen": transcript("a", "b")}, "the key `rejected` is missing."),
        ("pku-saferlhf", {key: PKU[key] for key in PKU if key != "response_0"}, "the key `response_0` is missing."),
        ("pku-saferlhf", PKU | {"better_response_id": 2}, "`better_response_id` is 2."),
        ("pku-saferlhf", PKU | {"better_response_id": True}, "`better_response_id` is true."),
        ("pku-saferlhf", PKU | {"better_response_id": "0"}, "`better_response_id` is '0'."),
        ("pku-saferlhf", PKU | {"better_response_id": 1.0}, "`better_response_id` is 1.0."),
        ("pku-saferlhf", PKU | {"response_1": None}, "`response_1` is null, but it should be a text or a list of messages."),
        ("unpaired", UNPAIRED | {"label": 1}, "`label` is 1."),
        ("unpaired", UNPAIRED | {"label": None}, "`label` is null."),
        ("unpaired", UNPAIRED | {"prompt": {"text": "a"}}, "`prompt` is a table, but it should be a text or a list of messages."),
        ("unpaired", UNPAIRED | {"prompt": ["a"]}, "`prompt[0]` is 'a', but a message has a `role` and a `content`."),
        ("unpaired", UNPAIRED | {"prompt": [{"role": "human", "content": "a"}]}, "`prompt[0].role` is 'human'."),
        ("unpaired", UNPAIRED | {"prompt": [{"role": ["user"], "content": "a"}]}, "`prompt[0].role` is a list."),
        ("unpaired", UNPAIRED | {"prompt": [{"role": "user"}]}, "`prompt[0].content` is null, but it should be a text."),
        ("paired", {"chosen": "a", "rejected": "b"}, "the key `prompt` is missing."),
        ("paired", {"prompt": None, "chosen": "a", "rejected": "b"}, "`prompt` is null, but it should be"),
        (
            "paired",
            {"chosen": said("a", "b"), "rejected": "c"},
            "`rejected` is a text, but there is no `prompt` that it answers.",
        ),
    ],
)
def test_a_record_that_breaks_its_format_is_the_files_mistake(layout, record, found):
    with pytest.raises(WrongRecordError) as error:
        examples_of(layout, record, "better")
    assert error.value.found.startswith(found)


def test_what_was_found_is_shown_short_and_without_control_characters():
    with pytest.raises(WrongRecordError) as error:
        examples_of("unpaired", UNPAIRED | {"label": "\x1b[2J" + "long " * 50}, "better")
    assert "\x1b" not in error.value.found
    assert len(error.value.found) < 80


def test_every_wrong_record_is_reported_with_its_line(tmp_path):
    path = tmp_path / "mixed.jsonl"
    lines = [json.dumps(UNPAIRED), "", "{", json.dumps(UNPAIRED | {"label": "yes"}), "[1]", "[" * 100_000, "\xff"]
    path.write_bytes("\n".join(lines).encode("latin-1"))
    with pytest.raises(ConfigError) as error:
        load(path)
    heads = [line for line in str(error.value).splitlines() if line.startswith(str(path))]
    assert [head.removeprefix(f"{path}, line ").split(": ")[0] for head in heads] == ["3", "4", "5", "6", "7"]
    assert "line 3: this is not JSON" in heads[0]
    assert "line 4: `label` is 'yes'." in heads[1]
    assert "line 5: found a list" in heads[2]
    assert "line 6: this is nested too deeply." in heads[3]
    assert "line 7: this is not JSON" in heads[4]
    assert "Allowed: true, false." in str(error.value)


def test_a_first_line_that_is_no_record_is_the_only_complaint(tmp_path):
    path = tmp_path / "torn.jsonl"
    path.write_text('{"chosen":\n{"also": 1}\n')
    with pytest.raises(ConfigError, match=r"line 1: this is not JSON[^\n]*$"):
        load(path)


def test_blank_lines_and_a_byte_order_mark_are_no_records(tmp_path):
    path = tmp_path / "blank.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(UNPAIRED).encode() + b"\r\n\r\n" + json.dumps(UNPAIRED).encode())
    assert [e.key for e in load(path).examples] == ["static/blank/1/good", "static/blank/3/good"]


def records_of_fixture(name: str) -> list:
    return [json.loads(line) for line in (FIXTURES / name).read_text().splitlines()]


@pytest.mark.parametrize("name", ["hh.jsonl", "pku.jsonl", "paired_whole.jsonl"])
def test_the_same_records_are_the_same_data_however_they_are_packed(tmp_path, name):
    import pyarrow
    from pyarrow import parquet

    stem, records = name.removesuffix(".jsonl"), records_of_fixture(name)
    plain = load(FIXTURES / name)
    (tmp_path / f"{stem}.jsonl.gz").write_bytes(gzip.compress((FIXTURES / name).read_bytes()))
    (tmp_path / f"{stem}.json").write_text(json.dumps(records, indent=2))
    (tmp_path / f"{stem}.json.gz").write_bytes(gzip.compress(json.dumps(records).encode()))
    parquet.write_table(pyarrow.Table.from_pylist(records), tmp_path / f"{stem}.parquet")
    for ending in (".jsonl.gz", ".json", ".json.gz", ".parquet"):
        assert load(tmp_path / f"{stem}{ending}") == plain


def test_a_digest_tells_other_data_and_other_preferences_apart(tmp_path):
    better, safer = (load(FIXTURES / "pku.jsonl", prefer=prefer) for prefer in ("better", "safer"))
    assert len(better.digest) == 64
    assert better.digest != safer.digest
    changed = (FIXTURES / "pku.jsonl").read_text().replace("ivy", "moss")
    (tmp_path / "pku.jsonl").write_text(changed)
    assert load(tmp_path / "pku.jsonl").digest != better.digest


def test_a_wrong_record_of_a_list_or_a_table_is_named_by_its_number(tmp_path):
    import pyarrow
    from pyarrow import parquet

    listed, table = tmp_path / "data.json", tmp_path / "data.parquet"
    listed.write_text(json.dumps([UNPAIRED, UNPAIRED | {"label": 0}]))
    parquet.write_table(pyarrow.Table.from_pylist([{**UNPAIRED, "label": 1}]), table)
    with pytest.raises(ConfigError, match=r"data\.json, record 2: `label` is 0\."):
        load(listed)
    with pytest.raises(ConfigError, match=r"data\.parquet, record 1: `label` is 1\."):
        load(table)


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("a.jsonl", b"", "holds no example in 0 records. There is no record."),
        ("a.jsonl", b"\n \n", "There is no record."),
        ("a.json", b"[]", "There is no record."),
        ("a.json", b'{"chosen": 1}\n{"chosen": 2}', "cannot be read: Extra data"),
        ("a.json", b'{"chosen": 1}', "this is no JSON list of records. A file with one record a line is named .jsonl."),
        ("a.json", b"[" * 100_000, "nested too deeply"),
        ("a.json", b"\xff\xfe", "cannot be read"),
        ("a.jsonl.gz", b"{}", "cannot be read: Not a gzipped file"),
        ("a.jsonl.gz", gzip.compress(LINE * 99, mtime=0)[:-9], "cannot be read"),
        ("a.jsonl.gz", gzip.compress(LINE, mtime=0)[:10] + b"\xff" * 20, "cannot be read"),
        ("a.parquet", b"PAR1", "cannot be read"),
        ("a.parquet", b"no table at all", "cannot be read"),
        ("a.csv", b"a,b", "in no format that is read here. Allowed: .jsonl, .jsonl.gz, .json, .json.gz, .parquet."),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path, name, content, found):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError) as error:
        load(tmp_path / name)
    assert found in str(error.value)
    assert name in str(error.value)


def test_a_table_of_a_kind_that_pyarrow_does_not_know_cannot_be_read(tmp_path, monkeypatch):
    import pyarrow

    def unknown(path):
        raise pyarrow.ArrowNotImplementedError("codec 'LZO' not supported")

    monkeypatch.setattr("pyarrow.parquet.ParquetFile", unknown)
    (tmp_path / "a.parquet").touch()
    with pytest.raises(ConfigError, match=r"a\.parquet: cannot be read: codec 'LZO' not supported\."):
        load(tmp_path / "a.parquet")


def test_a_file_without_one_usable_record_says_what_the_first_one_lacks(tmp_path):
    path = written(tmp_path / "torn.jsonl", *({"chosen": "a", "rejected": "b"} for _ in range(3)))
    with pytest.raises(ConfigError, match=r"no example in 3 records\. .*line 1: `chosen` does not begin with Human:"):
        load(path)


def test_a_missing_file_and_a_folder_are_no_hub_names(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.load_dataset", lambda *_, **__: pytest.fail("the hub was asked"))
    for missing in (tmp_path / "none.jsonl", "none.parquet", "./data", "a/b/c", "no name"):
        with pytest.raises(ConfigError, match="there is no such file"):
            load(missing)
    with pytest.raises(ConfigError, match="is a folder"):
        load(tmp_path)
    with pytest.raises(ConfigError, match="there is none"):
        load_static(StaticDataSection())


def test_a_hub_name_is_loaded_with_its_split(monkeypatch):
    import datasets

    asked = []

    def load_dataset(name, split):
        asked.append((name, split))
        return datasets.Dataset.from_list(records_of_fixture("pku.jsonl"))

    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    data = load("someone/pairs", split="test[:2]")
    assert asked == [("someone/pairs", "test[:2]")]
    assert [e.key for e in data.examples][:2] == ["static/someone/pairs/1/good", "static/someone/pairs/1/bad"]
    assert in_short(data) == in_short(load(FIXTURES / "pku.jsonl"))


def test_a_hub_record_that_is_wrong_is_named_by_its_number(monkeypatch):
    monkeypatch.setattr("datasets.load_dataset", lambda name, split: [PKU, PKU | {"better_response_id": -1}])
    with pytest.raises(ConfigError, match=r"someone/pairs, record 2: `better_response_id` is -1\."):
        load("someone/pairs")


@pytest.mark.parametrize("failure", [ValueError("Unknown split.\nMore."), ConnectionError("no route"), KeyError(), OSError()])
def test_whatever_the_hub_fails_with_becomes_one_error_with_a_remedy(monkeypatch, failure):
    def load_dataset(name, split):
        raise failure

    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    with pytest.raises(ConfigError, match=r"pairs \(split 'train'\)") as error:
        load("pairs")
    assert (str(failure).split("\n")[0] or type(failure).__name__) in str(error.value)
    assert "static_data.split" in str(error.value)
    assert "More." not in str(error.value)


def test_an_unreadable_half_of_hub_data_is_the_same_error(monkeypatch):
    def broken(name, split):
        yield PKU
        raise OSError("shard 2 is gone")

    monkeypatch.setattr("datasets.load_dataset", broken)
    with pytest.raises(ConfigError, match="shard 2 is gone"):
        load("pairs")


def planted(good: int, bad: int) -> StaticData:
    prompt = (Message("user", "Well?"),)
    pairs = [(label, n) for label, count in ((True, good), (False, bad)) for n in range(count)]
    return StaticData(tuple(StaticExample(f"static/x/{n}/{label}", prompt, f"{n}", label) for label, n in pairs), "", 0)


ROWS, SEEDS = st.integers(0, 60), st.integers(0, 2**63 - 1)
PERCENT = st.integers(0, 90)
SIZES = st.integers(1, 40)


@given(ROWS, PERCENT, SIZES, SEEDS, st.integers(0, 5))
def test_static_rows_make_up_their_fraction_of_all_rows_and_imitation_takes_good_ones(rows, percent, size, seed, iteration):
    drawn = draw(planted(size, 7), rows, percent / 100, None, seed, iteration)
    exact = Fraction(rows * percent, 100 - percent)
    assert abs(len(drawn) - exact) <= Fraction(1, 2) + Fraction(1, 10**6)
    assert all(e.label for e in drawn)


@given(ROWS, ROWS, PERCENT, SIZES, SIZES, SEEDS, st.integers(0, 5))
def test_kto_gets_good_and_bad_ones_in_the_proportion_of_its_own(good, bad, percent, goods, bads, seed, iteration):
    data, own = planted(goods, bads), {True: good, False: bad}
    drawn = draw(data, good + bad, percent / 100, own, seed, iteration)
    assert abs(len(drawn) - Fraction((good + bad) * percent, 100 - percent)) <= Fraction(1, 2) + Fraction(1, 10**6)
    counts = Counter(e.label for e in drawn)
    for label, number in own.items():
        assert not drawn or abs(counts[label] - Fraction(len(drawn) * number, good + bad)) <= Fraction(1, 2) + Fraction(1, 10**6)
        assert number or not counts[label]
    assert [e.label for e in drawn] == sorted((e.label for e in drawn), reverse=True)


def uneven(counts: Counter, size: int) -> int:
    return max(counts.values(), default=0) - (min(counts.values()) if len(counts) == size else 0)


@given(st.integers(0, 30), SIZES, SEEDS, st.integers(1, 8))
def test_no_example_comes_again_before_all_have_come(count, size, seed, iterations):
    data, used = planted(size, 0), Counter()
    for iteration in range(iterations):
        drawn = Counter(e.key for e in draw(data, count, 0.5, None, seed, iteration))
        assert drawn.total() == count
        assert uneven(drawn, size) <= 1
        used.update(drawn)
        assert uneven(used, size) <= 1


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=8), SIZES, SIZES, SEEDS)
def test_nor_when_iterations_differ_in_size_and_say_so(sizes, goods, bads, seed):
    data, used, earlier = planted(goods, bads), {True: Counter(), False: Counter()}, []
    for iteration, (good, bad) in enumerate(sizes):
        drawn = draw(data, good + bad, 0.5, {True: good, False: bad}, seed, iteration, earlier)
        assert Counter(e.label for e in drawn) == Counter({True: good, False: bad})
        for label, size in ((True, goods), (False, bads)):
            hand = Counter(e.key for e in drawn if e.label is label)
            used[label].update(hand)
            assert uneven(hand, size) <= 1
            assert uneven(used[label], size) <= 1
        earlier.append({True: good, False: bad})


def test_a_draw_hangs_on_seed_and_iteration_and_on_nothing_else():
    data = planted(30, 30)
    own = {True: 6, False: 6}
    draws = {(seed, i): tuple(e.key for e in draw(data, 12, 0.5, own, seed, i)) for seed in (1, 2) for i in (0, 1, 5)}
    assert len(set(draws.values())) == 6
    assert tuple(e.key for e in draw(data, 12, 0.5, own, 1, 5)) == draws[1, 5]
    said_so = draw(data, 12, 0.5, own, 1, 5, [own] * 5)
    assert tuple(e.key for e in said_so) == draws[1, 5]


def test_the_deck_is_shuffled_anew_when_it_has_run_out():
    orders = [[e.key for e in draw(planted(20, 0), 20, 0.5, None, 3, i)] for i in range(3)]
    assert len({tuple(order) for order in orders}) == 3
    assert len({tuple(sorted(order)) for order in orders}) == 1


def test_the_usual_numbers():
    drawn = draw(planted(200, 200), 60, 0.25, {True: 40, False: 20}, 0, 0)
    assert Counter(e.label for e in drawn) == {True: 13, False: 7}
    assert draw(planted(5, 5), 60, 0.0, None, 0, 0) == []
    assert draw(planted(5, 5), 0, 0.5, {True: 0, False: 0}, 0, 0) == []


def test_a_label_that_no_example_has_is_an_error_where_it_is_needed_and_only_there():
    only_good = planted(5, 0)
    require_labels(only_good, [True])
    assert len(draw(only_good, 4, 0.5, {True: 4, False: 0}, 0, 0)) == 4
    with pytest.raises(ConfigError, match=r"all its examples are good ones, but bad ones are needed"):
        draw(only_good, 4, 0.5, {True: 2, False: 2}, 0, 0)
    with pytest.raises(ConfigError, match=r"all its examples are bad ones, but good ones are needed"):
        require_labels(planted(0, 5), [True, False])
