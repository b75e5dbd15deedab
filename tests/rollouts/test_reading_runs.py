"""`influence show`: the conversations of a run, one of them by key or number, and a model's words shown as plain text."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from simulating import records, simulated

from influence.errors import InfluenceError, RunError
from influence.rollouts.reading import find_run, find_trajectory, read_trajectories

MARKUP = "[red]x[/red] [link=https://example.org]y[/link] [/]"
ESCAPES = "\u001b[31mred\u001b[0m \u001b]0;title\u0007 \u009b2J \u202etxet"
CONTROLS = set("\u001b\u0007\u009b\u202e")
SCRIPT = f"""
[[failures]]
role = "influence"
turn = 3
error = {json.dumps(ESCAPES)}
[[replies]]
role = "agent"
texts = [{json.dumps(MARKUP)}]
[[replies]]
role = "user"
texts = [{json.dumps(ESCAPES)}]
[[labels]]
role = "preference"
distribution = {{ "8" = 1.0 }}
[[labels]]
role = "influence"
distribution = {{ "0" = 1.0 }}
[[labels]]
role = "transition"
distribution = {{ stay = 1.0 }}
"""


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """A run of 20 conversations whose agent writes markup and whose user writes escape sequences."""
    folder = tmp_path_factory.mktemp("show")
    (folder / "rude.toml").write_text(SCRIPT)
    simulated(folder, "rollout.conversations=20", script=folder / "rude.toml")
    return folder


def show(*arguments: str) -> subprocess.CompletedProcess[str]:
    wide = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1"}
    return subprocess.run([sys.executable, "-m", "influence", "show", *arguments], capture_output=True, text=True, env=wide)


def test_a_run_is_listed_by_its_name_and_by_its_folder(out):
    keys = [record.key for record in records(out)]
    for arguments in (["run", "--out", str(out)], [str(out / "run")]):
        answer = show(*arguments)
        assert answer.returncode == 0
        assert all(key in answer.stdout for key in keys)
    short = show(str(out / "run"), "--limit", "3")
    assert keys[2] in short.stdout
    assert keys[3] not in short.stdout
    assert "and 17 more" in short.stdout


def test_a_models_markup_and_escape_sequences_are_shown_and_not_obeyed(out):
    answer = show(str(out / "run"), "1")
    assert answer.returncode == 0
    assert answer.stdout.count(MARKUP) == 3
    spoken = answer.stdout[: answer.stdout.rindex("turn 3")]
    assert not set(spoken) & CONTROLS
    assert answer.stdout.count("[31mred") >= 2
    assert "preference 8.00" in answer.stdout
    assert "ended by turn_limit" in answer.stdout


def test_an_escape_sequence_in_the_reason_of_a_missing_score_is_not_obeyed(out):
    answer = show(str(out / "run"), "1")
    assert "missing (the request failed" in answer.stdout
    assert not set(answer.stdout) & CONTROLS


def test_json_gives_the_records_themselves(out):
    first = records(out)[0]
    assert json.loads(show(str(out / "run"), "1", "--json").stdout) == json.loads(first.model_dump_json())
    lines = [json.loads(line) for line in show(str(out / "run"), "--json").stdout.split("\n") if line]
    assert [line["key"] for line in lines] == [record.key for record in records(out)]
    assert all("messages" not in line for line in lines)


def test_a_conversation_is_found_by_key_number_or_a_part_that_is_unambiguous(out):
    keys = [record.key for record in records(out)]
    assert find_trajectory(out / "run", keys[4]).key == keys[4]
    assert find_trajectory(out / "run", "5").key == keys[4]
    part = keys[4].removeprefix("booth/")
    assert find_trajectory(out / "run", part).key == keys[4]


def test_an_ambiguous_part_names_what_it_could_be(out):
    matching = [record.key for record in records(out) if "night-train" in record.key]
    answer = show(str(out / "run"), "night-train")
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr.startswith(f"influence: {len(matching)} conversations match `night-train`: {matching[0]}")
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize("key", ["booth/platform/hurried/nite-train/i0/s0", "[red]0[/red]", "21", "\u001b[31m"])
def test_an_unknown_key_is_an_error_with_how_many_there_are(out, key):
    with pytest.raises(InfluenceError, match="It has 20") as caught:
        find_trajectory(out / "run", key)
    assert caught.value.exit_code == 2
    if "nite" in key:
        assert "Did you mean `booth/platform/hurried/night-train/i0/s0`?" in str(caught.value)


def test_an_unknown_run_names_the_nearest(out):
    answer = show("runn", "--out", str(out))
    assert (answer.returncode, answer.stdout) == (2, "")
    assert "there is no run `runn`. Did you mean `run`?" in answer.stderr
    with pytest.raises(InfluenceError, match="There are no runs in"):
        find_run("run", str(out / "nowhere"))


def test_a_torn_last_line_is_left_out_and_a_damaged_one_is_an_error_with_its_place(out, tmp_path):
    whole = (out / "run" / "trajectories.jsonl").read_bytes()
    copy = tmp_path / "trajectories.jsonl"
    copy.write_bytes(whole + whole[:300])
    assert len(list(read_trajectories(tmp_path))) == 20
    copy.write_bytes(whole.replace(b'"sample":0', b'"sample":"?"', 1))
    with pytest.raises(InfluenceError, match=r"trajectories\.jsonl, line 1, `sample`"):
        list(read_trajectories(tmp_path))
    copy.write_bytes(b"\xff\xfe\n" + whole)
    with pytest.raises(RunError, match=r"trajectories\.jsonl, line 1: this is not a record"):
        list(read_trajectories(tmp_path))
