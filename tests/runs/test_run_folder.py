"""The run folder: its name, its owner, its attempts, and that nothing finished is ever overwritten."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys

import pytest
from command_line import finish, manifest, records, simulate_command, statuses

from influence.config.commands import SimulateConfig
from influence.config.layers import file_layers, resolve, set_layer
from influence.errors import RunError, RunTakenError
from influence.runs.folder import open_run


def config(out, *sets: str) -> SimulateConfig:
    return resolve(SimulateConfig, [set_layer(one) for one in (f"run.out='{out}'", *sets)])


def run_to_its_end(out, *sets: str, name: str = "simulate") -> str:
    with open_run(config(out, *sets), name) as run:
        (run.path / "trajectories.jsonl").touch()
    return run.path.name


def interrupt(out, *sets: str, error: BaseException | None = None) -> str:
    error = error or KeyboardInterrupt()
    with pytest.raises(type(error)), open_run(config(out, *sets), "simulate") as run:
        raise error
    return run.path.name


def test_unnamed_runs_are_numbered_after_their_preset(tmp_path):
    assert [run_to_its_end(tmp_path) for _ in range(3)] == ["simulate-1", "simulate-2", "simulate-3"]
    assert run_to_its_end(tmp_path, name="therapy") == "therapy-1"
    (tmp_path / "simulate-41").mkdir()
    (tmp_path / "simulate-99-copy").mkdir()
    assert run_to_its_end(tmp_path) == "simulate-42"


def test_an_unfinished_run_of_the_same_configuration_is_gone_on_with(tmp_path):
    assert interrupt(tmp_path, "seed=1") == "simulate-1"
    assert run_to_its_end(tmp_path, "seed=2") == "simulate-2"
    assert interrupt(tmp_path, "seed=1") == "simulate-1"
    assert run_to_its_end(tmp_path, "seed=1") == "simulate-1"
    assert run_to_its_end(tmp_path, "seed=1") == "simulate-3"
    assert statuses(tmp_path / "simulate-1") == ["interrupted", "interrupted", "finished"]


def test_the_place_is_no_part_of_the_configuration(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert interrupt("runs") == "simulate-1"
    assert interrupt("./runs/") == "simulate-1"
    assert run_to_its_end(tmp_path / "runs") == "simulate-1"


def test_a_damaged_manifest_of_another_run_does_not_stop_a_new_one(tmp_path):
    run_to_its_end(tmp_path)
    (tmp_path / "simulate-1" / "manifest.json").write_text('{"schema_version": 2}')
    assert run_to_its_end(tmp_path) == "simulate-2"
    with pytest.raises(RunError, match="not a manifest of this version"):
        run_to_its_end(tmp_path, "run.name='simulate-1'")


def test_a_finished_run_is_never_overwritten(tmp_path):
    run_to_its_end(tmp_path, "run.name='mine'")
    before = (tmp_path / "mine" / "manifest.json").read_bytes()
    with pytest.raises(RunTakenError, match="finished and is never overwritten"):
        run_to_its_end(tmp_path, "run.name='mine'")
    assert (tmp_path / "mine" / "manifest.json").read_bytes() == before


@pytest.mark.parametrize(
    ("changed", "difference"),
    [
        ("rollout.turns=2", "rollout.turns: None there, 2 now"),
        ("seed=7", "seed: 0 there, 7 now"),
        ("models.judge='scripted/x'", "models.judge: 'embedded' there, 'scripted/x' now"),
    ],
)
def test_another_configuration_is_told_by_the_key_that_differs(tmp_path, changed, difference):
    interrupt(tmp_path, "run.name='mine'")
    with pytest.raises(RunTakenError, match=re.escape(difference)) as caught:
        run_to_its_end(tmp_path, "run.name='mine'", changed)
    assert caught.value.exit_code == 2
    assert statuses(tmp_path / "mine") == ["interrupted"]


def test_what_that_message_advises_works(tmp_path):
    out = f"{tmp_path}/./out/"
    stopped = ["--name", "mine", "--set", "rollout.max_failed=1"]
    assert finish(simulate_command(tmp_path / "out", 5, *stopped)).returncode == 0
    path = tmp_path / "out" / "mine" / "manifest.json"
    path.write_text(path.read_text().replace('"finished"', '"interrupted"'))
    refused = finish(simulate_command(out, 6, *stopped))
    assert (refused.returncode, refused.stdout) == (2, "")
    advice = shlex.split(re.search(r"`influence (.*?)`", refused.stderr)[1])
    assert finish([sys.executable, "-m", "influence", *advice]).returncode == 0
    assert statuses(tmp_path / "out" / "mine") == ["interrupted", "finished"]
    assert len(records(tmp_path / "out" / "mine")) == 5


def test_resume_goes_on_and_never_begins(tmp_path):
    for name in ("", "run.name='mine'"):
        sets = [name] if name else []
        with pytest.raises(RunTakenError, match="no unfinished run"), open_run(config(tmp_path, *sets), "simulate", True):
            pass
    assert os.listdir(tmp_path) == []
    interrupt(tmp_path)
    with open_run(config(tmp_path), "simulate", must_resume=True) as run:
        assert (run.path.name, run.resumed) == ("simulate-1", True)


def test_a_folder_of_other_things_is_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    with pytest.raises(RunTakenError, match=r"is not a run \(it holds thesis\.tex\)"):
        run_to_its_end(tmp_path, "run.name='mine'")
    assert not (tmp_path / "mine" / "config.toml").exists()


def test_the_manifest_says_how_every_attempt_ended(tmp_path):
    interrupt(tmp_path, error=RunError("the disk is full"))
    interrupt(tmp_path, error=ZeroDivisionError("a mistake of ours"))
    interrupt(tmp_path)
    run_to_its_end(tmp_path)
    attempts = manifest(tmp_path / "simulate-1")["attempts"]
    assert [a["status"] for a in attempts] == ["failed", "failed", "interrupted", "finished"]
    assert [a["error"] for a in attempts] == ["the disk is full", "a mistake of ours", "KeyboardInterrupt", None]
    assert [a["number"] for a in attempts] == [1, 2, 3, 4]
    assert all(a["ended"] for a in attempts)
    assert (tmp_path / "simulate-1" / "logs" / "latest").readlink().name == "attempt-4.log"


def test_an_attempt_that_was_killed_is_found_out_by_the_next(tmp_path):
    with open_run(config(tmp_path), "simulate") as run:
        killed = (run.path / "manifest.json").read_text()
    (run.path / "manifest.json").write_text(killed)
    assert manifest(run.path)["status"] == "running"
    assert run_to_its_end(tmp_path) == run.path.name
    assert statuses(run.path) == ["interrupted", "finished"]


def test_the_folders_configuration_makes_the_same_run_again(tmp_path):
    original = config(tmp_path, "seed=5", "run.name='mine'", "rollout.turns=2", "environment.kinds={calm=0.5, hurried=0.5}")
    with open_run(original, "simulate") as run:
        again = resolve(SimulateConfig, file_layers(str(run.path / "config.toml")))
        assert again == original.model_copy(update={"run": original.run.model_copy(update={"name": None})})
        assert json.loads((run.path / "manifest.json").read_text())["seed"] == 5


HOLDER = """
import sys
from influence.config.commands import SimulateConfig
from influence.runs.folder import open_run
config = SimulateConfig.model_validate_json(sys.argv[1])
with open_run(config, "simulate") as run:
    print("mine", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_told_who_owns_the_run(tmp_path):
    arguments = simulate_command(tmp_path, 5, "--name", "mine")
    held = config(tmp_path, "run.name='mine'")
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", HOLDER, held.model_dump_json()], stdin=pipe, stdout=pipe, text=True) as owner:
        assert owner.stdout.readline() == "mine\n"
        second = finish(arguments)
        owner.stdin.close()
    assert (second.returncode, second.stdout) == (2, "")
    assert f"belongs to another process (process {owner.pid}, started 20" in second.stderr
    assert "Traceback" not in second.stderr
    assert owner.returncode == 0
    assert statuses(tmp_path / "mine") == ["finished"]


@pytest.mark.parametrize("place", ["a file in the way", "a file as parent", "a system folder"])
def test_an_out_folder_that_cannot_be_written_is_one_clear_error(tmp_path, place):
    (tmp_path / "file").write_text("in the way")
    out, name = {
        "a file in the way": (tmp_path, "file"),
        "a file as parent": (tmp_path / "file", "mine"),
        "a system folder": ("/proc/influence", "mine"),
    }[place]
    answer = finish(simulate_command(out, 5, "--name", name))
    assert (answer.returncode, answer.stdout) == (1, "")
    assert "cannot be written" in answer.stderr
    assert "--out chooses another place" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert (tmp_path / "file").read_text() == "in the way"
