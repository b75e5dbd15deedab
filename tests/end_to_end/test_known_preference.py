"""Learning is real, and no artefact of a judge: a script that likes question marks teaches the embedded model to ask."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SECONDS = 900
# Half of what the presets do, for the clock.
SMALLER = ["rollout.conversations=192", "rollout.samples=4", "training.heldout_samples=4", "training.kl_replies=0"]


def trained(folder: Path, command: str, preset: str, *options: str) -> Path:
    settings = [word for setting in SMALLER for word in ("--set", setting)]
    call = [sys.executable, "-m", "influence", command, preset, "--gpus", "none", "--name", command, *settings, *options]
    done = subprocess.run(call, cwd=folder, env={**os.environ, "NO_COLOR": "1"}, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "runs" / command


def asking(run: Path, iteration: int) -> float:
    """The share of held-out replies with a question mark."""
    lines = (run / f"iterations/{iteration:03d}/heldout.jsonl").read_text().splitlines()
    replies = [json.loads(line)["messages"][-1]["content"] for line in lines]
    assert len(replies) == 64
    return sum("?" in reply for reply in replies) / len(replies)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("questions")


@pytest.fixture(scope="module")
def ei(folder: Path) -> Path:
    return trained(folder, "train-ei", "ei-questions")


@pytest.fixture(scope="module")
def kto(folder: Path, ei: Path) -> Path:
    start = ei / "iterations" / "001" / "trajectories.jsonl"
    return trained(folder, "train-kto", "kto-questions", "--start-from", str(start))


def test_expert_iteration_teaches_what_is_liked(ei: Path) -> None:
    assert asking(ei, 1) >= asking(ei, 0) + 0.2


def test_kto_teaches_what_is_liked(kto: Path) -> None:
    assert asking(kto, 1) >= asking(kto, 0) + 0.2


def test_the_reward_that_is_reported_rose_with_it(ei: Path, kto: Path) -> None:
    for run in (ei, kto):
        summary = json.loads((run / "summary.json").read_text())
        assert summary["arms"][0]["verdict"]["reward"] == "rose"
