"""Whole training runs without a model: an engine and a trainer that answer at once, always the same, and keep a diary.

What the agent says depends on the seed and on the weights of the adapter that answers, so a run that used another adapter,
seed or order anywhere ends with other files. A trained adapter is a level and a digest of what it was made from; every
level puts one more PLUS into each reply, and each PLUS is worth LIKED rating points.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from math import log
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from engines.small_models import Model, make_model

from influence.chat import Message
from influence.config.commands import TrainConfig, TrainEiConfig, TrainKtoConfig
from influence.config.layers import resolve, set_layer
from influence.engines import opening
from influence.engines.base import Call, Completion, Finish, LabelLogprobs, Sampling, Usage
from influence.engines.digests import full_digest
from influence.engines.vllm import VllmEngine
from influence.environments.schema import RATING_LABELS, YES_NO_LABELS
from influence.errors import EngineError, TrainerError
from influence.rollouts import scheduler
from influence.rollouts.progress import Progress
from influence.rollouts.reading import read_trajectories
from influence.rollouts.records import TrajectoryRecord
from influence.runs.folder import open_run
from influence.runs.journal import Journal
from influence.runs.metrics import JsonlSink
from influence.seeds import fraction, generator
from influence.training import experiment
from influence.training.experiment import Outcome, prepare, train
from influence.training.jobs import ScoringJob, Steps, Trained, TrainingJob
from influence.training.rows import Row, file_digest, read_rows

BOOTH = Path(__file__).parents[1] / "fixtures" / "envs" / "booth"
WEIGHTS = "adapter_model.safetensors"
TRAININGS = "trainings.jsonl"
RUN = Path("runs/run")
PLUS = "+"
LIKED = 0.6
WORDS = ("north", "south", "tracks", "gate", "soon", "late", "ticket", "booth", "please", "never")
IMPOSSIBLE = -60.0
MORE_TRAIN, MORE_HELDOUT = 4, 6


class Event(NamedTuple):
    """Something that the engine or the trainer was told: `what` it was about, for `whom`."""

    deed: str
    what: str | None
    whom: str = ""
    session: str = ""


@dataclass
class Stage:
    """How the fakes behave, and their diary."""

    step: Callable[[int], int] = lambda iteration: 1  # how many levels a training raises the agent
    liked: float = LIKED  # rating points for each PLUS
    taste: int = 1  # -1: what was rated high by chance is rated low
    diary: list[Event] = field(default_factory=list)
    prompts: dict[tuple[str, int], list[int]] = field(default_factory=dict)  # (conversation, turn) -> what the agent was given
    keep_prompts: bool = False
    fails: Callable[[Call, str | None], bool] = lambda call, adapter: False
    failing_trainings: set[int] = field(default_factory=set)  # iterations
    moment: Callable[[str], None] = lambda label: None  # called at every instant that a kill may hit

    def note(self, deed: str, what: str | None, whom: str = "", session: str = "") -> None:
        self.diary.append(Event(deed, what, whom, session))

    def deeds(self, *names: str) -> list[Event]:
        return [event for event in self.diary if event.deed in names]

    def asked(self, role: str) -> list[Event]:
        return [event for event in self.diary if event.deed == "generate" and event.whom == role]


def model() -> Model:
    return make_model("chatml")


@cache
def _ids(text: str) -> tuple[int, ...]:
    return model().ids_as_sampled(text)


class FakeLocal(VllmEngine):
    """The agent's engine, with the real table of adapters and nothing behind it."""

    stage: Stage
    asleep = False

    async def open(self) -> None:
        self._tokenizer, self.template = model().tokenizer, model().template
        self.stage.note("open", None)

    async def close(self) -> None:
        self.stage.note("close", None)

    def conversations_at_once(self, tokens_each: int) -> int:
        return 8

    async def add_adapter(self, folder: str) -> None:
        assert self.settings.adapters, "the engine was opened without adapters"
        if folder not in self.adapters:
            self.adapters.add(folder)
            self.adapters.ready(folder, json.loads((Path(folder) / WEIGHTS).read_text())["level"])
            self.stage.note("add_adapter", folder)

    async def remove_adapter(self, folder: str) -> None:
        self.adapters.remove(folder)
        self.stage.note("remove_adapter", folder)

    async def sleep(self) -> None:
        self.asleep = True
        self.stage.note("sleep", None)

    async def wake(self) -> None:
        self.asleep = False
        self.stage.note("wake", None)

    async def generate(
        self, messages: Sequence[Message], sampling: Sampling, call: Call, adapter: str | None = None, tools: Sequence[Any] = ()
    ) -> Completion:
        await self._answering(call, adapter)
        self.stage.note("generate", adapter, call.role, call.session)
        if self.stage.keep_prompts and call.role == "agent":
            self.stage.prompts[call.session, call.turn] = self.template.prompt_ids(messages, tools)
        digest, level = ("base", 0) if adapter is None else (self.adapters.describe()[adapter], self.adapters.request(adapter))
        draw = generator(call.seed, digest)
        words = " ".join(draw.choices(WORDS, k=draw.randint(2, 6)))
        ids = _ids(f"{words} {PLUS * level}" if level else words)
        text = self._tokenizer.decode(ids, skip_special_tokens=True)
        usage = Usage(1, 10, 0, len(ids) + 1)
        return Completion(text, Finish.STOP, usage, token_ids=(*ids, model().end), content_ids=ids)

    async def label_logprobs(
        self, messages: Sequence[Message], labels: Sequence[str], call: Call, adapter: str | None = None, prefill: str = ""
    ) -> LabelLogprobs:
        await self._answering(call, adapter)
        self.stage.note("label_logprobs", adapter, call.role, call.session)
        text = messages[-1].content
        chance = fraction(call.role, text)
        if tuple(labels) == tuple(RATING_LABELS):
            rating = 5.5 + self.stage.taste * (chance - 0.5) + self.stage.liked * text.count(PLUS)
            return LabelLogprobs(_between(rating), Usage(1, 10, 8, 1))
        if tuple(labels) == tuple(YES_NO_LABELS):
            shares = {"0": 1 - chance, "1": chance}
        else:
            shares = {label: 1 / len(labels) for label in labels}
        return LabelLogprobs({label: log(max(share, 1e-9)) for label, share in shares.items()}, Usage(1, 10, 8, 1))

    async def _answering(self, call: Call, adapter: str | None) -> None:
        """Answer in an order that is not the one of the questions."""
        assert not self.asleep, "asked while asleep"
        if adapter is not None:
            self.adapters.request(adapter)
        for _ in range(call.seed % 5):
            await asyncio.sleep(0)
        if self.stage.fails(call, adapter):
            raise EngineError("out of order")


