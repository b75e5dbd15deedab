"""What `config show` prints and what a run keeps are configurations that run again, to the same numbers."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib

from influence.config.commands import SimulateConfig
from influence.config.layers import file_layers, resolve

SCRIPT = """
replies = [{ texts = ["One.", "Two.", "Three."] }]
[[labels]]
role = "preference"
distribution = { 3 = 0.5, 8 = 0.5 }
[[labels]]
role = "transition"
distribution = { stay = 0.8, leave = 0.2 }
[[labels]]
distribution = { 0 = 0.9, 1 = 0.1 }
"""


def shown(cli, *arguments: str) -> str:
    answer = cli("config", "show", *arguments)
    assert (answer.code, answer.err) == (0, "")
    return answer.out


def test_what_is_shown_is_shown_again_the_same(cli, folder):
    settings = [
        'description=A "quoted" \\ path\nand a line',
        "rollout.turns=2",
        "engine.gpus=[]",
        "environment.kinds={calm = 0.25, hurried = 0.75}",
    ]
    text = shown(cli, "simulate", *(part for setting in settings for part in ("--set", setting)))
    (folder / "saved.toml").write_text(text)
    assert shown(cli, "saved.toml") == text
    config = resolve(SimulateConfig, file_layers("saved.toml"))
    assert config.description == 'A "quoted" \\ path\nand a line'
    assert (config.rollout.turns, config.engine.gpus, config.environment.kinds) == (2, [], {"calm": 0.25, "hurried": 0.75})


def test_defaults_are_all_shown(cli):
    assert tomllib.loads(shown(cli))["judges"]["label_mass_floor"] == 0.01


def simulate(folder, *arguments: str) -> dict:
    call = [sys.executable, "-m", "influence", "simulate", *arguments, "--json"]
    ended = subprocess.run(call, capture_output=True, text=True, timeout=120, cwd=folder)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def test_the_config_of_a_run_runs_again(folder):
    (folder / "script.toml").write_text(SCRIPT)
    (folder / "my.toml").write_text('extends = "simulate"\n[rollout]\nconversations = 12\n')
    first = simulate(folder, "my.toml", "--env", "booth", "--model", "scripted/script.toml", "--seed", "5", "--name", "first")
    kept = folder / "runs" / "first" / "config.toml"
    config = resolve(SimulateConfig, file_layers(str(kept)))
    assert (config.rollout.conversations, config.seed, config.models.agent) == (12, 5, "scripted/script.toml")
    second = simulate(folder, "runs/first/config.toml", "--name", "second")
    assert tomllib.loads((folder / "runs" / "second" / "config.toml").read_text()) == tomllib.loads(kept.read_text())
    assert second["whole"] == first["whole"]
    assert first["whole"]["conversations"] == 12


def models(cli, monkeypatch, *arguments: str) -> dict[str, str]:
    """The models by role that `simulate` would start with some arguments."""
    from influence.cli import simulate as command

    seen = []
    monkeypatch.setattr(command, "_run", lambda config, *_: seen.append(config))
    assert cli("simulate", *arguments).code == 0
    return seen[0].models.by_role()


def test_model_is_for_every_role_and_stands_above_set(cli, folder, monkeypatch):
    every = dict.fromkeys(("agent", "user", "preference", "transition", "influence"), "vllm/a/b")
    assert models(cli, monkeypatch, "--model", "vllm/a/b") == every
    assert models(cli, monkeypatch, "--model", "vllm/a/b", "--set", "models.agent=openai/x") == every
    judges = dict.fromkeys(("preference", "transition", "influence"), "openai/j")
    assert models(cli, monkeypatch, "--set", "models.judge=openai/j") == dict.fromkeys(every, "embedded") | judges
    (folder / "my.toml").write_text('[models]\nuser = "openai/u"\npreference = "openai/p"')
    assert models(cli, monkeypatch, "my.toml", "--model", "vllm/a/b") == every
    assert models(cli, monkeypatch, "my.toml")["preference"] == "openai/p"


def test_wandb_is_offline_unless_the_configuration_says_more(cli, folder, monkeypatch):
    from influence.cli import simulate as command

    seen = []
    monkeypatch.setattr(command, "_run", lambda config, *_: seen.append(config.tracking.wandb))
    for arguments in ([], ["--wandb"], ["--wandb", "--set", "tracking.wandb=online"], ["--wandb", "--set", "tracking.wandb=off"]):
        cli("simulate", *arguments)
    assert seen == ["off", "offline", "online", "offline"]
