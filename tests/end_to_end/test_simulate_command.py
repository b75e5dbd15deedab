"""`influence simulate` as a person runs it, on the real model: its engine is killed half-way, and the run gone on with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

COMMAND = [
    sys.executable,
    "-m",
    "influence",
    "simulate",
    "--conversations",
    "12",
    "--gpus",
    "none",
    "--name",
    "real",
    "--log-calls",
]
SECONDS = 420


def journal(folder: Path) -> list[str]:
    path = folder / "runs" / "real" / "trajectories.jsonl"
    return path.read_text().splitlines() if path.exists() else []


def engine_of(process: subprocess.Popen[str]) -> psutil.Process | None:
    try:
        children = psutil.Process(process.pid).children(recursive=True)
        return next((child for child in children if "EngineCore" in " ".join(child.cmdline())), None)
    except psutil.NoSuchProcess:
        return None


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder in which the run was begun, lost its engine after some conversations, and was finished."""
    folder = tmp_path_factory.mktemp("simulate")
    environment = {**os.environ, "NO_COLOR": "1"}
    first = subprocess.Popen(COMMAND, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + SECONDS
    while not journal(folder) and first.poll() is None and time.monotonic() < deadline:
        os.sched_yield()
        try:
            first.wait(timeout=0.1)
        except subprocess.TimeoutExpired:
            continue
    engine = engine_of(first)
    assert engine is not None, first.communicate()[1]
    engine.kill()
    _, errors = first.communicate(timeout=SECONDS)
    (folder / "killed.txt").write_text(f"{first.returncode}\n{errors}")
    (folder / "kept.txt").write_text("\n".join(journal(folder)))
    second = subprocess.run([*COMMAND, "--json"], cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS)
    assert second.returncode == 0, second.stderr
    (folder / "printed.json").write_text(second.stdout)
    return folder


def test_a_killed_engine_ends_the_run_with_a_clear_message(folder: Path) -> None:
    code, message = (folder / "killed.txt").read_text().split("\n", 1)
    assert code == "1"
    assert "the engine process" in message
    assert "died" in message
    assert "Traceback" not in message


def test_nothing_that_was_finished_is_lost_or_done_twice(folder: Path) -> None:
    kept = [json.loads(line) for line in (folder / "kept.txt").read_text().splitlines()]
    finished = {record["key"]: record for record in map(json.loads, journal(folder))}
    assert len(finished) == len(journal(folder)) == 12
    assert kept
    assert all(finished[record["key"]] == record for record in kept)


def test_every_reply_has_its_three_scores(folder: Path) -> None:
    for line in journal(folder):
        record = json.loads(line)
        assert record["stop_reason"] in ("terminal", "turn_limit")
        for turn in record["turns"]:
            assert 1 <= turn["preference"]["value"] <= 10
            assert sum(turn["preference"]["distribution"].values()) == pytest.approx(1)
            assert turn["influence"]["value"] is None or 0 <= turn["influence"]["value"] <= 1
            assert turn["transition"]["label"] in ("stay", "leave")
            assert record["messages"][turn["reply"]]["role"] == "assistant"
            assert turn["token_ids"]


def test_the_screen_gets_json_alone_and_the_log_gets_the_chatter(folder: Path) -> None:
    summary = json.loads((folder / "printed.json").read_text())
    assert summary["whole"]["conversations"] == 12
    assert summary == json.loads((folder / "runs" / "real" / "summary.json").read_text())
    assert "EngineCore" in (folder / "runs" / "real" / "logs" / "attempt-2.log").read_text()


def test_the_manifest_tells_both_attempts_and_what_ran(folder: Path) -> None:
    manifest = json.loads((folder / "runs" / "real" / "manifest.json").read_text())
    assert [attempt["status"] for attempt in manifest["attempts"]] == ["failed", "finished"]
    assert manifest["status"] == "finished"
    assert manifest["models"]["agent"]["digest"]
    assert manifest["environment"]["name"] == "therapy-talk"


def test_show_reads_a_conversation(folder: Path) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "influence", "show", "real", "1"], cwd=folder, capture_output=True, text=True, timeout=60
    )
    assert shown.returncode == 0
    assert "preference" in shown.stdout
    assert "ended by" in shown.stdout
