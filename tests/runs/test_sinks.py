"""Where a run's numbers and its libraries' chatter go: metrics.jsonl, wandb offline in the run's folder, the attempt's log."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from command_line import finish, simulate_command

from influence.errors import RunError
from influence.runs.chatter import chatter_to
from influence.runs.metrics import JsonlSink, Sinks, WandbSink


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_number_of_the_summary_is_in_the_metrics(tmp_path):
    assert finish(simulate_command(tmp_path, 14, "--name", "run", "--set", "rollout.iteration=4")).returncode == 0
    (logged,) = lines(tmp_path / "run" / "metrics.jsonl")
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert logged["step"] == 4
    assert logged["time"] > 1.7e9
    for name in ("preference", "influence", "reward"):
        for part in ("value", "low", "high", "n"):
            assert logged[f"{name}.{part}"] == summary["whole"][name][part]
            for group in summary["groups"]:
                assert logged[f"{group['scenario']}/{group['kind']}/{name}.{part}"] == group[name][part]
    assert logged["conversations"] == 14


def test_metrics_are_added_a_line_at_a_time_to_every_sink(tmp_path):
    sinks = Sinks(JsonlSink(tmp_path / "one.jsonl"), JsonlSink(tmp_path / "two.jsonl"))
    sinks.log(0, {"reward": 1.5, "influence": None})
    sinks.log(1, {"reward": 2.5})
    sinks.close()
    for name in ("one", "two"):
        first, second = lines(tmp_path / f"{name}.jsonl")
        assert (first["step"], first["reward"], first["influence"]) == (0, 1.5, None)
        assert (second["step"], second["reward"]) == (1, 2.5)


def test_metrics_that_cannot_be_written_are_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"metrics\.jsonl: cannot be written: Not a directory"):
        JsonlSink(tmp_path / "file" / "metrics.jsonl").log(0, {})


def test_wandb_is_offline_unless_asked_and_stays_in_the_runs_folder(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.delenv("WANDB_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    answer = finish(simulate_command(tmp_path / "out", 7, "--name", "run", "--wandb"))
    assert answer.returncode == 0, answer.stderr
    (stored,) = (tmp_path / "out" / "run" / "wandb").glob("offline-run-*/*.wandb")
    assert b"preference.value" in stored.read_bytes()
    assert os.listdir(tmp_path) == ["out"]
    assert os.listdir(tmp_path / "out") == ["run"]
    assert "wandb:" not in answer.stdout + answer.stderr


def test_wandb_shows_pages_beside_the_metrics(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    sinks = Sinks(JsonlSink(tmp_path / "metrics.jsonl"), WandbSink("offline", "test", tmp_path, {}))
    sinks.log(1, {"reward": 2.0})
    sinks.show(1, {"best conversation": "<h3>a key</h3>"})
    sinks.close()
    (page,) = (tmp_path / "wandb").glob("offline-run-*/files/media/html/*.html")
    assert "<h3>a key</h3>" in page.read_text()
    assert len(lines(tmp_path / "metrics.jsonl")) == 1


CHATTY = """
import os, subprocess, sys
from pathlib import Path
from influence.runs.chatter import chatter_to

with chatter_to(Path(sys.argv[1])) as terminal:
    print("a library's print")
    os.write(2, b"a C library's complaint\\n")
    subprocess.run([sys.executable, "-c", "import sys; print('a child'); print('its error', file=sys.stderr)"])
    print("the program's own words", file=terminal.out)
    print("the program's own panel", file=terminal.err)
print("afterwards")
subprocess.run([sys.executable, "-c", "print('a later child')"])
print("afterwards, an error", file=sys.stderr)
"""


def test_chatter_goes_to_the_log_for_children_too_and_the_terminal_comes_back(tmp_path):
    log = tmp_path / "attempt-1.log"
    log.write_text("what was there\n")
    answer = subprocess.run([sys.executable, "-u", "-c", CHATTY, str(log)], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout == "the program's own words\nafterwards\na later child\n"
    assert answer.stderr == "the program's own panel\nafterwards, an error\n"
    logged = log.read_text().splitlines()
    assert logged[0] == "what was there"
    assert sorted(logged[1:]) == ["a C library's complaint", "a child", "a library's print", "its error"]


def test_chatter_comes_back_after_an_error_and_leaks_no_files(tmp_path, capfd):
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        with pytest.raises(ZeroDivisionError), chatter_to(tmp_path / "log"):
            os.write(1 // (os.write(1, b"inside\n") - 7), b"never")
    os.write(1, b"outside\n")
    assert len(os.listdir("/proc/self/fd")) == before
    assert capfd.readouterr().out == "outside\n"
    assert (tmp_path / "log").read_text() == "inside\n" * 20
    with pytest.raises(RunError, match="cannot be written"), chatter_to(tmp_path / "nowhere" / "log"):
        pass
