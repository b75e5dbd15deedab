"""Whole runs of `influence train-ei` whose agent is behind a fine-tuning API on the loopback, and what they left."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from influence.config.commands import TrainEiConfig
from influence.config.layers import resolve, set_layer
from influence.rollouts.progress import Progress
from influence.rollouts.reading import read_trajectories
from influence.rollouts.records import TrajectoryRecord
from influence.runs.folder import open_run
from influence.training.experiment import Outcome, prepare, train
from influence.training.hosted_rows import HostedRow, read_hosted_rows
from influence.training.selection import POSITIVES, read_selection
from tests.loopback import Server

BOOTH = Path(__file__).parents[1] / "fixtures" / "envs" / "booth"
KEY = "sk-openaiPLANTED-9e0b5512"
BASE = "gpt-4.1-mini"
MADE = [f"ft:{BASE}:lab:run-{n + 1}:ftjob-{n}" for n in range(2)]
CHAT = "/v1/chat/completions"
TIMELESS = (
    "iteration.json",
    "trajectories.jsonl",
    "selection.jsonl",
    "dataset.jsonl",
    "trainer.jsonl",
    "heldout.jsonl",
    "metrics.json",
)

SCRIPT = """
[[replies]]
role = "user"
texts = ["And then?", "Are you sure?", "Which one?"]

[[labels]]
role = "preference"
when = "breathe|sleep"
distribution = { "9" = 0.7, "8" = 0.3 }

[[labels]]
role = "preference"
distribution = { "4" = 0.6, "5" = 0.4 }

[[labels]]
role = "transition"
distribution = { stay = 0.6, board = 0.3, leave = 0.1 }

[[labels]]
role = "influence"
distribution = { "0" = 0.9, "1" = 0.1 }
"""
SETTINGS = {
    "run.name": "'run'",
    "models.agent": f"'openai/{BASE}'",
    "rollout.conversations": 12,
    "rollout.samples": 3,
    "training.iterations": 2,
    "training.heldout_samples": 2,
    "selection.best": 0.25,
    "selection.within": "'all'",
    "hosted.cache": "false",
    "hosted.attempts": 2,
    "hosted.backoff": 0.001,
}


def sets_of(folder: Path, command: str = "train-ei", **sets: Any) -> list[str]:
    """The assignments of a small run in `folder`; `a__b=1` sets `a.b`."""
    script = folder / "crowd.toml"
    script.write_text(SCRIPT)
    values: dict[str, Any] = {"environment.name": f"'{BOOTH}'", "run.out": f"'{folder / 'runs'}'"}
    values |= {f"models.{role}": f"'scripted/{script}'" for role in ("user", "judge")}
    values |= {"fine_tuning.poll_seconds": 0.001} if command == "train-ei" else {}
    values |= SETTINGS | {name.replace("__", "."): value for name, value in sets.items()}
    return [f"{name}={value}" for name, value in values.items()]


def trained(folder: Path, progress: Progress | None = None, **sets: Any) -> Outcome:
    """One attempt at the run."""
    config = resolve(TrainEiConfig, [set_layer(assignment) for assignment in sets_of(folder, **sets)])
    training = prepare(config)
    with open_run(config, "train-ei") as run:
        return asyncio.run(train(training, run, progress or Progress(total=0)))


# what a run left


def iteration(folder: Path, number: int, arm: str = "") -> Path:
    return folder / "runs" / "run" / arm / "iterations" / f"{number:03d}"


def talks(folder: Path, number: int, name: str = "trajectories.jsonl", arm: str = "") -> list[TrajectoryRecord]:
    return list(read_trajectories(iteration(folder, number, arm), name))


def dataset(folder: Path, number: int) -> list[HostedRow]:
    return list(read_hosted_rows(iteration(folder, number) / "dataset.jsonl"))


def chosen(folder: Path, number: int) -> dict[str, TrajectoryRecord]:
    """The trajectories that were selected."""
    picked = {one.key for one in read_selection(iteration(folder, number) / "selection.jsonl") if one.verdict in POSITIVES}
    return {talk.key: talk for talk in talks(folder, number) if talk.key in picked}


def json_of(path: Path) -> Any:
    return json.loads(path.read_text())


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def replies(records: Sequence[TrajectoryRecord]) -> int:
    return sum(len(record.turns) for record in records)


def told(folder: Path) -> dict[str, str]:
    """What a run came to, by file, without the times at which it happened and the place."""
    found = {}
    for path in sorted((folder / "runs" / "run").rglob("iterations/*/*.json*")):
        if path.name in TIMELESS:
            records = lines_of(path) if path.suffix == ".jsonl" else [json_of(path)]
            found[f"{path.parent.name}/{path.name}"] = json.dumps([timeless(record) for record in records]).replace(
                str(folder), ""
            )
    return found


def timeless(data: Any) -> Any:
    if isinstance(data, dict):
        return {name: timeless(value) for name, value in data.items() if name not in ("started", "seconds", "time")}
    return [timeless(item) for item in data] if isinstance(data, list) else data


# what the server saw


def asked_models(server: Server) -> list[tuple[str, int]]:
    """The models that were asked, in turn, and how often each before the next."""
    return [(model, len(list(group))) for model, group in groupby(body["model"] for body in server.bodies)]


def between_jobs(server: Server) -> list[set[str]]:
    """The models that were asked before the first job was made, between the first and the second, and so on."""
    bodies, jobs = iter(server.bodies), iter(server.tuning.asked)
    found: list[set[str]] = [set()]
    for seen in server.requests:
        if seen.path == CHAT:
            found[-1].add(next(bodies)["model"])
        elif next(jobs) == "POST /v1/fine_tuning/jobs":
            found.append(set())
    return found
