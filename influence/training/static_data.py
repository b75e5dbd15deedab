"""Preference data of others, mixed into the rows of every iteration: it holds the agent to what people at large prefer.

A source is read once, whole, before the first rollout; what an iteration gets of it is then a pure function, so that a run
that goes on after an interruption draws what it would have drawn.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module
from os.path import expanduser
from pathlib import Path
from typing import Any

from influence.chat import Message
from influence.config.places import is_file, is_folder, listed
from influence.config.training import StaticDataSection
from influence.engines import libraries
from influence.errors import ConfigError, Problem
from influence.seeds import generator
from influence.training.static_formats import Layout, UnusableRecordError, WrongRecordError, examples_of, layout_of, record_of

ENDINGS = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".parquet")


@dataclass(frozen=True, slots=True)
class StaticExample:
    """A prompt that ends with a user's message, and one answer to it that others called good or bad.

    `key` is "static/<file's stem or hub name>/<number>/<good or bad>"; the number counts from 1, lines in a .jsonl, which
    may be blank, and records elsewhere.
    """

    key: str
    prompt: tuple[Message, ...]
    completion: str
    label: bool


@dataclass(frozen=True)
class StaticData:
    """All that a source holds. `digest` is of the examples, the same however they were packed; `unusable` counts records."""

    examples: tuple[StaticExample, ...]
    digest: str
    unusable: int


def load_static(section: StaticDataSection) -> StaticData:
    """Read a source. Raises ConfigError for what cannot be read, for every wrong record, and where no record is usable."""
    if section.source is None:
        raise ConfigError("static_data.source: there is none. Set it to a file or a hub name.")
    path = _file(section.source)
    name = path.name[: -len(_ending(path))] if path else section.source
    unit = "line" if path and ".jsonl" in _ending(path) else "record"
    layout: Layout | None = None if section.format == "auto" else section.format
    examples: list[StaticExample] = []
    problems: list[Problem] = []
    unusable, first = 0, "There is no record."
    for number, raw in _file_records(path) if path else _hub_records(section.source, section.split):
        where = f"{path or section.source}, {unit} {number}"
        try:
            record = record_of(raw)
            layout = layout or layout_of(record)
            made = examples_of(layout, record, section.prefer)
        except UnusableRecordError as reason:
            unusable, first = unusable + 1, first if unusable else f"The first one is not usable: {where}: {reason}"
        except WrongRecordError as wrong:
            problems.append(Problem(where, wrong.found, wrong.remedy))
            if layout is None:
                break
        else:
            key = f"static/{name}/{number}"
            examples += [StaticExample(f"{key}/{'good' if one[-1] else 'bad'}", *one) for one in made]
    if problems:
        raise ConfigError(listed(problems))
    if not examples:
        raise ConfigError(f"static_data.source: {path or section.source} holds no example in {unusable} records. {first}")
    return StaticData(tuple(examples), _digest(examples), unusable)


def require_labels(data: StaticData, labels: Iterable[bool]) -> None:
    """Raises ConfigError when one of these labels is on no example. To be asked before the first rollout is paid for."""
    there = {example.label for example in data.examples}
    for label in labels:
        if label not in there:
            kind = "good" if label else "bad"
            raise ConfigError(
                f"static_data.source: all its examples are {'bad' if label else 'good'} ones, but {kind} ones are needed to "
                "keep this training's proportion. Choose other data, or set `static_data.fraction` to 0."
            )


def draw(
    data: StaticData,
    rows: int,
    fraction: float,
    labels: Mapping[bool, int] | None,
    seed: int,
    iteration: int,
    earlier: Sequence[Mapping[bool, int]] | None = None,
) -> list[StaticExample]:
    """As many examples as make up `fraction` of all rows together with the `rows` of an iteration's own; good ones first.

    For expert iteration (`labels` is None) all are good. For KTO `labels` counts the own good and bad rows, and the
    examples keep their proportion, rounded. Iterations count from 0 and are dealt from a shuffled deck each label: no
    example comes again before all have come, nor twice in an iteration unless that needs more than there are.

    That takes knowing what the iterations before were dealt: `earlier` says how many of each label, one mapping for each;
    None: as many as this one. Raises ConfigError when a label is needed that no example has.
    """
    count = round(rows * fraction / (1 - fraction))
    if not count:
        return []
    good = count if labels is None else round(count * labels.get(True, 0) / sum(labels.values()))
    numbers = {True: good, False: count - good}
    require_labels(data, [label for label, number in numbers.items() if number])
    before = [numbers] * iteration if earlier is None else earlier
    drawn: list[StaticExample] = []
    for label, number in numbers.items():
        pool = [example for example in data.examples if example.label is label]
        hands = [*(hand.get(label, 0) for hand in before), number]
        drawn += [pool[n] for n in _last_hand(len(pool), hands, seed, "good" if label else "bad")]
    return drawn


def _last_hand(cards: int, hands: Sequence[int], seed: int, name: str) -> list[int]:
    """The last of several hands dealt from a deck of `cards`, which is shuffled again whenever it has run out.

    Cards that the hand being dealt holds already go to the bottom of the new deck, those it holds most often last.
    """
    deck: list[int] = []
    hand: list[int] = []
    shuffles = 0
    for size in hands:
        hand = []
        while cards and len(hand) < size:
            if not deck:
                deck = list(range(cards))
                generator(seed, "static", name, shuffles).shuffle(deck)
                deck.sort(key=Counter(hand).__getitem__)
                shuffles += 1
            missing = size - len(hand)
            hand += deck[:missing]
            deck = deck[missing:]
    return hand


def _file(source: str) -> Path | None:
    """The file that a source names, or None for a hub name."""
    path = Path(expanduser(source))
    if is_folder(path):
        raise ConfigError(f"static_data.source: {path} is a folder. Name a file in it. Allowed: {', '.join(ENDINGS)}.")
    if is_file(path):
        if not _ending(path):
            raise ConfigError(f"static_data.source: {path} is in no format that is read here. Allowed: {', '.join(ENDINGS)}.")
        return path
    if _ending(path) or not _HUB_NAME.fullmatch(source):
        raise ConfigError(f"static_data.source: {path}: there is no such file. Relative paths start in the working folder.")
    return None


_HUB_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?", re.ASCII)


def _ending(path: Path) -> str:
    return next((ending for ending in ENDINGS if path.name.lower().endswith(ending)), "")


def _file_records(path: Path) -> Iterator[tuple[int, Any]]:
    """The records of a file with their numbers; those of a .jsonl as they are written."""
    ending = _ending(path)
    try:
        if ending == ".parquet":
            yield from enumerate(_parquet_records(path), start=1)
            return
        with gzip.open(path, "rb") if ending.endswith(".gz") else path.open("rb") as file:
            if ".jsonl" in ending:
                yield from ((number, line) for number, line in enumerate(file, start=1) if line.strip())
                return
            whole = json.loads(file.read().decode("utf-8-sig"))
    except RecursionError:
        raise ConfigError(f"{path}: this is nested too deeply.") from None
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    if not isinstance(whole, list):
        raise ConfigError(f"{path}: this is no JSON list of records. A file with one record a line is named .jsonl.")
    yield from enumerate(whole, start=1)


def _parquet_records(path: Path) -> Iterator[Any]:
    pyarrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches():
                yield from batch.to_pylist()
    except pyarrow.ArrowException as error:
        raise ValueError(str(error)) from None


def _hub_records(name: str, split: str) -> Iterator[tuple[int, Any]]:
    libraries.prepare(offline=False)
    try:
        records = import_module("datasets").load_dataset(name, split=split)
        yield from enumerate(records, start=1)
    except Exception as error:  # whatever the library, the hub and the network raise between them
        said = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ConfigError(
            f"static_data.source: {name} (split {split!r}) is no file, and could not be loaded from the hub: {said}\n    "
            "Check `static_data.source` and `static_data.split`; data that needs permission needs HF_TOKEN. Without a network, "
            "name a file that was downloaded before."
        ) from None


def _digest(examples: Iterable[StaticExample]) -> str:
    digest = sha256()
    for one in examples:
        prompt = [message.to_dict() for message in one.prompt]
        digest.update(json.dumps([one.key, prompt, one.completion, one.label]).encode() + b"\n")
    return digest.hexdigest()
