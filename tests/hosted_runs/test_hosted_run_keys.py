"""Keys that are planted in the environment, in a `.env` file and in addresses turn up nowhere, whoever repeats them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from asking_hosted import BOOTH, KEYS, MODELS, PROVIDERS, VARIABLES, places, point

from tests.loopback import Behaviour, Fault, openai_api, serving

SECRETS = list(KEYS.values())
BEGINNINGS = [secret[:17] for secret in SECRETS]  # a key that was cut off is a leak too
REPEATED = f"Your keys are {', '.join(SECRETS)}. Was that all?"
PASSWORD = "passPLANTED-word99"
RUN = ("simulate", "--env", str(BOOTH), "--name", "run", "--log-calls")


def settings(**models: str) -> list[str]:
    given = {f"models.{role}": model for role, model in models.items()}
    given |= {"hosted.backoff": "0.001", "hosted.attempts": "1", "rollout.max_failed": "1", "judges.samples": "2"}
    return [part for name, value in given.items() for part in ("--set", f"{name}={value}")]


def talkative(folder: Path, env: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    """A run whose agent, user and judges are at three providers, in a process with every way of writing things down turned on."""
    kept = {name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "_BASE_URL"))}
    talking = {"OPENAI_LOG": "debug", "ANTHROPIC_LOG": "debug", "PYTHONWARNINGS": "default"}
    models = settings(agent=MODELS["openai"], user=MODELS["anthropic"], judge=MODELS["local"])
    command = [sys.executable, "-m", "influence", *RUN, "-n", "10", "--debug", *models, *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=folder, env=kept | talking | env)


def leaks(folder: Path, printed: str, secrets: list[str] = BEGINNINGS) -> list[str]:
    """The places that hold a secret: what was printed, and every file under the folder but the one that planted it."""
    texts = {"printed": printed.encode()}
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != ".env"]
    texts |= {str(path.relative_to(folder)): path.read_bytes() for path in files}
    return sorted(name for name, text in texts.items() if any(secret.encode() in text for secret in secrets))


@pytest.fixture(scope="module")
def repeating(tmp_path_factory):
    """A run on providers that repeat the key in every error (400, 429, 500, a gateway's page) and models that say all keys.

    One of the keys is in the environment, two are in a `.env` file.
    """
    folder = tmp_path_factory.mktemp("repeating")
    faults = {Fault.SERVER_ERROR: 0.1, Fault.BAD_GATEWAY: 0.1, Fault.CONTEXT_TOO_LONG: 0.05, Fault.RATE_LIMITED: 0.03}
    behaviour = Behaviour(faults=faults, echo_key=True, reply=REPEATED, rejects=["temperature", "logprobs"])
    with serving(behaviour) as server:
        env = places(server.url) | {"XDG_CACHE_HOME": str(folder / "cache")}
        planted = {VARIABLES[provider]: env.pop(VARIABLES[provider]) for provider in ("openai", "local")}
        (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in planted.items()))
        ended = talkative(folder, env, "--set", "sampling.agent.temperature=0.5")
    assert ended.returncode == 0, ended.stderr
    assert {seen.key for seen in server.requests} == set(SECRETS)
    return folder, ended


def test_keys_that_everybody_repeats_are_nowhere(repeating):
    folder, ended = repeating
    assert leaks(folder, ended.stdout + ended.stderr) == []
    run = folder / "runs" / "run"
    read = {path.name for path in (*run.rglob("*"), *(folder / "cache").rglob("*")) if path.is_file() and path.stat().st_size}
    assert {"trajectories.jsonl", "calls.jsonl", "manifest.json", "summary.json", "responses.sqlite"} <= read


def test_where_a_key_was_it_says_so(repeating):
    folder, _ = repeating
    run = folder / "runs" / "run"
    records = [json.loads(line) for line in (run / "trajectories.jsonl").read_text().splitlines()]
    said = {message["content"] for record in records for message in record["messages"] if message["role"] == "assistant"}
    assert "Your keys are [key], [key], [key]. Was that all?" in said
    assert "Your keys are [key], [key], [key]." in (run / "calls.jsonl").read_text()
    assert "(key: [key])" in (run / "trajectories.jsonl").read_text()  # of requests that were given up
    assert "(key: [key])" in (run / "manifest.json").read_text()  # `not_taken`


def test_the_log_of_an_attempt_is_no_copy_of_the_requests(repeating):
    """OPENAI_LOG=debug and ANTHROPIC_LOG=debug would write every request, its headers and its messages, into logs/."""
    folder, _ = repeating
    log = (folder / "runs" / "run" / "logs" / "attempt-1.log").read_text().casefold()
    assert [
        words for words in ("your keys", "authorization", "x-api-key", "http request", "request options") if words in log
    ] == []


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_key_that_is_refused_and_repeated(serve, influence, tmp_path, provider):
    """With a traceback, because `--debug` asks for one."""
    serve(Behaviour(first=[None], faults={Fault.INVALID_KEY: 1.0}, echo_key=True))
    model = MODELS[provider]
    stopped = influence(*RUN, "-n", "5", *settings(agent=model, user=model, judge=model), "--debug")
    assert stopped.code == 1
    assert "Traceback" in stopped.err
    assert "(key: [key])" in stopped.err
    assert f"Is {VARIABLES[provider]} the right key" in stopped.err
    assert "(key: [key])" in (tmp_path / "runs" / "run" / "manifest.json").read_text()
    assert leaks(tmp_path, stopped.out + stopped.err) == []


@pytest.mark.parametrize(
    ("key", "plain", "escaped"),
    [
        ("sk-Zm9v/YmFy+PLANTED==", "/", "\\/"),  # as PHP writes it
        ("sk-Zm9v/YmFy+PLANTED==", "+", "\\u002b"),
        ('sk-"quoted"PLANTED', "", ""),
        ("sk-back\\slashPLANTED", "", ""),
    ],
)
def test_a_key_that_json_writes_in_another_way(serve, influence, tmp_path, monkeypatch, key, plain, escaped):
    """What comes over the wire is JSON, in which some characters have a second spelling."""
    server = serve(Behaviour(reply=f"Your key is {key}."))
    real = openai_api.to_json
    monkeypatch.setattr(
        openai_api, "to_json", lambda full: real(full).replace(plain.encode(), escaped.encode()) if plain else real(full)
    )
    monkeypatch.setenv("LOCAL_API_KEY", key)
    model = MODELS["local"]
    assert influence(*RUN, "-n", "1", *settings(agent=model, user=model, judge=model)).code == 0
    assert {seen.key for seen in server.requests} == {key}
    assert leaks(tmp_path, "", ["PLANTED"]) == []


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_password_in_an_address_is_refused_and_not_repeated(serve, influence, tmp_path, monkeypatch, provider):
    server = serve()
    point(monkeypatch, server.url.replace("//", f"//reader:{PASSWORD}@"))
    model = MODELS[provider]
    refused = influence(*RUN, "-n", "1", *settings(agent=model, user=model, judge=model))
    address = VARIABLES[provider].replace("_API_KEY", "_BASE_URL")
    told = f"{address} holds a user or a password. A server's key goes into {VARIABLES[provider]}."
    assert refused.err == f"influence: models.agent = {model!r}: {told}\n"
    assert (refused.code, server.requests, list(tmp_path.rglob("*"))) == (2, [], [])
