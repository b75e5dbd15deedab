"""Runs that are killed, interrupted, starved of disk or of their engine: nothing finished is lost, every key comes once."""

from __future__ import annotations

import os
import resource
import shutil
import signal
from pathlib import Path
from random import Random

import pytest
from command_line import (
    SCRIPTS,
    finish,
    manifest,
    records,
    simulate_command,
    start,
    statuses,
    wait_for_lines,
    without_times,
)

MANY = 3000
TOLERANT = ["--set", "rollout.max_failed=1"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    """The run as it is when nobody disturbs it."""
    out = tmp_path_factory.mktemp("undisturbed")
    answer = finish(simulate_command(out, MANY, "--name", "run", *TOLERANT))
    assert answer.returncode == 0, answer.stderr
    return out / "run"


def assert_like(run: Path, undisturbed: Path) -> None:
    """The same records under the same keys, each once, apart from their times."""
    ours, theirs = records(run), records(undisturbed)
    assert len({record["key"] for record in ours}) == len(ours)
    assert without_times(ours) == without_times(theirs)
    assert manifest(run)["status"] == "finished"


def test_ten_kills_at_any_instant_lose_nothing_that_was_finished(tmp_path, undisturbed):
    random, run = Random(20), tmp_path / "run"
    command = simulate_command(tmp_path, MANY, "--name", "run", *TOLERANT)
    instants = sorted(random.sample(range(MANY * 2 // 3), 10))
    kept: list[bytes] = []
    for instant in instants:
        process = start(command)
        assert wait_for_lines(process, run / "trajectories.jsonl", instant), process.communicate()
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        journal = (run / "trajectories.jsonl").read_bytes()
        whole = journal[: journal.rfind(b"\n") + 1]
        assert all(whole.startswith(earlier) for earlier in kept)
        kept.append(whole)
        assert manifest(run)["status"] == "running"
    answer = finish(command)
    assert answer.returncode == 0, answer.stderr
    assert "Going on with" in answer.stderr
    *killed, last = statuses(run)  # a kill may come so early that the manifest does not know of the attempt
    assert set(killed) == {"interrupted"}
    assert last == "finished"
    assert_like(run, undisturbed)
    # the journal was sorted at the end, so that what had been kept is compared line by line
    assert set(kept[-1].splitlines()) <= set((run / "trajectories.jsonl").read_bytes().splitlines())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_run_in_order_and_the_same_command_goes_on(tmp_path, undisturbed, number):
    run = tmp_path / "run"
    command = simulate_command(tmp_path, MANY, "--name", "run", *TOLERANT)
    process = start(command)
    assert wait_for_lines(process, run / "trajectories.jsonl", 200)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert (manifest(run)["status"], statuses(run)) == ("interrupted", ["interrupted"])
    there = len(records(run))
    assert 200 <= there < MANY
    assert finish([*command, "--resume"]).returncode == 0
    assert_like(run, undisturbed)


def test_a_full_disk_is_a_clear_error_and_loses_nothing(tmp_path, undisturbed):
    run, limit = tmp_path / "run", 500_000
    command = simulate_command(tmp_path, MANY, "--name", "run", *TOLERANT)

    def small_disk() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    answer = finish(command, small_disk)
    assert (answer.returncode, answer.stdout) == (1, "")
    assert "trajectories.jsonl: cannot be written:" in answer.stderr
    assert "What was finished before is safe" in answer.stderr
    assert "Traceback" not in answer.stderr
    kept = (run / "trajectories.jsonl").read_bytes()
    assert limit - 20_000 < len(kept) <= limit
    assert kept.endswith(b"}\n")
    assert 0 < len(records(run)) < MANY
    assert statuses(run) == ["failed"]
    assert finish(command).returncode == 0
    assert_like(run, undisturbed)
    assert set(kept.splitlines()) <= set((run / "trajectories.jsonl").read_bytes().splitlines())


DEATH = '\n[[failures]]\nrole = "agent"\nerror = "the GPU has fallen off the bus"\nshare = 0.002\ndies = true\n'


def test_an_engine_that_dies_ends_the_run_and_once_it_is_mended_the_run_goes_on(tmp_path):
    script, run = tmp_path / "model.toml", tmp_path / "run"
    shutil.copy(SCRIPTS / "varied.toml", script)
    healthy = script.read_text()
    script.write_text(healthy.replace("yields = 2\n", f"yields = 2\n{DEATH}"))
    command = simulate_command(tmp_path, 1500, "--name", "run", "--set", "rollout.in_flight=4", *TOLERANT, script=script)
    answer = finish(command)
    assert (answer.returncode, answer.stdout) == (1, "")
    assert "the GPU has fallen off the bus" in answer.stderr
    assert "Traceback" not in answer.stderr
    kept = records(run)
    assert 0 < len(kept) < 1500
    assert not any("fallen off" in (record["error"] or "") for record in kept)
    assert manifest(run)["attempts"][0]["status"] == "failed"
    assert "fallen off the bus" in manifest(run)["attempts"][0]["error"]
    script.write_text(healthy)
    assert finish(command).returncode == 0
    whole = records(run)
    assert len({record["key"] for record in whole}) == len(whole) == 1500
    by_key = {record["key"]: record for record in whole}
    assert all(by_key[record["key"]] == record for record in kept)


def test_too_many_failed_conversations_end_with_exit_code_1_and_the_summary_says_so(tmp_path):
    answer = finish(simulate_command(tmp_path, 50, "--name", "run", script=SCRIPTS / "fainting.toml"))
    failed = sum(record["stop_reason"] == "simulator_failed" for record in records(tmp_path / "run"))
    assert failed > 5
    assert answer.returncode == 1
    assert f"{failed} of 50 conversations failed" in answer.stdout
    assert manifest(tmp_path / "run")["status"] == "failed"


def test_a_run_whose_terminal_has_gone_still_finishes(tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    answer = finish(simulate_command(tmp_path, 20, "--name", "run", *TOLERANT), lambda: os.dup2(writer, 2) and None)
    os.close(writer)
    assert answer.returncode == 0
    assert manifest(tmp_path / "run")["status"] == "finished"
    assert len(records(tmp_path / "run")) == 20
