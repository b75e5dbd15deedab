"""Whole simulations: the same seed gives the same file whatever the order, failures are bounded, memory does not grow."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass, field

import psutil
import pytest
from holding import SCRIPTS, settings_of
from simulating import records, simulated, without_times

from influence.errors import ConfigError, RunError
from influence.rollouts.progress import Progress
from influence.rollouts.simulation import prepare

BOOTH = SCRIPTS.parent / "envs" / "booth"
SIXTY = "rollout.conversations=60"


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """The varied script under one path, so that the records name the same model however it yields."""
    return tmp_path_factory.mktemp("scripts") / "model.toml"


def run_once(out, script, yields: int, in_flight: int, seed: int = 3) -> bytes:
    script.write_text((SCRIPTS / "varied.toml").read_text().replace("yields = 2", f"yields = {yields}"))
    simulated(out, SIXTY, "rollout.samples=3", f"rollout.in_flight={in_flight}", f"seed={seed}", script=script)
    return without_times(out / "run" / "trajectories.jsonl")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, script) -> bytes:
    return run_once(tmp_path_factory.mktemp("undisturbed"), script, yields=0, in_flight=1)


@pytest.mark.parametrize("in_flight", [1, 7, 200])
@pytest.mark.parametrize("yields", [1, 2, 5])
def test_one_seed_gives_one_file_however_many_run_at_once(tmp_path, script, undisturbed, in_flight, yields):
    assert run_once(tmp_path, script, yields, in_flight) == undisturbed


def test_another_seed_gives_other_conversations(tmp_path, script, undisturbed):
    def conversations(lines: bytes):
        return [json.loads(line)["messages"] for line in lines.splitlines()]

    assert conversations(run_once(tmp_path, script, 1, 7, seed=4)) != conversations(undisturbed)


def test_records_stand_in_the_plans_order_and_agree_with_the_summary(tmp_path):
    outcome = simulated(tmp_path, SIXTY, "rollout.in_flight=20")
    read = records(tmp_path)
    assert len(read) == len({record.key for record in read}) == 60
    assert [record.sample for record in read] == sorted(record.sample for record in read)
    ratings = [turn.preference.value for record in read for turn in record.turns]
    there = [value for value in ratings if value is not None]
    whole = outcome.summary["whole"]
    assert whole["preference"]["n"] == len(there) < len(ratings)
    assert whole["preference"]["value"] == pytest.approx(sum(there) / len(there))
    assert whole["missing"]["preference"] == len(ratings) - len(there)
    assert sum(whole["stop_reasons"].values()) == sum(group["conversations"] for group in outcome.summary["groups"]) == 60
    assert json.loads((tmp_path / "run" / "summary.json").read_text()) == outcome.summary


def test_too_many_failed_conversations_fail_the_run_and_every_one_is_recorded(tmp_path):
    outcome = simulated(tmp_path / "default", SIXTY, script=SCRIPTS / "fainting.toml")
    failed = [record for record in records(tmp_path / "default") if record.failed]
    assert outcome.too_many_failed
    assert len(records(tmp_path / "default")) == 60
    assert outcome.summary["whole"]["failed"] == len(failed) > 6
    assert all("the traveller has fainted" in record.error for record in failed)
    manifest = json.loads((tmp_path / "default" / "run" / "manifest.json").read_text())
    assert (manifest["status"], manifest["attempts"][0]["error"]) == ("failed", "too many conversations failed")
    # exactly the share that is allowed is not too many
    allowed = f"rollout.max_failed={len(failed) / 60!r}"
    assert not simulated(tmp_path / "allowed", SIXTY, allowed, script=SCRIPTS / "fainting.toml").too_many_failed


def test_a_record_that_is_none_of_ours_is_an_error_with_its_line(tmp_path):
    simulated(tmp_path, "rollout.conversations=3", "rollout.max_failed=1")
    journal, manifest = tmp_path / "run" / "trajectories.jsonl", tmp_path / "run" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"finished"', '"interrupted"'))
    lines = journal.read_text().split("\n")
    journal.write_text("\n".join([lines[0], '{"key": "booth/x"}', *lines[2:]]))
    with pytest.raises(RunError, match=r"trajectories\.jsonl, line 2, `environment`"):
        simulated(tmp_path, "rollout.conversations=3", "rollout.max_failed=1")


@dataclass
class Weighed(Progress):
    """A progress that weighs the process after some conversations."""

    weights: dict[int, int] = field(default_factory=dict)

    def finish(self, trajectory) -> None:
        super().finish(trajectory)
        if self.done in (1000, self.total):
            self.weights[self.done] = psutil.Process().memory_info().rss


def test_memory_does_not_grow_with_the_number_of_conversations(tmp_path):
    progress = Weighed(total=4000)
    simulated(tmp_path, "rollout.conversations=4000", progress=progress)
    assert progress.weights[4000] - progress.weights[1000] < 60e6


def test_a_run_is_not_gone_on_with_once_its_texts_have_changed(tmp_path):
    """One journal holds one experiment: other texts under the same configuration would be mixed in unnoticed."""
    world = tmp_path / "booth"
    shutil.copytree(BOOTH, world)
    command = [sys.executable, "-m", "influence", "simulate", "--env", str(world), "--name", "run", "--conversations", "6"]

    def start(script: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "clerk.toml").write_text(script)
        return subprocess.run([*command, "--model", "scripted/clerk.toml"], cwd=tmp_path, capture_output=True, text=True)

    words = '[[replies]]\ntexts = ["Fine."]\n[[labels]]\ndistribution = { stay = 0.5, 0 = 0.2, 5 = 0.3 }\n'
    assert start('[[failures]]\nrole = "user"\nerror = "gone"\ndies = true\n' + words).returncode == 1
    scenario = world / "scenarios" / "platform.toml"
    text = scenario.read_text()
    scenario.write_text(text.replace("Where does", "When does"))
    changed = start(words)
    assert changed.returncode == 2
    assert "environment booth changed since" in changed.stderr
    scenario.write_text(text)
    other_words = start(words.replace("Fine.", "Good."))
    assert other_words.returncode == 2
    assert "agent, user" in other_words.stderr
    assert start(words).returncode == 0


def test_the_configuration_may_ask_the_preference_judge_another_question(tmp_path):
    with pytest.raises(ConfigError, match=r"judges\.preference\.question: `\{nobody\}` is not a variable"):
        simulated(tmp_path / "bad", SIXTY, "judges.preference.question='Does {nobody} like it?'")
    assert not (tmp_path / "bad").exists()
    config = settings_of(f"environment.name='{BOOTH}'", "judges.preference.question='How clear, from 1 to 10?'")
    assert prepare(config).environment.file.judges.preference.question == "How clear, from 1 to 10?"