def _between(value: float) -> dict[str, float]:
    """Log-probabilities of the ratings whose expectation is `value`, on the two ratings around it."""
    below = min(int(value), 9)
    shares = {str(below): below + 1 - value, str(below + 1): value - below}
    return {label: log(shares[label]) if shares.get(label, 0) > 1e-12 else IMPOSSIBLE for label in RATING_LABELS}


class FakeTrainer:
    """Makes an adapter of a dataset and of the adapter that training goes on from. Each try is a line in TRAININGS."""

    stage: Stage

    def __init__(self, settings: Any, gpus: Sequence[int], log: Path) -> None:
        self._settings = settings

    async def warm_up(self) -> None:
        self.stage.note("warm_up", None)

    async def train(self, job: TrainingJob, steps: Steps) -> Trained:
        self.stage.note("train", job.start, str(job.iteration))
        return self._train(job, steps)

    def _train(self, job: TrainingJob, steps: Steps) -> Trained:
        start = full_digest(Path(job.start)) if job.start is not None else None
        level = json.loads((Path(job.start) / WEIGHTS).read_text())["level"] if job.start is not None else 0
        rows = list(read_rows(Path(job.dataset)))
        tried = {"out": job.out, "iteration": job.iteration, "dataset": file_digest(Path(job.dataset)), "start": start}
        with Path(TRAININGS).open("a") as file:
            file.write(json.dumps({**tried, "learning_rate": job.learning_rate, "seed": job.seed}) + "\n")
        out = Path(job.out)
        shutil.rmtree(out, ignore_errors=True)
        for step in (1, 2):
            self.stage.moment(f"iteration {job.iteration}, before step {step}")
            steps({"step": step, "steps": 2, "loss": 1 / step, "learning_rate": job.learning_rate})
        if job.iteration in self.stage.failing_trainings:
            raise TrainerError("the trainer failed: out of memory")
        made_from = sha256(json.dumps([tried["dataset"], start, job.seed, job.learning_rate]).encode()).hexdigest()
        out.mkdir()
        (out / "adapter_config.json").write_text("{}")
        (out / WEIGHTS).write_text(json.dumps({"level": level + self.stage.step(job.iteration), "made_from": made_from}))
        return Trained(out, None, {"rows": len(rows), "learning_rate": job.learning_rate, "seconds": 0.5})

    async def score(self, job: ScoringJob) -> list[tuple[float, int]]:
        self.stage.note("score", job.adapter)
        level = json.loads((Path(job.adapter) / WEIGHTS).read_text())["level"]
        return [(level * fraction(row.key) * row.trained_tokens, row.trained_tokens) for row in read_rows(Path(job.dataset))]

    async def close(self) -> None:
        self.stage.note("close_trainer", None)


