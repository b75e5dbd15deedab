"""Every mistake in an option of the command gets one message with its remedy, and nothing is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from influence.engines import opening
from influence.engines.devices import Gpu

SECTIONS = (
    "budget, command, description, engine, environment, hosted, judges, models, reward, rollout, run, sampling, seed, tracking"
)
SPELLINGS = (
    "embedded, vllm/<hub id or folder>[:<adapter folder>], scripted/<file>, openai/<model>, anthropic/<model>, "
    "openai-api/<name>/<model>"
)
SHIPPED = Path(__file__).parent.parent.parent / "presets"
SCRIPTS = ", ".join(sorted(path.stem for path in SHIPPED.glob("scripts/*.toml")))
PRESETS = f"Presets: {', '.join(sorted(path.stem for path in SHIPPED.glob('*.toml')))}. A path to a TOML file works too."
NO_NAME = "is not a name here. Allowed: letters, digits, `.`, `-` and `_`, first a letter or digit, at most 100 characters."


OPTIONS = {  # the command's arguments -> what a person reads
    "an unknown preset": (["simulat"], f"there is no preset `simulat`. Did you mean `simulate`? {PRESETS}"),
    "a preset with a very long name": (["s" * 300], f"there is no preset `{'s' * 300}`. {PRESETS}"),
    "a file that is not there": (["gone.toml"], "gone.toml: there is no such file."),
    "a folder": (["./booth"], "booth is a folder, not a TOML file."),
    "a number out of range": (
        ["--turns", "0"],
        "--turns, `rollout.turns`: found 0, but it should be greater than or equal to 1.",
    ),
    "a run's name with a path": (["--name", "../x"], f"--name, `run.name`: '../x' {NO_NAME}"),
    "--set without a value": (
        ["--set", "rollout.turns"],
        "--set rollout.turns: write it as section.key=value, such as --set rollout.turns=2.",
    ),
    "--set without a key": (
        ["--set", "rollout.=2"],
        "--set rollout.=2: write it as section.key=value, such as --set rollout.turns=2.",
    ),
    "--set of a wrong type": (
        ["--set", "rollout.turns=two"],
        "--set, `rollout.turns`: found 'two', but it should be a whole number.",
    ),
    "--set of a number for a name": (
        ["--set", "run.name=7"],
        '--set, `run.name`: found 7, but it should be a text.\n    A text stands in quotes: "7".',
    ),
    "--set of an unknown key": (
        ["--set", "rollouts.turns=2"],
        f"--set, `rollouts`: `rollouts` is not a key here.\n    Did you mean `rollout`? Allowed: {SECTIONS}.",
    ),
    "--set inside a text": (
        ["--set", "environment.name.x=2"],
        "--set, `environment.name`: found {'x': 2}, but it should be a text.",
    ),
    "a section that --wandb would hide": (
        ["--wandb", "--set", "tracking=3"],
        "--set, `tracking`: found 3, but it should be a table.",
    ),
    "a clash, which belongs to the option that made it": (
        ["--set", "rollout.samples=9", "-n", "8", "--seed", "3"],
        "--conversations, `rollout.conversations`: `rollout.samples` is 9, more than the 8 `rollout.conversations`.",
    ),
    "--gpus that are no numbers": (
        ["--gpus", "first"],
        "--gpus first: write device numbers with commas, such as --gpus 0,1, or `none` for the CPU.",
    ),
    "--gpus below zero": (
        ["--gpus", "0,-1"],
        "--gpus, `engine.gpus.1`: found -1, but it should be greater than or equal to 0.",
    ),
    "a GPU twice": (["--gpus", "1,1"], "--gpus, `engine.gpus`: `engine.gpus` names a device twice."),
    "GPUs that do not divide": (
        ["--gpus", "0,1,2", "--set", "engine.tensor_parallel=2"],
        "--gpus, `engine.gpus`: 3 GPUs cannot be split into groups of `engine.tensor_parallel` = 2.",
    ),
    "a GPU that is not there": (
        ["--gpus", "7", "--model", "vllm/some/model"],
        "GPU 7 is not there: this machine has 0, 1. `--gpus none` runs on the CPU.",
    ),
    "a misspelt scheme": (
        ["--model", "opnai/gpt"],
        f"--model: 'opnai/gpt' is no model name. Did you mean `openai`? Allowed: {SPELLINGS}.",
    ),
    "an incomplete model": (["--model", "vllm/"], f"--model: 'vllm/' is incomplete. Allowed: {SPELLINGS}."),
    "an adapter without a folder": (
        ["--model", "embedded:"],
        "--model: 'embedded:' is no model name. Write `embedded`, or `embedded:<adapter folder>`.",
    ),
    "a hosted model": (
        ["--model", "openai/gpt"],
        "models.agent = 'openai/gpt': set OPENAI_API_KEY in the environment, or in a file .env here.",
    ),
    "a folder without a model": (
        ["--model", "vllm/./booth"],
        "models.agent = 'vllm/./booth': the folder ./booth holds no model (no config.json).",
    ),
    "a folder without an adapter": (
        ["--model", "vllm/some/model:booth"],
        "models.agent = 'vllm/some/model:booth': booth is not an adapter folder (no adapter_config.json).",
    ),
    "a script that is not there": (
        ["--model", "scripted/gone.toml"],
        f"scripted/gone.toml: there is no such file. Shipped scripts: {SCRIPTS}.",
    ),
    "an unknown environment": (
        ["--env", "companio"],
        "there is no environment `companio`. Did you mean `companion`? "
        "Allowed: action-advice, booking-assistance, companion, political-questions, therapy-talk, ticket-booking. "
        "A path to a folder works too.",
    ),
    "a folder that is no environment": (
        ["--env", "booth/scenarios"],
        "booth/scenarios: the folder has no environment.toml, so it is not an environment.",
    ),
    "a kind of user that is not there": (
        ["--set", "environment.kinds={clam = 0.5, hurried = 0.5}"],
        "environment.kinds: no initial state is for the kind of user `clam`. Did you mean `calm`? Allowed: calm, hurried.",
    ),
    "a scenario that is not there": (
        ["--set", 'environment.scenarios=["tickets"]'],
        "environment.scenarios: booth has no scenario `tickets`. Did you mean `ticket`? Allowed: platform, ticket.",
    ),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_a_mistake_in_an_option(name, refused, monkeypatch):
    monkeypatch.setattr(opening, "visible_gpus", lambda: [Gpu(0, "H100", 80.0), Gpu(1, "H100", 80.0)])
    arguments, message = OPTIONS[name]
    refused(arguments, message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--set", "engine.tensor_parallel=2", "--gpus", "none"],
            "`engine.tensor_parallel` = 2 needs GPUs, and there are none here.",
        ),
        (
            ["--set", "engine.replicas=99999", "--gpus", "none"],
            "`engine.replicas` = 99999 is more than the 2 CPU cores.",
        ),
    ],
)
def test_what_a_cpu_cannot_do(arguments, message, refused, monkeypatch):
    monkeypatch.setattr(opening, "usable_cores", lambda: [0, 1])
    refused(["--model", "vllm/some/model", *arguments], message)


def test_log_probabilities_that_a_judge_lacks(refused, folder):
    (folder / "plain.toml").write_text('logprobs = false\n[[replies]]\ntexts = ["1"]\n')
    message = (
        'judges.method = "logprobs": scripted/plain.toml, the preference judge, has none. Set "samples", "stated" or "auto".'
    )
    refused(["--model", "scripted/plain.toml", "--set", "judges.method=logprobs"], message)


def test_a_block_size_that_the_cpu_engine_cannot_take(refused):
    arguments = ["--model", "embedded", "--gpus", "none", "--set", "engine.block_size=16"]
    refused(arguments, "engine.block_size = 16: on a CPU it must be a multiple of 32.")