def make_world(folder: Path) -> Path:
    """The booth with more initial states in either split."""
    world = folder / "booth"
    shutil.copytree(BOOTH, world)
    with (world / "scenarios" / "ticket.jsonl").open("a") as file:
        for split, number in (("train", MORE_TRAIN), ("heldout", MORE_HELDOUT)):
            for n in range(number):
                message = {"role": "user", "content": f"My {split} question is number {n}."}
                file.write(json.dumps({"id": f"{split}-{n}", "split": split, "messages": [message]}) + "\n")
    return world


def make_base(folder: Path) -> Path:
    """The folder of a base model, as far as anybody looks into it."""
    base = folder / "base"
    base.mkdir()
    (base / "config.json").write_text("{}")
    return base


def make_adapter(folder: Path, level: int = 0) -> Path:
    """An adapter that was there before."""
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text("{}")
    (folder / WEIGHTS).write_text(json.dumps({"level": level, "made_from": folder.name}))
    return folder


SMALL = {
    "rollout.conversations": 6,
    "rollout.turns": 2,
    "rollout.states": "'random'",
    "training.iterations": 3,
    "training.heldout_samples": 1,
    "training.heldout_states": 4,
    "training.kl_replies": 3,
    "selection.within": "'all'",
    "selection.best": 0.3,
    "selection.worst": 0.3,
    "trainer.batch_size": 2,
    "trainer.device_batch_size": 2,
    "run.name": "'run'",
    "engine.gpus": [],
}


@dataclass(frozen=True)
class Place:
    """A working folder with a world and a base model beside it."""

    stage: Stage
    world: Path
    base: Path

    def config(self, command: str = "train-kto", **sets: Any) -> TrainConfig:
        """`sets` are keys with `__` for the dot, as TOML or as something whose repr is TOML."""
        models = {f"models.{role}": f"'vllm/{self.base}'" for role in ("agent", "user", "judge")}
        own = {name.replace("__", "."): value for name, value in sets.items()}
        settings = {**SMALL, "environment.name": f"'{self.world}'", **models, **own}
        kind = TrainEiConfig if command == "train-ei" else TrainKtoConfig
        return resolve(kind, [set_layer(f"{name}={value}") for name, value in settings.items()])

    def train(self, command: str = "train-kto", **sets: Any) -> Run:
        """The whole command in the working folder, from its configuration on, or what is left of it to do."""
        config = self.config(command, **sets)
        training, path = prepare(config), Path(config.run.out) / "run"
        with open_run(config, "train") as run:
            outcome = asyncio.run(train(training, run, Progress(total=0)))
        return Run(path, outcome)


@dataclass(frozen=True)
class Run:
    """A run folder, and how the last attempt ended."""

    path: Path
    outcome: Outcome | None = None

    @property
    def summary(self) -> dict[str, Any]:
        return json.loads((self.path / "summary.json").read_text())

    @property
    def manifest(self) -> dict[str, Any]:
        return json.loads((self.path / "manifest.json").read_text())

    def folder(self, iteration: int, arm: str = ".") -> Path:
        return self.path / arm / "iterations" / f"{iteration:03d}"

    def rollout(self, iteration: int, arm: str = ".") -> list[TrajectoryRecord]:
        return list(read_trajectories(self.folder(iteration, arm)))

    def heldout(self, iteration: int, arm: str = ".") -> list[TrajectoryRecord]:
        return list(read_trajectories(self.folder(iteration, arm), "heldout.jsonl"))

    def rows(self, iteration: int, arm: str = ".") -> list[Row]:
        return list(read_rows(self.folder(iteration, arm) / "dataset.jsonl"))

    def selection(self, iteration: int, arm: str = ".") -> list[dict[str, Any]]:
        return lines(self.folder(iteration, arm) / "selection.jsonl")

    def state(self, iteration: int, arm: str = ".") -> dict[str, Any]:
        return json.loads((self.folder(iteration, arm) / "iteration.json").read_text())

    def metrics(self, iteration: int, arm: str = ".") -> dict[str, Any]:
        return json.loads((self.folder(iteration, arm) / "metrics.json").read_text())

    def digest(self, iteration: int, arm: str = ".") -> str:
        return full_digest(self.folder(iteration, arm) / "adapter")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """An empty working folder in which engines and trainers are fakes."""
    return staged(tmp_path, monkeypatch)


def staged(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """The same, as a function: the working folder is `work` in `folder`."""
    (folder / "work").mkdir()
    monkeypatch.chdir(folder / "work")
    stage = Stage()
    monkeypatch.setattr(opening, "VllmEngine", type("StagedLocal", (FakeLocal,), {"stage": stage}))
    monkeypatch.setattr(opening, "find_spec", lambda name: object())
    monkeypatch.setattr(scheduler, "rare_collections", nullcontext)  # walks over all that the tests have imported
    monkeypatch.setattr(experiment, "LocalTrainer", type("StagedTrainer", (FakeTrainer,), {"stage": stage}))
    return Place(stage, make_world(folder), make_base(folder))


def watch(place: Place, patch: pytest.MonkeyPatch, moment: Callable[[str], None]) -> None:
    """Call `moment`, with a label, after everything that the program does to a file, and before every step of its trainer."""
    busy: list[bool] = []

    def now(label: str) -> None:
        if not busy:  # what `moment` does to files itself is not the program's doing
            busy.append(True)
            moment(label)
            busy.clear()

    def after(owner: Any, name: str, label: Callable[..., str]) -> None:
        original = getattr(owner, name)

        def watched(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            now(label(*args))
            return result

        patch.setattr(owner, name, watched)

    after(Path, "write_text", lambda path, *_: f"written {path}")
    after(Path, "replace", lambda _, target: f"replaced {target}")
    after(Path, "rename", lambda _, target: f"renamed {target}")
    after(Path, "unlink", lambda path, *_: f"unlinked {path}")
    after(Path, "mkdir", lambda path, *_: f"made {path}")
    after(Journal, "append", lambda journal, *_: f"appended to {journal.path}")
    after(JsonlSink, "log", lambda *_: "logged")
    after(shutil, "copyfile", lambda _, target: f"copied {target}")
    patch.setattr(place.stage, "moment", now)


@dataclass(frozen=True)
class Photograph:
    """The working folder as it was at one instant."""

    label: str
    folder: Path


def photographed(place: Place, album: Path, command: str, **sets: Any) -> list[Photograph]:
    """Run a command to its end in the working folder, and photograph that at every instant before."""
    photographs: list[Photograph] = []
    album.mkdir()

    def take(label: str) -> None:
        folder = album / str(len(photographs))
        shutil.copytree(Path(), folder, symlinks=True)
        photographs.append(Photograph(label, folder))

    with pytest.MonkeyPatch.context() as patch:
        watch(place, patch, take)
        place.train(command, **sets)
    return photographs[:-1]  # the last one is of the finished run


def essence() -> dict[str, Any]:
    """All files of the run in the working folder, by name, without what differs between equal runs: times, and attempts."""
    found: dict[str, Any] = {}
    for path in sorted(p for p in RUN.rglob("*") if p.is_file() and p.parent.name != "logs" and p.name != ".lock"):
        name = str(path.relative_to(RUN))
        if path.name in ("trajectories.jsonl", "heldout.jsonl"):
            found[name] = without(lines(path), "started", "seconds")
        elif path.name == "trainer.jsonl":
            found[name] = without(lines(path), "time")
        elif path.name == "metrics.jsonl":  # what was done twice is logged twice
            found[name] = list(dict.fromkeys(json.dumps(line) for line in without(lines(path), "step", "time")))
        elif path.name == "iteration.json":
            found[name] = without([json.loads(path.read_text())], "seconds")
        elif path.name == "summary.json":
            found[name] = without([json.loads(path.read_text())], "time", "usage")
        elif path.name == "manifest.json":
            found[name] = without([json.loads(path.read_text())], "attempts")
        else:
            found[name] = path.read_bytes()
    return found


def without(records: list[dict[str, Any]], *names: str) -> list[dict[str, Any]]:
    return [{name: value for name, value in record.items() if name not in names} for record in records]
